"""All keys in one table, and how they reach the viewer.

A key is bound twice: on the viewer, where napari's layers go first, and on our editable
layer, where we go first. There a key that has nothing to do falls through to napari::

    key ──▶ editable layer, if active ──▶ napari's map of the active layer ──▶ viewer
                ours, first                     napari's                       ours
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app_model.types import KeyBinding
from napari.layers import Labels
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence

from napari_unetseg.app.session import Session
from napari_unetseg.viewer.click_tool import ClickTool
from napari_unetseg.viewer.editable import EditableLabels
from napari_unetseg.viewer.edits import EditTools
from napari_unetseg.viewer.keys_dialog import KeysDialog
from napari_unetseg.viewer.layers import SessionLayers

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.viewer.main_widget import MainWidget


@dataclass(frozen=True)
class KeyRow:
    """One line of the table.

    Attributes
    ----------
    key
        As napari spells it; several keys of one kind as a range for the eye.
    does
        What the person reads.
    action_id
        Names a method of :class:`KeyActions`.
    """

    key: str
    does: str
    action_id: str


KEYS = (
    KeyRow("P", "predict the visible region", "predict_view"),
    KeyRow("T", "fine-tune the model on all corrections", "finetune"),
    KeyRow("N", "next region in the worklist", "next_item"),
    KeyRow("Shift-N", "region before", "previous_item"),
    KeyRow("A", "accept the region under review", "accept_item"),
    KeyRow("X", "skip the region under review", "skip_item"),
    KeyRow("B", "brush", "brush"),
    KeyRow("E", "eraser: what is erased counts as background", "eraser"),
    KeyRow("F", "fill", "fill"),
    KeyRow("C", "click tool: click adds, Shift+click cuts away", "click"),
    KeyRow("Enter", "take the previewed object", "accept_preview"),
    KeyRow("Escape", "drop the previewed object", "drop_preview"),
    KeyRow("[", "smaller brush, or smaller object while one is previewed", "smaller"),
    KeyRow("]", "larger brush, or larger object while one is previewed", "larger"),
    *(KeyRow(str(n), f"class {n}", f"class_{n}") for n in range(1, 10)),
    KeyRow("D", "disagreement map on or off", "toggle_map"),
    KeyRow("O", "labels as outlines only, or filled", "contours_only"),
    KeyRow("Ctrl-Z", "undo, whatever tool it was", "undo"),
    KeyRow("Ctrl-Shift-Z", "redo", "redo"),
    KeyRow("?", "show all keys", "show_keys"),
)


class KeyActions:
    """What the keys do: each method returns whether it had something to do."""

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        layers: SessionLayers,
        edits: EditTools,
        click_tool: ClickTool,
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._edits, self._click_tool = edits, click_tool

    def run(self, action_id: str) -> bool:
        """Do what a row of the table says; say whether there was something to do."""
        if action_id.startswith("class_"):
            return self._choose_class(int(action_id.removeprefix("class_")))
        if action_id in ("brush", "eraser", "fill", "click"):
            self._edits.set_tool(action_id)
            return True
        done = getattr(self, action_id)()
        return done is not False

    def predict_view(self) -> None:
        self._session.predict(self._layers.visible_box())

    def finetune(self) -> None:
        self._session.finetune()

    def next_item(self) -> None:
        self._go_to(self._session.next_item())

    def previous_item(self) -> None:
        self._go_to(self._session.previous_item())

    def accept_item(self) -> None:
        self._go_to(self._session.accept_item())

    def skip_item(self) -> None:
        self._go_to(self._session.skip_item())

    def accept_preview(self) -> bool:
        if self._click_tool.has_preview:
            self._click_tool.accept()
            return True
        return False

    def drop_preview(self) -> bool:
        if self._click_tool.has_preview:
            self._click_tool.drop()
            return True
        return False

    def smaller(self) -> None:
        if self._click_tool.has_preview:
            self._click_tool.smaller()
        else:
            self._edits.brush_size -= 1

    def larger(self) -> None:
        if self._click_tool.has_preview:
            self._click_tool.larger()
        else:
            self._edits.brush_size += 1

    def toggle_map(self) -> None:
        self._layers.toggle_map()

    def contours_only(self) -> None:
        self._layers.toggle_contours_only()

    def undo(self) -> None:
        self._session.undo()

    def redo(self) -> None:
        self._session.redo()

    def show_keys(self) -> None:
        KeysDialog(self._viewer.window._qt_window, KEYS).open()  # noqa: SLF001

    def _choose_class(self, class_id: int) -> bool:
        project = self._session.project
        if project is None or class_id > len(project.classes):
            return False
        self._session.set_class(class_id)
        return True

    def _go_to(self, item: Any) -> None:
        if item is not None:
            self._layers.go_to(item.box)
