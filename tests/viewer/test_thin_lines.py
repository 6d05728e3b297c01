from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.geometry import Box

pytestmark = pytest.mark.gui


def corners_of(vectors: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(float(v) for v in start) for start in vectors[:, 0]}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_frame_runs_around_the_voxels_of_a_box(axis: int) -> None:
    from napari_unetseg.viewer.thin_lines import frames

    box = Box((2, 4, 6), (5, 9, 12))
    sides = frames([box], axis, 3)
    assert sides.shape == (4, 2, 3)
    # Each side ends where the next begins, and the last one at the first.
    np.testing.assert_allclose(sides[:, 0] + sides[:, 1], np.roll(sides[:, 0], -1, 0))
    low, high = np.array(box.start) - 0.5, np.array(box.stop) - 0.5
    low[axis] = high[axis] = 3
    found = sides[:, 0]
    np.testing.assert_allclose(found.min(axis=0), low)
    np.testing.assert_allclose(found.max(axis=0), high)
    assert len(corners_of(sides)) == 4


def test_a_path_has_one_line_between_two_points() -> None:
    from napari_unetseg.viewer.thin_lines import path

    lines = path([(1, 2, 3), (1, 4, 3), (1, 4, 8)])
    np.testing.assert_array_equal(lines[:, 0], [(1, 2, 3), (1, 4, 3)])
    np.testing.assert_array_equal(lines[:, 1], [(0, 2, 0), (0, 0, 5)])
    assert len(path([(1, 2, 3)])) == len(path([])) == 0


def test_lines_stay_as_thin_on_the_screen_at_any_zoom() -> None:
    from napari_unetseg.viewer.thin_lines import ThinLines

    layer = ThinLines((8, 8, 8), scale=(4.0, 0.5, 0.5))
    for zoom in (0.1, 3.0):
        layer.fit_width(2.0, zoom)
        assert layer.edge_width * 0.5 * zoom == pytest.approx(2.0)
