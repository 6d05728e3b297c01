"""Taking back: the last edit, all since a stroke, or one stroke out of many."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

from napari_unetseg.data.annotator_labels import AnnotatorLabels
from napari_unetseg.data.journal import Journal, Reversal, Stroke
from napari_unetseg.data.review_notes import Writable
from napari_unetseg.errors import TakenBackError


class TakingBack(Writable, ABC):
    """The part of the corrections that undoes and redoes; every step is a row."""

    _lock: threading.RLock
    _journal: Journal

    def undo(self, annotator: str, *, origin: Stroke | None = None) -> Stroke | None:
        """Take the last edit of an annotator back; None if there is none.

        Parameters
        ----------
        origin
            The row of another project that it stands for; it keeps id and time.
        """
        with self._lock:
            last = self._labels(annotator).history.done[-1:]
            rows = self._reverse("undo", last, origin)
        return rows[0] if rows else None

    def redo(self, annotator: str, *, origin: Stroke | None = None) -> Stroke | None:
        """Do again what the annotator took back last; None if there is nothing."""
        with self._lock:
            last = self._labels(annotator).history.undone[-1:]
            rows = self._reverse("redo", last, origin)
        return rows[0] if rows else None

    def undo_to(self, stroke: Stroke) -> list[Stroke]:
        """Take back all that its annotator did after a stroke, all or nothing.

        Returns
        -------
        list of Stroke
            The rows of the undos, as if each had been undone by itself: redo works as
            often.

        Raises
        ------
        TakenBackError
            If the stroke itself is undone.
        """
        with self._lock:
            later = self._labels(stroke.annotator).history.after(stroke)
            if later is None:
                raise _not_in_effect(stroke)
            return self._reverse("undo", later)

    def redo_to(self, stroke: Stroke) -> list[Stroke]:
        """Do again what was undone, up to a stroke and with it, all or nothing.

        Raises
        ------
        TakenBackError
            If the stroke is none of those that can be redone.
        """
        with self._lock:
            undone = self._labels(stroke.annotator).history.undone
            if stroke not in undone:
                raise TakenBackError("The stroke is not undone, it cannot be redone")
            return self._reverse("redo", undone[undone.index(stroke) :][::-1])

    def last_done(self, annotator: str) -> Stroke | None:
        """Return what undo would take back."""
        with self._lock:
            done = self._labels(annotator).history.done
            return done[-1] if done else None

    def last_undone(self, annotator: str) -> Stroke | None:
        """Return what redo would do again."""
        with self._lock:
            undone = self._labels(annotator).history.undone
            return undone[-1] if undone else None

    def undo_stroke(self, stroke: Stroke, *, origin: Stroke | None = None) -> Stroke:
        """Take one earlier edit back while later ones stay: as if it never had been.

        Voxels that later edits changed keep their value; all others get what the
        edits before said. The row has the tool ``revert``; undo takes it back.

        Raises
        ------
        TakenBackError
            If the stroke is undone or reverted already.
        DiskFullError, ReadOnlyError
            If it cannot be written; then nothing has changed.
        """
        self._check_writable()
        with self._lock:
            labels = self._labels(stroke.annotator)
            if not labels.history.counts(stroke):
                raise _not_in_effect(stroke)
            labels.prepare()
            voxels = labels.without(stroke)
            row = self._journal.add_edit(
                stroke.box,
                voxels,
                annotator=stroke.annotator,
                tool="revert",
                model_version=stroke.model_version,
                reverts=stroke,
                origin=origin,
            )
            labels.follow(row, voxels)
            return row

    def _reverse(
        self, kind: Reversal, edits: Sequence[Stroke], origin: Stroke | None = None
    ) -> list[Stroke]:
        if not edits:
            return []
        self._check_writable()
        rows = self._journal.add_reversals(kind, edits, origin)
        self._labels(edits[0].annotator).follow_all(rows)
        return rows

    @abstractmethod
    def _labels(self, annotator: str) -> AnnotatorLabels:
        """Return the labels of an annotator, with their history."""


def _not_in_effect(stroke: Stroke) -> TakenBackError:
    return TakenBackError(
        f"The stroke of {stroke.annotator} was taken back already",
        do="Redo brings back what was taken back last.",
    )
