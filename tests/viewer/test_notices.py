from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import Notification, notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_unetseg.app.status import Notice
from napari_unetseg.viewer.notices import DetailsDialog, NoticeLog, show_notice

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui
FAILED = Notice("error", "The disk is full. Free some space.", "Traceback: line 7")


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Notification]]:
    heard: list[Notification] = []
    monkeypatch.setattr(notification_manager, "dispatch", heard.append)
    return heard


def test_information_does_not_interrupt(dispatched: list[Notification]) -> None:
    show_notice(Notice("info", "Exported to cells.csv."))
    assert not dispatched


def test_an_error_says_the_sentence_and_keeps_the_traceback_behind_details(
    dispatched: list[Notification], qtbot: QtBot
) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    show_notice(FAILED, parent)
    (shown,) = dispatched
    assert shown.message == FAILED.text
    assert str(shown.severity) == "error"
    ((name, action),) = shown.actions
    assert name == "details"
    action(None)
    (dialog,) = parent.findChildren(DetailsDialog)
    assert not dialog.fold.is_open
    assert dialog.trace.toPlainText() == FAILED.details
    dialog.close()


def test_a_warning_without_details_has_no_button(
    dispatched: list[Notification],
) -> None:
    show_notice(Notice("warning", "Predict first."))
    assert dispatched[0].actions == []
    assert str(dispatched[0].severity) == "warning"


def test_details_open_and_are_copied_whole(qtbot: QtBot) -> None:
    dialog = DetailsDialog(FAILED)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.mouseClick(dialog.fold.button, Qt.MouseButton.LeftButton)
    assert dialog.trace.isVisible()
    copy = next(b for b in dialog.findChildren(QPushButton) if b.text() == "Copy")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    copied = QApplication.clipboard().text()
    assert copied == f"{FAILED.text}\n\n{FAILED.details}"


def test_the_log_keeps_all_sentences_in_order(qtbot: QtBot) -> None:
    log = NoticeLog()
    qtbot.addWidget(log)
    assert log.isHidden()
    log.add(Notice("info", "first"))
    log.add(FAILED)
    assert [notice.text for notice in log.notices] == ["first", FAILED.text]
    lines = log.text.toPlainText().splitlines()
    assert lines[0].endswith("first")
    assert "✗" in lines[1]
    log.toggle()
    assert not log.isHidden()


def test_one_sentence_is_shown_once_and_a_warning_goes_by_itself(
    dock: MainWidget, viewer: Viewer, qtbot: QtBot
) -> None:
    window = viewer.window._qt_window

    def shown() -> list[NapariQtNotification]:
        found = window.findChildren(NapariQtNotification)
        return [sentence for sentence in found if sentence.isVisible()]

    for notice in (FAILED, FAILED, Notice("warning", "Predict first.")):
        show_notice(notice, window)
    texts = [sentence.message.text() for sentence in shown()]
    assert texts == [FAILED.text, "Predict first."]
    assert shown()[-1].timer.isActive() and shown()[-1].timer.isSingleShot()
    for sentence in shown():
        sentence.close()
