"""What the labels were: after one edit, or edit by edit like a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unetseg.data.journal import UNSET_OF
from napari_unetseg.viewer.class_colormap import class_colormap
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.project_layers import PAST

if TYPE_CHECKING:
    from napari_unetseg.app.session import Session
    from napari_unetseg.data.corrections import Stroke
    from napari_unetseg.viewer.layers import SessionLayers

STEP_MS = 250
_OPACITY = 0.8


class PastLabels:
    """A layer over all others with what an annotator had said about the slice in view.

    Signals
    -------
    shown
        The edit after which the labels are shown, None when the layer is hidden.
    """

    shown = Signal(object)

    def __init__(self, session: Session, layers: SessionLayers) -> None:
        self._session, self._layers = session, layers
        self._film: list[Stroke] = []
        self._faded: float | None = None  # opacity of the labels of today
        self._timer = QTimer()
        self._timer.setInterval(STEP_MS)
        self._timer.timeout.connect(self._next)
        session.project_changed.connect(self.hide)

    @property
    def is_playing(self) -> bool:
        """Whether the film is running."""
        return self._timer.isActive()

    def show(self, stroke: Stroke) -> None:
        """Show what its annotator had said about the slice in view after an edit."""
        box = self._layers.visible_box(depth=0)
        project = self._session.project
        if project is None or box is None or box.is_empty:
            return
        said = self._session.labels_after(stroke, box)
        values = np.where(said == UNSET_OF[said.dtype], 0, said)
        place = self._layers.place(box)
        layer = self._layers.layer(PAST)
        if layer is None:
            layer = FlatOutlines(
                values,
                name=PAST,
                opacity=_OPACITY,
                colormap=class_colormap(project.classes),
                **place,
            )
            layer.editable = False
            self._layers.put(layer)
        else:
            layer.data, layer.translate = values, place["translate"]
            layer.visible = True
        today = self._layers.editable
        if today is not None and self._faded is None:
            self._faded, today.opacity = today.opacity, 0.0
        self.shown.emit(stroke)

    def play(self, strokes: Sequence[Stroke]) -> None:
        """Show the labels after one edit and the next, the first given first."""
        self._film = list(strokes)
        self._timer.start()
        self._next()

    def hide(self, *_: object) -> None:
        """Show the labels of today again."""
        self._timer.stop()
        today = self._layers.editable
        if today is not None and self._faded is not None:
            today.opacity = self._faded
        self._faded = None
        layer = self._layers.layer(PAST)
        if layer is not None and layer.visible:
            layer.visible = False
            self.shown.emit(None)

    def close(self) -> None:
        """Let go of the session."""
        self._timer.stop()
        self._session.project_changed.disconnect(self.hide)
        self._layers.take(PAST)

    def _next(self) -> None:
        if self._film:
            self.show(self._film.pop(0))
        else:
            self.hide()
