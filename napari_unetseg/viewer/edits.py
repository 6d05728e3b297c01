"""The tools that change labels: one choice, whatever button, key or layer made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unetseg.app.status import Notice
from napari_unetseg.viewer.brush import Brush
from napari_unetseg.viewer.click_tool import ClickTool
from napari_unetseg.viewer.editable import EditableLabels
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.object_tool import OBJECT_TOOLS, SPLIT, ObjectTool

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session

NONE, CLICK = "none", "click"
MODES = {"brush": "paint", "eraser": "erase", "fill": "fill", "polygon": "polygon"}
TOOLS = (*MODES, CLICK, *OBJECT_TOOLS, NONE)
_TOOL_OF_MODE = {mode: tool for tool, mode in MODES.items()}
MAX_BRUSH = 200
_NEEDS_A_NAME = "A new class needs a name: write it below the classes, then Add."
_HINTS = {"polygon": "Click point by point; double-click closes it, Esc begins anew."}


class EditTools:
    """Keeps the tool, the class and the brush of session and layer together.

    A tool that cannot be used where the view is now stays chosen, and comes back when
    it can.

    Signals
    -------
    changed
        Tool, brush size or the reason why nothing can be edited changed.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._tool = NONE
        self._brush = Brush()
        self._layer: EditableLabels | None = None
        self._following = False
        self.click_tool = ClickTool(
            viewer, session, layers, lambda: self._tool == CLICK
        )
        self.object_tool = ObjectTool(viewer, session, layers, lambda: self._tool)
        self.object_tool.changed.connect(self.changed)
        layers.changed.connect(self._on_layers)
        layers.edit_reason_changed.connect(self._on_reason)
        session.class_changed.connect(self._on_class)
        session.project_changed.connect(self._on_project)
        self._on_layers()

    @property
    def tool(self) -> str:
        """The tool: one of ``TOOLS``."""
        return self._tool

    @property
    def reason(self) -> str:
        """Why nothing can be painted now; "" if it can."""
        return self._layers.edit_reason

    @property
    def hint(self) -> str:
        """What the chosen tool has found, or waits for; "" where that is plain."""
        own = _HINTS.get(self._tool, "")
        return self.click_tool.hint or self.object_tool.hint or own

    def set_tool(self, name: str) -> None:
        """Choose a tool; it works as soon as the view allows.

        Raises
        ------
        ValueError
            If there is no tool of this name.
        """
        if name not in TOOLS:
            raise ValueError(f"No tool is called {name!r}: choose one of {TOOLS}.")
        if name != self._tool:
            self.object_tool.forget()
        self._tool = name
        if self._layer is not None and name != NONE:
            self._viewer.layers.selection.active = self._layer
            if not self._layer.visible and not self.reason:
                self._layer.visible = True
        self._apply()
        self.changed.emit()

    @property
    def brush(self) -> Brush:
        """How brush, eraser and fill paint."""
        return self._brush

    def set_brush(self, **changes: Any) -> None:
        """Change how they paint: ``size``, ``in_3d``, ``over``, ``follows``."""
        if "size" in changes:
            changes["size"] = min(max(1, int(changes["size"])), MAX_BRUSH)
        self._brush = replace(self._brush, **changes)
        self._give_brush()
        self.changed.emit()

    def step_brush(self, by: int) -> None:
        """Make the brush a notch larger or smaller: a voxel, or a tenth of a large one.

        Parameters
        ----------
        by
            1 or −1.
        """
        size = self._brush.size
        self.set_brush(size=size + by * max(1, size // 10))

    def set_locked(self, class_id: int, is_locked: bool) -> None:
        """Say whether a class may be painted over."""
        locked = self._brush.locked - {class_id}
        self.set_brush(locked=locked | {class_id} if is_locked else locked)

    def close(self) -> None:
        """Let go of session and layer."""
        self.click_tool.close()
        self.object_tool.close()
        self._layers.changed.disconnect(self._on_layers)
        self._layers.edit_reason_changed.disconnect(self._on_reason)
        self._session.class_changed.disconnect(self._on_class)
        self._session.project_changed.disconnect(self._on_project)
        self._release()

    def _on_layers(self) -> None:
        """Follow the editable layer when it is exchanged."""
        layer = self._layers.editable
        if layer is self._layer:
            return
        self._release()
        self._layer = layer
        if layer is not None:
            self._give_brush()
            layer.events.mode.connect(self._on_mode)
            layer.events.brush_size.connect(self._on_brush)
            layer.events.n_edit_dimensions.connect(self._on_brush)
            layer.events.selected_label.connect(self._on_selected_label)
            self._apply()
        self.changed.emit()

    def _release(self) -> None:
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._on_mode)
            self._layer.events.brush_size.disconnect(self._on_brush)
            self._layer.events.n_edit_dimensions.disconnect(self._on_brush)
            self._layer.events.selected_label.disconnect(self._on_selected_label)
        self._layer = None

    def _apply(self) -> None:
        """Give the layer the mode of the tool; out of reach it moves the camera."""
        if self._layer is None:
            return
        mode = MODES.get(self._tool, "pan_zoom") if not self.reason else "pan_zoom"
        self._following = True
        try:
            self._layer.mode = mode
            if mode == "pan_zoom":  # a line across an object does not move the camera
                self._layer.mouse_pan = self._tool != SPLIT
        finally:
            self._following = False

    def _give_brush(self) -> None:
        if self._layer is None:
            return
        self._following = True
        try:
            self._layer.set_brush(self._brush)
        finally:
            self._following = False

    def _on_reason(self, reason: str) -> None:
        self._apply()
        self.changed.emit()

    def _on_mode(self, event: object = None) -> None:
        """Take over a mode that was chosen on napari's own buttons."""
        if self._layer is None or self._following or self.reason:
            return
        if not self._layer.visible:
            return  # napari puts a hidden layer into pan_zoom, and back when shown
        self._tool = _TOOL_OF_MODE.get(str(self._layer.mode), NONE)
        self.changed.emit()

    def _on_brush(self, event: object = None) -> None:
        """Take over what was set on napari's own controls."""
        layer = self._layer
        if layer is None or self._following:
            return
        size, in_3d = int(layer.brush_size), layer.n_edit_dimensions == 3
        if (size, in_3d) != (self._brush.size, self._brush.in_3d):
            self._brush = layer.brush = replace(self._brush, size=size, in_3d=in_3d)
            self.changed.emit()

    def _on_selected_label(self, event: object = None) -> None:
        """Take over a class that was picked on napari's own controls."""
        if self._layer is None or self._following:
            return
        label = int(self._layer.selected_label)
        if label != self._session.current_class:
            self._session.set_class(label)
            if label != self._session.current_class:
                self._session.notice.emit(Notice("info", _NEEDS_A_NAME))
            self._on_class(self._session.current_class)

    def _on_project(self, project: object) -> None:
        """Unlock all classes: those of another project are others."""
        self.set_brush(locked=frozenset())

    def _on_class(self, class_id: int) -> None:
        if self._layer is not None and self._layer.selected_label != class_id:
            self._layer.selected_label = class_id
