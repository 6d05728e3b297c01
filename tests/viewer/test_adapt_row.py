from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unetseg.config import AdaptConfig, Config
from napari_unetseg.models.store import CARD, ModelCard

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget
    from napari_unetseg.viewer.panels.adapt import AdaptRow

pytestmark = pytest.mark.gui


@pytest.fixture
def adapt_row(project_with_model: Path, dock: MainWidget) -> AdaptRow:
    panel = dock.panels["learn"]
    panel.set_open(True)
    dock.refresh()
    return panel.adapt


def test_the_button_starts_the_work(
    adapt_row: AdaptRow, dock: MainWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Config]] = []

    def start(verb: str, config: Config, *, reason: str | None = None) -> bool:
        started.append((verb, config))
        return True

    monkeypatch.setattr(dock.session, "_start_if_possible", start)
    assert adapt_row.button.isEnabled()
    QTest.mouseClick(adapt_row.button, Qt.MouseButton.LeftButton)
    assert started == [("adapt", AdaptConfig())]


def test_it_is_grey_where_there_is_nothing_to_adapt(
    adapt_row: AdaptRow, dock: MainWidget
) -> None:
    path = dock.session.project.models.dir("v1") / CARD
    card = ModelCard.model_validate_json(path.read_bytes())
    spec = card.spec.replace(norm="instance")
    path.write_text(card.replace(spec=spec).model_dump_json())
    adapt_row.refresh()
    assert not adapt_row.button.isEnabled()
    assert "There is nothing to adapt" in adapt_row.button.toolTip()
