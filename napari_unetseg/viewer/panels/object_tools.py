"""Buttons for whole objects, and for labels from slice to slice."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_unetseg.viewer.card import section
from napari_unetseg.viewer.controls import Choice, explain, push_button
from napari_unetseg.viewer.edits import NONE
from napari_unetseg.viewer.object_tool import MERGE, OBJECT, SPLIT
from napari_unetseg.viewer.panels.panel import Parts
from napari_unetseg.viewer.visible_box import hidden_axis

BETWEEN_DEPTH = 32  # slices to either side in which labelled ones are looked for
_TOOLS = (
    (OBJECT, "Choose", "Click an object, then press one of the buttons below."),
    (
        MERGE,
        "Merge",
        "Click two objects: they become one of the first one's class (M).",
    ),
    (SPLIT, "Split", "Click on each part and press Enter, or draw a line across (S)."),
)
_ACTIONS = (
    ("delete", "Delete", "Make the chosen object background."),
    ("relabel", "To class", "Give the chosen object the class chosen in the list."),
    ("fill", "Fill holes", "Fill what the chosen object encloses."),
    ("smooth", "Smooth", "Smooth the border of the chosen object."),
    ("grow", "Grow", "Grow the chosen object by a voxel, but not into others."),
    ("shrink", "Shrink", "Shrink the chosen object by a voxel."),
)
_SLICES = (
    ("interpolate", "Interpolate",
     "Fill the slices between those in which you labelled the class in view (I)."),
    ("copy", "Copy to next", "Copy what you labelled in this slice to the next one."),
    ("largest", "Keep largest", "Erase all pieces of the class in view but the "
     "largest."),
)  # fmt: skip
_CHOOSE_FIRST = "Choose an object first."
_CHOOSE_CLASS = "Choose a class in the list first."


class ObjectTools(QWidget):
    """Three tools, six buttons for the chosen object, three for slices."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._viewer, self._session = parts.viewer, parts.session
        self._layers, self._edits = parts.layers, parts.edits
        self.tools = Choice(_TOOLS)
        self.tools.chosen.connect(self._on_tool)
        self.buttons = self._buttons(_ACTIONS, self._act)
        self.slice_buttons = self._buttons(_SLICES, self.act_on_slices)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.tools)
        rows.addLayout(_grid(self.buttons))
        rows.addWidget(section("SLICES AND PIECES IN VIEW"))
        rows.addLayout(_grid(self.slice_buttons))

    def refresh(self) -> None:
        """Show the tool, and why something cannot be done."""
        refused = self._session.why_not("edit")
        for key, _, tip in _TOOLS:
            explain(self.tools.button(key), tip, refused)
        self.tools.choose(self._edits.tool)
        chosen = "" if self._edits.object_tool.point else _CHOOSE_FIRST
        for key, _, tip in _ACTIONS:
            explain(self.buttons[key], tip, refused or chosen)
        flat = "Go back to the 2D view first." if self._is_3d else ""
        for key, _, tip in _SLICES:
            explain(self.slice_buttons[key], tip, refused or flat or self._no_class)

    def act_on_slices(self, what: str) -> None:
        """Do what one of the buttons for slices does."""
        box = self._layers.visible_box(depth=BETWEEN_DEPTH)
        axis = hidden_axis(self._viewer) or 0
        plane = self._layers.visible_box(depth=0)
        if box is None or plane is None or plane.is_empty:
            return
        if what == "interpolate":
            self._session.interpolate_slices(box, axis)
        elif what == "copy":
            self._session.copy_slice(box, plane.start[axis], axis=axis)
        else:
            self._session.keep_largest(box)

    @property
    def _is_3d(self) -> bool:
        return bool(self._viewer.dims.ndisplay == 3)

    @property
    def _no_class(self) -> str:
        return (
            "" if self._session.current_class else "Choose a class in the list first."
        )

    def _buttons(
        self, rows: tuple[tuple[str, str, str], ...], act: Callable[[str], None]
    ) -> dict[str, QPushButton]:
        return {
            key: push_button(text, tip, lambda *_, key=key: act(key))
            for key, text, tip in rows
        }

    def _act(self, what: str) -> None:
        point = self._edits.object_tool.point
        if point is None or self._session.project is None:
            return
        voxel = min(self._session.project.volume.voxel_size)
        session = self._session
        match what:
            case "delete":
                session.delete_object(point)
            case "relabel":
                session.relabel_object(point)
            case "fill":
                session.fill_holes(point)
            case "smooth":
                session.smooth_object(point)
            case "grow":
                session.grow_object(point, voxel)
            case "shrink":
                session.shrink_object(point, voxel)

    def _on_tool(self, tool: str) -> None:
        self._edits.set_tool(NONE if tool == self._edits.tool else tool)


def _grid(buttons: dict[str, QPushButton]) -> QGridLayout:
    grid = QGridLayout()
    grid.setSpacing(6)
    for number, button in enumerate(buttons.values()):
        grid.addWidget(button, number // 3, number % 3)
    return grid
