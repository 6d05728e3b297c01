"""How the tools paint: what they paint over, in how many slices, along what."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_unetseg.viewer.controls import explain, label, quieten_wheel, row
from napari_unetseg.viewer.edits import EditTools

_OVER = (
    ("everything", "everything"),
    ("background", "background only"),
    ("first", "the label it begins on"),
)
_OVER_TIP = "What brush, fill and polygon paint over; locked classes never."
_3D_TIP = (
    "Paint a ball instead of a disc: the slices above and below too, as far as the "
    "brush is wide there in physical units."
)
_FOLLOW_TIP = (
    "When the mouse is released, the stroke is narrowed down to what the prediction "
    "takes for the class. Where it sees nothing, the stroke stays as you drew it."
)


class BrushOptions(QWidget):
    """What is folded away under the size of the brush."""

    def __init__(self, edits: EditTools) -> None:
        super().__init__()
        self._edits = edits
        self.over = QComboBox()
        for key, text in _OVER:
            self.over.addItem(text, key)
        self.over.activated.connect(self._on_over)
        self.in_3d = QCheckBox("Ball: neighbouring slices too")
        self.in_3d.clicked.connect(lambda on: edits.set_brush(in_3d=on))
        self.follows = QCheckBox("Follow the prediction")
        self.follows.clicked.connect(lambda on: edits.set_brush(follows=on))
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row(label("paint over", "field"), self.over, None))
        rows.addWidget(self.in_3d)
        rows.addWidget(self.follows)
        quieten_wheel(self)

    def show_brush(self, refused: str, no_prediction: str) -> None:
        """Show how the brush is set, and why something cannot be.

        Parameters
        ----------
        refused, no_prediction
            Why nothing can be painted, and why nothing can be followed; "" if it can.
        """
        brush = self._edits.brush
        self.over.setCurrentIndex(self.over.findData(brush.over))
        self.in_3d.setChecked(brush.in_3d)
        self.follows.setChecked(brush.follows)
        explain(self.over, _OVER_TIP, refused)
        explain(self.in_3d, _3D_TIP, refused)
        explain(self.follows, _FOLLOW_TIP, refused or no_prediction)

    def _on_over(self, index: int) -> None:
        self._edits.set_brush(over=self.over.itemData(index))
