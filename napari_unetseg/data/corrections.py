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
from typing import Any, Literal, Self

import numpy as np

from napari_unetseg.data.annotator_labels import AnnotatorLabels
from napari_unetseg.data.history import History
from napari_unetseg.data.journal import (
    UNSET,
    UNSET_OF,
    Journal,
    Reviewed,
    Stroke,
    StrokeVoxels,
)
from napari_unetseg.errors import LabelsError, ReadOnlyError
from napari_unetseg.geometry import Box, Zyx, zyx

__all__ = ["UNSET", "CorrectionStore", "Reviewed", "Stroke"]

CHUNK: Zyx = (16, 128, 128)


class CorrectionStore:
    """All edits of a project; made by :meth:`open`.

    Any thread may call it. One store of a project writes; others, also in other
    processes, are opened ``read_only`` and see labels as they are written, while their
    lists of strokes are those of the moment they were opened.
    """

    def __init__(self, folder: Path, journal: Journal, layout: dict[str, Any]) -> None:
        self.shape: Zyx = layout["shape"]
        self.dtype: np.dtype[Any] = np.dtype(layout["dtype"])
        self.unset = UNSET_OF[self.dtype]
        self.read_only: bool = layout["read_only"]
        self._folder, self._journal, self._layout = folder, journal, layout
        self._lock = threading.RLock()
        self._people: dict[str, AnnotatorLabels] = {}
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
        """
        folder = Path(folder)
        journal = Journal(folder / "journal.sqlite", dtype, read_only=read_only)
        layout = {
            "shape": zyx(shape), "dtype": dtype, "chunk": chunk, "unit": unit,
            "voxel_size": voxel_size, "read_only": read_only,
        }  # fmt: skip
        try:
            store = cls(folder, journal, layout)
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
    ) -> Stroke:
        """Write a stroke: when this returns, it is on disk.

        Parameters
        ----------
        box, mask
            Where: a box inside the volume, and a mask of its shape.
        new
            The value, or values of the shape of the mask; ``UNSET`` takes labels away.

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
            labels = self._labels(annotator)
            labels.prepare()  # before the row: if it cannot be made, nothing happened
            values = np.broadcast_to(np.asarray(new, self.dtype), mask.shape)[mask]
            voxels = StrokeVoxels(mask, labels.read(box)[mask], values)
            row = self._journal.add_edit(
                box,
                voxels,
                annotator=annotator,
                tool=tool,
                model_version=model_version,
            )
            labels.follow(row, voxels)
            return row

    def undo(self, annotator: str) -> Stroke | None:
        """Take the last edit of an annotator back; None if there is none."""
        return self._reverse("undo", annotator)

    def redo(self, annotator: str) -> Stroke | None:
        """Do again what the annotator took back last; None if there is nothing."""
        return self._reverse("redo", annotator)

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
            done = histories.get(name, History()).done
            return done[-1].sequence if done else 0

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

    def strokes(self, annotator: str | None = None) -> list[Stroke]:
        """Return all rows of the journal in order, reversals too."""
        return self._journal.strokes(annotator=annotator)

    def stroke_ids(self, annotators: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the edits that count: not undone, of these annotators or of all."""
        histories = self._histories()
        names = set(annotators or histories) & histories.keys()
        live = [edit for name in names for edit in histories[name].done]
        return tuple(edit.uuid for edit in sorted(live, key=lambda e: e.sequence))

    @property
    def n_strokes(self) -> int:
        """How many edits count."""
        return sum(len(history.done) for history in self._histories().values())

    def strokes_since(self, known: Sequence[str]) -> int:
        """Return how many edits count that are not among these ids."""
        return len(set(self.stroke_ids()) - set(known))

    def can_undo(self, annotator: str) -> bool:
        """Whether the annotator has an edit to take back."""
        return bool(self._histories().get(annotator, History()).done)

    def can_redo(self, annotator: str) -> bool:
        """Whether the annotator has taken something back."""
        return bool(self._histories().get(annotator, History()).undone)

    # --- reviewing -------------------------------------------------------------

    def add_reviewed(
        self,
        box: Box,
        annotator: str,
        model_version: str | None = None,
        state: str = "accepted",
    ) -> None:
        """Note that somebody looked at a region: ``accepted`` or ``skipped``."""
        self._check_writable()
        self._journal.add_reviewed(box, annotator, model_version, state)

    def reviewed(self, annotator: str | None = None) -> list[Reviewed]:
        """Return the regions that were looked at, oldest first."""
        found = self._journal.reviewed()
        return [r for r in found if annotator is None or r.annotator == annotator]

    def remove_reviewed(self, identifier: int) -> None:
        """Take a note back."""
        self._check_writable()
        self._journal.remove_reviewed(identifier)

    def add_rejected_click(
        self,
        point: Zyx,
        class_id: int,
        annotator: str,
        model_version: str | None = None,
    ) -> None:
        """Note that a click found something that nobody wanted."""
        self._check_writable()
        self._journal.add_rejected_click(point, class_id, annotator, model_version)

    def rejected_clicks(self) -> list[tuple[Zyx, int]]:
        """Return point and class of the clicks that were rejected."""
        return self._journal.rejected_clicks()

    # --- inside ----------------------------------------------------------------

    def _reverse(self, kind: Literal["undo", "redo"], annotator: str) -> Stroke | None:
        with self._lock:
            labels = self._labels(annotator)
            history = labels.history
            edits = history.done if kind == "undo" else history.undone
            if not edits:
                return None
            self._check_writable()
            row = self._journal.add_reversal(kind, edits[-1])
            labels.follow(row, self._journal.voxels(row))
            return row

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

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError(
                "The project is read-only, nothing can be labelled",
                do="Close it elsewhere, or work on a copy.",
            )

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
