from __future__ import annotations

import pyqtgraph as pg
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QTextDocument

from napari_unetseg.data.classes import default_classes
from napari_unetseg.events import StepDone
from napari_unetseg.viewer.plots import TrainingPlot, best_step
from napari_unetseg.viewer.style import palette_of

pytestmark = pytest.mark.gui
CLASSES = default_classes(("cell", "fibre"))
STEPS = [
    StepDone(1, 20, 1.5),
    StepDone(2, 20, 1.0, {"cell": 0.2, "fibre": 0.1}),
    StepDone(3, 20, 0.75, {"cell": 0.5, "fibre": 0.25}),
]


@pytest.fixture
def plot(qtbot: QtBot) -> TrainingPlot:
    plot = TrainingPlot()
    plot.set_palette(palette_of("dark"))
    qtbot.addWidget(plot)
    return plot


def test_nothing_is_shown_before_the_first_step(plot: TrainingPlot) -> None:
    plot.show_steps([], CLASSES)
    assert plot.isHidden()
    assert plot._plots is None


def test_loss_and_dice_are_drawn_in_the_colours_of_the_classes(
    plot: TrainingPlot,
) -> None:
    plot.show_steps(STEPS, CLASSES)
    assert not plot.isHidden()
    (loss,) = plot._loss.listDataItems()
    assert list(loss.yData) == [1.5, 1.0, 0.75]
    curves = plot._dice.listDataItems()
    assert [list(curve.yData) for curve in curves] == [[0.2, 0.5], [0.1, 0.25]]
    colors = [curve.opts["pen"].color().name() for curve in curves]
    assert colors == [info.color for info in CLASSES]


def test_the_last_values_stand_in_words(plot: TrainingPlot) -> None:
    plot.show_steps(STEPS, CLASSES)
    said = QTextDocument()
    said.setHtml(plot._key.text())
    assert said.toPlainText().replace("\xa0", " ") == (
        "■ loss 0.750   ■ cell Dice 0.50   ■ fibre Dice 0.25"
    )
    assert all(info.color in plot._key.text() for info in CLASSES)


def test_the_best_so_far_is_marked(plot: TrainingPlot) -> None:
    steps = [*STEPS, StepDone(4, 20, 0.7, {"cell": 0.4, "fibre": 0.3})]
    assert best_step(STEPS[:1]) is None
    plot.show_steps(steps, CLASSES)
    (line,) = [i for i in plot._dice.items if isinstance(i, pg.InfiniteLine)]
    assert line.value() == 3


def test_at_the_end_there_is_no_best_as_the_last_is_kept(plot: TrainingPlot) -> None:
    plot.show_steps([*STEPS, StepDone(20, 20, 0.7, {"cell": 0.4})], CLASSES)
    assert not [i for i in plot._dice.items if isinstance(i, pg.InfiniteLine)]


def test_the_same_steps_are_drawn_once(
    plot: TrainingPlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot.show_steps(STEPS, CLASSES)
    drawn: list[int] = []
    monkeypatch.setattr(plot, "_draw", lambda: drawn.append(1))
    plot.show_steps(STEPS, CLASSES)
    assert not drawn
    plot.show_steps(STEPS[:1], CLASSES)
    assert drawn


def test_another_theme_repaints_the_axes(plot: TrainingPlot) -> None:
    plot.show_steps(STEPS, CLASSES)
    light = palette_of("light")
    plot.set_palette(light)
    background = plot._plots.backgroundBrush().color().name()
    assert background == light.card
