from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.objects import (
    LabelledObject,
    ObjectConfig,
    whole_object_at,
)
from napari_unetseg.interactive.reshape_object import (
    fill_holes,
    grow,
    keep_largest,
    relabel,
    shrink,
    smooth,
)
from tests.helpers.painted import Painted, ball

SHAPE = (32, 48, 48)
WHOLE = Box.whole(SHAPE)
CENTRE = (16, 24, 24)
ISOTROPIC = (1.0, 1.0, 1.0)
COARSE = (3.0, 1.0, 1.5)


@pytest.fixture
def painted() -> Painted:
    return Painted(SHAPE)


def found_in(painted: Painted, point: Zyx = CENTRE) -> LabelledObject:
    return whole_object_at(painted, painted.shape, point)


def test_an_object_becomes_another_class_or_background(painted: Painted) -> None:
    box = Box((10, 10, 10), (14, 14, 14))
    painted.add(box)
    painted.add(Box((10, 20, 10), (14, 24, 14)))
    found = found_in(painted, (11, 11, 11))
    painted.apply(relabel(found, 2))
    assert (painted.n_voxels(1), painted.n_voxels(2)) == (64, 64)
    assert relabel(found_in(painted, (11, 11, 11)), 2) is None
    painted.apply(relabel(found_in(painted, (11, 11, 11)), 0))
    assert painted.n_voxels(2) == 0


def test_holes_are_filled_but_bays_and_other_objects_stay(painted: Painted) -> None:
    painted.add(Box((10, 10, 10), (20, 30, 30)))
    painted.add(Box((12, 12, 12), (15, 15, 15)), 0)
    painted.add(Box((12, 20, 20), (16, 24, 24)), 2)  # fills its hole
    painted.add(Box((16, 20, 20), (17, 24, 24)), 0)  # the rest of this hole
    painted.add(Box((14, 26, 26), (16, 28, 30)), 0)  # a bay
    edit = fill_holes(painted, found_in(painted, (10, 10, 10)))
    assert edit.mask.sum() == 27 + 16
    painted.apply(edit)
    assert painted.n_voxels(2) == 64
    assert painted.values[14, 26, 26] == 0
    assert fill_holes(painted, found_in(painted, (10, 10, 10))) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_tunnel_is_a_hole_in_the_slices_across_it_only(axis: int) -> None:
    painted = Painted((20, 20, 20))
    painted.add(Box((4, 4, 4), (16, 16, 16)))
    np.moveaxis(painted.values, axis, 0)[:, 9:11, 9:11] = 0
    found = whole_object_at(painted, painted.shape, (5, 5, 5))
    assert fill_holes(painted, found) is None
    assert fill_holes(painted, found, (axis + 1) % 3) is None
    edit = fill_holes(painted, found, axis)
    assert edit.mask.sum() == 12 * 4
    painted.apply(edit)
    assert painted.n_voxels() == 12**3


def test_smoothing_takes_off_what_sticks_out_and_keeps_the_volume(
    painted: Painted,
) -> None:
    painted.add_ball(CENTRE, 9)
    painted.add(Box((16, 24, 24), (17, 25, 40)))  # a hair
    painted.add(Box((16, 14, 24), (17, 20, 25)), 0)  # a scratch
    n_before = painted.n_voxels()
    found = found_in(painted)
    painted.apply(smooth(painted, SHAPE, found, 1.5, voxel_size=ISOTROPIC))
    assert painted.n_objects() == 1
    assert painted.values[16, 24, 38] == 0 and painted.values[16, 18, 24] == 1
    assert painted.n_voxels() == pytest.approx(n_before, rel=0.02)


def test_smoothing_is_as_strong_along_all_axes(painted: Painted) -> None:
    """Of a wall that is rough in fine voxels nothing changes across coarse slices."""
    painted.add_ball(CENTRE, 12, voxel_size=COARSE)
    before = ball(SHAPE, CENTRE, 12, COARSE)
    edit = smooth(painted, SHAPE, found_in(painted), 1.0, voxel_size=COARSE)
    changed = 0 if edit is None else edit.mask.sum()
    assert changed < 0.06 * before.sum()


def test_a_smoothed_object_joins_no_other(painted: Painted) -> None:
    painted.add(Box((10, 10, 10), (20, 20, 20)))
    painted.add(Box((10, 10, 21), (20, 20, 30)))
    painted.add(Box((10, 20, 10), (20, 30, 20)), 2)
    painted.add(Box((14, 14, 5), (16, 16, 10)))
    found = found_in(painted, (15, 15, 15))
    painted.apply(smooth(painted, SHAPE, found, 2, voxel_size=ISOTROPIC))
    assert painted.n_objects() == 2
    assert painted.n_voxels(2) == 1000


def test_growing_is_as_far_along_all_axes() -> None:
    painted = Painted((21, 41, 41))
    painted.values[10, 20, 20] = 1
    found = found_in(painted, (10, 20, 20))
    painted.apply(grow(painted, painted.shape, found, 6.0, voxel_size=COARSE))
    np.testing.assert_array_equal(
        painted.values == 1, ball(painted.shape, (10, 20, 20), 6.0, COARSE)
    )


