from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from napari.utils.key_bindings import coerce_keybinding
from napari.viewer import Viewer as NapariViewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_unetseg.viewer.click_tool import ClickTool
from napari_unetseg.viewer.edits import EditTools
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.keys import KEYS, KeyActions, bind_keys
from napari_unetseg.viewer.keys_dialog import KeysDialog
from napari_unetseg.viewer.swipe import Swipe

if TYPE_CHECKING:
    from napari import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui


class Window(QWidget):
    """What the keys need of the dock."""

    def __init__(
        self, viewer: Viewer, session: Session, layers: SessionLayers, edits: EditTools
    ) -> None:
        super().__init__()
        self.session, self.layers, self.edits = session, layers, edits
        self.swipe = Swipe(viewer, session, layers)


@pytest.fixture
def window(
    viewer: Viewer, session: Session, layers: SessionLayers, qtbot: QtBot
) -> Iterator[Window]:
    window = Window(viewer, session, layers, EditTools(viewer, session, layers))
    qtbot.addWidget(window)
    keys = bind_keys(viewer, window)
    yield window
    keys.close()
    window.swipe.close()
    window.edits.close()


@pytest.fixture
def hand(viewer: Viewer, window: Window) -> Hand:
    hand = Hand(viewer)
    hand.rest()
    return hand


def test_every_row_does_something(window: Window) -> None:
    actions = KeyActions(window)
    assert all(callable(getattr(actions, row.action_id)) for row in KEYS)


def test_no_key_stands_twice() -> None:
    keys = [key for row in KEYS for key, _ in row.bindings()]
    assert len(keys) == len(set(keys)) == len(KEYS) + 8


def test_no_key_of_napari_s_viewer_is_taken() -> None:
    taken = set(NapariViewer.class_keymap)
    ours = {coerce_keybinding(key) for row in KEYS for key, _ in row.bindings()}
    assert not ours & taken


@pytest.mark.parametrize(
    ("key", "tool"),
    [
        (Qt.Key.Key_B, "brush"),
        (Qt.Key.Key_E, "eraser"),
        (Qt.Key.Key_F, "fill"),
        (Qt.Key.Key_C, "click"),
    ],
)
def test_tools_have_keys(window: Window, hand: Hand, key: Qt.Key, tool: str) -> None:
    hand.press(key)
    assert window.edits.tool == tool


def test_numbers_choose_classes_that_exist(
    session: Session, window: Window, hand: Hand
) -> None:
    hand.press(Qt.Key.Key_2)
    assert session.current_class == 2
    hand.press(Qt.Key.Key_9)
    assert session.current_class == 2


def test_brackets_change_the_brush(window: Window, hand: Hand) -> None:
    size = window.edits.brush.size
    hand.press(Qt.Key.Key_BracketRight)
    hand.press(Qt.Key.Key_BracketRight)
    hand.press(Qt.Key.Key_BracketLeft)
    assert window.edits.brush.size == size + 1


def test_keys_of_napari_win_on_other_layers(
    viewer: Viewer, window: Window, hand: Hand
) -> None:
    points = viewer.add_points(ndim=3)
    viewer.layers.selection.active = points
    tool = window.edits.tool
    hand.press(Qt.Key.Key_2)
    assert str(points.mode) == "add"
    hand.press(Qt.Key.Key_B)
    assert window.edits.tool == "brush" != tool


def test_escape_falls_through_to_the_polygon(
    layers: SessionLayers, window: Window, hand: Hand, viewer: Viewer
) -> None:
    window.edits.set_tool("polygon")
    scale = viewer.layers["image"].scale
    z = float(viewer.dims.point[0])
    hand.click((z, 10 * scale[1], 10 * scale[2]))
    hand.click((z, 10 * scale[1], 30 * scale[2]))
    polygon = layers.editable._overlays["polygon"]
    assert polygon.points
    hand.press(Qt.Key.Key_Escape)
    assert not polygon.points


def test_enter_and_escape_answer_a_preview(
    session: Session, window: Window, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[str] = []
    monkeypatch.setattr(ClickTool, "has_preview", True)
    monkeypatch.setattr(session, "accept_preview", lambda: answers.append("accept"))
    monkeypatch.setattr(session, "leave_preview", lambda: answers.append("drop"))
    monkeypatch.setattr(session, "rescale_preview", answers.append)
    for key in (
        Qt.Key.Key_Return,
        Qt.Key.Key_Escape,
        Qt.Key.Key_BracketLeft,
        Qt.Key.Key_BracketRight,
    ):
        hand.press(key)
    smaller, larger = answers[2:]
    assert answers[:2] == ["accept", "drop"]
    assert smaller > 1 > larger


def test_question_mark_shows_all_keys(window: Window, hand: Hand, qtbot: QtBot) -> None:
    hand.press(Qt.Key.Key_Question, Qt.KeyboardModifier.ShiftModifier)
    (dialog,) = window.findChildren(KeysDialog)
    texts = {label.text() for label in dialog.findChildren(QLabel)}
    assert {row.does for row in KEYS} <= texts
    dialog.close()


def test_closing_gives_the_keys_back(
    viewer: Viewer, session: Session, layers: SessionLayers, qtbot: QtBot
) -> None:
    before = dict(viewer.keymap)
    window = Window(viewer, session, layers, EditTools(viewer, session, layers))
    qtbot.addWidget(window)
    bind_keys(viewer, window).close()
    window.swipe.close()
    window.edits.close()
    assert viewer.keymap == before
