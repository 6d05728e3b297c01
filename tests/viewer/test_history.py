from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.panels.correct import CorrectPanel
from napari_unetseg.viewer.panels.history import HistoryList
from napari_unetseg.viewer.project_layers import PAST

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui

PLACES = [Box((z, y, 4), (z + 1, y + 4, 12)) for z, y in [(2, 4), (3, 10), (3, 20)]]


@pytest.fixture
def history(viewer: Viewer, session: Session, dock: MainWidget) -> HistoryList:
    """The list, open, over three strokes of Ana and one of Bo."""
    for box in PLACES:
        _paint(session, box, 1)
    session.set_annotator("Bo")
    _paint(session, Box((5, 0, 0), (6, 2, 2)), 2)
    session.set_annotator("Ana")
    panel = dock.panels["correct"]
    assert isinstance(panel, CorrectPanel)
    panel.set_open(True)
    hand = Hand(viewer)
    hand.push(panel.past.button)
    hand.rest(150)
    return panel.history


def _paint(session: Session, box: Box, class_id: int) -> None:
    composite = session.composite(box)
    composite[:] = class_id
    composite.touch(Box.whole(box.shape), np.ones(box.shape, bool), class_id)
    session.commit(composite, "brush")


def choose(history: HistoryList, viewer: Viewer, number: int) -> None:
    item = history.list.item(number)
    assert item is not None
    QTest.mouseClick(
        history.list.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        history.list.visualItemRect(item).center(),
    )
    Hand(viewer).rest(100)


def said(session: Session) -> np.ndarray:
    assert session.project is not None
    corrections = session.project.corrections
    return corrections.read("Ana", Box.whole(corrections.shape))


def holds(session: Session) -> list[bool]:
    """Whether each of the three strokes is there."""
    values = said(session)
    return [bool((values[box.slices] == 1).all()) for box in PLACES]


def texts(history: HistoryList) -> list[str]:
    rows = (history.list.item(n) for n in range(history.list.count()))
    return [row.text() for row in rows if row is not None]


def test_it_lists_who_did_what_newest_first(history: HistoryList) -> None:
    assert ["Bo" in text for text in texts(history)] == [True, False, False, False]
    assert all(text.endswith("brush · 32 voxels") for text in texts(history)[1:])


def test_it_lists_one_annotator(history: HistoryList, viewer: Viewer) -> None:
    history.who.setCurrentIndex(history.who.findData("Bo"))
    history.who.activated.emit(history.who.currentIndex())
    Hand(viewer).rest(100)
    (text,) = texts(history)
    assert text.endswith("brush · 4 voxels")


def test_a_click_goes_there(history: HistoryList, viewer: Viewer) -> None:
    choose(history, viewer, 3)
    assert viewer.dims.current_step[0] == PLACES[0].start[0]


def test_one_edit_is_taken_back_while_later_ones_stay(
    history: HistoryList, viewer: Viewer, session: Session
) -> None:
    choose(history, viewer, 2)
    Hand(viewer).push(history.this_one)
    assert holds(session) == [True, False, True]
    session.undo()
    assert holds(session) == [True, True, True]


def test_all_after_an_edit_is_taken_back(
    history: HistoryList, viewer: Viewer, session: Session
) -> None:
    choose(history, viewer, 3)
    hand = Hand(viewer)
    hand.push(history.to_here)
    assert holds(session) == [True, False, False]
    hand.rest(150)
    row = history.list.item(1)
    assert row is not None
    assert row.font().strikeOut()
    session.redo()
    session.redo()
    assert holds(session) == [True, True, True]


def test_what_others_did_is_theirs(history: HistoryList, viewer: Viewer) -> None:
    choose(history, viewer, 0)
    assert not history.this_one.isEnabled()
    assert "Only Bo can take this back." in history.this_one.toolTip()


def test_the_labels_are_shown_as_they_were(
    history: HistoryList, viewer: Viewer, session: Session, dock: MainWidget
) -> None:
    choose(history, viewer, 2)  # of the two strokes on its slice, the first
    history.show_past.click()
    layer = viewer.layers[PAST]
    assert layer.visible
    assert np.count_nonzero(layer.data) == 32
    editable = dock.layers.editable
    assert editable is not None
    assert editable.opacity == 0
    history.show_past.click()
    assert not layer.visible
    assert editable.opacity > 0
    assert np.count_nonzero(said(session) != UNSET) == 3 * 32


def test_the_film_ends_with_today(history: HistoryList, viewer: Viewer) -> None:
    history.past._timer.setInterval(1)
    choose(history, viewer, 1)
    frames: list[object] = []
    history.past.shown.connect(frames.append)
    hand = Hand(viewer)
    hand.push(history.play)
    hand.wait_until(lambda: not history.past.is_playing, what="the film to end")
    assert len(frames) == 5
    assert frames[-1] is None
    assert not viewer.layers[PAST].visible
