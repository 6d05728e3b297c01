"""All objects in a table: how large, of what class, reviewed or not; click to go."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.data.object_rows import ObjectRow
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.controls import explain, label, push_button, row, set_hint
from napari_unetseg.viewer.header import unit_text
from napari_unetseg.viewer.panels.panel import Parts
from napari_unetseg.viewer.style import swatch

MOST_ROWS = 2000
NECK = 0.7
_HEIGHT = 190
_AROUND = (0, 24, 24)  # what lies beside an object tells what it is
_VOLUME = 2
_LIST = "Find the objects of the whole volume and measure them, in the background."
_VIEW = "Only what is in view."
_APART = "Objects that touch are told apart where the neck between them is narrow."
_NUMBER = Qt.ItemDataRole.UserRole


class ObjectList(QWidget):
    """A table of the objects that were found last, and what finds them anew."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session, self._layers = parts.session, parts.layers
        self._shown: tuple[ObjectRow, ...] | None = None
        self.button = push_button("List objects", _LIST, self._find)
        self.in_view = QCheckBox("in view only")
        self.in_view.setToolTip(_VIEW)
        self.in_view.setChecked(True)
        self.apart = QCheckBox("tell apart")
        self.apart.setToolTip(_APART)
        self.hint = label(role="hint", wraps=True)
        self.table = self._make_table()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row(self.button, self.in_view, self.apart, None))
        rows.addWidget(self.hint)
        rows.addWidget(self.table)

    def refresh(self) -> None:
        """Show what was found, and whether it can be found anew."""
        explain(self.button, _LIST, self._session.why_not("list_objects"))
        objects = self._session.objects
        if objects is not self._shown:
            self._shown = objects
            self._show(objects)
        self._show_reviewed()
        n = len(objects)
        more = f" The {MOST_ROWS:,} largest are listed." if n > MOST_ROWS else ""
        set_hint(self.hint, f"{n:,} objects.{more}" if n else "")
        self.table.setVisible(bool(objects))

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 4)
        table.setToolTip("Click on an object to go there, on a heading to sort.")
        table.setFixedHeight(_HEIGHT)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if (side := table.verticalHeader()) is not None:
            side.hide()
            side.setDefaultSectionSize(22)
        if (top := table.horizontalHeader()) is not None:
            top.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        table.cellClicked.connect(self._on_clicked)
        return table

    def _show(self, objects: tuple[ObjectRow, ...]) -> None:
        project = self._session.project
        unit = unit_text(project.volume) if project else ""
        volume = f"{unit}³" if unit else "volume"
        self.table.setSortingEnabled(False)
        self.table.setHorizontalHeaderLabels(["object", "class", volume, "reviewed"])
        self.table.setRowCount(min(len(objects), MOST_ROWS))
        colors = {c.id: c.color for c in project.classes} if project else {}
        for place, found in enumerate(objects[:MOST_ROWS]):
            number = _cell(found.number)
            number.setData(_NUMBER, place)
            name = QTableWidgetItem(found.class_name)
            if found.class_id in colors:
                name.setIcon(swatch(colors[found.class_id]))
            cut = ", may go on beyond" if found.touches_edge else ""
            size = _cell(float(f"{found.volume:.4g}"))
            size.setToolTip(f"{found.n_voxels:,} voxels{cut}")
            for column, cell in enumerate((number, name, size, QTableWidgetItem())):
                self.table.setItem(place, column, cell)
        self.table.setSortingEnabled(True)
        self.table.sortItems(_VOLUME, Qt.SortOrder.DescendingOrder)

    def _show_reviewed(self) -> None:
        project = self._session.project
        if project is None or not self._shown:
            return
        regions = [reviewed.box for reviewed in project.corrections.reviewed()]
        self.table.setSortingEnabled(False)
        for line in range(self.table.rowCount()):
            found, cell = self._object_of(line), self.table.item(line, 3)
            if found is not None and cell is not None:
                cell.setText("yes" if _is_inside(found.box, regions) else "")
        self.table.setSortingEnabled(True)

    def _object_of(self, line: int) -> ObjectRow | None:
        cell = self.table.item(line, 0)
        if cell is None or not self._shown:
            return None
        return self._shown[int(cell.data(_NUMBER))]

    def _find(self) -> None:
        box = self._layers.visible_box() if self.in_view.isChecked() else None
        self._session.list_objects(box, neck=NECK if self.apart.isChecked() else 0.0)

    def _on_clicked(self, line: int, _: int) -> None:
        if (found := self._object_of(line)) is not None:
            self._layers.go_to(found.box.grown(_AROUND))


def _cell(value: float) -> QTableWidgetItem:
    """Return a cell that is sorted as a number."""
    cell = QTableWidgetItem()
    cell.setData(Qt.ItemDataRole.DisplayRole, value)
    cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return cell


def _is_inside(box: Box, regions: list[Box]) -> bool:
    return any(region.contains(box) for region in regions)
