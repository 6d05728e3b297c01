from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.pyramids import (
    ComposedLevel,
    LazyView,
    Overlay,
    lazy_views,
    only_background,
)

SHAPE = (4, 16, 16)


@pytest.fixture
def corrections() -> np.ndarray:
    values = np.full(SHAPE, UNSET, dtype=np.uint8)
    values[1, 4:8, 4:8] = 2
    values[1, 8:12, 4:8] = 0
    return values


def overlay(corrections: np.ndarray) -> Overlay:
    return Overlay(lambda box: corrections[box.slices], (Box((1, 4, 4), (2, 12, 8)),))


def level(lay_over: Overlay, **options: object) -> ComposedLevel:
    base = np.ones(SHAPE, dtype=np.uint8)
    defaults = {"shape": SHAPE, "factor": (1, 1, 1), "base": base}
    return ComposedLevel(lay_over, **{**defaults, **options})


EVERYTHING = (slice(None),) * 3


def test_corrections_lie_over_the_prediction(corrections: np.ndarray) -> None:
    shown = level(overlay(corrections))[EVERYTHING]
    expected = np.where(corrections == UNSET, 1, corrections)
    np.testing.assert_array_equal(shown, expected)


def test_any_part_is_the_part_of_the_whole(corrections: np.ndarray) -> None:
    composed = level(overlay(corrections))
    whole = composed[EVERYTHING]
    for key in [np.s_[1:2, 5:9, 3:6], np.s_[0:1, :, :], np.s_[1:3, 7:16, 7:8]]:
        np.testing.assert_array_equal(composed[key], whole[key])


def test_coarser_level_takes_one_voxel_of_each_cell(corrections: np.ndarray) -> None:
    base = np.ones((4, 8, 8), dtype=np.uint8)
    composed = level(overlay(corrections), shape=(4, 8, 8), factor=(1, 2, 2), base=base)
    full = np.where(corrections == UNSET, 1, corrections)
    np.testing.assert_array_equal(composed[EVERYTHING], full[:, ::2, ::2])


def test_window_is_cut_out(corrections: np.ndarray) -> None:
    lay_over = overlay(corrections)
    lay_over.hole = Box((1, 0, 0), (3, 16, 16))
    shown = level(lay_over)[EVERYTHING]
    assert not shown[1:3].any()
    assert shown[0].all()
    assert shown[3].all()


def test_without_prediction_only_corrections_show(corrections: np.ndarray) -> None:
    shown = level(overlay(corrections), base=None)[EVERYTHING]
    assert np.count_nonzero(shown) == 16


def test_only_background_shows_what_was_erased(corrections: np.ndarray) -> None:
    shown = level(overlay(corrections), base=None, values=only_background)[EVERYTHING]
    np.testing.assert_array_equal(shown == 1, corrections == 0)


def test_nothing_is_read_before_numbers_are_wanted() -> None:
    asked = []

    class Counting:
        shape, dtype, ndim = (8, 64, 64), np.dtype(np.uint8), 3

        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
            asked.append(key)
            return np.ones([s.stop - s.start for s in key], dtype=np.uint8)

    (view,) = lazy_views([Counting()])
    plane = view[:, 10:20, 10:20][3]
    assert asked == []
    assert plane.shape == (10, 10)
    assert np.asarray(plane).sum() == 100
    assert asked == [(slice(3, 4), slice(10, 20), slice(10, 20))]


def test_view_shows_what_was_written_later() -> None:
    array = zarr.zeros((4, 8, 8), chunks=(4, 4, 4), dtype=np.uint8)
    (view,) = lazy_views([array])
    array[2] = 7
    assert (np.asarray(view[2]) == 7).all()


_INDEX = st.one_of(
    st.integers(-4, 3),
    st.builds(
        slice,
        st.none() | st.integers(-5, 5),
        st.none() | st.integers(-5, 5),
        st.none() | st.integers(1, 3),
    ),
)


@given(st.tuples(_INDEX, _INDEX, _INDEX), st.tuples(_INDEX, _INDEX))
def test_two_cuts_are_what_numpy_would_give(
    first: tuple[int | slice, ...], second: tuple[int | slice, ...]
) -> None:
    values = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    expected, view = values[first], LazyView(values)[first]
    assert view.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(view), expected)
    if expected.ndim >= 2 and min(expected.shape[:2]) >= 4:
        np.testing.assert_array_equal(np.asarray(view[second]), expected[second])


def test_ellipsis_stands_for_the_other_axes() -> None:
    values = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(np.asarray(LazyView(values)[..., 1]), values[..., 1])
