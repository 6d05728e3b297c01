"""The card that walks through the regions worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from napari_unetseg.viewer.card import Fold, section
from napari_unetseg.viewer.contours import CONTOUR_LEVELS
from napari_unetseg.viewer.controls import (
    explain,
    label,
    push_button,
    row,
    set_hint,
)
from napari_unetseg.viewer.label_layers import BACKGROUND, OTHERS
from napari_unetseg.viewer.panels.object_list import ObjectList
from napari_unetseg.viewer.panels.panel import Panel, Parts
from napari_unetseg.viewer.panels.raters import RaterTools
from napari_unetseg.viewer.panels.strategy_choice import StrategyChoice
from napari_unetseg.viewer.pictures import grey_icon
from napari_unetseg.viewer.project_layers import MAP_LAYERS
from napari_unetseg.viewer.style import gradient, swatch

if TYPE_CHECKING:
    from napari_unetseg.training.worklist_item import WorkItem

_ROW_HEIGHT, _MAX_ROWS = 44, 5
_PICTURE = 40
_START = "Press N to go to the first region."
_LOOKING = "Looking for regions…"
_ALL_DONE = (
    "Nothing left to review here. Choose another order, predict more, or fine-tune."
)
_NO_ITEM = "Go to a region first (N)."
_NONE_OPEN = "There is no region to go to."
_TIPS = {
    "next": "Go to the next region of the list (N).",
    "previous": "Go to the region before (Shift+N).",
    "accept": "The labels here are right as they are now; go on (A).",
    "skip": "Leave this region out; go on (X).",
}
_MAP_TIPS = {
    "rater disagreement": "Where the raters would disagree. 0 they agree, 1 they do "
    "not. Key D.",
    "model disagreement": "How much the answer changes when the image is mirrored.",
    "total uncertainty": "How unsure the model is, whatever the cause.",
}
_CONTOUR_TIP = (
    "Where 25, 50 and 75 % of the raters draw the class; with one rater, where its "
    "probability is 25, 50 and 75 %."
)


class ReviewPanel(Panel):
    """Worklist, its four buttons, and the legend of the maps."""

    name = "Review"
    hears = ("worklist_changed", "predictions_changed", "model_changed",
             "classes_changed", "labels_changed", "objects_changed",
             "preferences_changed")  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._hint = label(role="hint", wraps=True)
        self.list = QListWidget()
        self.list.setToolTip("Regions worth a look, and why. Click to go there.")
        self.list.setIconSize(QSize(_PICTURE, _PICTURE))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.list.itemClicked.connect(self._on_clicked)
        self.next = push_button("Next", _TIPS["next"], self._next, "primary")
        self.previous = push_button("Previous", _TIPS["previous"], self._previous)
        self.accept = push_button("Accept", _TIPS["accept"], self._accept)
        self.skip = push_button("Skip", _TIPS["skip"], self._skip)
        self.legend = MapLegend(parts)
        self.strategy = StrategyChoice(self.session)
        self.body.addWidget(self.strategy)
        self.body.addWidget(self._hint)
        self.body.addWidget(self.list)
        self.body.addLayout(row(self.next, self.accept, self.skip, None, self.previous))
        self._progress = label(role="hint", wraps=True)
        self.body.addWidget(self._progress)
        self.body.addWidget(self.legend)
        self.objects = ObjectList(parts)
        self.object_fold = Fold(
            self.objects, "All objects, to look through.", "objects"
        )
        self.object_fold.toggled.connect(self.mark)
        self.raters = RaterTools(parts)
        self.rater_fold = Fold(
            self.raters, "What each rater draws, and how far they agree.", "raters"
        )
        self.rater_fold.toggled.connect(self.raters.set_open)
        self.body.addLayout(row(None, self.rater_fold.button, self.object_fold.button))
        self.body.addWidget(self.rater_fold)
        self.body.addWidget(self.object_fold)
        self._shown: tuple[WorkItem, ...] = ()
        self.connections.add(self.layers.changed, self.mark)

    def refresh(self) -> None:
        """Show the list and what can be done with it."""
        items, index = self.session.worklist, self.session.worklist_index
        self._show_items(items, index)
        self.strategy.refresh()
        reason = self.session.why_not("worklist")
        none = reason or ("" if items else _NONE_OPEN)
        explain(self.next, _TIPS["next"], none)
        explain(self.previous, _TIPS["previous"], none)
        closing = self.session.why_not("review") or none
        closing = closing or ("" if index >= 0 else _NO_ITEM)
        explain(self.accept, _TIPS["accept"], closing)
        explain(self.skip, _TIPS["skip"], closing)
        set_hint(self._hint, reason or self._what_next(items, index))
        self.set_summary(self._summary(len(items)))
        if self.object_fold.is_open:
            self.objects.refresh()
        if self.rater_fold.is_open:
            self.raters.refresh()
        set_hint(self._progress, self._progress_text())
        self.legend.refresh()

    def close_panel(self) -> None:
        """Let go of session and layers."""
        super().close_panel()
        self.legend.close_legend()
        self.raters.close_tools()

    def _what_next(self, items: tuple[WorkItem, ...], index: int) -> str:
        if not items:
            return _LOOKING if self.session.is_ranking else _ALL_DONE
        return "" if index >= 0 else _START

    def _progress_text(self) -> str:
        """Say who has looked at what, as one sentence; "" if nobody has."""
        done, project = self.session.progress, self.session.project
        if project is None or not done.total:
            return ""
        names = {info.id: info.name for info in project.classes}
        parts = [f"{n} {state}" for state, n in done.by_state.items()]
        if len(done.by_annotator) > 1:
            parts += [f"{name} {n}" for name, n in done.by_annotator.items()]
        parts += [f"{names.get(id_, id_)} {n}" for id_, n in done.by_class.items()]
        if done.seconds is not None:
            parts.append(f"{done.seconds:.0f} s each")
        return " · ".join(parts)

    def _summary(self, n_open: int) -> str:
        project = self.session.project
        if project is None or self.session.predictions is None:
            return ""
        return f"{n_open} open · {self.session.progress.total} done"

    def _show_items(self, items: tuple[WorkItem, ...], index: int) -> None:
        if items != self._shown:
            self._shown = items
            self.list.clear()
            for item in items:
                self.list.addItem(self._row(item))
            rows = min(max(len(items), 1), _MAX_ROWS)
            self.list.setFixedHeight(rows * _ROW_HEIGHT + 4)
        self.list.setVisible(bool(items))
        self.list.setCurrentRow(index)

    def _row(self, item: WorkItem) -> QListWidgetItem:
        project = self.session.project
        classes = {} if project is None else {c.id: c for c in project.classes}
        info = classes.get(item.class_id)
        score = f" · score {item.score:.2f}" if item.map_name else ""
        row_item = QListWidgetItem(f"{item.reason}\nz {item.centre[0]}{score}")
        row_item.setSizeHint(QSize(0, _ROW_HEIGHT))
        name = "" if info is None else f"{info.name}: "
        found_in = item.map_name and f"map: {item.map_name.replace('_', ' ')} · "
        row_item.setToolTip(
            f"{name}{item.reason}\n{found_in}score {item.score:.2f} · {item.box}\n"
            "Click to go there."
        )
        picture = self.session.picture_of(item)
        if picture is not None:
            row_item.setIcon(grey_icon(picture, None if info is None else info.color))
        elif info is not None:
            row_item.setIcon(swatch(info.color))
        return row_item

    def _on_clicked(self, clicked: QListWidgetItem) -> None:
        wanted = self.list.row(clicked)
        # The session walks; a click is as many steps.
        step = self.session.next_item
        for _ in range(len(self.session.worklist)):
            if self.session.worklist_index == wanted:
                break
            step()
        self._go_to(self.session.worklist[wanted])

    def _next(self) -> None:
        self._go_to(self.session.next_item())

    def _previous(self) -> None:
        self._go_to(self.session.previous_item())

    def _accept(self) -> None:
        self._go_to(self.session.accept_item())

    def _skip(self) -> None:
        self._go_to(self.session.skip_item())

    def _go_to(self, item: WorkItem | None) -> None:
        if item is not None:
            self.layers.go_to(item.box)


class MapLegend(QWidget):
    """What the maps and lines on the canvas mean; a tick shows or hides each."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._layers = parts.layers
        self._watched: list[Layer] = []
        self._rows: dict[str, tuple[QCheckBox, QWidget]] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(0, 1)
        grid.addWidget(section("SHOWN ON THE CANVAS"), 0, 0)
        entries: list[tuple[str, tuple[str, ...], str, QWidget]] = [
            (name, (name,), _MAP_TIPS[name], _bar(colormap))
            for name, colormap in MAP_LAYERS.values()
        ]
        entries += [
            ("contours 25 · 50 · 75 %", tuple(CONTOUR_LEVELS), _CONTOUR_TIP,
             label("thin · thick · thin", "hint")),
            (BACKGROUND, (BACKGROUND,), "What you erased: it counts as background.",
             label("grey", "hint")),
            (OTHERS, (OTHERS,), "What other people corrected, as outlines.",
             label("outlines", "hint")),
        ]  # fmt: skip
        for place, (text, names, tip, sign) in enumerate(entries, start=1):
            box = QCheckBox(text)
            box.setToolTip(tip)
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.clicked.connect(lambda on, n=names: self._show(n, on))
            sign.setToolTip(tip)
            grid.addWidget(box, place, 0)
            grid.addWidget(sign, place, 1, Qt.AlignmentFlag.AlignRight)
            self._rows[names[0]] = (box, sign)

    def refresh(self) -> None:
        """Show which layers are there and which are visible."""
        self._watch()
        any_layer = False
        for name, (box, sign) in self._rows.items():
            layer = self._layers.layer(name)
            any_layer |= layer is not None
            box.setVisible(layer is not None)
            sign.setVisible(layer is not None)
            box.setChecked(layer is not None and layer.visible)
        self.setVisible(any_layer)

    def close_legend(self) -> None:
        """Let go of the layers."""
        for layer in self._watched:
            layer.events.visible.disconnect(self._on_visible)
        self._watched = []

    def _watch(self) -> None:
        """Listen to the layers that are there now, each once."""
        found = [self._layers.layer(name) for name in self._rows]
        layers = [layer for layer in found if layer is not None]
        if layers == self._watched:
            return
        self.close_legend()
        for layer in layers:
            layer.events.visible.connect(self._on_visible)
        self._watched = layers

    def _on_visible(self, event: object = None) -> None:
        for name, (box, _) in self._rows.items():
            layer = self._layers.layer(name)
            box.setChecked(layer is not None and layer.visible)

    def _show(self, names: tuple[str, ...], is_visible: bool) -> None:
        for name in names:
            layer = self._layers.layer(name)
            if layer is not None:
                layer.visible = is_visible


def _bar(colormap: str) -> QLabel:
    """Return the colours of a map from 0 to 1."""
    bar = label()
    bar.setPixmap(gradient(colormap, 64, 9))
    holder = QLabel()
    layout = row(label("0", "hint"), bar, label("1", "hint"), spacing=4)
    holder.setLayout(layout)
    holder.setMinimumSize(layout.sizeHint())
    return holder
