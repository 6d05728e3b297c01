"""Two versions on one canvas: the buttons that begin it, end it and change sides."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.viewer.controls import Choice, explain, push_button, row
from napari_unetseg.viewer.divider import BOTH, LEFT, RIGHT
from napari_unetseg.viewer.panels.panel import Parts

_TIP = (
    "Show what both versions predict on one canvas, with a line between them that is "
    "dragged. Without your corrections, which are the same on both sides."
)
_END_TIP = "Show the prediction of the version in use again (Esc)."
_PREDICT_TIP = "Let the selected version predict what the canvas shows, to compare it."
_SIDES = (
    (BOTH, "both", "One version on either side of the line (W)."),
    (LEFT, "", "This version all over the canvas (W)."),
    (RIGHT, "", "This version all over the canvas (W)."),
)


class Comparison(QWidget):
    """What compares the version in use with the selected one."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session, self._layers = parts.session, parts.layers
        self._swipe = parts.swipe
        self._version = ""
        self.button = push_button("Compare", _TIP, self._toggle)
        self.predict = push_button("Predict view", _PREDICT_TIP, self._predict)
        self.sides = Choice(_SIDES)
        self.sides.chosen.connect(self._swipe.show)
        self._swipe.changed.connect(self._refresh)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(self.button, self.predict, None))
        layout.addWidget(self.sides)

    def show_version(self, version: str) -> None:
        """Offer to compare a version with the one in use; "" if none is selected."""
        is_other = version != self._version
        self._version = version
        if is_other and version and self._swipe.shown:
            self._swipe.start(version)
        self._refresh()

    def close_comparison(self) -> None:
        """Let go of what is compared."""
        self._swipe.changed.disconnect(self._refresh)

    def _toggle(self) -> None:
        if self._swipe.shown:
            self._swipe.stop()
        else:
            self._swipe.start(self._version)

    def _predict(self) -> None:
        self._session.predict_with(self._version, self._layers.visible_box())

    def _refresh(self) -> None:
        shown, project = self._swipe.shown, self._session.project
        active = None if project is None else project.active_model
        self.sides.setVisible(bool(shown))
        if shown:
            for side, version in zip((LEFT, RIGHT), self._swipe.versions, strict=True):
                self.sides.button(side).setText(version)
            self.sides.choose(shown)
            self.button.setText("End comparing")
            explain(self.button, _END_TIP)
        else:
            self.button.setText(f"Compare with {active}" if active else "Compare")
            explain(self.button, _TIP, self._session.why_not_compare(self._version))
        is_other = bool(self._version) and self._version != active
        self.predict.setVisible(is_other)
        self.predict.setText(f"Predict view with {self._version}")
        explain(self.predict, _PREDICT_TIP, self._session.why_not("predict"))
