"""Frames around the regions of the visible slice that somebody confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.project_layers import REVIEWED
from napari_unetseg.viewer.thin_lines import ThinLines, frames
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

_GREEN = "#57c785"
_PIXELS = 1.2


class ReviewedFrames:
    """Follows the slices; the layer comes with the first region."""

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._boxes: list[Box] = []
        self._ends = np.empty((0, 2, 3), dtype=np.int64)
        self._shown: tuple[object, ...] = ()
        # Not within the events: they also come while napari inserts other layers.
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._follow)
        session.worklist_changed.connect(self._read)
        layers.changed.connect(self._read)
        for emitter in self._emitters():
            emitter.connect(self._follow_soon)
        viewer.scene.camera.events.zoom.connect(self._fit)
        self._read()

    def close(self) -> None:
        """Let go of session and viewer."""
        self._timer.stop()
        self._session.worklist_changed.disconnect(self._read)
        self._layers.changed.disconnect(self._read)
        for emitter in self._emitters():
            emitter.disconnect(self._follow_soon)
        self._viewer.scene.camera.events.zoom.disconnect(self._fit)

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.dims.events
        return events.current_step, events.order, events.ndisplay

    def _read(self) -> None:
        """Take the regions of the project as they are now."""
        project = self._session.project
        reviewed = () if project is None else project.corrections.reviewed()
        self._boxes = [region.box for region in reviewed if region.is_confirmed]
        ends = [(box.start, box.stop) for box in self._boxes]
        self._ends = np.array(ends, dtype=np.int64).reshape(-1, 2, 3)
        self._shown = ()
        if project is None:
            self._layers.take(REVIEWED)
        self._follow_soon()

    def _follow_soon(self, event: object = None) -> None:
        self._timer.start()

    def _follow(self) -> None:
        axis = hidden_axis(self._viewer)
        layer = self._layers.layer(REVIEWED)
        view = self._layers.visible_box(depth=0)
        if axis is None or view is None or (not self._boxes and layer is None):
            return
        index = view.start[axis]
        here = np.flatnonzero(
            (self._ends[:, 0, axis] <= index) & (index < self._ends[:, 1, axis])
        )
        state = (axis, index, *here)
        if state == self._shown:
            return
        was_empty, self._shown = len(self._shown) <= 2, state
        if layer is None:
            layer = self._new_layer()
            self._layers.put(layer)
        elif was_empty and not len(here):
            return  # nothing before, nothing now
        layer.show(frames([self._boxes[i] for i in here], axis, index))
        self._fit()

    def _new_layer(self) -> ThinLines:
        assert self._session.project is not None
        shape = self._session.project.volume.shape
        place = self._layers.place(Box.whole(shape))
        return ThinLines(shape, name=REVIEWED, edge_color=_GREEN, opacity=0.9, **place)

    def _fit(self, event: object = None) -> None:
        layer = self._layers.layer(REVIEWED)
        if layer is not None:
            layer.fit_width(_PIXELS, self._viewer.scene.camera.zoom)
