from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.models.store import ModelCard, read_card
from napari_unetseg.viewer.calibration_plot import CalibrationPlot, summary
from napari_unetseg.viewer.style import palette_of

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui
FOUND = {
    "voxels": 12_000,
    "temperature": 1.5,
    "ece_before": 0.09,
    "ece": 0.03,
    "reliability": {
        "confidence": [0.1, 0.5, 0.9], "frequency": [0.2, 0.5, 0.8],
        "count": [10, 20, 30],
    },
    "risk_coverage": {
        "coverage": [0.2, 0.6, 1.0], "risk": [0.0, 0.02, 0.1], "area": 0.03,
        "excess": 0.01,
    },
}  # fmt: skip


@pytest.fixture
def card() -> ModelCard:
    return read_card(DEFAULT_MODEL)


def test_what_the_card_says_is_drawn(qtbot: QtBot, card: ModelCard) -> None:
    plot = CalibrationPlot()
    qtbot.addWidget(plot)
    plot.set_palette(palette_of("dark"))
    plot.show_card(card.replace(calibration=FOUND))
    reliability, risk = plot._axes
    diagonal, points = reliability.listDataItems()
    np.testing.assert_array_equal(diagonal.getData(), [[0, 1], [0, 1]])
    np.testing.assert_allclose(points.getData(), [[0.1, 0.5, 0.9], [0.2, 0.5, 0.8]])
    (curve,) = risk.listDataItems()
    np.testing.assert_allclose(curve.getData()[1], [0.0, 0.02, 0.1])
    plot.show_card(card.replace(calibration={}))
    assert not plot._plots.isVisibleTo(plot)


def test_the_figures_are_one_line(card: ModelCard) -> None:
    text = summary(card.replace(calibration=FOUND, version="v2"))
    assert text == (
        "v2: calibration error 0.030 · 0.090 before its temperature of 1.50 · "
        "12,000 voxels held out"
    )
    assert "Not measured" in summary(card.replace(calibration={}))


def test_the_version_in_use_is_looked_at(
    project_with_model: Path, dock: MainWidget
) -> None:
    project = dock.session.project
    versions = dock.panels["learn"].versions
    dock.panels["learn"].set_open(True)
    dock.refresh()
    versions.belief_fold.toggle()
    assert versions.belief._said.text().startswith("Not measured: too few labels")
    assert project.active_model in versions.belief._said.text()
