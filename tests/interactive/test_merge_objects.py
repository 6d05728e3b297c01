from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.merge_objects import merge_objects
from napari_unetseg.interactive.objects import Edit, whole_object_at
from tests.helpers.painted import Painted

SHAPE = (24, 40, 60)
ISOTROPIC = (1.0, 1.0, 1.0)
LEFT, RIGHT = Box((8, 16, 8), (14, 24, 20)), Box((8, 16, 34), (14, 24, 46))
ON_LEFT, ON_RIGHT = (10, 20, 12), (10, 20, 40)


@pytest.fixture
def painted() -> Painted:
    painted = Painted(SHAPE)
    painted.add(LEFT)
    return painted


def merge(
    painted: Painted, first: Zyx, second: Zyx, voxel_size=ISOTROPIC, **how
) -> Edit | None:
    return merge_objects(painted, SHAPE, first, second, voxel_size=voxel_size, **how)


def test_a_bridge_of_a_few_voxels_makes_one_object(painted: Painted) -> None:
    painted.add(RIGHT)
    edit = merge(painted, ON_LEFT, ON_RIGHT)
    painted.apply(edit)
    assert painted.n_objects() == 1
    gap = edit.box.shape
    assert gap[2] == 14 and max(gap[:2]) <= 5
    assert 14 * 3 <= edit.mask.sum() <= 14 * 25


def test_a_bridge_is_as_thick_along_all_axes_whatever_the_voxels(
    painted: Painted,
) -> None:
    painted.add(RIGHT)
    edit = merge(painted, ON_LEFT, ON_RIGHT, voxel_size=(4.0, 1.0, 1.0))
    assert edit.box.shape == (1, 3, 14)
    painted.apply(edit)
    assert painted.n_objects() == 1


@pytest.mark.parametrize("width", [1, 2])
def test_a_slit_is_filled_all_along(width: int) -> None:
    painted = Painted(SHAPE)
    painted.add(Box((4, 10, 8), (20, 30, 20)))
    painted.add(Box((4, 10, 20 + width), (20, 30, 36)))
    slit = Box((4, 10, 20), (20, 30, 20 + width))
    painted.apply(merge(painted, (10, 20, 12), (10, 20, 30)))
    assert painted.n_objects() == 1
    assert (painted(slit) == 1).all()


def test_a_slit_leaves_the_objects_beside_it_apart() -> None:
    painted = Painted(SHAPE)
    painted.add(Box((4, 10, 8), (20, 30, 20)))
    painted.add(Box((4, 10, 21), (20, 20, 36)))
    painted.add(Box((4, 22, 21), (20, 30, 36)))
    painted.apply(merge(painted, (10, 15, 12), (10, 15, 30)))
    assert painted.n_objects() == 2
    assert (painted(Box((4, 10, 20), (20, 19, 21))) == 1).all()
    assert (painted(Box((4, 23, 20), (20, 30, 21))) == 0).all()


def test_two_clicks_on_one_object_change_nothing(painted: Painted) -> None:
    assert merge(painted, ON_LEFT, (9, 17, 9)) is None


def test_the_second_takes_the_class_of_the_first(painted: Painted) -> None:
    painted.add(RIGHT, 2)
    painted.apply(merge(painted, ON_LEFT, ON_RIGHT))
    assert (painted.n_objects(1), painted.n_objects(2)) == (1, 0)
    assert painted.values[ON_RIGHT] == 1


def test_two_classes_that_touch_need_no_bridge(painted: Painted) -> None:
    touching = Box((8, 16, 20), (14, 24, 30))
    painted.add(touching, 2)
    edit = merge(painted, (10, 20, 25), ON_LEFT)
    assert edit.box == LEFT and edit.values == 2
    painted.apply(edit)
    assert (painted.n_objects(1), painted.n_objects(2)) == (0, 1)


def test_a_gap_that_is_narrower_than_a_coarse_voxel_is_not_bridged_where_they_touch(
    painted: Painted,
) -> None:
    painted.add(Box((14, 16, 8), (15, 24, 10)), 2)  # touches the left one across slices
    painted.add(Box((14, 16, 10), (15, 17, 40)), 2)
    painted.add(Box((8, 16, 22), (15, 17, 24)), 2)  # two fine voxels beside it
    edit = merge(painted, ON_LEFT, (14, 16, 30), voxel_size=(9.0, 1.0, 1.0))
    np.testing.assert_array_equal(edit.mask, painted.values[edit.box.slices] == 2)


