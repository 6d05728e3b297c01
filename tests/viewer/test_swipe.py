"""Two versions on one canvas, with the mouse and in real pixels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Block, Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.predicted_part import DARK, LIGHT, PredictedPart
from napari_unetseg.viewer.swipe import COMPARING
from tests.viewer.test_versions import KEPT, add_version

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.project import Project
    from napari_unetseg.viewer.main_widget import MainWidget
    from napari_unetseg.viewer.panels.comparison import Comparison

pytestmark = pytest.mark.gui
WHOLE = Box((0, 0, 0), (16, 48, 48))


def predict(project: Project, version: str, class_id: int) -> None:
    """Write a prediction that is one class everywhere."""
    store = PredictionStore.create(
        project.prediction_path(version), shape=project.volume.shape,
        voxel_size=project.volume.voxel_size, chunk=(16, 16, 16),
        class_names=project.class_names, maps=(),
    )  # fmt: skip
    labels = np.full(WHOLE.shape, class_id, np.uint8)
    probability = np.zeros((len(project.classes), *WHOLE.shape), np.uint8)
    store.write(Block(0, WHOLE, WHOLE), BlockPrediction(labels, probability))


@pytest.fixture(autouse=True)
def with_model(project_with_model: Path) -> None:
    """Give the project a model before the session opens it."""


@pytest.fixture
def project(dock: MainWidget) -> Project:
    """Two versions: v1 in use sees cells everywhere, the candidate v2 fibres."""
    project = dock.session.project
    add_version(project, "v2", "v1", KEPT)
    predict(project, "v1", 1)
    predict(project, "v2", 2)
    dock.panels["learn"].set_open(True)
    dock.session.models_changed.emit()
    dock.session.predictions_changed.emit(None)
    dock.refresh()
    dock.layers._show_store()
    return project


@pytest.fixture
def comparison(project: Project, dock: MainWidget) -> Comparison:
    versions = dock.panels["learn"].versions
    versions.select("v2")
    return versions.comparison


@pytest.fixture
def hand(viewer: Viewer) -> Hand:
    hand = Hand(viewer)
    hand.rest()
    return hand


def class_at(viewer: Viewer, share: float) -> int:
    """Return which class colours the canvas, this far from its left: 1, 2, 0 if none.

    The first is orange, the second blue.
    """
    picture = viewer.window._qt_viewer.canvas.native.grabFramebuffer()
    x, y = round(share * picture.width()), picture.height() // 2
    color = picture.pixelColor(x, y)
    difference = color.red() - color.blue()
    return 0 if abs(difference) < 20 else 1 if difference > 0 else 2


def drag_line(comparison: Comparison, share: float) -> None:
    """Drag the line to a place of the canvas."""
    line = comparison._swipe.divider.line
    grip = QPoint(line.width() // 2, line.height() // 2)
    QTest.mousePress(line, Qt.MouseButton.LeftButton, pos=grip)
    goal = round(share * line.parent().width()) - line.x()
    for x in (grip.x() + (goal - grip.x()) // 2, 0):
        place = line.parent().mapToGlobal(QPoint(line.x() + x, grip.y()))
        QTest.mouseMove(line, line.mapFromGlobal(place))
    goal = round(share * line.parent().width()) - line.x()
    QTest.mouseMove(line, QPoint(goal, grip.y()))
    QTest.mouseRelease(line, Qt.MouseButton.LeftButton, pos=grip)


def test_two_versions_and_the_line_between_them(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    assert comparison.button.text() == "Compare with v1"
    hand.push(comparison.button)
    swipe, layers = dock.swipe, dock.layers
    assert swipe.versions == ("v1", "v2")
    assert [class_at(viewer, share) for share in (0.45, 0.55)] == [1, 2]
    assert swipe.divider.names["left"].text() == "v1 · in use"
    assert swipe.divider.names["right"].text() == "v2 · candidate"
    assert not layers.layer("prediction").visible
    assert not layers.editable.visible
    assert layers.edit_reason == COMPARING

    drag_line(comparison, 0.6)
    hand.rest()
    assert swipe.divider.share == pytest.approx(0.6, abs=0.01)
    assert [class_at(viewer, share) for share in (0.55, 0.65)] == [1, 2]

    hand.press(Qt.Key.Key_Escape)
    assert not swipe.shown
    assert layers.layer("prediction").visible
    assert layers.editable.visible
    assert layers.edit_reason == ""
    assert not [layer for layer in viewer.layers if layer.name.startswith("compared")]
    assert comparison.button.text() == "Compare with v1"


def test_the_version_alone_is_named_where_a_side_is_narrow(
    dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.push(comparison.button)
    divider = dock.swipe.divider
    width = divider.line.parent().width()
    left, right = divider.names["left"], divider.names["right"]

    drag_line(comparison, 90 / width)
    assert left.text() == "v1"
    assert not left.isHidden()
    assert left.geometry().right() < 90
    drag_line(comparison, 0.03)
    assert left.isHidden()
    assert right.text() == "v2 · candidate"

    divider.show_side("left")  # then all of the canvas is its side
    assert left.text() == "v1 · in use"
    assert not left.isHidden()
    assert left.x() >= 0


def test_the_key_shows_one_after_the_other(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.push(comparison.button)
    seen = []
    for _ in range(3):
        hand.press(Qt.Key.Key_W)
        seen.append([class_at(viewer, share) for share in (0.45, 0.55)])
    assert seen == [[1, 1], [2, 2], [1, 2]]
    hand.push(comparison.sides.button("right"))
    assert dock.swipe.shown == "right"
    assert comparison.sides.button("right").text() == "v2"
    assert not dock.swipe.divider.line.isVisible()


def test_in_3d_the_sides_are_the_same(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.push(comparison.button)
    viewer.dims.ndisplay = 3
    hand.rest(100)
    assert [class_at(viewer, share) for share in (0.45, 0.55)] == [1, 2]
    hand.press(Qt.Key.Key_W)
    assert [class_at(viewer, share) for share in (0.45, 0.55)] == [1, 1]
    viewer.dims.ndisplay = 2
    hand.rest(100)
    hand.press(Qt.Key.Key_Escape)
    assert dock.layers.editable.visible


def test_begun_in_3d_it_ends_in_slices(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    viewer.dims.ndisplay = 3
    comparison.button.click()
    viewer.dims.ndisplay = 2
    hand.rest(50)
    assert not dock.layers.editable.visible
    assert [class_at(viewer, share) for share in (0.45, 0.55)] == [1, 2]
    comparison.button.click()
    assert dock.layers.editable.visible


def test_only_what_is_seen_is_read(
    viewer: Viewer,
    comparison: Comparison,
    hand: Hand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depths = []
    plain = PredictionStore.levels

    class Watched:
        def __init__(self, array) -> None:
            self.shape, self.dtype, self.chunks = array.shape, array.dtype, (4, 16, 16)
            self._array = array

        def __getitem__(self, key):
            depths.append(key[0].stop - key[0].start)
            return self._array[key]

    def watched(store: PredictionStore, name: str) -> list:
        levels = plain(store, name)
        return [Watched(one) for one in levels] if name == "labels" else levels

    monkeypatch.setattr(PredictionStore, "levels", watched)
    comparison.button.click()
    hand.rest()
    assert set(depths) == {4}


def test_what_a_version_did_not_predict_is_hatched_and_said(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    project = dock.session.project
    with DoneLog.open(project.run_log_path("v2"), {"block": [16, 16, 16]}) as log:
        log.record(0, BlockState.DONE)
    hand.push(comparison.button)
    drag_line(comparison, 0.1)  # the name is long
    name = dock.swipe.divider.names["right"]
    assert name.text() == "v2 · hatched is not predicted"
    assert class_at(viewer, 0.55) == 0
    shown = np.asarray(viewer.layers["compared, right"].data[0][3])
    assert (shown[:16, :16] == 2).all()
    assert set(np.unique(shown[16:])) == {DARK, LIGHT}
    with DoneLog.open(project.run_log_path("v2"), {"block": [16, 16, 16]}) as log:
        for index in range(9):
            log.record(index, BlockState.DONE)
    dock.session.predictions_changed.emit(None)
    hand.wait_until(lambda: name.text() == "v2 · candidate", what="the name")
    assert class_at(viewer, 0.55) == 2


def test_without_a_prediction_it_says_why_not(
    dock: MainWidget, comparison: Comparison, project: Project
) -> None:
    shutil.rmtree(project.prediction_path("v2"))
    dock.panels["learn"].versions.refresh()
    assert not comparison.button.isEnabled()
    assert "There is no prediction of v2" in comparison.button.toolTip()
    assert comparison.predict.text() == "Predict view with v2"
    dock.panels["learn"].versions.select("v1")
    assert "This is the version in use" in comparison.button.toolTip()
    assert not comparison.predict.isVisibleTo(comparison)


def test_using_a_version_ends_the_comparison(
    dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.push(comparison.button)
    dock.session.use_version("v2")
    assert not dock.swipe.shown
    assert dock.layers.editable.visible


def test_a_window_that_closes_takes_the_line_with_it(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.push(comparison.button)
    line = dock.swipe.divider.line
    viewer.layers.clear()  # as napari does before the dock hears of it
    dock.close_parts()
    assert dock.swipe.shown == ""
    assert not line.isVisible()


def test_outlines_stay_outlines(
    viewer: Viewer, dock: MainWidget, comparison: Comparison, hand: Hand
) -> None:
    hand.press(Qt.Key.Key_O)
    hand.push(comparison.button)
    sides = [dock.layers.layer(f"compared, {side}") for side in ("left", "right")]
    assert [side.contour for side in sides] == [1, 1]
    hand.press(Qt.Key.Key_O)
    assert [side.contour for side in sides] == [0, 0]


def test_a_part_says_how_much_of_it_was_predicted() -> None:
    states = {0: BlockState.DONE, 1: BlockState.EMPTY, 2: BlockState.FAILED}
    part = PredictedPart(BlocksPlanned((1, 2, 2), (4, 4, 4), (), states))
    assert part.said(Box((0, 0, 0), (1, 4, 8))) == ""
    assert part.said(Box((0, 0, 0), (1, 5, 8))) == "hatched is not predicted"
    assert part.said(Box((0, 4, 0), (1, 8, 8))) == "not predicted here"
    mask = part.mask(Box((0, 0, 0), (1, 3, 3)), (1, 2, 2))
    assert mask[0].tolist() == [[True, True, True], [True] * 3, [False] * 3]
    assert PredictedPart(None).mask(Box((0, 0, 0), (1, 2, 2))).all()
