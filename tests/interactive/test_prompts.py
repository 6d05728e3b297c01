from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.prompts import (
    BoxPrompt,
    Click,
    Scribble,
    drawn_around,
    drawn_box,
    limits_of,
    marked,
    thinned,
)

VOXELS = st.tuples(*(st.integers(0, 40) for _ in range(3)))


@given(st.lists(VOXELS, min_size=1, max_size=6))
def test_a_scribble_has_no_gaps_and_goes_through_its_corners(
    corners: list[Zyx],
) -> None:
    points = Scribble(tuple(corners)).points
    assert set(corners) <= set(points)
    assert len(set(points)) == len(points)
    # A line that crosses itself lists the crossing once: look at two corners alone.
    line = np.array(Scribble(tuple(corners[:2])).points)
    assert (np.abs(np.diff(line, axis=0)).max(axis=1, initial=0) <= 1).all()


def test_a_scribble_of_one_corner_is_a_click() -> None:
    assert Scribble(((1, 2, 3),)).points == Click((1, 2, 3)).points


def test_what_was_said_last_of_a_voxel_counts() -> None:
    prompts = [
        Scribble(((0, 0, 0), (0, 0, 2))),
        Click((0, 0, 1), positive=False),
        BoxPrompt(Box((0, 0, 0), (9, 9, 9))),
    ]
    assert marked(prompts) == ([(0, 0, 0), (0, 0, 2)], [(0, 0, 1)])


def test_boxes_bound_the_object() -> None:
    boxes = [BoxPrompt(Box((1, 1, 1), (5, 5, 9))), BoxPrompt(Box((0, 2, 0), (9, 9, 8)))]
    assert limits_of(boxes, (4, 9, 9)) == Box((1, 2, 1), (4, 5, 8))
    assert limits_of([Click((0, 0, 0))], (4, 9, 9)) == Box.whole((4, 9, 9))


def test_a_box_is_widened_to_what_is_marked_outside_of_it() -> None:
    box, shape = BoxPrompt(Box((4, 10, 10), (8, 20, 20))), (12, 40, 40)
    inside, outside = Click((5, 12, 12)), Click((5, 12, 30), positive=False)
    assert limits_of([box, inside, outside], shape) == box.box
    beyond = Click((5, 12, 24))
    assert limits_of([box, beyond], shape) == Box((4, 10, 10), (8, 20, 30))
    assert limits_of([box, Click((9, 12, 12))], shape) == Box((4, 10, 10), (12, 20, 20))
    assert limits_of([box, Click((5, 12, 90))], shape) == box.box
    assert drawn_around([box, beyond], shape) == box.box


def test_a_drawn_box_is_as_deep_as_it_is_wide() -> None:
    # Sections twice as thick: half as many.
    box = drawn_box((10, 20, 30), (10, 11, 21), (2.0, 1.0, 1.0))
    assert box == Box((8, 11, 21), (13, 21, 31))
    assert drawn_box((10, 20, 30), (14, 20, 38), (1.0, 1.0, 1.0)).shape == (5, 7, 9)
    # The smallest one is the voxel under the mouse.
    assert drawn_box((3, 3, 3), (3, 3, 3), (1.0, 1.0, 1.0)) == Box((3, 3, 3), (4, 4, 4))


@given(st.integers(0, 300), st.integers(1, 64))
def test_thinned_points_are_few_and_spread(n: int, most: int) -> None:
    points = [(0, 0, x) for x in range(n)]
    few = thinned(points, most)
    assert len(few) <= most
    assert few[:1] == points[:1]
