from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_unetseg.viewer.keys import KEYS
from napari_unetseg.viewer.tour import STEPS, Tour, TourStep

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui


@pytest.fixture
def tour(qtbot: QtBot) -> Tour:
    tour = Tour()
    qtbot.addWidget(tour)
    return tour


def test_a_tour_goes_through_all_steps_and_ends(tour: Tour, qtbot: QtBot) -> None:
    seen: list[TourStep | None] = []
    tour.step_changed.connect(seen.append)
    assert tour.isHidden()
    tour.start()
    assert tour.back.isHidden()
    for _ in STEPS:
        assert not tour.isHidden()
        qtbot.mouseClick(tour.next, Qt.MouseButton.LeftButton)
    assert seen == [*STEPS, None]
    assert tour.isHidden()


def test_a_tour_can_go_back_and_be_left(tour: Tour, qtbot: QtBot) -> None:
    tour.start()
    qtbot.mouseClick(tour.next, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(tour.back, Qt.MouseButton.LeftButton)
    assert tour.step is STEPS[0]
    qtbot.mouseClick(tour.end, Qt.MouseButton.LeftButton)
    assert tour.step is None


def test_the_last_step_says_that_it_is_the_last(tour: Tour) -> None:
    tour.start()
    assert tour.next.text() == "Next"
    for _ in STEPS[1:]:
        tour.next.click()
    assert tour.next.text() == "Done"


def test_the_keys_that_the_tour_names_exist() -> None:
    known = {row.key for row in KEYS}
    assert {"P", "D", "N", "A", "B", "E", "F", "C", "T", "Enter"} <= known


def test_the_tour_opens_and_marks_the_card_it_talks_of(dock: MainWidget) -> None:
    assert {step.card for step in STEPS} == set(dock.panels)
    dock.start_tour()
    dock.tour.next.click()
    marked = [name for name, p in dock.panels.items() if p.property("highlight")]
    opened = [name for name, p in dock.panels.items() if p.is_open]
    assert marked == opened == ["predict"]
    dock.tour.stop()
    assert not any(panel.property("highlight") for panel in dock.panels.values())