def test_growing_overwrites_no_other_object_and_joins_none(painted: Painted) -> None:
    painted.add(Box((10, 10, 10), (20, 20, 20)))
    painted.add(Box((10, 10, 22), (20, 20, 30)))
    painted.add(Box((10, 20, 10), (20, 30, 20)), 2)
    found = found_in(painted, (15, 15, 15))
    painted.apply(grow(painted, SHAPE, found, 4, voxel_size=ISOTROPIC))
    assert painted.n_objects() == 2 and painted.n_voxels(2) == 1000
    assert (painted.values[15, 15, [6, 20, 21]] == [1, 1, 0]).all()
    again = grow(painted, SHAPE, found, 0.4, voxel_size=ISOTROPIC)
    assert again is None  # less than a voxel


@pytest.mark.parametrize(
    ("distance", "words"),
    [(-1.0, "no length"), (np.nan, "no length"), (np.inf, "no length"),
     (400.0, "region is too large")],
)  # fmt: skip
def test_what_is_no_length_or_too_far_is_a_sentence(
    distance: float, words: str
) -> None:
    painted = Painted((500, 500, 500))
    painted.add_ball(CENTRE, 3)
    found = found_in(painted)
    for change in (grow, smooth):
        with pytest.raises(EditError, match=words):
            change(painted, painted.shape, found, distance, voxel_size=ISOTROPIC)


def test_shrinking_is_as_far_along_all_axes(painted: Painted) -> None:
    painted.add(Box((8, 10, 10), (24, 40, 40)))
    painted.apply(shrink(SHAPE, found_in(painted), 3.0, voxel_size=COARSE))
    left = np.argwhere(painted.values == 1)
    assert left.min(axis=0).tolist() == [9, 13, 12]
    assert left.max(axis=0).tolist() == [22, 36, 37]


def test_the_end_of_the_volume_is_no_border_to_shrink_from(painted: Painted) -> None:
    painted.add(Box((0, 0, 0), (10, 10, 10)))
    painted.apply(shrink(SHAPE, found_in(painted, (0, 0, 0)), 2, voxel_size=ISOTROPIC))
    assert painted.n_voxels() == 512 and painted.values[0, 0, 0] == 1
    painted.add(WHOLE)
    assert shrink(SHAPE, found_in(painted), 2, voxel_size=ISOTROPIC) is None


def test_nothing_is_shrunk_away(painted: Painted) -> None:
    painted.add(Box((10, 10, 10), (12, 20, 20)))
    with pytest.raises(EditError, match="Nothing would be left"):
        shrink(SHAPE, found_in(painted, (10, 10, 10)), 1, voxel_size=ISOTROPIC)


@settings(max_examples=25)
@given(
    radius=st.floats(4, 8),
    distance=st.floats(1, 3),
    voxel_size=st.sampled_from([ISOTROPIC, COARSE]),
)
def test_a_ball_that_grows_and_shrinks_is_about_what_it_was(
    radius: float, distance: float, voxel_size: tuple[float, float, float]
) -> None:
    painted = Painted((24, 40, 40))
    painted.add_ball((12, 20, 20), radius, voxel_size=voxel_size)
    before = painted.values == 1
    for change in (grow, shrink):
        found = found_in(painted, (12, 20, 20))
        reads = (painted,) if change is grow else ()
        edit = change(*reads, painted.shape, found, distance, voxel_size=voxel_size)
        if edit is not None:
            painted.apply(edit)
    after = painted.values == 1
    assert (before <= after).mean() > 0.999
    assert after.sum() <= before.sum() * 1.6


BOX = Box((4, 4, 4), (28, 40, 40))


def test_the_largest_piece_is_kept_and_those_that_go_on_outside(
    painted: Painted,
) -> None:
    painted.add(Box((8, 8, 8), (14, 14, 14)))
    painted.add(Box((20, 20, 20), (22, 22, 22)))
    painted.add(Box((20, 30, 30), (21, 31, 31)))
    painted.add(Box((20, 38, 20), (22, 44, 22)))  # leaves the box
    painted.add(Box((24, 24, 24), (25, 25, 25)), 2)
    painted.apply(keep_largest(painted, SHAPE, BOX, 1))
    assert painted.n_voxels(1) == 216 + 24 and painted.n_voxels(2) == 1
    assert keep_largest(painted, SHAPE, BOX, 1) is None


def test_of_pieces_alike_one_is_kept(painted: Painted) -> None:
    for x in (8, 16, 24):
        painted.add(Box((8, 8, x), (10, 10, x + 2)))
    painted.apply(keep_largest(painted, SHAPE, WHOLE, 1))
    assert painted.n_objects() == 1


@pytest.mark.parametrize(
    ("class_id", "config", "error", "words"),
    [
        (2, None, NothingHereError, "nothing of this class in view"),
        (0, None, EditError, "The background has no pieces"),
        (1, ObjectConfig(max_region=1000), EditError, "region is too large.*Zoom in"),
    ],
)
def test_what_keeps_no_piece_is_a_sentence(
    painted: Painted,
    class_id: int,
    config: ObjectConfig | None,
    error: type[Exception],
    words: str,
) -> None:
    painted.add(Box((8, 8, 8), (14, 14, 14)))
    with pytest.raises(error, match=words):
        keep_largest(painted, SHAPE, BOX, class_id, config=config)
