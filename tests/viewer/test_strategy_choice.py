from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox

import napari_unetseg
from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY, Preferences
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.panels.review import ReviewPanel
from napari_unetseg.viewer.preferences import PLUGIN, read_preferences
from tests.helpers.predicted import predicted

if TYPE_CHECKING:
    from napari import Viewer
    from npe2._pytest_plugin import TestPluginManager

    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui

DOUBTED, DISPUTED = np.s_[4:8, 8:16, 8:16], np.s_[8:12, 32:40, 32:40]


@pytest.fixture
def session(
    project_with_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A session with a prediction that is in doubt here, and disputed there."""
    monkeypatch.setattr("napari_unetseg.training.worklist_item.TILE_VOXELS", 2**11)
    with Project.open(project_with_model, read_only=True) as project:
        shape, path = project.volume.shape, project.prediction_path("v1")
        voxel_size = project.volume.voxel_size
    maps = {name: np.zeros(shape, np.uint8)
            for name in (RATER_DISAGREEMENT, TOTAL_UNCERTAINTY)}  # fmt: skip
    maps[TOTAL_UNCERTAINTY][DOUBTED] = maps[RATER_DISAGREEMENT][DISPUTED] = 200
    probability = np.full((2, *shape), 128, np.uint8)
    predicted(path, probability, maps, voxel_size=voxel_size)
    session = Session(Preferences(annotator="Ana", worklist="uncertainty"))
    session.open_project(project_with_model)
    yield session
    session.close()


@pytest.fixture
def panel(viewer: Viewer, dock: MainWidget) -> ReviewPanel:
    """The open card, when the list is there."""
    panel = dock.panels["review"]
    assert isinstance(panel, ReviewPanel)
    panel.set_open(True)
    wait_for_rows(viewer, panel)
    return panel


def wait_for_rows(viewer: Viewer, panel: ReviewPanel) -> None:
    hand = Hand(viewer)
    hand.wait_until(lambda: not panel.session.is_ranking, what="the worklist")
    hand.rest(200)
    assert panel.list.count()


def click_on(viewer: Viewer, box: QComboBox, text: str) -> None:
    """Open a choice and click on one of its lines."""
    hand = Hand(viewer)
    hand.push(box)
    # Qt takes a release that comes too soon for the end of the click that opened it.
    hand.rest(QApplication.doubleClickInterval() + 50)
    view = box.view()
    assert view is not None
    assert view.isVisible()
    at = box.model().index(box.findText(text), box.modelColumn())
    place: QPoint = view.visualRect(at).center()
    QTest.mouseMove(view.viewport(), place)
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton,
                     Qt.KeyboardModifier.NoModifier, place)  # fmt: skip
    hand.rest(50)


def first_row(panel: ReviewPanel) -> str:
    item = panel.list.item(0)
    assert item is not None
    return item.text()


def test_a_click_chooses_what_comes_next(viewer: Viewer, panel: ReviewPanel) -> None:
    assert panel.strategy.box.currentText() == "unsure first"
    assert first_row(panel).startswith("unsure about cell\nz 4 · score 0.")
    click_on(viewer, panel.strategy.box, "raters disagree first")
    assert panel.session.preferences.worklist == "raters"
    wait_for_rows(viewer, panel)
    assert first_row(panel).startswith("raters would disagree on cell\n")
    Hand(viewer).press(Qt.Key.Key_N)
    assert panel.session.worklist_index == 0
    z = viewer.dims.current_step[0]
    assert DISPUTED[0].start <= z < DISPUTED[0].stop


def test_what_cannot_be_chosen_says_why(viewer: Viewer, panel: ReviewPanel) -> None:
    box = panel.strategy.box
    place = box.findData("models")
    tip = box.itemData(place, Qt.ItemDataRole.ToolTipRole)
    assert tip.endswith("predict with two mirrored passes or more.")
    click_on(viewer, box, "models disagree first")
    box.hidePopup()
    assert box.currentData() == panel.session.preferences.worklist == "uncertainty"


def test_a_map_that_this_prediction_has_not_is_missed_in_words(
    viewer: Viewer, panel: ReviewPanel
) -> None:
    preferred = panel.session.preferences.replace(worklist="models")
    panel.session.set_preferences(preferred)
    Hand(viewer).wait_until(
        lambda: not panel.session.is_ranking, what="the end of the search"
    )
    Hand(viewer).rest(200)
    assert panel.strategy.box.currentText() == "models disagree first"
    assert panel._hint.text().startswith("This prediction has no map of model")
    assert not panel.next.isEnabled()
    click_on(viewer, panel.strategy.box, "in scan order")
    wait_for_rows(viewer, panel)
    assert first_row(panel).startswith("next in scan order")
    assert panel.next.isEnabled()


def test_the_choice_holds_in_the_next_window(
    plugin_settings: None,
    npe2pm: TestPluginManager,
    viewer: Viewer,
    panel: ReviewPanel,
) -> None:
    manifest = Path(napari_unetseg.__file__).parent / "napari.yaml"
    npe2pm.register(PluginManifest.from_file(manifest))
    page: Any = get_plugin_settings(PLUGIN)
    click_on(viewer, panel.strategy.box, "random near objects")
    assert page.review.worklist == "random"
    assert Session(read_preferences()).preferences.worklist == "random"
