"""The labels of one annotator: an overlay that follows the journal.

::

    row in the journal ──▶ follow() ──▶ overlay          the usual way
    read() ◀── overlay ◀── rows it has not got yet       lagging, or another process
    torn chunk ──▶ rebuild() ──▶ overlay                 made anew from the journal
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.history import History, LabelledCells
from napari_unetseg.data.journal import UNSET_OF, Journal, Stroke, StrokeVoxels
from napari_unetseg.data.overlay import Overlay, paste
from napari_unetseg.data.replay import said_last
from napari_unetseg.errors import DamagedJournalError, DamagedOverlayError, UnetsegError
from napari_unetseg.geometry import Box

_BATCH_VOXELS = 2**23
_LOG = logging.getLogger(__name__)


class AnnotatorLabels:
    """What one annotator said, and the order of their edits; not thread-safe.

    Parameters
    ----------
    folder
        Of all overlays.
    layout
        How overlays are made: shape, dtype, chunk, voxel_size, unit, read_only.
    """

    def __init__(
        self, annotator: str, journal: Journal, folder: Path, layout: dict[str, Any]
    ) -> None:
        self.history = History()
        self._annotator, self._journal = annotator, journal
        self._folder, self._layout = folder, layout
        self._dtype = np.dtype(layout["dtype"])
        self._unset = UNSET_OF[self._dtype]
        self._read_only: bool = layout["read_only"]
        self._overlay: Overlay | None = None
        self._cells: LabelledCells | None = None

    def prepare(self) -> Overlay:
        """Open the overlay to write, or make it, and bring it up to the journal.

        A lag is no failure: what the overlay has not got is read from the journal.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be made.
        """
        if self._overlay is None:
            self._overlay = self._opened()
            try:
                self._catch_up(self._overlay)
            except DamagedOverlayError as error:
                _LOG.warning("%s", error)
                self._rebuild_if_possible()
            except DamagedJournalError:
                raise
            except (UnetsegError, OSError) as error:
                self._log_lag(error)
        return self._overlay

    def bring_up(self) -> None:
        """Prepare and checkpoint; what does not succeed now is tried again later."""
        try:
            self.prepare()
        except DamagedJournalError:
            raise  # whoever opens the project mends it
        except (UnetsegError, OSError) as error:
            self._log_lag(error)
        self.checkpoint()

    def read(self, box: Box) -> np.ndarray:
        """Return the labels of a box, zyx; UNSET where nothing was said."""
        # The overlay first: a row that another process adds meanwhile is in the
        # journal before it is in the overlay, and to apply it twice is harmless.
        values, reached = self._stored(box)
        if self._read_only or reached < self.history.last_row:
            for row in self._rows(after=reached):
                if row.box.overlaps(box):
                    voxels = self._journal.voxels(row)
                    paste(values, box, row.box, voxels.mask, voxels.dense())
        return values

    def without(self, stroke: Stroke) -> StrokeVoxels:
        """Return what changes if one edit in effect is taken back, later ones stay."""
        mask = self._journal.voxels(stroke).mask
        rows = self._journal.strokes(annotator=self._annotator, within=stroke.box)
        values = said_last(
            (
                row
                for row in reversed(rows)
                if row.kind == "edit" and self.history.counts(row, without=stroke)
            ),
            stroke.box,
            self._journal.voxels,
            dtype=self._dtype,
            among=mask,
        )
        return StrokeVoxels(mask, self.read(stroke.box)[mask], values[mask])

    def follow(self, row: Stroke, voxels: StrokeVoxels) -> None:
        """Bring memory and overlay up to a row that is already on disk.

        Never fails: if the overlay cannot be written, reading takes the row from the
        journal, and the next stroke tries again.
        """
        before = self.history.last_row
        self.history.take(row)

        def write(overlay: Overlay) -> None:
            if overlay.reached < before:
                self._catch_up(overlay)
            elif overlay.reached < row.sequence:
                overlay.apply([(row, voxels)])

        self._write(write)

    def follow_all(self, rows: Sequence[Stroke]) -> None:
        """Do the same for several rows; each chunk is written as seldom as possible."""
        for row in rows:
            self.history.take(row)
        self._write(self._catch_up)

    def rebuild(self) -> None:
        """Make the overlay anew from the journal, bit for bit.

        Raises
        ------
        DamagedJournalError
            If a row cannot be read; the overlay stays as it is.
        """
        for row in self._rows(after=0):
            self._journal.voxels(row)
        self._overlay = self._opened(anew=True)
        self._catch_up(self._overlay)
        self._cells = None

    def checkpoint(self) -> None:
        """Make sure that the overlay survives a power cut; log it if it does not."""
        if self._overlay is None or self._read_only:
            return
        try:
            self._overlay.checkpoint()
        except (UnetsegError, OSError) as error:
            _LOG.warning("labels of %s are not synced: %s", self._annotator, error)

    def labelled_boxes(self) -> list[Box]:
        """Return the chunks in which something was said, in C order."""
        if self._cells is None:
            overlay = self._overlay_to_read()
            chunk = self._layout["chunk"] if overlay is None else overlay.chunk
            self._cells = LabelledCells(chunk, self._layout["shape"])
        if self._read_only or self._cells.last_row < self.history.last_row:
            for row in self._rows(after=self._cells.last_row):
                self._cells.note(row)
        return self._cells.labelled(self._is_labelled)

    def _write(self, write: Callable[[Overlay], None]) -> None:
        try:
            write(self.prepare())
        except DamagedOverlayError as error:
            _LOG.warning("%s", error)
            self._rebuild_if_possible()
        except (UnetsegError, OSError) as error:
            self._log_lag(error)

    def _rebuild_if_possible(self) -> None:
        try:
            self.rebuild()
        except (UnetsegError, OSError) as error:
            self._log_lag(error)

    def _log_lag(self, error: Exception) -> None:
        _LOG.warning("the labels of %s lag behind: %s", self._annotator, error)

    def _stored(self, box: Box) -> tuple[np.ndarray, int]:
        """Return what the overlay holds, and up to which row."""
        overlay = self._overlay_to_read()
        try:
            if overlay is not None:
                return overlay.read(box), overlay.reached
        except DamagedOverlayError as error:
            _LOG.warning("%s", error)
            if not self._read_only:
                self.rebuild()
                return self.prepare().read(box), self.prepare().reached
        return np.full(box.shape, self._unset, self._dtype), 0

    def _overlay_to_read(self) -> Overlay | None:
        """Return the overlay; None if there is none, reading makes none."""
        if self._overlay is None and self._read_only:
            self._overlay = self._found()
        elif self._overlay is None and self.history.last_row:
            self.bring_up()
        return self._overlay

    def _found(self, *, anew: bool = False) -> Overlay | None:
        return Overlay.open(self._folder, self._annotator, anew=anew, **self._layout)

    def _opened(self, *, anew: bool = False) -> Overlay:
        overlay = self._found(anew=anew)
        assert overlay is not None
        return overlay

    def _catch_up(self, overlay: Overlay) -> None:
        for batch in _batches(self._rows(after=overlay.reached)):
            overlay.apply([(row, self._journal.voxels(row)) for row in batch])

    def _rows(self, *, after: int) -> list[Stroke]:
        return self._journal.strokes(after=after, annotator=self._annotator)

    def _is_labelled(self, cell: Box) -> bool:
        overlay = self._overlay
        if overlay and not self._read_only and overlay.reached == self.history.last_row:
            return overlay.holds_labels(cell)
        return bool((self.read(cell) != self._unset).any())


def _batches(rows: Sequence[Stroke]) -> Iterator[list[Stroke]]:
    """Yield rows in order, as many at once as memory takes easily."""
    batch: list[Stroke] = []
    n_voxels = 0
    for row in rows:
        batch.append(row)
        n_voxels += row.box.n_voxels
        if n_voxels > _BATCH_VOXELS:
            yield batch
            batch, n_voxels = [], 0
    if batch:
        yield batch
