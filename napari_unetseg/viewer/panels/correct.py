"""The card with the tools that change labels."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.viewer.card import Fold, section
from napari_unetseg.viewer.controls import (
    Choice,
    explain,
    label,
    push_button,
    quieten_wheel,
    row,
    set_hint,
)
from napari_unetseg.viewer.edits import CLICK, MAX_BRUSH, MODES, NONE
from napari_unetseg.viewer.panels.brush_options import BrushOptions
from napari_unetseg.viewer.panels.history import HistoryList
from napari_unetseg.viewer.panels.object_tools import ObjectTools
from napari_unetseg.viewer.panels.panel import Panel, Parts
from napari_unetseg.viewer.style import SWATCH, Palette, hollow_swatch, swatch

_CLICK = """Click an object to find it, Shift+click to cut away (C).
Ctrl+drag: a box around it. Ctrl+Shift+drag: a line through it.
Shift+drag: a line through what does not belong to it.
Ctrl+wheel: larger or smaller."""
_TOOLS = (
    ("brush", "Brush", "Paint the chosen class (B)."),
    ("eraser", "Eraser", "Erase: what you erase counts as background (E)."),
    ("fill", "Fill", "Fill a connected region with the chosen class (F)."),
    ("polygon", "Polygon", "Draw an outline point by point."),
    (CLICK, "Click", _CLICK),
)
_TOOL_TIPS = {key: tip for key, _, tip in _TOOLS}
_ROW_HEIGHT, _MAX_ROWS = 24, 7
_UNDO = "Take your last edit back, whatever tool it was (Ctrl+Z)."
_REDO = "Do again what you took back last (Ctrl+Shift+Z)."
_REVIEWED = (
    "Say that everything in view on this slice is right now, background too. "
    "The network learns from it as from your strokes."
)
_ADD = "Add a class of this name."
_THIN = (
    "For membranes and fibres: zoomed out, predictions show every voxel of the class "
    "instead of what most voxels are. It counts for models that have predicted nothing "
    "here yet."
)
_LOCKED = "Nothing is painted over this class, the background included, until unlocked."
_BRUSH = "Diameter of brush and eraser in voxels ( [ and ] )."


class CorrectPanel(Panel):
    """Tools, brush size, classes, undo."""

    name = "Correct"
    hears = ("class_changed", "classes_changed", "labels_changed",
             "predictions_changed", "model_changed", "annotator_changed",
             "preview_changed", "notice")  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._palette: Palette | None = None
        self._shown: tuple[ClassInfo, ...] | None = None
        self.tools = Choice(_TOOLS)
        self.tools.chosen.connect(self._on_tool)
        self._hint = label(role="hint", wraps=True)
        self._brush_row = self._make_brush_row()
        self._preview_row = self._make_preview_row()
        self.classes = self._make_class_list()
        self.thin = QCheckBox("Thin: keep all of it when zoomed out")
        self.thin.clicked.connect(self._on_thin)
        self.locked = QCheckBox("Locked")
        self.locked.clicked.connect(self._on_locked)
        self.new_class = QLineEdit()
        self.new_class.setPlaceholderText("another class")
        self.new_class.returnPressed.connect(self._add_class)
        self.new_class.textChanged.connect(self.mark)
        self.add = push_button("Add", _ADD, self._add_class)
        self.undo = push_button("Undo", _UNDO, lambda: self.session.undo())
        self.redo = push_button("Redo", _REDO, lambda: self.session.redo())
        self.reviewed = push_button(
            "Mark view as reviewed", _REVIEWED, self._mark_reviewed
        )
        self.body.addWidget(self.tools)
        self.body.addWidget(self._hint)
        self.body.addWidget(self._preview_row)
        self.body.addWidget(self._brush_row)
        self.body.addWidget(self.more)
        self.objects = ObjectTools(parts)
        self.object_fold = Fold(
            self.objects, "Merge, split, fill, smooth, grow, interpolate.", "objects"
        )
        self.body.addLayout(row(None, self.object_fold.button))
        self.body.addWidget(self.object_fold)
        self.body.addWidget(section("CLASSES"))
        self.body.addWidget(self.classes)
        self.body.addLayout(row(self.thin, None, self.locked))
        self.body.addLayout(row(self.new_class, self.add))
        self.history = HistoryList(parts)
        self.past = Fold(self.history, "All edits: go there, take back.", "history")
        self.body.addLayout(row(self.undo, self.redo, None, self.past.button))
        self.body.addWidget(self.past)
        self.body.addLayout(row(self.reviewed, None))
        self.past.toggled.connect(self.mark)
        self.connections.add(self.edits.changed, self.mark)

    def refresh(self) -> None:
        """Show tool, brush, classes and what can be done."""
        refused = self.session.why_not("edit")
        self._show_tools(refused)
        self._show_brush(refused)
        self._preview_row.setVisible(self.session.preview is not None)
        self._show_classes()
        explain(self.undo, _UNDO, self.session.why_not("undo"))
        explain(self.redo, _REDO, self.session.why_not("redo"))
        explain(self.reviewed, _REVIEWED, self._why_not_reviewed())
        self.objects.refresh()
        if self.past.is_open:
            self.history.refresh()
        refused = self.session.why_not("add_class")
        explain(self.new_class, _ADD, refused)
        named = "" if self.new_class.text().strip() else "Write its name first."
        explain(self.add, _ADD, refused or named)
        self.set_summary(self._summary())

    def close_panel(self) -> None:
        """Let go of session and layers."""
        super().close_panel()
        self.history.close_list()

    def set_palette(self, palette: Palette) -> None:
        """Draw the swatch of the background anew."""
        self._palette, self._shown = palette, None
        self.mark()

    # --- parts --------------------------------------------------------------------

    def _make_brush_row(self) -> QWidget:
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, 64)
        self.brush.valueChanged.connect(self._on_brush)
        self.brush_number = QSpinBox()
        self.brush_number.setRange(1, MAX_BRUSH)
        self.brush_number.setKeyboardTracking(False)
        self.brush_number.valueChanged.connect(self._on_brush)
        self.options = BrushOptions(self.edits)
        self.more = Fold(self.options, "What is painted over, in how many slices.")
        holder = QWidget()
        holder.setLayout(
            row(label("size", "field"), self.brush, self.brush_number, self.more.button)
        )
        quieten_wheel(holder)
        return holder

    def _make_preview_row(self) -> QWidget:
        click = self.edits.click_tool
        holder = QWidget()
        holder.setLayout(
            row(
                push_button("Take it", "Write the found object (Enter).",
                            click.accept, "primary"),
                push_button("Leave it", "Forget the found object (Esc).", click.leave),
                None,
                push_button("smaller", "A smaller object ( [ ).", click.smaller),
                push_button("larger", "A larger object ( ] ).", click.larger),
            )
        )  # fmt: skip
        return holder

    def _make_class_list(self) -> QListWidget:
        classes = QListWidget()
        classes.setToolTip("The class that the tools paint (1 to 9).")
        classes.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        classes.setIconSize(QSize(SWATCH, SWATCH))
        classes.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        classes.itemClicked.connect(
            lambda item: self.session.set_class(classes.row(item))
        )
        return classes

    # --- what is shown ------------------------------------------------------------

    def _show_tools(self, refused: str) -> None:
        for tool, tip in _TOOL_TIPS.items():
            explain(self.tools.button(tool), tip, refused)
        self.tools.choose(self.edits.tool)
        chosen = self.edits.tool in MODES
        hint = self.edits.reason if chosen or refused else ""
        set_hint(self._hint, hint or self.edits.hint)

    def _show_brush(self, refused: str) -> None:
        size = self.edits.brush.size
        for control in (self.brush, self.brush_number):
            control.blockSignals(True)
            control.setValue(size)
            control.blockSignals(False)
            explain(control, _BRUSH, refused)
        self.options.show_brush(refused, self.session.why_not("follow"))

    def _show_classes(self) -> None:
        project = self.session.project
        classes = () if project is None else project.classes
        if classes != self._shown:
            self._shown = classes
            self.classes.clear()
            for item in self._class_rows(classes):
                self.classes.addItem(item)
            rows = min(max(self.classes.count(), 1), _MAX_ROWS)
            self.classes.setFixedHeight(rows * _ROW_HEIGHT + 4)
        self.classes.setVisible(bool(classes))
        number = self.session.current_class
        self.classes.setCurrentRow(number if classes else -1)
        refused = self.session.why_not("add_class")
        if not refused and number == 0:
            refused = "Choose a class first: the background is never thin."
        explain(self.thin, _THIN, refused)
        self.thin.setVisible(bool(classes))
        self.thin.setChecked(0 < number <= len(classes) and classes[number - 1].thin)
        explain(self.locked, _LOCKED, "" if classes else "Open a project first.")
        self.locked.setVisible(bool(classes))
        self.locked.setChecked(number in self.edits.brush.locked)

    def _class_rows(self, classes: tuple[ClassInfo, ...]) -> list[QListWidgetItem]:
        if not classes:
            return []
        muted = self._palette.muted if self._palette else QColor("grey").name()
        background = QListWidgetItem(hollow_swatch(muted), "0   background")
        background.setToolTip("Nothing: paints like the eraser.")
        rows = [background]
        for info in classes:
            item = QListWidgetItem(swatch(info.color), f"{info.id}   {info.name}")
            key = f" Key {info.id}." if info.id < 10 else ""
            item.setToolTip(f"Paint {info.name}.{key}")
            rows.append(item)
        for item in rows:
            item.setSizeHint(QSize(0, _ROW_HEIGHT))
        return rows

    def _summary(self) -> str:
        project, number = self.session.project, self.session.current_class
        if project is None:
            return ""
        names = ("background", *project.class_names)
        name = names[number] if number < len(names) else ""
        tool = self.edits.tool
        if tool == NONE:
            return f"no tool · class {name}"
        size = f" {self.edits.brush.size}" if tool in ("brush", "eraser") else ""
        return f"{tool}{size} · class {name}"

    def _why_not_reviewed(self) -> str:
        if refused := self.session.why_not("review"):
            return refused
        return "Go back to the 2D view first." if self._is_3d() else ""

    def _is_3d(self) -> bool:
        return bool(self.viewer.dims.ndisplay == 3)

    # --- what the person does -----------------------------------------------------

    def _on_tool(self, tool: str) -> None:
        # Pressing the chosen tool again puts it away.
        self.edits.set_tool(NONE if tool == self.edits.tool else tool)
        self.mark()

    def _on_brush(self, size: int) -> None:
        self.edits.set_brush(size=size)

    def _add_class(self) -> None:
        name = self.new_class.text().strip()
        if name and self.session.add_class(name) is not None:
            self.new_class.clear()

    def _on_thin(self, is_thin: bool) -> None:
        self.session.set_thin(self.session.current_class, is_thin)

    def _on_locked(self, is_locked: bool) -> None:
        self.edits.set_locked(self.session.current_class, is_locked)

    def _mark_reviewed(self) -> None:
        box = self.layers.visible_box(depth=0)
        if box is not None and not box.is_empty:
            self.session.mark_reviewed(box)
