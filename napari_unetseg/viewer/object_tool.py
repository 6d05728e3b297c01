"""Tools for whole objects: choose one, merge two, split one.

::

    object   click ──▶ outlined; buttons and keys change it
    merge    click, click ──▶ session.merge_objects
    split    a click on each part, Enter ──▶ session.split_object
             a line drawn across ──────────▶ session.split_along
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from psygnal import Signal

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.class_colormap import colormap_of
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.project_layers import CHOSEN, MARKS
from napari_unetseg.viewer.rubber_band import RubberBand
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.interactive.objects import LabelledObject
    from napari_unetseg.viewer.layers import SessionLayers

OBJECT, MERGE, SPLIT = "object", "merge", "split"
OBJECT_TOOLS = (OBJECT, MERGE, SPLIT)
_OUTLINE, _CLEAR = (1.0, 0.1, 0.8, 1.0), (0.0, 0.0, 0.0, 0.0)
_MARK_PX = 9
_LEAST_LINE = 3  # voxels that a line is long, else it was a click
_FIRST = {
    OBJECT: "Click an object to choose it.",
    MERGE: "Click the object that stays what it is.",
    SPLIT: "Click on each part, then press Enter; or draw a line across.",
}


class ObjectTool:
    """Turns clicks into verbs on objects while one of its tools is chosen.

    Signals
    -------
    changed
        Another object is chosen, or what is to be done next has changed.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        tool: Callable[[], str],
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._tool = tool
        self._points: tuple[Zyx, ...] = ()
        self.chosen: LabelledObject | None = None
        self._band = RubberBand(viewer, session, layers)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        layers.changed.connect(self._on_layers)
        session.labels_changed.connect(self._on_labels)
        session.annotator_changed.connect(self._on_annotator)
        viewer.scene.camera.events.zoom.connect(self._fit_outline)

    @property
    def point(self) -> Zyx | None:
        """A voxel of the chosen object."""
        return self._points[-1] if self.chosen is not None else None

    @property
    def hint(self) -> str:
        """What to do next; "" with another tool."""
        tool, n = self._tool(), len(self._points)
        if tool in OBJECT_TOOLS and self._session.nothing_here:
            return self._session.nothing_here
        if tool == MERGE and n == 1:
            return "Now click the object that joins it. Esc begins anew."
        if tool == SPLIT and n:
            return f"{n} marked. Click on the next part; Enter cuts, Esc begins anew."
        if tool == OBJECT and self.chosen is not None:
            return f"{self.chosen.mask.sum():,} voxels chosen."
        return _FIRST.get(tool, "")

    @property
    def is_waiting(self) -> bool:
        """Whether something was clicked that Esc forgets."""
        return bool(self._points)

    def finish(self) -> bool:
        """Cut at the marks; whether there was something to cut."""
        if self._tool() != SPLIT or len(self._points) < 2:
            return False
        self._session.split_object(self._points)
        return True

    def forget(self) -> None:
        """Forget what was clicked."""
        self._points, self.chosen = (), None
        self._show()

    def close(self) -> None:
        """Let go of session and viewer."""
        self._band.close()
        self._session.annotator_changed.disconnect(self._on_annotator)
        self._viewer.scene.camera.events.zoom.disconnect(self._fit_outline)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._layers.changed.disconnect(self._on_layers)
        self._session.labels_changed.disconnect(self._on_labels)

    # --- what the person does -------------------------------------------------------

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        tool = self._tool()
        if event.button != 1 or tool not in OBJECT_TOOLS:
            return
        line = [self._layers.voxel_at(event.position)]
        yield
        while event.type == "mouse_move":
            line.append(self._layers.voxel_at(event.position))
            if tool == SPLIT and viewer.dims.ndisplay == 2:
                self._band.show_line([point for point in line if point is not None])
            yield
        self._band.clear()
        if viewer.dims.ndisplay == 3:
            viewer.status = "Click in the 2D view."
            return
        drawn = [point for point in line if point is not None]
        if _is_line(drawn):
            if tool == SPLIT:
                self._cut(drawn)
        elif drawn:
            self._click(tool, drawn[0])

    def _click(self, tool: str, point: Zyx) -> None:
        if tool == SPLIT:
            self._points = (*self._points, point)
        elif tool == MERGE and self.chosen is not None:
            first, self._points, self.chosen = self._points[0], (), None
            self._session.merge_objects(first, point)
        else:
            self.chosen = self._session.find_object(point)
            self._points = (point,) if self.chosen is not None else ()
        self._show()

    def _cut(self, line: list[Zyx]) -> None:
        axis = hidden_axis(self._viewer)
        self._session.split_along(line, axis or 0)
        self.forget()

    # --- what is shown --------------------------------------------------------------

    def _on_labels(self, box: Box | None) -> None:
        """Choose the object again that was chosen, as it is now; forget old marks."""
        if self._tool() == SPLIT and self._points:
            self.forget()
            return
        chosen = self.chosen
        if chosen is None or not (
            box is None or box.overlaps(chosen.box.grown((1,) * 3))
        ):
            return
        self.chosen = self._session.peek_object(self._points[-1])
        if self.chosen is None:
            self._points = ()
        self._show()

    def _on_annotator(self, name: str) -> None:
        """Another person sees other labels: what was chosen may not be there."""
        if self.is_waiting:
            self.forget()

    def _on_layers(self) -> None:
        if self._session.project is None:
            self._points, self.chosen = (), None
            for name in (CHOSEN, MARKS):
                self._layers.take(name)

    def _show(self) -> None:
        self._show_chosen()
        self._show_marks()
        self.changed.emit()

    def _show_chosen(self) -> None:
        layer, chosen = self._layers.layer(CHOSEN), self.chosen
        if chosen is None:
            if layer is not None:
                layer.visible = False
            return
        mask, place = chosen.mask.astype(np.uint8), self._layers.place(chosen.box)
        if layer is not None:
            layer.data, layer.translate = mask, place["translate"]
            layer.visible = True
            self._fit_outline()
            return
        layer = FlatOutlines(
            mask,
            name=CHOSEN,
            colormap=colormap_of([_CLEAR, _OUTLINE]),
            opacity=1,
            **place,
        )
        layer.contour, layer.editable = 1, False
        self._layers.put(layer)
        self._fit_outline()

    def _fit_outline(self, event: object = None) -> None:
        layer = self._layers.layer(CHOSEN)
        if layer is not None and layer.visible:
            layer.fit_outline(self._viewer.scene.camera.zoom)

    def _show_marks(self) -> None:
        layer = self._layers.layer(MARKS)
        marks = self._points if self._tool() == SPLIT else ()
        if layer is None:
            if not marks:
                return
            layer = Points(
                np.empty((0, 3)),
                name=MARKS,
                face_color="white",
                border_color="black",
                size=_MARK_PX,
                canvas_size_limits=(_MARK_PX, _MARK_PX),
                **self._layers.place(Box.whole((1, 1, 1))),
            )
            layer.editable = False
            self._layers.put(layer)
        layer.data = np.asarray(marks, float).reshape(-1, 3)
        layer.visible = bool(marks)


def _is_line(points: list[Zyx]) -> bool:
    if len(points) < 2:
        return False
    ends = np.asarray(points[-1]) - np.asarray(points[0])
    return bool(np.abs(ends).max() >= _LEAST_LINE)
