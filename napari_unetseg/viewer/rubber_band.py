"""What the mouse is drawing: a box or a line, until it is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.project_layers import DRAWN
from napari_unetseg.viewer.thin_lines import ThinLines, frames, path
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

_BLUE = "#4a8ff0"
_PIXELS = 2.0


class RubberBand:
    """One layer of lines over the slice; it comes with the first drag."""

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        layers.changed.connect(self._on_layers)

    def show_box(self, first: Zyx, last: Zyx) -> None:
        """Draw the rectangle between two voxels of the slice."""
        axis = hidden_axis(self._viewer)
        if axis is None:
            return
        corners = np.array([first, last])
        box = Box(tuple(corners.min(axis=0)), tuple(corners.max(axis=0) + 1))
        self._show(frames([box], axis, first[axis]))

    def show_line(self, points: list[Zyx]) -> None:
        """Draw a line through voxels of the slice."""
        self._show(path(points))

    def clear(self) -> None:
        """Draw nothing more."""
        layer = self._layers.layer(DRAWN)
        if layer is not None and len(layer.data):
            layer.show(path([]))

    def close(self) -> None:
        """Let go of the layers."""
        self._layers.changed.disconnect(self._on_layers)

    def _show(self, vectors: np.ndarray) -> None:
        project = self._session.project
        if project is None:
            return
        layer = self._layers.layer(DRAWN)
        if layer is None:
            shape = project.volume.shape
            place = self._layers.place(Box.whole(shape))
            layer = ThinLines(shape, name=DRAWN, edge_color=_BLUE, **place)
            layer.editable = False
            self._layers.put(layer)
        layer.fit_width(_PIXELS, self._viewer.scene.camera.zoom)
        layer.show(vectors)

    def _on_layers(self) -> None:
        if self._session.project is None:
            self._layers.take(DRAWN)
