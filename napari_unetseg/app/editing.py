"""What the person does to labels: strokes and undo."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from napari_unetseg.app.project import Project
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.data.composite import CompositeLabels
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.smart_brush import snapped


class EditingVerbs(SessionBase):
    """The part of the session that writes labels.

    Every edit ends in :meth:`_all_written`: the journal first, then the signals.
    """

    def composite(self, window: Box) -> CompositeLabels:
        """Return the editable view of a window: corrections over predictions."""
        return CompositeLabels(
            self._open.corrections,
            self.predictions,
            annotator=self.annotator,
            window=window,
        )

    def commit(
        self, composite: CompositeLabels, tool: str, *, follow: bool = False
    ) -> Stroke | None:
        """Write what was changed in ``composite`` as one stroke.

        If that fails the change stays pending in ``composite``: nothing is lost, and
        the next call tries again.

        Parameters
        ----------
        follow
            Whether the stroke is first narrowed down to what the prediction sees.
        """
        if follow:
            self._narrow(composite)
        return self._written(
            lambda project: composite.commit(tool, project.active_model)
        )

    def undo(self) -> Stroke | None:
        """Take the last edit of the annotator back, whatever tool made it."""
        return self._written(lambda project: project.corrections.undo(self.annotator))

    def redo(self) -> Stroke | None:
        """Do again what was taken back last."""
        return self._written(lambda project: project.corrections.redo(self.annotator))

    def undo_to(self, stroke: Stroke) -> list[Stroke]:
        """Take back all that the annotator did after a stroke."""
        return self._all_written(lambda project: project.corrections.undo_to(stroke))

    def redo_to(self, stroke: Stroke) -> list[Stroke]:
        """Do again what was taken back, up to a stroke and with it."""
        return self._all_written(lambda project: project.corrections.redo_to(stroke))

    def undo_stroke(self, stroke: Stroke) -> Stroke | None:
        """Take one earlier stroke back while later ones stay."""
        return self._written(lambda project: project.corrections.undo_stroke(stroke))

    def _narrow(self, composite: CompositeLabels) -> None:
        """Keep of a pending stroke what the prediction takes for the class."""
        pending, predictions = composite.pending(), self.predictions
        if pending is None or predictions is None:
            return
        box, mask, values = pending
        class_id = int(values[mask].max())
        here = box.shifted(composite.window.start)
        with self._noticed():
            probability = predictions.read_probability(here)
            if class_id > len(probability):
                return  # a class that the model does not know
            known = probability[class_id - 1] if class_id else probability.max(axis=0)
            kept = snapped(mask, known, erasing=class_id == 0)
            composite.keep_pending(box, kept)

    def _written(self, write: Callable[[Project], Stroke | None]) -> Stroke | None:
        """Write a stroke, if there is one to write."""

        def write_all(project: Project) -> list[Stroke]:
            stroke = write(project)
            return [] if stroke is None else [stroke]

        return next(iter(self._all_written(write_all)), None)

    def _all_written(self, write: Callable[[Project], list[Stroke]]) -> list[Stroke]:
        """Write strokes; the mark in the header follows, faults become notices."""
        if self._refused("edit"):
            return []
        strokes: list[Stroke] = []
        with self._saving():
            strokes = write(self._open)
        if strokes:
            boxes = (stroke.box for stroke in strokes)
            self.labels_changed.emit(reduce(Box.hull, boxes))
        return strokes
