"""The past of the labels: who did what, and what they were then."""

from __future__ import annotations

import numpy as np

from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.data.look_back import HistoryRow, history_page, labels_at
from napari_unetseg.geometry import Box


class HistoryVerbs(SessionBase):
    """The part of the session that looks back."""

    def history(
        self,
        annotator: str | None = None,
        *,
        before: int | None = None,
        size: int = 100,
    ) -> list[HistoryRow]:
        """Return edits, newest first; of everybody if ``annotator`` is None.

        Parameters
        ----------
        before
            Number of the last row of the page before.
        """
        if self.project is None:
            return []
        store = self.project.corrections
        return history_page(store, annotator, before=before, size=size)

    def why_not_back(self, row: HistoryRow | None) -> str:
        """Say why an edit cannot be taken back, as one sentence; "" if it can."""
        if row is None:
            return "Choose an edit in the list first."
        if refused := self.why_not("edit"):
            return refused
        if row.stroke.annotator != self.annotator:
            return f"Only {row.stroke.annotator} can take this back."
        return "This edit was taken back already." if row.is_undone else ""

    def labels_after(self, stroke: Stroke, box: Box) -> np.ndarray:
        """Return what the annotator of an edit had said about a box then, zyx."""
        store = self._open.corrections
        return labels_at(store, stroke.annotator, stroke.sequence, box)
