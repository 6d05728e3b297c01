"""Small controls that every card uses: buttons that say why, rows, choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)
from superqt import QElidingLabel

from napari_unetseg.viewer.style import set_role


def explain(widget: QWidget, tip: str, reason: str = "") -> None:
    """Enable a control, or disable it and say why in its tooltip."""
    widget.setEnabled(not reason)
    widget.setToolTip(f"{tip}\n{reason}" if reason else tip)


def push_button(
    text: str, tip: str, action: Callable[[], object], role: str = ""
) -> QPushButton:
    """Return a button that leaves the keyboard to the canvas when it is clicked."""
    button = QPushButton(text)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setToolTip(tip)
    button.clicked.connect(lambda _checked: action())
    if role:
        set_role(button, role)
    return button


def label(text: str = "", role: str = "", *, wraps: bool = False) -> QLabel:
    """Return a label; one that wraps takes the width that it gets."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if wraps:
        made.setWordWrap(True)
        made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if role:
        set_role(made, role)
    return made


def elided(role: str = "") -> QElidingLabel:
    """Return a one-line label that ends in … where the room ends."""
    made = QElidingLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHorizontalStretch(1)  # else a button beside it takes half of the room
    made.setSizePolicy(policy)
    if role:
        set_role(made, role)
    return made


def set_hint(made: QLabel, text: str) -> None:
    """Show a sentence, or take no room if there is none."""
    made.setText(text)
    made.setVisible(bool(text))


def row(*parts: QWidget | None, spacing: int = 6) -> QHBoxLayout:
    """Return widgets side by side; None stands for the room that is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for part in parts:
        if part is None:
            layout.addStretch(1)
        else:
            layout.addWidget(part)
    return layout


class Choice(QWidget):
    """A row of buttons of which one is down.

    Signals
    -------
    chosen
        The person pressed another one; its key.
    """

    chosen = Signal(str)

    def __init__(self, options: Sequence[tuple[str, str, str]]) -> None:
        """Take ``(key, text, tip)`` per button; the first one is down."""
        super().__init__()
        self._buttons: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for key, text, tip in options:
            button = push_button(text, tip, partial(self.chosen.emit, key), "segment")
            button.setCheckable(True)
            button.setSizePolicy(
                QSizePolicy.Policy.MinimumExpanding, QSizePolicy.Policy.Fixed
            )
            group.addButton(button)
            layout.addWidget(button)
            self._buttons[key] = button
        self.choose(options[0][0])

    @property
    def key(self) -> str:
        """Which button is down, "" if none is."""
        return next((k for k, b in self._buttons.items() if b.isChecked()), "")

    def choose(self, key: str) -> None:
        """Put a button down without saying so; an unknown key lifts all."""
        for group in self.findChildren(QButtonGroup):
            group.setExclusive(key in self._buttons)
        for other, button in self._buttons.items():
            button.setChecked(other == key)

    def button(self, key: str) -> QPushButton:
        """Return one of the buttons."""
        return self._buttons[key]


class _QuietWheel(QObject):
    """Lets the wheel scroll the cards instead of changing what it rolls over."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass the wheel on unless the field has the keyboard."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if not isinstance(watched, QWidget) or watched.hasFocus():
            return False
        event.ignore()
        return True


def quieten_wheel(parent: QWidget) -> None:
    """Make all fields below a widget ignore the wheel until they are clicked."""
    fields = (QComboBox, QAbstractSpinBox, QSlider)
    quiet = _QuietWheel(parent)
    for kind in fields:
        for field in parent.findChildren(kind):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(quiet)
