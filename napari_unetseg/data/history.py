"""What follows from the rows of the journal: what can be undone, what was touched."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable

from napari_unetseg.data.journal import Stroke
from napari_unetseg.geometry import Box, Zyx

_LOG = logging.getLogger(__name__)


class History:
    """What one annotator can undo and redo, as edits in order.

    Attributes
    ----------
    done, undone
        Edits and reverts in effect, and those undone, the last one at the end.
    first_row, last_row
        Numbers of the annotator's oldest and newest row, 0 without any.
    n_labelled
        How many voxels hold labels.
    """

    def __init__(self) -> None:
        self.done: list[Stroke] = []
        self.undone: list[Stroke] = []
        self._reverts: list[Stroke] = []  # those of ``done``
        self._reverted: set[int] = set()
        self.first_row = self.last_row = self.n_labelled = 0

    def take(self, row: Stroke) -> None:
        """Follow one more row; a new edit ends what could be redone."""
        self.first_row = self.first_row or row.sequence
        self.last_row = row.sequence
        if row.kind in ("edit", "revert"):
            self.undone.clear()
            self._do(row)
        elif row.kind == "undo" and _is_last(self.done, row.target):
            self.undone.append(self.done.pop())
            if self.undone[-1].kind == "revert":
                self._reverts.pop()
                self._reverted = self._reverted_without()
        elif row.kind == "redo" and _is_last(self.undone, row.target):
            self._do(self.undone.pop())
        else:  # two programs wrote at once: the voxels stand, the order does not
            _LOG.warning("row %d takes back what is not last", row.sequence)
            return
        self.n_labelled += row.n_added

    def after(self, edit: Stroke) -> list[Stroke] | None:
        """Return what was done after an edit, the last first; None if it is undone."""
        place = self._place(edit)
        return None if place is None else self.done[:place:-1]

    def counts(self, edit: Stroke, *, without: Stroke | None = None) -> bool:
        """Whether an edit is in effect, or would be without another one.

        What a voxel is follows from the edits in effect alone: it is what the last one
        says that holds the voxel.
        """
        reverted = (
            self._reverted if without is None else self._reverted_without(without)
        )
        return edit.sequence not in reverted and self._place(edit) is not None

    def counting(self) -> list[Stroke]:
        """Return the edits in effect in order."""
        gone = self._reverted
        return [e for e in self.done if e.kind == "edit" and e.sequence not in gone]

    @property
    def n_counting(self) -> int:
        """How many edits are in effect."""
        if not self._reverts:
            return len(self.done)
        return len(self.counting())

    @property
    def last_counting(self) -> int:
        """Number of the last edit in effect, 0 without any."""
        reverted = self._reverted
        rows = (e for e in reversed(self.done) if e.kind == "edit")
        return next((e.sequence for e in rows if e.sequence not in reverted), 0)

    def _place(self, edit: Stroke) -> int | None:
        place = bisect_left(self.done, edit.sequence, key=lambda e: e.sequence)
        is_done = self.done[place : place + 1]
        return place if is_done and is_done[0].sequence == edit.sequence else None

    def _do(self, edit: Stroke) -> None:
        self.done.append(edit)
        if edit.kind == "revert":
            self._reverts.append(edit)
            self._reverted = self._reverted_without()

    def _reverted_without(self, without: Stroke | None = None) -> set[int]:
        """Return the rows that reverts take back; a revert can be reverted too."""
        reverted = set() if without is None else {without.sequence}
        for revert in reversed(self._reverts):
            if revert.sequence not in reverted and revert.target is not None:
                reverted.add(revert.target)
        return reverted


class LabelledCells:
    """Which chunks one annotator has touched, and which of them hold labels.

    Parameters
    ----------
    chunk, shape
        Of the overlay, zyx.
    """

    def __init__(self, chunk: Zyx, shape: Zyx) -> None:
        self._chunk, self._shape = chunk, shape
        self._cells: dict[Box, bool | None] = {}
        self.last_row = 0

    def note(self, row: Stroke) -> None:
        """Take over where a row has changed something."""
        self.last_row = row.sequence
        for cell in row.box.cells(self._chunk):
            self._cells[cell.clipped(self._shape)] = None

    def labelled(self, is_labelled: Callable[[Box], bool]) -> list[Box]:
        """Return the chunks with labels in C order; asks only for changed ones."""
        for cell, known in self._cells.items():
            if known is None:
                self._cells[cell] = is_labelled(cell)
        found = (cell for cell, known in self._cells.items() if known)
        return sorted(found, key=lambda cell: cell.start)


def _is_last(edits: list[Stroke], sequence: int | None) -> bool:
    return bool(edits) and edits[-1].sequence == sequence
