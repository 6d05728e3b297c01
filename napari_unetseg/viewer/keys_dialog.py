"""The list of keys that ``?`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_unetseg.viewer.keys import KeyRow

_CAP = (
    "QLabel { border: 1px solid palette(mid); border-radius: 4px;"
    " padding: 1px 7px; font-weight: 600; }"
)


class KeysDialog(QDialog):
    """All keys in two columns; closes with Esc or a click elsewhere."""

    def __init__(self, rows: Sequence[KeyRow], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(6)
        half = -(-len(rows) // 2)
        for place, row in enumerate(rows):
            line, column = place % half, place // half * 3
            cap = QLabel(row.key.replace("+", " + "))
            cap.setStyleSheet(_CAP)
            cap.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(cap, line, column)
            grid.addWidget(QLabel(row.does), line, column + 1)
        grid.setColumnMinimumWidth(2, 24)
        hint = QLabel(
            "On other layers napari's own keys come first; on the layer "
            "“corrections” these do."
        )
        hint.setEnabled(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 16)
        layout.setSpacing(12)
        layout.addLayout(grid)
        layout.addWidget(hint)
