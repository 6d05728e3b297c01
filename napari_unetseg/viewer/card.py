"""A card: a heading that says the state in one line, and a body that opens below it."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.viewer.controls import elided, label, push_button
from napari_unetseg.viewer.style import SPACE, set_flag

_HEADER_HEIGHT = 32
OPEN, CLOSED = "▾", "▸"


class Card(QFrame):
    """One step of the work; opening one card does not close another.

    Signals
    -------
    toggled
        The card was opened (True) or closed.
    """

    toggled = Signal(bool)

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.setObjectName("Card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.header = _Header(title)
        self.header.clicked.connect(lambda _checked: self.set_open(not self.is_open))
        self._body = QWidget()
        self.body = QVBoxLayout(self._body)
        self.body.setContentsMargins(SPACE + 2, 2, SPACE + 2, SPACE + 2)
        self.body.setSpacing(SPACE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self._body)
        self.set_open(False)

    @property
    def is_open(self) -> bool:
        """Whether the body is shown."""
        return not self._body.isHidden()

    @property
    def summary(self) -> str:
        """The line beside the title."""
        return self.header.summary.text()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the body."""
        changed = is_open != self.is_open
        self._body.setVisible(is_open)
        self.header.show_open(is_open)
        if changed:
            self.toggled.emit(is_open)

    def set_summary(self, text: str) -> None:
        """Say the state in one line; the whole line is in the tooltip."""
        if text != self.header.summary.text():
            self.header.summary.setText(text)
        self.header.show_open(self.is_open)

    def set_highlight(self, is_on: bool) -> None:
        """Draw the card so that it stands out."""
        set_flag(self, "highlight", is_on)


class _Header(QPushButton):
    """The heading; all of it can be pressed."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.setObjectName("CardHeader")
        self.setAccessibleName(title)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedHeight(_HEADER_HEIGHT)
        self._arrow = label(CLOSED, "arrow")
        self._arrow.setFixedWidth(12)
        self.summary = elided("summary")
        self.summary.setAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE, 0, SPACE + 2, 0)
        layout.setSpacing(6)
        for part in (self._arrow, label(title, "card-title"), self.summary):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            layout.addWidget(part, 1 if part is self.summary else 0)

    def show_open(self, is_open: bool) -> None:
        """Turn the arrow and bring the tooltip up to date."""
        self._arrow.setText(OPEN if is_open else CLOSED)
        what = f"{'Close' if is_open else 'Open'} “{self._title}”."
        text = self.summary.text()
        self.setToolTip(f"{text}\n{what}" if text else what)


class Fold(QWidget):
    """Less common controls behind ``more ▾``.

    Signals
    -------
    toggled
        The controls are shown now, or hidden.
    """

    toggled = Signal(bool)

    def __init__(self, content: QWidget, tip: str, text: str = "more") -> None:
        super().__init__()
        self._text, self._content = text, content
        self.button = push_button("", tip, self.toggle, "quiet")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(content)
        self._show(False)

    @property
    def is_open(self) -> bool:
        """Whether the controls are shown."""
        return not self.isHidden()

    def toggle(self) -> None:
        """Show or hide the controls."""
        self._show(not self.is_open)
        self.toggled.emit(self.is_open)

    def _show(self, is_open: bool) -> None:
        self.setVisible(is_open)
        self.button.setText(f"{self._text} {'▴' if is_open else '▾'}")


def section(text: str) -> QLabel:
    """Return a small heading inside a card."""
    return label(text, "section")
