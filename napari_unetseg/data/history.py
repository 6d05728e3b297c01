"""What follows from the rows of the journal: what can be undone, what was touched."""

from __future__ import annotations

import logging
from collections.abc import Callable

from napari_unetseg.data.journal import Stroke
from napari_unetseg.geometry import Box, Zyx

_LOG = logging.getLogger(__name__)


class History:
    """What one annotator can undo and redo, as edits in order.

    Attributes
    ----------
    done, undone
        Edits that count, and edits that were taken back, the last one at the end.
    first_row, last_row
        Numbers of the annotator's oldest and newest row, 0 without any.
    n_labelled
        How many voxels hold labels.
    """

    def __init__(self) -> None:
        self.done: list[Stroke] = []
        self.undone: list[Stroke] = []
        self.first_row = self.last_row = self.n_labelled = 0

    def take(self, row: Stroke) -> None:
        """Follow one more row; a new edit ends what could be redone."""
        self.first_row = self.first_row or row.sequence
        self.last_row = row.sequence
        if row.kind == "edit":
            self.n_labelled += row.n_added
            self.done.append(row)
            self.undone.clear()
            return
        source, target = self.done, self.undone
        if row.kind == "redo":
            source, target = target, source
        if source and source[-1].sequence == row.target:
            target.append(source.pop())
            self.n_labelled += row.n_added
        else:  # two programs wrote at once: the voxels stand, the order does not
            _LOG.warning("row %d takes back what is not last", row.sequence)


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
