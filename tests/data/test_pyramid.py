from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unetseg.data.pyramid import (
    MAX_LEVELS,
    SMALLEST_PLANE,
    downsample_classes,
    downsample_labels,
    downsample_mean,
    level_factors,
)
from napari_unetseg.geometry import Zyx

# A busy machine is no fault.
PATIENT = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
SIZES = st.integers(1, 3000)
FACTORS = st.sampled_from([(1, 1, 1), (1, 2, 2), (2, 2, 2), (4, 2, 1), (1, 8, 8)])
VOXELS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
)


def cells_of(voxels: np.ndarray, factor: Zyx) -> dict[tuple[int, ...], np.ndarray]:
    """The voxels of every cell, those beyond the border left out."""
    shape = [-(-n // f) for n, f in zip(voxels.shape, factor, strict=True)]
    return {
        at: voxels[
            tuple(slice(i * f, i * f + f) for i, f in zip(at, factor, strict=True))
        ]
        for at in np.ndindex(*shape)
    }


@PATIENT
@given(
    st.tuples(SIZES, SIZES, SIZES),
    st.tuples(*(st.floats(0.1, 20) for _ in "zyx")),
)
def test_levels_begin_at_full_size_and_never_grow(
    shape: Zyx, voxel_size: tuple[float, float, float]
) -> None:
    factors = level_factors(shape, voxel_size)
    assert factors[0] == (1, 1, 1)
    assert len(factors) <= MAX_LEVELS
    for fine, coarse in itertools.pairwise(factors):
        steps = {b // a for a, b in zip(fine, coarse, strict=True)}
        assert steps <= {1, 2}
        assert 2 in steps
        assert all(b % a == 0 for a, b in zip(fine, coarse, strict=True))


def test_levels_end_when_a_plane_fits_the_screen() -> None:
    factors = level_factors((1000, 1000, 1000), (1, 1, 1))
    assert factors == ((1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 8))
    assert 1000 / 8 <= SMALLEST_PLANE < 1000 / 4
    assert level_factors((64, 192, 192), (1, 1, 1)) == ((1, 1, 1),)


def test_thick_sections_wait_until_the_planes_have_caught_up() -> None:
    assert level_factors((100, 2000, 2000), (4.0, 1.0, 1.0)) == (
        (1, 1, 1),
        (1, 2, 2),
        (1, 4, 4),
        (2, 8, 8),
        (4, 16, 16),
    )


def test_a_single_plane_stays_a_plane() -> None:
    assert level_factors((1, 800, 800), (1, 1, 1))[-1] == (1, 8, 8)


def test_levels_can_be_asked_for() -> None:
    assert level_factors((8, 8, 8), (1, 1, 1), n_levels=2) == ((1, 1, 1), (2, 2, 2))
    assert level_factors((1, 1, 1), (1, 1, 1), n_levels=5) == ((1, 1, 1),)


@PATIENT
@given(VOXELS, FACTORS)
def test_a_coarse_voxel_is_the_mean_of_its_cell(
    voxels: np.ndarray, factor: Zyx
) -> None:
    reduced = downsample_mean(voxels, factor)
    assert reduced.dtype == voxels.dtype
    for at, cell in cells_of(voxels, factor).items():
        assert int(cell.min()) <= int(reduced[at]) <= int(cell.max())
        if all(n == f for n, f in zip(cell.shape, factor, strict=True)):
            assert int(reduced[at]) == round(float(cell.mean()))


@PATIENT
@given(VOXELS, FACTORS)
def test_a_coarse_label_is_the_largest_of_its_cell(
    labels: np.ndarray, factor: Zyx
) -> None:
    reduced = downsample_labels(labels, factor)
    assert reduced.dtype == labels.dtype
    for at, cell in cells_of(labels, factor).items():
        assert reduced[at] == cell.max()


@PATIENT
@given(VOXELS.map(lambda v: v % 3), FACTORS)
def test_a_coarse_object_is_one_of_its_cell_and_none_only_where_there_is_none(
    labels: np.ndarray, factor: Zyx
) -> None:
    reduced = downsample_labels(labels, factor, "mode")
    for at, cell in cells_of(labels, factor).items():
        assert reduced[at] in cell
        assert (reduced[at] == 0) == (not cell.any())


def test_the_most_frequent_object_wins_over_the_background() -> None:
    labels = np.array([0, 0, 0, 0, 0, 7, 7, 9], np.uint32).reshape(2, 2, 2)
    assert downsample_labels(labels, (2, 2, 2), "mode").item() == 7
    assert downsample_labels(labels, (2, 2, 2), "any").item() == 9


@PATIENT
@given(VOXELS.map(lambda v: v % 4), FACTORS, st.sets(st.integers(1, 3)))
def test_a_coarse_class_is_the_majority_or_whatever_is_thin(
    labels: np.ndarray, factor: Zyx, thin: set[int]
) -> None:
    reduced = downsample_classes(labels, factor, thin)
    assert reduced.dtype == np.uint8
    border = [(0, -n % f) for n, f in zip(labels.shape, factor, strict=True)]
    for at, cell in cells_of(np.pad(labels, border, "edge"), factor).items():
        thin_here = thin & set(cell.flat)
        if thin_here:
            assert reduced[at] == max(thin_here)
        else:
            counts = np.bincount(cell.ravel(), minlength=4)
            assert counts[reduced[at]] == counts.max()
            assert reduced[at] == np.flatnonzero(counts == counts.max())[-1]


def test_objects_keep_their_size_and_sheets_their_voxels() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:, 1:6, 1:6] = 1
    labels[:, :, 7] = 2
    # Of the 3 x 3 cells that it touches, all but the one it has a quarter of.
    assert (downsample_classes(labels, (2, 2, 2)) == 1).sum() == 4 * 8
    assert (downsample_classes(labels, (2, 2, 4))[:, 3, 1] == 0).all()
    assert (downsample_classes(labels, (2, 2, 4), thin=(2,))[:, :, 1] == 2).all()


def test_channels_are_kept_apart() -> None:
    voxels = np.stack([np.zeros((2, 4, 4)), np.ones((2, 4, 4))]).astype("float32")
    reduced = downsample_mean(voxels, (2, 2, 2))
    assert reduced.shape == (2, 1, 2, 2)
    assert not reduced[0].any()
    assert (reduced[1] == 1).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_the_brightest_and_darkest_values_survive(dtype: str) -> None:
    kind = np.iinfo(dtype) if dtype[0] in "ui" else np.finfo("float16")
    for value in (kind.min, kind.max):
        voxels = np.full((2, 2, 2), value, dtype)
        assert downsample_mean(voxels, (2, 2, 2)).item() == value


@pytest.mark.parametrize("value", [2**32 - 1, 2**24 + 1])
def test_large_numbers_are_not_rounded_away(value: int) -> None:
    voxels = np.full((2, 2, 2), value, np.uint32)
    assert downsample_mean(voxels, (2, 2, 2)).item() == value


def test_yes_and_no_stay_yes_and_no() -> None:
    voxels = np.zeros((2, 2, 4), bool)
    voxels[0, 0, 0] = True
    reduced = downsample_mean(voxels, (2, 2, 2))
    assert reduced.dtype == bool
    assert reduced.tolist() == [[[True, False]]]
