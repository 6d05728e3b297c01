from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.picking import first_at_least, highest, voxels_along

SHAPE = (20, 200, 150)
COORDINATES = st.tuples(*(st.floats(-60, 260) for _ in range(3)))


class Reader:
    def __init__(self, values: np.ndarray) -> None:
        self.values, self.most = values, 0

    def __call__(self, box: Box) -> np.ndarray:
        assert Box.whole(self.values.shape).contains(box)
        self.most = max(self.most, box.n_voxels)
        return self.values[box.slices]


@given(COORDINATES, st.tuples(*(st.floats(-1, 1) for _ in range(3))))
def test_a_ray_stays_inside_and_has_no_gaps(
    point: tuple[float, float, float], direction: tuple[float, float, float]
) -> None:
    voxels = voxels_along(point, direction, SHAPE)
    assert ((voxels >= 0) & (voxels < SHAPE)).all()
    assert (np.abs(np.diff(voxels, axis=0)).max(axis=1, initial=0) <= 1).all()


def test_a_ray_along_an_axis_meets_every_voxel_in_order() -> None:
    voxels = voxels_along((-50, 7.2, 9.4), (3, 0, 0), SHAPE)
    np.testing.assert_array_equal(voxels, [(z, 7, 9) for z in range(20)])
    back = voxels_along((5, 7, 9), (-1, 0, 0), SHAPE)
    np.testing.assert_array_equal(back, voxels[::-1])


@pytest.mark.parametrize(
    ("point", "direction"),
    [
        ((-5, 7, 9), (0, 1, 0)),
        ((-5, -5, 9), (1, -1, 0)),
        ((5, 5, 5), (0, 0, 0)),
        ((np.nextafter(-0.5, -1), 0, 0), (0, 1, 0)),
    ],
)
def test_a_ray_that_misses_meets_nothing(point: Zyx, direction: Zyx) -> None:
    assert len(voxels_along(point, direction, SHAPE)) == 0


def test_the_first_that_is_probable_is_picked_and_not_what_is_behind_it() -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[12:, 50:60, 50:60] = 130
    values[3, 55, 55] = 120
    values[16, 55, 55] = 255
    ray = voxels_along((0, 55, 55), (1, 0, 0), SHAPE)
    assert first_at_least(Reader(values), ray, 128) == (12, 55, 55)
    assert first_at_least(Reader(values), ray[::-1], 128) == (19, 55, 55)
    assert first_at_least(Reader(values), ray[:12], 128) is None


def test_the_brightest_is_picked_and_of_equals_the_nearest() -> None:
    values = np.zeros(SHAPE, np.int16)
    values[[8, 15], 55, 55] = 900
    ray = voxels_along((0, 55, 55), (1, 0, 0), SHAPE)
    assert highest(Reader(values), ray) == (8, 55, 55)
    assert highest(Reader(values), ray[:0]) is None


def test_a_slanting_ray_does_not_read_the_volume() -> None:
    reader = Reader(np.zeros((200, 200, 200), np.uint8))
    ray = voxels_along((0, 0, 0), (1, 1, 1), (200, 200, 200))
    assert len(ray) == 200
    assert first_at_least(reader, ray, 128) is None
    assert reader.most < 60**3
