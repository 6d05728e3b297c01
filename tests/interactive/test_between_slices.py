from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.between_slices import copy_slice, interpolate_slices
from napari_unetseg.interactive.objects import Edit, ObjectConfig
from tests.helpers.painted import Painted

SHAPE = (20, 40, 40)
WHOLE = Box.whole(SHAPE)
UNSET = 255
ISOTROPIC = (1.0, 1.0, 1.0)


@pytest.fixture
def said() -> Painted:
    return Painted(SHAPE, empty=UNSET)


def interpolate(said: Painted, box=WHOLE, class_id=1, **how) -> Edit | None:
    how.setdefault("voxel_size", ISOTROPIC)
    return interpolate_slices(said, box, class_id, unset=UNSET, **how)


def disc(said: Painted, index: int, centre, radius, class_id=1, axis=0) -> None:
    y, x = np.ogrid[:40, :40]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    np.moveaxis(said.values, axis, 0)[index][inside] = class_id


def area(said: Painted, index: int, class_id=1) -> int:
    return int((said.values[index] == class_id).sum())


def test_between_two_discs_there_is_a_cone(said: Painted) -> None:
    disc(said, 4, (20, 20), 12)
    disc(said, 12, (20, 20), 4)
    said.apply(interpolate(said))
    for index in range(5, 12):
        expected = 12 - (index - 4)
        assert np.sqrt(area(said, index) / np.pi) == pytest.approx(expected, abs=0.6)
    assert (said.values[[3, 13]] == UNSET).all()
    assert interpolate(said) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_along_any_axis(axis: int) -> None:
    said = Painted((40, 40, 40), empty=UNSET)
    disc(said, 10, (20, 20), 8, axis=axis)
    disc(said, 14, (20, 20), 8, axis=axis)
    said.apply(interpolate(said, Box.whole(said.shape), axis=axis))
    slices = np.moveaxis(said.values, axis, 0)
    for index in (11, 12, 13):
        np.testing.assert_array_equal(slices[index], slices[10])


def test_what_the_annotator_said_stays(said: Painted) -> None:
    disc(said, 4, (20, 20), 8)
    disc(said, 8, (20, 20), 8)
    said.values[6, 20, 18:22] = 2
    said.values[6, 21, 18:22] = 0
    before = said.values.copy()
    said.apply(interpolate(said))
    spoken = before != UNSET
    np.testing.assert_array_equal(said.values[spoken], before[spoken])
    assert area(said, 6) == area(said, 4) - 8


def test_each_gap_is_filled_from_its_own_ends(said: Painted) -> None:
    for index, radius in ((2, 3), (5, 9), (8, 3)):
        disc(said, index, (20, 20), radius)
    said.apply(interpolate(said))
    areas = [area(said, index) for index in range(2, 9)]
    assert areas[:4] == sorted(areas[:4]) and areas[:4] == areas[:2:-1]


def test_a_shape_that_moved_away_is_followed(said: Painted) -> None:
    disc(said, 4, (10, 10), 4)
    disc(said, 10, (30, 28), 4)
    said.apply(interpolate(said))
    assert said.n_objects() == 1
    middle = np.argwhere(said.values[7] == 1)
    assert middle.mean(axis=0) == pytest.approx([20, 19], abs=0.6)
    assert len(middle) == pytest.approx(area(said, 4), rel=0.2)


def test_each_object_goes_to_its_partner_and_a_lonely_one_ends(said: Painted) -> None:
    for index in (4, 8):
        disc(said, index, (10, 10), 5)
        disc(said, index, (30, 30), 5)
    disc(said, 8, (10, 32), 3)
    said.apply(interpolate(said))
    for index in (5, 6, 7):
        np.testing.assert_array_equal(said.values[index], said.values[4])


def test_what_is_labelled_elsewhere_between_does_not_matter(said: Painted) -> None:
    disc(said, 4, (10, 10), 5)
    disc(said, 9, (10, 10), 5)
    for index in range(2, 12):
        disc(said, index, (30, 30), 3)
    alone = area(said, 6)
    said.apply(interpolate(said))
    for index in range(5, 9):
        assert area(said, index) == area(said, 4)
    assert area(said, 3) == area(said, 10) == alone


