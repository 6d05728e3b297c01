"""Click an object, look at the outline, take it or leave it.

::

    click ──▶ session.click ──▶ preview_changed ──▶ outline
    Shift+click cuts away          Enter ──▶ session.accept_preview   one stroke
    [ and ] smaller, larger        Esc ────▶ session.leave_preview    noted, nothing else
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.viewer.class_colormap import colormap_of
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.project_layers import PREVIEW

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.interactive.click_segmenter import ClickResult

_OUTLINE = (1.0, 1.0, 1.0, 1.0)
_CLEAR = (0.0, 0.0, 0.0, 0.0)
RESCALE = 1.25


class ClickTool:
    """Turns clicks on the canvas into clicks of the session while it is the tool."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        is_chosen: Callable[[], bool],
    ) -> None:
        self._viewer, self._session = viewer, session
        self._layers, self._is_chosen = layers, is_chosen
        viewer.mouse_drag_callbacks.append(self._on_drag)
        session.preview_changed.connect(self._on_preview)
        layers.changed.connect(self._on_layers)

    @property
    def has_preview(self) -> bool:
        """Whether an object waits for Enter or Esc."""
        return self._session.preview is not None

    def accept(self) -> None:
        """Take the previewed object."""
        self._session.accept_preview()

    def drop(self) -> None:
        """Leave the previewed object."""
        self._session.leave_preview()

    def larger(self) -> None:
        """Grow the previewed object."""
        self._session.rescale_preview(1 / RESCALE)

    def smaller(self) -> None:
        """Shrink the previewed object."""
        self._session.rescale_preview(RESCALE)

    def close(self) -> None:
        """Let go of session and viewer."""
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._session.preview_changed.disconnect(self._on_preview)
        self._layers.changed.disconnect(self._on_layers)

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or not self._is_chosen():
            return
        position, positive = event.position, "Shift" not in event.modifiers
        yield
        if event.type == "mouse_move":
            return  # dragged: the camera moved, nobody clicked
        if viewer.dims.ndisplay == 3:
            viewer.status = "Click in the 2D view."
            return
        point = self._layers.voxel_at(position)
        if point is not None:
            self._session.click(point, positive=positive)

    def _on_preview(self, preview: ClickResult | None) -> None:
        layer = self._layers.layer(PREVIEW)
        if preview is None:
            if layer is not None:
                layer.visible = False
            return
        if layer is None:
            layer = self._new_layer(preview)
            self._layers.put(layer)
        place = self._layers.place(preview.box)
        layer.data = preview.mask.astype(np.uint8)
        layer.translate = place["translate"]
        layer.visible = True

    def _new_layer(self, preview: ClickResult) -> FlatOutlines:
        layer = FlatOutlines(
            preview.mask.astype(np.uint8),
            name=PREVIEW,
            colormap=colormap_of([_CLEAR, _OUTLINE]),
            opacity=1,
            **self._layers.place(preview.box),
        )
        layer.contour = 1
        layer.editable = False
        return layer

    def _on_layers(self) -> None:
        if self._session.project is None:
            self._layers.take(PREVIEW)
