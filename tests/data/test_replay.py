from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.journal import UNSET, Stroke, StrokeVoxels
from napari_unetseg.data.replay import said_last
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (1, 1, 4))


class Rows:
    """Strokes along a line, and which of them were read."""

    def __init__(self) -> None:
        self.strokes: list[Stroke] = []
        self.read: list[int] = []

    def add(self, start: int, stop: int) -> None:
        number = len(self.strokes) + 1
        box = Box((0, 0, start), (1, 1, stop))
        self.strokes.append(
            Stroke(number, "", "edit", None, "Ana", "", "brush", None, box, 1, 0)
        )

    def voxels(self, stroke: Stroke) -> StrokeVoxels:
        self.read.append(stroke.sequence)
        n = stroke.box.n_voxels
        values = np.full(n, stroke.sequence, np.uint8)
        return StrokeVoxels(np.ones(stroke.box.shape, bool), values * 0, values)

    def said(self, among: np.ndarray | None = None) -> list[int]:
        rows = reversed(self.strokes)
        values = said_last(rows, BOX, self.voxels, dtype="uint8", among=among)
        return [int(v) for v in values.ravel()]


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_the_newest_row_that_holds_a_voxel_says_what_it_is(rows: Rows) -> None:
    rows.add(0, 3)
    rows.add(2, 9)
    rows.add(20, 30)
    assert rows.said() == [1, 1, 2, 2]


def test_where_nobody_says_anything_it_is_unset(rows: Rows) -> None:
    rows.add(1, 2)
    assert rows.said() == [UNSET, 1, UNSET, UNSET]


def test_rows_that_change_nothing_any_more_are_not_read(rows: Rows) -> None:
    for start, stop in ((0, 4), (0, 2), (0, 4), (6, 8), (2, 4)):
        rows.add(start, stop)
    assert rows.said() == [3, 3, 5, 5]
    assert rows.read == [5, 3]


def test_only_voxels_that_are_asked_for_are_looked_up(rows: Rows) -> None:
    rows.add(0, 4)
    rows.add(2, 4)
    among = np.array([[[True, False, False, False]]])
    assert rows.said(among) == [1, UNSET, UNSET, UNSET]
    assert rows.read == [1]
    assert among.sum() == 1
