"""The choice of what comes next in the worklist."""

from __future__ import annotations

from typing import get_args

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QStyledItemDelegate, QWidget

from napari_unetseg.app.session import Session
from napari_unetseg.config import WorklistStrategy
from napari_unetseg.viewer.controls import explain, label, quieten_wheel, row
from napari_unetseg.viewer.preferences import keep_preference

STRATEGIES: dict[WorklistStrategy, tuple[str, str]] = {
    "random": (
        "random near objects",
        "By chance, inside what the model finds or at its border.",
    ),
    "uncertainty": (
        "unsure first",
        "Where the model is least sure, for every class in turn. At first with some "
        "chance, so that the model sees many places.",
    ),
    "raters": ("raters disagree first", "Where the raters would disagree most."),
    "models": (
        "models disagree first",
        "Where the answer changes most when the image is mirrored.",
    ),
    "scan": (
        "in scan order",
        "Every region in which the model sees a chance of something, slice by slice.",
    ),
}
_TIP = "What the list below begins with."
_TIP_ROLE = Qt.ItemDataRole.ToolTipRole


class StrategyChoice(QWidget):
    """A row with the ways to rank regions; those that cannot be used say why."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.box = QComboBox()
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for key in get_args(WorklistStrategy):
            self.box.addItem(STRATEGIES[key][0], key)
        # The delegate that a choice comes with does not grey what is disabled.
        self.box.setItemDelegate(QStyledItemDelegate(self.box))
        self.box.activated.connect(self._on_activated)
        self.setLayout(row(label("next", "field"), self.box, None))
        quieten_wheel(self)

    def refresh(self) -> None:
        """Show what is chosen, and what can be."""
        chosen = self._session.preferences.worklist
        reasons = {key: self._session.why_not_strategy(key) for key in STRATEGIES}
        self.box.setCurrentIndex(self.box.findData(chosen))
        for place, (key, reason) in enumerate(reasons.items()):
            tip = STRATEGIES[key][1]
            self.box.setItemData(
                place, f"{tip}\n{reason}" if reason else tip, _TIP_ROLE
            )
            model = self.box.model()
            item = model.item(place) if isinstance(model, QStandardItemModel) else None
            if item is not None:
                item.setEnabled(not reason)
        none = reasons[chosen] if all(reasons.values()) else ""
        explain(self.box, f"{_TIP}\n{STRATEGIES[chosen][1]}", none)

    def _on_activated(self, place: int) -> None:
        strategy = self.box.itemData(place)
        self._session.choose_strategy(strategy)
        keep_preference("worklist", self._session.preferences.worklist)
