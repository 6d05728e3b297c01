"""The fold on effort in a real window, with a real child process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.effort_plot import EffortPlot
from napari_unetseg.viewer.panels.effort import EffortFold, gain_text
from napari_unetseg.viewer.style import palette_of

if TYPE_CHECKING:
    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui
BOX = Box((0, 0, 0), (1, 2, 2))
PATIENCE_MS = 120_000
COLORS = {"cell": "#e69f00", "fibre": "#56b4e9"}


def version(name: str, minutes: float, dice: dict[str, Any], own: int = 0) -> dict:
    return {
        "version": name, "minutes": minutes, "strokes": 1200, "n_voxels": 1000,
        "n_own": own, "was_reference": own > 0, "dice": dice,
        "dice_elsewhere": {"cell": 0.625, "fibre": None}, "hce_per_mvoxel": 2500.4,
    }  # fmt: skip


FOUND = {
    "classes": ["cell", "fibre"],
    "colors": COLORS,
    "versions": [
        version("v1", 0.0, {"cell": 0.5, "fibre": None}),
        version("v2", 12.0, {"cell": 0.75, "fibre": 0.25}, own=400),
    ],
}


def paint(session: Session) -> None:
    session.project.corrections.commit(
        BOX, np.ones(BOX.shape, bool), 1, annotator="Ana", tool="brush"
    )
    session.labels_changed.emit(BOX)


@pytest.fixture
def effort(dock: MainWidget) -> EffortFold:
    dock.panels["learn"].set_open(True)
    return dock.panels["learn"].effort


def shown(effort: EffortFold, name: str) -> tuple[str, str]:
    here, total = effort.numbers[name]
    return here.text(), total.text()


def test_numbers_follow_the_work(effort, dock, session, qtbot: QtBot) -> None:
    assert shown(effort, "strokes") == ("–", "–")
    effort.fold.toggle()
    qtbot.waitUntil(lambda: shown(effort, "strokes") == ("0", "0"))
    assert not effort.measure.isEnabled()
    assert "Nothing was corrected" in effort.measure.toolTip()
    paint(session)
    qtbot.waitUntil(lambda: shown(effort, "strokes") == ("1", "1"))
    assert shown(effort, "voxels set") == ("4", "4")
    session.undo()
    qtbot.waitUntil(lambda: shown(effort, "undone") == ("1", "1"))
    assert shown(effort, "strokes") == ("0", "0")


def test_measuring_writes_the_report_of_the_project(
    effort, session, qtbot: QtBot
) -> None:
    paint(session)
    effort.fold.toggle()
    qtbot.waitUntil(effort.measure.isEnabled)
    assert effort.open_report.isHidden()
    effort.measure.click()
    qtbot.waitUntil(lambda: not effort.open_report.isHidden(), timeout=PATIENCE_MS)
    assert (session.project.folder / "effort" / "effort.html").is_file()
    assert effort.found.text().startswith("No version can be compared")
    assert effort.plot.isHidden()


def test_the_report_is_exported_into_a_folder(
    effort, session, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(session)
    effort.fold.toggle()
    qtbot.waitUntil(effort.export.isEnabled)
    monkeypatch.setattr(
        QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out")
    )
    effort.export.click()
    qtbot.waitUntil((tmp_path / "out" / "effort.csv").is_file, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: session.job.is_idle)


def test_one_point_per_version_in_the_colours_of_the_classes(qtbot: QtBot) -> None:
    plot = EffortPlot()
    qtbot.addWidget(plot)
    plot.set_palette(palette_of("dark"))
    plot.show_found(FOUND)
    cell, cross, fibre = plot._plot.getPlotItem().listDataItems()
    assert (list(cell.xData), list(cell.yData)) == ([0.0, 12.0], [0.5, 0.75])
    assert (list(fibre.xData), list(fibre.yData)) == ([12.0], [0.25])
    assert (list(cross.xData), list(cross.yData)) == ([12.0], [0.625])
    fills = [brush.color().name() for brush in cell.opts["symbolBrush"]]
    assert fills == [COLORS["cell"], palette_of("dark").card]  # v2 was the reference
    plot.set_palette(palette_of("light"))
    cell, *_ = plot._plot.getPlotItem().listDataItems()
    assert cell.opts["symbolBrush"][1].color().name() == palette_of("light").card
    plot.show_found({**FOUND, "versions": []})
    assert plot.isHidden()


def test_another_project_forgets_the_report(effort, session) -> None:
    effort.fold.toggle()
    session.effort_measured.emit({**FOUND, "report": "effort.html"})
    assert not effort.open_report.isHidden() and not effort.plot.isHidden()
    session.close()
    effort.refresh()
    assert effort.open_report.isHidden() and effort.plot.isHidden()
    assert effort.found.text() == ""


def test_the_gain_is_one_line() -> None:
    assert gain_text(FOUND) == (
        "v2 after 12 min and 1,200 strokes: Dice cell 0.75, fibre 0.25 · HCE 2,500 per "
        "Mvoxel reviewed · its own reference for 40%"
    )
    assert "No version" in gain_text({**FOUND, "versions": []})
