"""The part of the session that says what is learned, and when it is learned."""

from __future__ import annotations

from abc import abstractmethod

from napari_unetseg.app.auto_finetune import AutoFinetune
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.app.status import Notice, counted
from napari_unetseg.events import LearnsFrom


class LearningVerbs(SessionBase):
    """What there is to learn from, what a training knows, and the next one.

    Attributes
    ----------
    learns_from
        What the running training learns from, None before it said so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.learns_from: LearnsFrom | None = None
        self.auto = AutoFinetune(self)

    def training_summary(self) -> str:
        """Say what there is to learn from, as one line."""
        if self.project is None:
            return ""
        if self.learns_from is not None:
            return f"Learns from {self.learns_from.said}."
        store = self.project.corrections
        counts = store.counts()
        people = " and ".join(name for name, n in counts.items() if n)
        if not people:
            return "Nothing labelled yet."
        strokes = counted(store.n_strokes, "stroke")
        text = f"{sum(counts.values()):,} voxels in {strokes} by {people}"
        n_confirmed = sum(region.is_confirmed for region in store.reviewed())
        if n_confirmed:
            text += f", and {counted(n_confirmed, 'reviewed region')}"
        return text

    def waiting_text(self) -> str:
        """Say which edits came too late for the running training; "" if none did."""
        known, project = self.learns_from, self.project
        if known is None or project is None:
            return ""
        edits = project.corrections.stroke_ids(known.annotators)
        n = len(set(edits) - set(known.strokes))
        if not n:
            return ""
        they = "it counts" if n == 1 else "they count"
        return f"{counted(n, 'stroke')} since; {they} in the next round."

    @abstractmethod
    def _start_finetuning(self) -> bool:
        """Fine-tune without being asked to; say whether it began."""

    def _finetune_if_due(self) -> None:
        """Begin a fine-tuning that nobody asked for, if enough was corrected."""
        if not self.auto.is_due:
            return
        n = self.auto.n_new
        self.auto.tried(self._open.corrections.stroke_ids())
        if self._start_finetuning():
            since = f"since {self._open.active_model}"
            text = f"{counted(n, 'correction')} {since}: fine-tuning begins by itself."
            self.notice.emit(Notice("info", text))
