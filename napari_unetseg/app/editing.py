"""What the person does to labels: strokes and undo."""

from __future__ import annotations

from collections.abc import Callable

from napari_unetseg.app.project import Project
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.data.composite import CompositeLabels
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.geometry import Box


class EditingVerbs(SessionBase):
    """The part of the session that writes labels.

    Every edit ends in :meth:`_written`: the journal first, then the signals.
    """

    def composite(self, window: Box) -> CompositeLabels:
        """Return the editable view of a window: corrections over predictions."""
        return CompositeLabels(
            self._open.corrections,
            self.predictions,
            annotator=self.annotator,
            window=window,
        )

    def commit(self, composite: CompositeLabels, tool: str) -> Stroke | None:
        """Write what was changed in ``composite`` as one stroke.

        If that fails the change stays pending in ``composite``: nothing is lost, and
        the next call tries again.
        """
        return self._written(
            lambda project: composite.commit(tool, project.active_model)
        )

    def undo(self) -> Stroke | None:
        """Take the last edit of the annotator back, whatever tool made it."""
        return self._written(lambda project: project.corrections.undo(self.annotator))

    def redo(self) -> Stroke | None:
        """Do again what was taken back last."""
        return self._written(lambda project: project.corrections.redo(self.annotator))

    def _written(self, write: Callable[[Project], Stroke | None]) -> Stroke | None:
        """Write a stroke; the mark in the header follows, faults become notices."""
        if self._refused("edit"):
            return None
        stroke = None
        with self._saving():
            stroke = write(self._open)
        if stroke is not None:
            self.labels_changed.emit(stroke.box)
        return stroke
