"""Sentences for the person: as a napari notification, and kept in a log.

Only warnings and errors interrupt; the rest stands in the status line. What is behind
an error lies under "details", never in the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import Notification, notification_manager
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QFrame,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.app.status import Notice
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.controls import label, push_button, row

MAX_KEPT = 200
_TEXT_WIDTH = 290
_READ_MS = 8000
_MARKS = {"info": " ", "warning": "▲", "error": "✗"}


def show_notice(notice: Notice, parent: QWidget | None = None) -> None:
    """Show a warning or an error over the canvas; other sentences do not interrupt."""
    if notice.level == "info":
        return
    actions: list[tuple[str, Callable[[Any], None]]] = []
    if notice.details:
        actions.append(("details", lambda _shown: _open_details(notice, parent)))
    severity = "error" if notice.level == "error" else "warning"
    if parent is not None:
        _close_twins(notice.text, parent)
    notification_manager.dispatch(_Sentence(notice.text, severity, actions))
    if parent is not None:
        _show_whole(parent, stays=severity == "error")


class _Sentence(Notification):  # type: ignore[misc, unused-ignore]
    """A notification that says whom it is from."""

    @property
    def source(self) -> str:
        """The name of the dock."""
        return "U-Net segmentation"


def _close_twins(text: str, window: QWidget) -> None:
    """Close what says the same: one sentence is shown once."""
    for shown in window.findChildren(NapariQtNotification):
        if shown.message.text() == text:
            shown.close()


def _show_whole(window: QWidget, *, stays: bool) -> None:
    """Make the notification that just came large enough: half a sentence helps nobody.

    napari shows one line and a chevron, and lets everything stay until it is closed.
    """
    found = window.findChildren(NapariQtNotification)
    if not found:
        return
    shown, metrics = found[-1], found[-1].message.fontMetrics()
    wrapped = metrics.boundingRect(
        QRect(0, 0, _TEXT_WIDTH, 1000), Qt.TextFlag.TextWordWrap, shown.message.text()
    )
    more = max(wrapped.height() - metrics.lineSpacing(), 0)
    shown.geom_anim.stop()
    shown.setFixedHeight(shown.height() + more)
    shown.message.setFixedHeight(wrapped.height() + 2)
    shown.move_to_bottom_right()
    if not stays:
        shown.timer.setSingleShot(True)
        shown.timer.start(_READ_MS)


class DetailsDialog(QDialog):
    """The sentence, and the traceback in a fold below it."""

    def __init__(self, notice: Notice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("What went wrong")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(440)
        text = label(notice.text, wraps=True)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.trace = QPlainTextEdit(notice.details)
        self.trace.setReadOnly(True)
        self.trace.setMinimumHeight(220)
        self.trace.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.trace.setToolTip("For whoever repairs the program.")
        self.fold = Fold(self.trace, "Show what the program says.", "details")
        copy = push_button(
            "Copy", "Copy sentence and details, for a report.", self._copy
        )
        close = push_button("Close", "Close this window (Esc).", self.close)
        self._notice = notice
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.setSpacing(10)
        layout.addWidget(text)
        layout.addWidget(self.fold, 1)
        layout.addLayout(row(self.fold.button, None, copy, close))

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self._notice.text}\n\n{self._notice.details}")


class NoticeLog(QFrame):
    """All that was said since the window opened, newest at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("Log")
        self._notices: deque[tuple[str, Notice]] = deque(maxlen=MAX_KEPT)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(MAX_KEPT)
        self.text.setFixedHeight(120)
        self.text.setToolTip("Messages since the window opened.")
        self.text.setPlaceholderText("No messages yet.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.text)
        self.hide()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What was said, oldest first."""
        return tuple(notice for _, notice in self._notices)

    def add(self, notice: Notice) -> None:
        """Keep a sentence."""
        time = datetime.now().strftime("%H:%M")
        self._notices.append((time, notice))
        self.text.appendPlainText(f"{time} {_MARKS[notice.level]} {notice.text}")

    def toggle(self) -> None:
        """Show or hide the log."""
        self.setVisible(self.isHidden())


def _open_details(notice: Notice, parent: QWidget | None) -> None:
    DetailsDialog(notice, parent).show()
