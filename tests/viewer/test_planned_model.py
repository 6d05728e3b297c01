from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_unetseg.config import Preferences
from napari_unetseg.geometry import Box

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget
    from napari_unetseg.viewer.panels.learn import LearnPanel

pytestmark = pytest.mark.gui
WINDOW = Box((0, 0, 0), (16, 48, 48))


@pytest.fixture
def learn(dock: MainWidget) -> LearnPanel:
    panel: LearnPanel = dock.panels["learn"]
    panel.set_open(True)
    dock.refresh()
    return panel


def label(dock: MainWidget) -> None:
    composite = dock.session.composite(WINDOW)
    composite[4, 10:30, 10:30] = 1
    composite[4, 30:40, 10:30] = 0
    dock.session.commit(composite, "brush")
    dock.refresh()


def test_the_plan_stands_above_the_button_once_there_are_labels(
    learn: LearnPanel, dock: MainWidget
) -> None:
    assert learn._hint.text().startswith("Label a few slices")
    label(dock)
    assert learn._hint.text().startswith("New model: 4 scales, patches 16 × 48 × 48, ")
    assert "at most 4 minutes" in learn._hint.text()
    dock.session.set_preferences(Preferences(budget_s=600))
    dock.refresh()
    assert "at most 10 minutes" in learn._hint.text()
