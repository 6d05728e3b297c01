from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_unetseg.viewer.card import CLOSED, OPEN, Card, Fold

pytestmark = pytest.mark.gui


@pytest.fixture
def card(qtbot: QtBot) -> Card:
    card = Card("Predict")
    card.body.addWidget(QLabel("inside"))
    qtbot.addWidget(card)
    card.show()
    return card


def test_a_card_opens_and_closes_by_its_heading(card: Card, qtbot: QtBot) -> None:
    heard: list[bool] = []
    card.toggled.connect(heard.append)
    closed_height = card.sizeHint().height()
    qtbot.mouseClick(card.header, Qt.MouseButton.LeftButton)
    assert card.is_open
    assert card.sizeHint().height() > closed_height
    qtbot.mouseClick(card.header, Qt.MouseButton.LeftButton)
    assert not card.is_open
    assert heard == [True, False]


def test_a_card_opens_from_the_keyboard(card: Card, qtbot: QtBot) -> None:
    card.header.setFocus()
    qtbot.keyClick(card.header, Qt.Key.Key_Space)
    assert card.is_open


def test_a_closed_card_says_its_state_in_one_line(card: Card) -> None:
    card.resize(180, 60)
    long = "61 % of whole volume, 12 blocks failed, 3 running, and more"
    card.set_summary(long)
    assert card.summary == long
    shown = QLabel.text(card.header.summary)
    assert shown.endswith("…")
    assert card.header.toolTip().startswith(long)
    assert card.height() < 60 + 1


def test_arrow_and_tooltip_follow(card: Card) -> None:
    arrows = [label.text() for label in card.header.findChildren(QLabel)]
    assert CLOSED in arrows
    assert "Open “Predict”." in card.header.toolTip()
    card.set_open(True)
    arrows = [label.text() for label in card.header.findChildren(QLabel)]
    assert OPEN in arrows
    assert "Close “Predict”." in card.header.toolTip()


def test_a_fold_hides_what_is_behind_its_button(card: Card, qtbot: QtBot) -> None:
    fold = Fold(QLabel("rare"), "Rare things.")
    card.body.addWidget(fold)
    card.body.addWidget(fold.button)
    card.set_open(True)
    assert not fold.is_open
    assert fold.button.toolTip() == "Rare things."
    qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)
    assert fold.is_open
    assert fold.button.text() == "more ▴"
