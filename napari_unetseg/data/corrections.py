"""Corrections: the journal is the truth, the overlays follow it.

::

    commit ──▶ journal row (on disk) ──▶ overlay of the annotator ──▶ "saved"
    open   ──▶ rows that an overlay has not seen are applied to it
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_unetseg.data.journal import Journal, Reviewed, Stroke, StrokeVoxels
from napari_unetseg.data.overlay import UNSET, UNSET_OF, Overlay
from napari_unetseg.errors import LabelsError, ReadOnlyError
from napari_unetseg.geometry import Box, Zyx

__all__ = ["UNSET", "CorrectionStore", "Reviewed", "Stroke"]

CHUNK: Zyx = (16, 128, 128)


class _History:
    """What one annotator can undo and redo, as edits in order."""

    def __init__(self) -> None:
        self.done: list[Stroke] = []
        self.undone: list[Stroke] = []

    def take(self, stroke: Stroke) -> None:
        match stroke.kind:
            case "edit":
                self.done.append(stroke)
                self.undone.clear()
            case "undo":
                self.undone.append(self.done.pop())
            case "redo":
                self.done.append(self.undone.pop())


class CorrectionStore:
    """All edits of a project; made by :meth:`open`, safe to read from any thread."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        *,
        shape: Zyx,
        dtype: Any,
        chunk: Zyx,
        voxel_size: Sequence[float],
        read_only: bool,
    ) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.unset = UNSET_OF[self.dtype]
        self.read_only = read_only
        self._folder, self._journal = folder, journal
        self._layout: dict[str, Any] = {
            "shape": shape, "dtype": dtype, "chunk": chunk, "voxel_size": voxel_size,
            "read_only": read_only,
        }  # fmt: skip
        self._lock = threading.RLock()
        self._histories: dict[str, _History] = {}
        self._overlays: dict[str, Overlay] = {}
        self._stale: dict[str, list[Stroke]] = {}
        self._counts: dict[str, int] = {}
        self._labelled: dict[str, dict[Box, bool]] = {}
        for stroke in journal.strokes():
            self._histories.setdefault(stroke.annotator, _History()).take(stroke)

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
        store = cls(
            folder,
            journal,
            shape=shape,
            dtype=dtype,
            chunk=chunk,
            voxel_size=voxel_size,
            read_only=read_only,
        )
        for annotator in store.annotators():
            store._overlay(annotator)
        return store

    def close(self) -> None:
        """Close the journal; safe to call twice."""
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
        self._check(box, mask)
        with self._lock:
            overlay = self._writable_overlay(annotator)
            values = np.broadcast_to(np.asarray(new, self.dtype), mask.shape)[mask]
            voxels = StrokeVoxels(mask, overlay.read(box)[mask], values)
            stroke = self._journal.add_edit(
                box,
                voxels,
                annotator=annotator,
                tool=tool,
                model_version=model_version,
            )
            return self._follow(stroke, voxels)

    def undo(self, annotator: str) -> Stroke | None:
        """Take the last edit of an annotator back; None if there is none."""
        with self._lock:
            if not self.can_undo(annotator):
                return None
            self._writable_overlay(annotator)
            target = self._histories[annotator].done[-1]
            stroke = self._journal.add_reversal("undo", target)
            return self._follow(stroke, self._journal.voxels(stroke))

    def redo(self, annotator: str) -> Stroke | None:
        """Do again what the annotator took back last; None if there is nothing."""
        with self._lock:
            if not self.can_redo(annotator):
                return None
            self._writable_overlay(annotator)
            target = self._histories[annotator].undone[-1]
            stroke = self._journal.add_reversal("redo", target)
            return self._follow(stroke, self._journal.voxels(stroke))

    def rebuild(self, annotator: str) -> None:
        """Make the overlay of an annotator anew from the journal, bit for bit."""
        with self._lock:
            overlay = self._writable_overlay(annotator)
            whole = Box.whole(self.shape)
            for cell in {c for s in self._strokes_of(annotator) for c in
                         overlay.cells(s.box.intersection(whole))}:  # fmt: skip
                full = np.full(cell.shape, self.unset, self.dtype)
                overlay.apply(cell, np.ones(cell.shape, bool), full.ravel(), 0)
            self._catch_up(overlay, annotator)
            self._forget(annotator)

    # --- reading ---------------------------------------------------------------

    def annotators(self) -> list[str]:
        """Return who edited, in the order of their first stroke."""
        return list(self._histories)

    def read(self, annotator: str, box: Box) -> np.ndarray:
        """Return what an annotator said about a box, zyx; UNSET where nothing."""
        with self._lock:
            overlay = self._overlay(annotator)
            if overlay is None:
                values = np.full(box.shape, self.unset, self.dtype)
            else:
                values = overlay.read(box)
            for stroke in self._stale.get(annotator, ()):
                _paste(values, box, stroke, self._journal.voxels(stroke))
        return values

    def read_all(self, box: Box, annotators: Sequence[str] | None = None) -> np.ndarray:
        """Return what anybody said about a box, zyx.

        Where several said something, who edited last in the project wins.
        """
        names = self.annotators() if annotators is None else list(annotators)
        last = {name: self._last_sequence(name) for name in names}
        values = np.full(box.shape, self.unset, self.dtype)
        for name in sorted(names, key=lambda n: last[n]):
            said = self.read(name, box)
            np.copyto(values, said, where=said != self.unset)
        return values

    def labelled_boxes(self, annotator: str) -> list[Box]:
        """Return the chunks of the volume in which an annotator said something."""
        with self._lock:
            known = self._labelled.setdefault(annotator, {})
            overlay = self._overlay(annotator)
            chunk = overlay.chunk if overlay else self._layout["chunk"]
            for stroke in self._strokes_of(annotator):
                for cell in stroke.box.cells(chunk):
                    part = cell.clipped(self.shape)
                    if part not in known:
                        found = self.read(annotator, part) != self.unset
                        known[part] = bool(found.any())
            return sorted((b for b, n in known.items() if n), key=lambda b: b.start)

    def counts(self) -> dict[str, int]:
        """Return how many voxels each annotator has labelled."""
        for name in self.annotators():
            if name not in self._counts:
                self._counts[name] = sum(
                    int((self.read(name, box) != self.unset).sum())
                    for box in self.labelled_boxes(name)
                )
        return {name: self._counts[name] for name in self.annotators()}

    def strokes(self, annotator: str | None = None) -> list[Stroke]:
        """Return all rows of the journal in order, reversals too."""
        return self._journal.strokes(annotator=annotator)

    def stroke_ids(self, annotators: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the edits that count: not undone, of these annotators or of all."""
        names = annotators or self.annotators()
        live = [s for name in names if name in self._histories
                for s in self._histories[name].done]  # fmt: skip
        return tuple(s.uuid for s in sorted(live, key=lambda s: s.sequence))

    @property
    def n_strokes(self) -> int:
        """How many edits count."""
        return sum(len(history.done) for history in self._histories.values())

    def strokes_since(self, known: Sequence[str]) -> int:
        """Return how many edits count that are not among these ids."""
        return len(set(self.stroke_ids()) - set(known))

    def can_undo(self, annotator: str) -> bool:
        """Whether the annotator has an edit to take back."""
        return bool(self._histories.get(annotator, _History()).done)

    def can_redo(self, annotator: str) -> bool:
        """Whether the annotator has taken something back."""
        return bool(self._histories.get(annotator, _History()).undone)

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

    def _follow(self, stroke: Stroke, voxels: StrokeVoxels) -> Stroke:
        """Bring memory and overlay up to a row that is already on disk."""
        annotator = stroke.annotator
        history = self._histories.setdefault(annotator, _History())
        overlay = self._overlay(annotator)
        assert overlay is not None
        history.take(stroke)
        overlay.apply(stroke.box, voxels.mask, voxels.new, stroke.sequence)
        if annotator in self._counts:
            was, now = voxels.old != self.unset, voxels.new != self.unset
            self._counts[annotator] += int(now.sum()) - int(was.sum())
        known = self._labelled.get(annotator, {})
        for cell in overlay.cells(stroke.box):
            known.pop(cell, None)
        return stroke

    def _overlay(self, annotator: str) -> Overlay | None:
        if annotator not in self._overlays:
            overlay = Overlay.open(self._folder / "labels", annotator, **self._layout)
            if overlay is None:
                self._stale[annotator] = self._strokes_of(annotator)
                return None
            self._catch_up(overlay, annotator)
            self._overlays[annotator] = overlay
        return self._overlays[annotator]

    def _catch_up(self, overlay: Overlay, annotator: str) -> None:
        missed = self._journal.strokes(after=overlay.applied, annotator=annotator)
        if self.read_only:
            self._stale[annotator] = missed
            return
        for stroke in missed:
            voxels = self._journal.voxels(stroke)
            overlay.apply(stroke.box, voxels.mask, voxels.new, stroke.sequence)

    def _forget(self, annotator: str) -> None:
        self._counts.pop(annotator, None)
        self._labelled.pop(annotator, None)

    def _strokes_of(self, annotator: str) -> list[Stroke]:
        return self._journal.strokes(annotator=annotator)

    def _last_sequence(self, annotator: str) -> int:
        history = self._histories.get(annotator)
        return history.done[-1].sequence if history and history.done else 0

    def _writable_overlay(self, annotator: str) -> Overlay:
        self._check_writable()
        overlay = self._overlay(annotator)
        assert overlay is not None
        return overlay

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError(
                "The project is read-only, nothing can be labelled",
                do="Close it elsewhere, or work on a copy.",
            )

    def _check(self, box: Box, mask: np.ndarray) -> None:
        if not Box.whole(self.shape).contains(box) or mask.shape != box.shape:
            raise LabelsError(
                "The stroke does not fit the volume",
                got=f"a mask {mask.shape} at {box}",
                expected=f"inside {self.shape}",
            )


def _paste(values: np.ndarray, box: Box, stroke: Stroke, voxels: StrokeVoxels) -> None:
    """Apply a stroke to values that were read from a box."""
    part = stroke.box.intersection(box)
    if part.is_empty:
        return
    new = np.zeros(voxels.mask.shape, values.dtype)
    new[voxels.mask] = voxels.new
    inside = part.relative_to(stroke.box).slices
    target = values[part.relative_to(box).slices]
    np.copyto(target, new[inside], where=voxels.mask[inside])