def test_the_bridge_follows_what_the_network_sees_faintly(painted: Painted) -> None:
    painted.add(RIGHT)
    probability = np.zeros((1, *SHAPE), np.uint8)
    bow = [Box((10, 18, 18), (13, 30, 21)), Box((10, 27, 18), (13, 30, 36)),
           Box((10, 18, 33), (13, 30, 36))]  # fmt: skip
    for part in bow:
        probability[(0, *part.slices)] = 230

    def read(box: Box) -> np.ndarray:
        return probability[(slice(None), *box.slices)]

    edit = merge(painted, ON_LEFT, ON_RIGHT, read_probability=read)
    painted.apply(edit)
    assert painted.n_objects() == 1
    assert painted.values[11, 28, 27] == 1 and painted.values[11, 20, 27] == 0


def test_the_bridge_goes_round_other_objects_and_joins_none(painted: Painted) -> None:
    painted.add(RIGHT)
    painted.add(Box((6, 12, 26), (16, 26, 28)), 2)
    painted.add(Box((9, 28, 25), (12, 29, 29)))  # of the class, in the way around
    before = painted.values.copy()
    painted.apply(merge(painted, ON_LEFT, ON_RIGHT))
    assert painted.n_objects() == 2
    assert (painted.values[before > 0] == before[before > 0]).all()


def test_a_wall_between_is_a_sentence(painted: Painted) -> None:
    painted.add(RIGHT)
    painted.add(Box((0, 0, 26), (24, 40, 28)), 2)
    with pytest.raises(EditError, match="Other objects are between these two"):
        merge(painted, ON_LEFT, ON_RIGHT)


def test_nothing_under_the_second_click_is_a_sentence(painted: Painted) -> None:
    with pytest.raises(NothingHereError, match="no object under the click"):
        merge(painted, ON_LEFT, ON_RIGHT)


def test_a_long_bridge_is_straight() -> None:
    long = Painted((40, 40, 400))
    long.add(Box((10, 10, 10), (20, 20, 20)))
    long.add(Box((10, 10, 380), (20, 20, 390)))
    edit = merge_objects(
        long, long.shape, (15, 15, 15), (15, 15, 385), voxel_size=ISOTROPIC
    )
    assert edit.box.shape[2] == 360 and max(edit.box.shape[:2]) <= 4
    long.apply(edit)
    assert long.n_objects() == 1


def test_objects_far_apart_are_not_bridged() -> None:
    far = Painted((400, 400, 400))
    far.add(Box((2, 2, 2), (6, 6, 6)))
    far.add(Box((390, 390, 390), (394, 394, 394)))
    with pytest.raises(EditError, match="too far apart"):
        merge_objects(far, far.shape, (3, 3, 3), (391, 391, 391), voxel_size=ISOTROPIC)
    assert all(box.n_voxels < 2**20 for box in far.read)


points = st.tuples(*(st.integers(0, n - 1) for n in (16, 20, 20)))


@settings(max_examples=40)
@given(
    first=points,
    second=points,
    class_id=st.sampled_from([1, 2]),
    voxel_size=st.sampled_from([ISOTROPIC, (3.0, 1.0, 1.5)]),
)
def test_after_a_merge_both_are_one_object_and_the_rest_is_as_it_was(
    first: Zyx, second: Zyx, class_id: int, voxel_size: tuple[float, ...]
) -> None:
    painted = Painted((16, 20, 20))
    painted.add_ball((8, 10, 10), 2, 3)
    painted.add_ball(second, 3.5, class_id)
    painted.add_ball(first, 3.5, 1)
    shape = painted.shape
    ours = whole_object_at(painted, shape, first)
    theirs = whole_object_at(painted, shape, second)
    before = painted.values.copy()
    edit = merge_objects(painted, shape, first, second, voxel_size=voxel_size)
    if edit is not None:
        painted.apply(edit)
    merged = whole_object_at(painted, shape, first)
    whole = merged.inside(Box.whole(shape))
    assert whole[ours.inside(Box.whole(shape))].all()
    assert whole[theirs.inside(Box.whole(shape))].all()
    np.testing.assert_array_equal(painted.values[~whole], before[~whole])
