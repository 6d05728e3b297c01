"""Corrections: the journal is the truth, the overlays follow it.

::

    commit ──▶ journal row (on disk) ──▶ overlay of the annotator
    read   ──▶ overlay ◀── rows that it has not got yet
    open   ──▶ overlays are brought up to the journal

A stroke counts as written with its row. Whatever befalls an overlay afterwards (a kill,
a full disk, a torn chunk) is mended from the journal.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_unetseg.data.annotator_labels import AnnotatorLabels
from napari_unetseg.data.history import History
from napari_unetseg.data.journal import (
    UNSET,
    UNSET_OF,
    Journal,
    Stroke,
    StrokeVoxels,
)
from napari_unetseg.data.journal_notes import Reviewed
from napari_unetseg.data.rescue import rescue_journal, restore_from_labels
from napari_unetseg.data.review_notes import ReviewedRegions
from napari_unetseg.data.taking_back import TakingBack
from napari_unetseg.errors import DamagedJournalError, LabelsError
from napari_unetseg.geometry import Box, Zyx, zyx

__all__ = ["UNSET", "CorrectionStore", "Reviewed", "Stroke"]

CHUNK: Zyx = (16, 128, 128)


class CorrectionStore(TakingBack, ReviewedRegions):
    """All edits of a project; made by :meth:`open`.

    Any thread may call it. One store of a project writes; others, also in other
    processes, are opened ``read_only`` and see labels as they are written, while their
    lists of strokes are those of the moment they were opened.

    Attributes
    ----------
    restored
        Sentences about damage that was mended on opening, for a person to read.
    """

    def __init__(self, folder: Path, journal: Journal, layout: dict[str, Any]) -> None:
        self.shape: Zyx = layout["shape"]
        self.dtype: np.dtype[Any] = np.dtype(layout["dtype"])
        self.unset = UNSET_OF[self.dtype]
        self.read_only: bool = layout["read_only"]
        self._folder, self._journal, self._layout = folder, journal, layout
        self._lock = threading.RLock()
        self._people: dict[str, AnnotatorLabels] = {}
        self.restored: tuple[str, ...] = ()
        for row in journal.strokes():
            self._labels(row.annotator).history.take(row)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        shape: Zyx,
        dtype: Any = "uint8",
        voxel_size: Sequence[float],
        unit: str | None = None,
        chunk: Zyx = CHUNK,
        read_only: bool = False,
    ) -> Self:
        """Open the corrections of a project folder; overlays are caught up.

        Parameters
        ----------
        folder
            Holds ``journal.sqlite`` and ``labels/``.
        shape, chunk, voxel_size, unit
            Of the volume and of the overlays, zyx.
        dtype
            Type of the label values, uint8 or uint32.

        Raises
        ------
        DamagedJournalError
            If the journal cannot be read and nothing may be written. Else what can be
            read is restored, and ``restored`` says so.
        NewerProjectError
            If a later version wrote the journal.
        """
        folder = Path(folder)
        layout = {
            "shape": zyx(shape), "dtype": dtype, "chunk": chunk, "unit": unit,
            "voxel_size": voxel_size, "read_only": read_only,
        }  # fmt: skip
        try:
            return cls._opened(folder, layout)
        except DamagedJournalError:
            if read_only:
                raise
            sentence = rescue_journal(folder / "journal.sqlite", dtype)
        store = cls._opened(folder, layout, trusting=False)
        store.restored = (sentence, *store.restored)
        return store

    @classmethod
    def _opened(
        cls, folder: Path, layout: dict[str, Any], *, trusting: bool = True
    ) -> Self:
        read_only: bool = layout["read_only"]
        path = folder / "journal.sqlite"
        journal = Journal(path, layout["dtype"], read_only=read_only)
        try:
            restored = []
            if not read_only:
                restored = restore_from_labels(
                    journal, folder / "labels", layout, trusting=trusting
                )
            store = cls(folder, journal, layout)
            store.restored = tuple(restored)
            for labels in store._people.values():
                if not read_only:
                    labels.bring_up()
        except BaseException:
            journal.close()
            raise
        return store

    def close(self) -> None:
        """Make the overlays safe and close the journal; safe to call twice."""
        with self._lock:
            for labels in self._people.values():
                labels.checkpoint()
            self._journal.close()

    # --- writing ---------------------------------------------------------------

    def commit(
        self,
        box: Box,
        mask: np.ndarray,
        new: np.ndarray | int,
        *,
        annotator: str,
        tool: str,
        model_version: str | None = None,
        origin: Stroke | None = None,
    ) -> Stroke:
        """Write a stroke: when this returns, it is on disk.

        Parameters
        ----------
        box, mask
            Where: a box inside the volume, and a mask of its shape.
        new
            The value, or values of the shape of the mask; ``UNSET`` takes labels away.
        origin
            The row of another project that it stands for; it keeps id and time.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written; then nothing has changed.
        LabelsError
            If box and mask do not fit the volume.
        """
        self._check_writable()
        mask = np.asarray(mask, bool)
        self._check(box, mask, new)
        with self._lock:
            values = np.broadcast_to(np.asarray(new, self.dtype), mask.shape)[mask]
            labels = self._labels(annotator)
            labels.prepare()  # before the row: if it cannot be made, nothing happened
            voxels = StrokeVoxels(mask, labels.read(box)[mask], values)
            row = self._journal.add_edit(
                box,
                voxels,
                annotator=annotator,
                tool=tool,
                model_version=model_version,
                origin=origin,
            )
            labels.follow(row, voxels)
            return row

    def add_rows(
        self, source: Journal, rows: Sequence[Stroke], own: dict[int, int]
    ) -> None:
        """Append rows of another journal as they are, all or none.

        Parameters
        ----------
        own
            Numbers that earlier rows of the other journal have here.
        """
        self._check_writable()
        with self._lock:
            packed = ((row, source.packed(row)) for row in rows)
            added = self._journal.add_rows(packed, own)
            for name in {row.annotator for row in added}:
                self._labels(name).follow_all([r for r in added if r.annotator == name])

    def rebuild(self, annotator: str) -> None:
        """Make the overlay of an annotator anew from the journal, bit for bit."""
        self._check_writable()
        with self._lock:
            self._labels(annotator).rebuild()

    # --- reading ---------------------------------------------------------------

    def annotators(self) -> list[str]:
        """Return who edited, in the order of their first stroke."""
        histories = self._histories()
        return sorted(histories, key=lambda name: histories[name].first_row)

    def read(self, annotator: str, box: Box) -> np.ndarray:
        """Return what an annotator said about a box, zyx; UNSET where nothing."""
        with self._lock:
            return self._labels(annotator).read(box)

    def voxels(self, stroke: Stroke) -> StrokeVoxels:
        """Return mask, old and new values of a stroke."""
        return self._journal.voxels(stroke)

    def read_all(self, box: Box, annotators: Sequence[str] | None = None) -> np.ndarray:
        """Return what anybody said about a box, zyx.

        Where several said something, who edited last in the project wins, whatever
        the order of their strokes on the voxel.
        """
        names = self.annotators() if annotators is None else list(annotators)
        values = np.full(box.shape, self.unset, self.dtype)
        histories = self._histories()

        def last_edit(name: str) -> int:
            return histories.get(name, History()).last_counting

        for name in sorted(names, key=last_edit):
            said = self.read(name, box)
            np.copyto(values, said, where=said != self.unset)
        return values

    def labelled_boxes(self, annotator: str) -> list[Box]:
        """Return the chunks of the volume in which an annotator said something."""
        with self._lock:
            return self._labels(annotator).labelled_boxes()

    def counts(self) -> dict[str, int]:
        """Return how many voxels each annotator has labelled."""
        histories = self._histories()
        return {name: histories[name].n_labelled for name in self.annotators()}

    def strokes(
        self,
        annotator: str | None = None,
        *,
        after: int = 0,
        until: int | None = None,
        within: Box | None = None,
    ) -> list[Stroke]:
        """Return rows of the journal in order, reversals too.

        Parameters
        ----------
        after, until, within
            Only rows after and up to these numbers, and only those near this box.
        """
        return self._journal.strokes(
            annotator=annotator, after=after, until=until, within=within
        )

    def edits_before(
        self, before: int | None, n: int, annotator: str | None = None
    ) -> list[Stroke]:
        """Return the last ``n`` edits and reverts before a row, newest first."""
        return self._journal.edits_before(before, n, annotator)

    def counts_now(self, edit: Stroke) -> bool:
        """Whether an edit is in effect: neither undone nor reverted."""
        with self._lock:
            return self._labels(edit.annotator).history.counts(edit)

    def stroke_ids(self, annotators: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the edits in effect, of these annotators or of all."""
        histories = self._histories()
        names = set(annotators or histories) & histories.keys()
        live = [edit for name in names for edit in histories[name].counting()]
        return tuple(edit.uuid for edit in sorted(live, key=lambda e: e.sequence))

    @property
    def n_strokes(self) -> int:
        """How many edits count."""
        return sum(history.n_counting for history in self._histories().values())

    def strokes_since(self, known: Sequence[str]) -> int:
        """Return how many edits count that are not among these ids."""
        return len(set(self.stroke_ids()) - set(known))

    def can_undo(self, annotator: str) -> bool:
        """Whether the annotator has an edit to take back."""
        return bool(self._histories().get(annotator, History()).done)

    def can_redo(self, annotator: str) -> bool:
        """Whether the annotator has taken something back."""
        return bool(self._histories().get(annotator, History()).undone)

    # --- inside ----------------------------------------------------------------

    def _labels(self, annotator: str) -> AnnotatorLabels:
        if annotator not in self._people:
            self._people[annotator] = AnnotatorLabels(
                annotator, self._journal, self._folder / "labels", self._layout
            )
        return self._people[annotator]

    def _histories(self) -> dict[str, History]:
        # A copy: other threads may add a name meanwhile.
        people = list(self._people.items())
        return {name: p.history for name, p in people if p.history.last_row}

    def _check(self, box: Box, mask: np.ndarray, new: np.ndarray | int) -> None:
        if not Box.whole(self.shape).contains(box) or mask.shape != box.shape:
            raise LabelsError(
                "The stroke does not fit the volume",
                got=f"a mask {mask.shape} at {box}",
                expected=f"inside {self.shape}",
            )
        if not mask.any():
            raise LabelsError("The stroke holds no voxel")
        used = np.asarray(new)
        if used.size and not 0 <= int(used.min()) <= int(used.max()) <= self.unset:
            raise LabelsError(
                "The stroke holds values that are no labels",
                got=f"{used.min()} to {used.max()}",
                expected=f"0 to {self.unset - 1}",
            )
