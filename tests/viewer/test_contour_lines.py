from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.viewer.contour_lines import contour_lines, rater_fractions


def disc(side: int = 40, radius: float = 12) -> np.ndarray:
    y, x = np.ogrid[:side, :side]
    middle = (side - 1) / 2
    return np.clip(radius - np.hypot(y - middle, x - middle) + 0.5, 0, 1)


def test_contour_of_disc_is_as_long_as_its_circle() -> None:
    lines = contour_lines(disc(radius=12), 0.5)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * np.pi * 12, rel=0.03)


def test_contour_of_disc_lies_on_its_circle() -> None:
    lines = contour_lines(disc(side=40, radius=12), 0.5)
    radii = np.hypot(*(lines.reshape(-1, 2) - 19.5).T)
    assert np.abs(radii - 12).max() < 0.5


def test_lines_form_closed_rings() -> None:
    lines = contour_lines(disc(), 0.5)
    ends, counts = np.unique(
        np.round(lines.reshape(-1, 2), 3), axis=0, return_counts=True
    )
    assert len(ends) == len(lines)
    assert set(counts) == {2}


def test_single_voxel_gives_four_lines_around_it() -> None:
    plane = np.zeros((3, 3))
    plane[1, 1] = 1
    lines = contour_lines(plane, 0.5)
    assert lines.shape == (4, 2, 2)
    np.testing.assert_allclose(lines.reshape(-1, 2).mean(axis=0), (1, 1), atol=1e-3)


def test_value_of_exactly_the_level_is_inside() -> None:
    plane = np.zeros((4, 4), dtype=np.float32)
    plane[1:3, 1:3] = 0.5
    assert len(contour_lines(plane, 0.5))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_plane_has_no_lines(value: float) -> None:
    assert contour_lines(np.full((5, 5), value), 0.5).shape == (0, 2, 2)


def test_higher_levels_lie_inside_lower_ones() -> None:
    y, x = np.ogrid[:40, :40]
    cone = np.clip(1 - np.hypot(y - 20, x - 20) / 16, 0, 1)
    lengths = [
        np.linalg.norm(np.diff(contour_lines(cone, level), axis=1), axis=-1).sum()
        for level in (0.25, 0.5, 0.75)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_saddles_keep_the_two_corners_apart() -> None:
    lines = contour_lines(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5)
    assert lines.shape == (2, 2, 2)


def test_fractions_count_raters_per_class() -> None:
    labels = np.array([[[1, 2]], [[1, 0]], [[2, 2]], [[1, 2]]], dtype=np.uint8)
    fractions = rater_fractions(labels, 2)
    np.testing.assert_allclose(fractions[:, 0], [[0.75, 0.0], [0.25, 0.75]])
