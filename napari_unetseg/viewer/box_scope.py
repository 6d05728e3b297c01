"""A box drawn by hand: a rectangle on the slice, some slices deep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from psygnal import Signal

from napari_unetseg.geometry import Box, zyx
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session

LAYER = "box to predict"
DRAW_FIRST = "Draw a rectangle on the slice first."
NOT_IN_3D = "Go back to the 2D view to draw a box."
_EDGE = "#4a8ff0"
_EDGE_PIXELS = 2.0


class BoxScope:
    """Keeps one rectangle on a layer of its own while the scope is a box.

    Signals
    -------
    changed
        Another rectangle was drawn, or it is gone.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._layer: Shapes | None = None
        self._active: Any = None
        self._axis = 0
        self.depth = 16

    @property
    def box(self) -> Box | None:
        """The box in voxels of the finest level, None while nothing is drawn."""
        project = self._session.project
        if self._layer is None or not self._layer.nshapes or project is None:
            return None
        corners = np.asarray(self._layer.data[-1], dtype=float)
        low = np.floor(corners.min(axis=0) + 0.5).astype(int)
        high = np.ceil(corners.max(axis=0) + 0.5 - 1e-9).astype(int)
        low[self._axis] -= self.depth
        high[self._axis] = high[self._axis] + self.depth
        box = Box(zyx(low), zyx(np.maximum(high, low + 1)))
        clipped = box.clipped(project.volume.shape)
        return None if clipped.is_empty else clipped

    @property
    def reason(self) -> str:
        """Why there is no box yet; "" if there is one."""
        if self.box is not None:
            return ""
        return DRAW_FIRST if self._viewer.dims.ndisplay == 2 else NOT_IN_3D

    def draw(self) -> None:
        """Let the person draw: the next drag on the canvas is the rectangle."""
        project = self._session.project
        if project is None or self._viewer.dims.ndisplay == 3:
            return
        self.close()
        self._axis = hidden_axis(self._viewer) or 0
        place = self._layers.place(Box.whole(project.volume.shape))
        per_pixel = float(np.min(place["scale"])) * self._viewer.scene.camera.zoom
        self._active = self._viewer.layers.selection.active
        self._layer = Shapes(
            ndim=3,
            name=LAYER,
            edge_color=_EDGE,
            face_color="transparent",
            edge_width=_EDGE_PIXELS / max(per_pixel, 1e-9),
            **place,
        )
        self._viewer.layers.append(self._layer)
        self._viewer.layers.selection.active = self._layer
        self._layer.mode = "add_rectangle"
        self._layer.events.data.connect(self._on_data)
        self.changed.emit()

    def settle(self) -> None:
        """Keep the last rectangle only, and give the mouse back to the camera."""
        layer = self._layer
        if layer is None or not layer.nshapes or str(layer.mode) == "pan_zoom":
            return
        if layer.nshapes > 1:
            layer.data = [layer.data[-1]]
        layer.mode = "pan_zoom"
        if self._active is not None and self._active in self._viewer.layers:
            self._viewer.layers.selection.active = self._active

    def close(self) -> None:
        """Take the layer away."""
        layer, self._layer = self._layer, None
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        self.changed.emit()

    def _on_data(self, event: Any) -> None:
        # napari tells when it begins to add and when it has added; only that counts.
        if str(getattr(event, "action", "")).endswith(("ing", "ING")):
            return
        self.changed.emit()