def test_an_object_that_goes_on_in_the_next_slice_is_not_filled_beyond_it(
    said: Painted,
) -> None:
    for index in (4, 5, 10, 11):
        disc(said, index, (20, 20), 6)
    said.apply(interpolate(said))
    assert [area(said, index) > 0 for index in range(3, 13)] == [False] + [True] * 8 + [
        False
    ]
    assert area(said, 7) == area(said, 5)


def test_a_fork_stays_joined_with_both_ends(said: Painted) -> None:
    disc(said, 4, (20, 20), 10)
    disc(said, 8, (20, 13), 5)
    disc(said, 8, (20, 27), 5)
    said.apply(interpolate(said))
    assert said.n_objects() == 1
    assert said.values[7, 20, 13] == 1 and said.values[7, 20, 27] == 1


def test_distances_are_physical(said: Painted) -> None:
    said.values[4, 10:30, 10:30] = 1
    said.values[8, 18:22, 10:30] = 1
    said.apply(interpolate(said, voxel_size=(1.0, 4.0, 1.0)))
    rows = np.flatnonzero((said.values[6] == 1).any(axis=1))
    assert 12 <= rows.min() <= 16 and rows.max() == 39 - rows.min()


def test_only_the_box_in_view_is_looked_at(said: Painted) -> None:
    for index in (4, 8):
        disc(said, index, (10, 10), 5)
        disc(said, index, (30, 30), 5)
    box = Box((2, 0, 0), (12, 20, 20))
    said.apply(interpolate(said, box))
    assert said.values[6, 10, 10] == 1 and said.values[6, 30, 30] == UNSET
    assert said.read == [box]


@pytest.mark.parametrize(
    ("indices", "config", "error", "words"),
    [
        ((), None, NothingHereError, "Fewer than two slices in view"),
        ((4,), None, NothingHereError, "Label it in one more"),
        ((4, 8), ObjectConfig(max_region=1000), EditError, "region is too large"),
    ],
)
def test_too_little_or_too_much_is_a_sentence(
    said: Painted,
    indices: tuple[int, ...],
    config: ObjectConfig | None,
    error: type[Exception],
    words: str,
) -> None:
    for index in indices:
        disc(said, index, (20, 20), 5)
    with pytest.raises(error, match=words):
        interpolate(said, config=config)


def copy(said: Painted, index: int, step: int = 1, box=WHOLE, axis=0) -> Edit | None:
    return copy_slice(
        said, said.shape, box, 1, unset=UNSET, index=index, step=step, axis=axis
    )


@pytest.mark.parametrize("step", [1, -1])
def test_a_slice_is_copied_to_the_next_one(said: Painted, step: int) -> None:
    disc(said, 6, (20, 20), 8)
    disc(said, 6, (30, 30), 4, class_id=2)
    said.values[6 + step, 20, 20:24] = 2
    said.apply(copy(said, 6, step))
    assert area(said, 6 + step) == area(said, 6) - 4
    assert area(said, 6 + step, 2) == 4
    assert copy(said, 6, step) is None


def test_only_what_is_in_view_is_copied(said: Painted) -> None:
    said.values[:, :, 6] = np.where(np.arange(40) < 30, 1, UNSET)
    said.apply(copy(said, 6, box=Box((5, 0, 0), (9, 20, 40)), axis=2))
    assert (said.values[5:9, :20, 7] == 1).all()
    assert (said.values[:, 20:, 7] == UNSET).all()


def test_there_is_no_slice_after_the_last(said: Painted) -> None:
    disc(said, 19, (20, 20), 8)
    with pytest.raises(EditError, match="There is no next slice"):
        copy(said, 19)
    with pytest.raises(EditError, match="There is no next slice"):
        copy(said, 20, -1)
    with pytest.raises(NothingHereError, match="only predicted is not copied"):
        copy(said, 3)
