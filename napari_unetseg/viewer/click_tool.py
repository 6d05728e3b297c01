"""Click an object, look at the outline, take it or leave it.

::

    click                 finds the object      ──▶ session.click
    Shift+click           cuts away                          │
    Ctrl+drag             box around it         ──▶ session.draw_box
    Ctrl+Shift+drag       line through it       ──▶ session.scribble
    Shift+drag            line, cuts away                    ▼
    Ctrl+wheel, [ and ]   larger, smaller           preview_changed ──▶ outline
    Enter / Esc           take it / leave it

What napari does with plain drags (moves) and with Alt (zooms) it goes on doing. In 3D
a click means the first surface that it hits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.prompts import drawn_box
from napari_unetseg.viewer.class_colormap import colormap_of
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.project_layers import PREVIEW
from napari_unetseg.viewer.rubber_band import RubberBand

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.interactive.click_segmenter import ClickResult

_OUTLINE = (1.0, 0.1, 0.8, 1.0)  # seen on white, on black, and beside all classes
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_BOX, _LINE, _CUTTING_LINE = {"Control"}, {"Control", "Shift"}, {"Shift"}
_DRAWING = (_BOX, _LINE, _CUTTING_LINE)
RESCALE = 1.25
FOUND_BY = {
    "prediction": "Found in the prediction.",
    "image": "Found in the image: the network knows no object here.",
}
IS_CUT = "It goes on beyond what was looked at: click on the rest after taking it."
CLICK_IT = "Click on an object, or Ctrl+drag a box around it."


@dataclass(frozen=True)
class _Ray:
    """Where a click in a 3D view looks: a point and a direction of the world, zyx."""

    position: np.ndarray
    direction: np.ndarray

    @classmethod
    def of(cls, event: Any) -> _Ray | None:
        if event.view_direction is None:
            return None
        position, direction = event.position[-3:], event.view_direction[-3:]
        return cls(np.asarray(position, float), np.asarray(direction, float))


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
        self._band = RubberBand(viewer, session, layers)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        session.preview_changed.connect(self._on_preview)
        layers.changed.connect(self._on_layers)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)
        self._napari_wheel: tuple[Callable[..., None], ...] = ()

    @property
    def hint(self) -> str:
        """What is shown, or what to do next; "" with another tool."""
        preview = self._session.preview
        if preview is not None:
            cut = f" {IS_CUT}" if preview.is_cut else ""
            return FOUND_BY[preview.found_by] + cut
        return (self._session.nothing_here or CLICK_IT) if self._is_chosen() else ""

    @property
    def has_preview(self) -> bool:
        """Whether an object waits for Enter or Esc."""
        return self._session.preview is not None

    def accept(self) -> None:
        """Take the previewed object."""
        self._session.accept_preview()

    def leave(self) -> None:
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
        self._give_wheel_back()
        self._band.close()
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._session.preview_changed.disconnect(self._on_preview)
        self._layers.changed.disconnect(self._on_layers)
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or not self._is_chosen():
            return
        modifiers, ray = set(event.modifiers), _Ray.of(event)
        points = [self._layers.voxel_at(event.position)]
        is_drawing = modifiers in _DRAWING and viewer.dims.ndisplay == 2
        camera = viewer.scene.camera
        could_pan = camera.mouse_pan
        camera.mouse_pan = could_pan and not is_drawing
        yield
        while event.type == "mouse_move":
            points.append(self._layers.voxel_at(event.position))
            if is_drawing:
                self._draw([p for p in points if p is not None], modifiers)
            yield
        camera.mouse_pan = could_pan
        self._band.clear()
        is_click = len(points) == 1
        if viewer.dims.ndisplay == 3:
            if is_click and ray is not None:
                self._click_in_3d(ray, positive="Shift" not in modifiers)
            return
        inside = tuple(dict.fromkeys(p for p in points if p is not None))
        if inside:
            self._prompt(inside, modifiers, is_click=is_click)

    def _draw(self, points: list[Zyx], modifiers: set[str]) -> None:
        """Show what has been drawn so far."""
        if modifiers != _BOX:
            self._band.show_line(points)
        elif points:
            self._band.show_box(points[0], points[-1])

    def _prompt(
        self, points: tuple[Zyx, ...], modifiers: set[str], *, is_click: bool
    ) -> None:
        """Give the session what was drawn; a plain drag has moved the camera."""
        positive = "Shift" not in modifiers
        if is_click:
            self._session.click(points[0], positive=positive)
        elif modifiers == _BOX:
            scale = self._layers.place(Box((0, 0, 0), (1, 1, 1)))["scale"]
            self._session.draw_box(drawn_box(points[0], points[-1], scale))
        elif modifiers == _LINE:
            self._session.scribble(points)
        elif modifiers == _CUTTING_LINE:
            self._session.scribble(points, positive=False)

    def _click_in_3d(self, ray: _Ray, *, positive: bool) -> None:
        place = self._layers.place(Box((0, 0, 0), (1, 1, 1)))
        if not place:
            return
        scale = np.asarray(place["scale"])
        start = (ray.position - place["translate"]) / scale
        point = self._session.pick(start, ray.direction / scale)
        if point is not None:
            self._session.click(point, positive=positive)

    def _on_wheel(self, viewer: ViewerModel, event: Any) -> None:
        if "Control" in event.modifiers:
            turned = float(np.clip(event.delta[1], -1, 1))  # notches, or parts of one
            self._session.rescale_preview(RESCALE**-turned)
            return
        for callback in self._napari_wheel:
            callback(viewer, event)

    def _take_wheel(self) -> None:
        """Have Ctrl+wheel, which moves through slices, while there is a preview."""
        if not self._napari_wheel:
            self._napari_wheel = tuple(self._viewer.mouse_wheel_callbacks)
            self._viewer.mouse_wheel_callbacks[:] = [self._on_wheel]

    def _give_wheel_back(self) -> None:
        if self._napari_wheel:
            self._viewer.mouse_wheel_callbacks[:] = list(self._napari_wheel)
            self._napari_wheel = ()

    def _on_preview(self, preview: ClickResult | None) -> None:
        layer = self._layers.layer(PREVIEW)
        if preview is None:
            self._give_wheel_back()
            if layer is not None:
                layer.visible = False
            return
        self._take_wheel()
        if layer is None:
            layer = self._new_layer(preview)
            self._layers.put(layer)
        place = self._layers.place(preview.box)
        layer.data = preview.mask.astype(np.uint8)
        layer.translate = place["translate"]
        layer.fit_outline(self._viewer.scene.camera.zoom)
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

    def _on_zoom(self, event: object = None) -> None:
        layer = self._layers.layer(PREVIEW)
        if layer is not None and layer.visible:
            layer.fit_outline(self._viewer.scene.camera.zoom)

    def _on_layers(self) -> None:
        if self._session.project is None:
            self._layers.take(PREVIEW)
