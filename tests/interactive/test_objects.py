from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.objects import (
    Edit,
    ObjectConfig,
    object_at,
    probability_of,
    whole_object_at,
)
from tests.helpers.painted import Painted

SHAPE = (40, 60, 60)
BOX = Box((10, 20, 20), (16, 30, 32))
SMALL = ObjectConfig(first_box=(8, 8, 8))


@pytest.fixture
def painted() -> Painted:
    return Painted(SHAPE)


def test_an_object_is_what_hangs_together_of_one_class(painted: Painted) -> None:
    painted.add(BOX)
    painted.add(Box((16, 30, 32), (17, 31, 33)))  # shares a corner
    painted.add(Box((10, 30, 20), (16, 35, 32)), 2)  # touches, of another class
    painted.add(Box((10, 40, 40), (12, 42, 42)))
    found = object_at(painted, SHAPE, (12, 25, 25), config=SMALL)
    assert found.box == Box((10, 20, 20), (17, 31, 33))
    assert found.mask.sum() == BOX.n_voxels + 1
    assert (found.class_id, found.is_cut) == (1, False)
    assert found.holds((16, 30, 32)) and not found.holds((16, 25, 25))
    assert not found.holds((0, 0, 0))


def test_a_way_around_outside_of_the_first_box_is_found(painted: Painted) -> None:
    painted.add(Box((20, 20, 20), (21, 21, 50)))
    painted.add(Box((20, 20, 49), (21, 40, 50)))
    painted.add(Box((20, 22, 20), (21, 23, 45)))  # in the first box another piece
    painted.add(Box((20, 22, 44), (21, 40, 45)))
    painted.add(Box((20, 39, 44), (21, 40, 50)))
    found = object_at(painted, SHAPE, (20, 20, 22), config=SMALL)
    assert found.mask.sum() == painted.n_voxels()


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((5, 5, 5), "no object under the click. Click on a labelled one."),
        ((5, 5, 200), "outside of the volume"),
        ((-1, 5, 5), "outside of the volume"),
    ],
)
def test_nothing_under_the_click_is_a_sentence(
    painted: Painted, point: Zyx, words: str
) -> None:
    painted.add(BOX)
    with pytest.raises(NothingHereError, match=words):
        object_at(painted, SHAPE, point)


def test_an_object_at_the_border_of_the_volume_is_whole(painted: Painted) -> None:
    corner = Box((0, 0, 0), (20, 20, 20))
    painted.add(corner)
    found = object_at(painted, SHAPE, (0, 0, 0), config=SMALL)
    assert found.box == corner and not found.is_cut


def test_the_box_grows_only_where_the_object_touches_it(painted: Painted) -> None:
    line = Box((20, 30, 2), (22, 32, 58))
    painted.add(line)
    found = object_at(painted, SHAPE, (20, 30, 30), config=SMALL)
    assert found.box == line
    assert painted.read[-1].shape[:2] == (8, 8)


def test_an_object_larger_than_allowed_is_cut_and_never_half_changed(
    painted: Painted,
) -> None:
    painted.add(Box((2, 2, 2), (38, 58, 58)))
    config = ObjectConfig(first_box=(8, 8, 8), max_voxels=10_000)
    assert object_at(painted, SHAPE, (20, 30, 30), config=config).is_cut
    with pytest.raises(EditError, match="too large to be changed as a whole"):
        whole_object_at(painted, SHAPE, (20, 30, 30), config=config)
    assert all(box.n_voxels <= 10_000 for box in painted.read)


def test_an_edit_is_as_small_as_what_it_changes() -> None:
    mask = np.zeros((4, 5, 6), bool)
    assert Edit.of(BOX, mask, 1) is None
    mask[1, 2:4, 3] = True
    edit = Edit.of(
        Box((10, 10, 10), (14, 15, 16)), mask, np.arange(120).reshape(4, 5, 6)
    )
    assert edit is not None
    assert edit.box == Box((11, 12, 13), (12, 14, 14))
    assert edit.mask.all() and edit.values.shape == (1, 2, 1)


def test_the_probability_is_none_where_nothing_is_predicted() -> None:
    values = np.zeros((2, *SHAPE), np.uint8)
    values[0, 12, 25, 25] = 255

    def read(box: Box) -> np.ndarray:
        return values[(slice(None), *box.slices)]

    known = probability_of(read, BOX, 1)
    assert known is not None and known[2, 5, 5] == 1
    assert probability_of(read, BOX, 2) is None
    assert probability_of(read, BOX, 3) is None  # a class the model does not know
    assert probability_of(None, BOX, 1) is None
