from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unetseg.errors import EditError
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.knife import knife_through, sides_of_line, voxels_of
from napari_unetseg.interactive.objects import LabelledObject

SIDE = 24
places = st.tuples(st.integers(2, SIDE - 3), st.integers(2, SIDE - 3))


@given(line=st.lists(places, min_size=2, max_size=4), axis=st.integers(0, 2))
def test_a_line_has_no_gap_and_no_corner_to_slip_through(line, axis) -> None:
    corners = [tuple(np.insert(place, axis, 7)) for place in line]
    voxels = voxels_of(corners, axis)
    assert (voxels[:, axis] == 7).all()
    steps = np.abs(np.diff(voxels, axis=0)).sum(axis=1)
    assert (steps <= 1).all()
    for corner in corners:
        assert np.abs(voxels - corner).sum(axis=1).min() == 0


@given(ends=st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)))
def test_a_line_from_side_to_side_parts_the_slice(ends) -> None:
    line = [(0, 0, ends[0]), (0, SIDE - 1, ends[1])]
    free = np.ones((SIDE, SIDE + 20), bool)
    for _, y, x in voxels_of(line, 0):
        if 0 <= y < SIDE:
            free[y, x + 10] = False
    _, n = ndimage.label(free, np.ones((3, 3)))
    assert n == 2


def test_a_line_is_a_bit_longer_than_it_was_drawn() -> None:
    voxels = voxels_of([(5, 10, 10), (5, 10, 20)], 0)
    assert sorted(set(voxels[:, 2])) == list(range(7, 24))
    dot = voxels_of([(5, 10, 10), (5, 10, 10)], 0)
    assert np.unique(dot, axis=0).tolist() == [[5, 10, 10]]


def cube() -> LabelledObject:
    return LabelledObject(
        Box((2, 4, 6), (8, 14, 16)), np.ones((6, 10, 10), bool), 1, False
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_knife_goes_through_all_slices_and_leaves_two_sides(axis: int) -> None:
    found = cube()
    place = np.array(found.box.centre)
    ends = [place.copy(), place.copy()]
    along = (axis + 1) % 3
    ends[0][along], ends[1][along] = 0, 20
    line = voxels_of([tuple(end) for end in ends], axis)
    knife = knife_through(found, line, axis)
    across = 3 - axis - along
    assert (
        np.argwhere(knife)[:, across] == place[across] - found.box.start[across]
    ).all()
    assert knife.sum() == knife.size // knife.shape[across]
    sides = sides_of_line(found, knife, int(place[axis]), axis)
    assert len(sides.places) == 2 and len(set(sides.regions)) == 1
    assert [sides.labels[p] for p in sides.places] == [1, 2]
    assert (sides.labels == 1).sum() >= (sides.labels == 2).sum() > 0


@given(place=places)
def test_a_line_that_ends_inside_crosses_nothing(place) -> None:
    y, x = place
    assume(y < 8 or x < 10)
    found = cube()
    line = voxels_of([(4, 0, x), (4, min(y, 7), x)], 0)
    knife = knife_through(found, line, 0)
    with pytest.raises(EditError, match="does not cross the object in this slice"):
        sides_of_line(found, knife, 4, 0)
