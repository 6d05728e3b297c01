"""What correcting cost, and what it brought: numbers, a plot, a report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_unetseg.app.effort_verbs import EffortNow
from napari_unetseg.app.status import counted
from napari_unetseg.data.effort import Effort
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.controls import explain, label, push_button, row, set_hint
from napari_unetseg.viewer.effort_plot import EffortPlot
from napari_unetseg.viewer.panels.panel import Connections, Parts
from napari_unetseg.viewer.style import Palette

_MEASURE = (
    "Compare every version with the reviewed regions: Dice, and human correction "
    "effort (HCE)."
)
_EXPORT = "Measure, and write the report as HTML, CSV and JSON into a folder."
_OPEN = "Open the report in the browser."
_TIPS = {
    "active minutes": "Time between edits and reviews; a gap of more than two minutes "
    "is a pause and does not count.",
    "strokes": "Edits in effect, whatever tool made them.",
    "clicks": "Clicks that ended in an object, taken or rejected.",
    "voxels set": "By the strokes in effect, each time anew.",
    "undone": "Strokes that were taken back.",
    "regions reviewed": "Accepted, corrected, skipped or decided.",
}


class EffortFold(QWidget):
    """The button ``effort ▾`` and what it opens; keeps no state but the last report."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session = parts.session
        self._report: Path | None = None
        self._counted: tuple[object, ...] = ()
        self._is_counting = self._is_closed = False
        self.numbers: dict[str, tuple[QLabel, QLabel]] = {}
        self.measure = push_button(
            "Measure", _MEASURE, lambda: self._session.measure_effort()
        )
        self.open_report = push_button("Open report", _OPEN, self._open_report)
        self.export = push_button("Export…", _EXPORT, self._export)
        self.found = label(role="hint", wraps=True)
        self.plot = EffortPlot()
        self.fold = Fold(
            self._make_content(), "What correcting cost, and what it brought.", "effort"
        )
        self.fold.toggled.connect(lambda _is_open: self.refresh())
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row(None, self.fold.button))
        rows.addWidget(self.fold)
        self._connections = Connections()
        self._connections.add(self._session.effort_measured, self._on_measured)
        self._connections.add(self._session.project_changed, self._on_project)

    def refresh(self) -> None:
        """Show the numbers, if somebody looks, and what can be done."""
        if not self.fold.is_open:
            return
        refused = self._session.why_not("measure_effort")
        explain(self.measure, _MEASURE, refused)
        explain(self.export, _EXPORT, refused)
        self.open_report.setVisible(self._report is not None)
        self._count()

    def set_palette(self, palette: Palette) -> None:
        """Take other colours for the plot."""
        self.plot.set_palette(palette)

    def close_fold(self) -> None:
        """Let go of the session."""
        self._is_closed = True
        self._connections.close()

    # --- what is shown ------------------------------------------------------------

    def _make_content(self) -> QWidget:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        for column, text in enumerate(("", "since opened", "in all")):
            grid.addWidget(_right(label(text, "field")), 0, column)
        for line, (name, tip) in enumerate(_TIPS.items(), start=1):
            pair = (_right(label("–")), _right(label("–")))
            self.numbers[name] = pair
            for column, part in enumerate((label(name, "field"), *pair)):
                part.setToolTip(tip)
                grid.addWidget(part, line, column)
        content = QWidget()
        rows = QVBoxLayout(content)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        rows.addLayout(grid)
        rows.addLayout(row(self.measure, self.open_report, self.export, None))
        rows.addWidget(self.found)
        rows.addWidget(self.plot)
        set_hint(self.found, "")
        return content

    def _count(self) -> None:
        """Count off the window's thread, if anything changed."""
        project = self._session.project
        state: tuple[object, ...] = ()
        if project is not None:
            store = project.corrections
            n_reviewed = self._session.progress.total
            state = (project.folder, store.n_strokes, n_reviewed)
        if state != self._counted and not self._is_counting:
            self._counted, self._is_counting = state, True
            create_worker(
                self._session.effort_now,
                _start_thread=True,
                _connect={"returned": self._show_numbers},
            )

    def _show_numbers(self, now: EffortNow | None) -> None:
        if self._is_closed:
            return
        self._is_counting = False
        both = (Effort(), Effort()) if now is None else (now.here, now.total)
        for column, effort in enumerate(both):
            for name, text in _texts(effort).items():
                self.numbers[name][column].setText(text)
        self.refresh()  # something may have changed meanwhile

    def _on_measured(self, found: dict[str, Any]) -> None:
        self._report = Path(found["report"])
        set_hint(self.found, gain_text(found))
        self.plot.show_found(found)
        self.refresh()

    def _on_project(self, _project: object) -> None:
        self._report, self._counted = None, ()
        set_hint(self.found, "")
        self.plot.show_found(None)

    # --- what the person does -----------------------------------------------------

    def _open_report(self) -> None:
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))

    def _export(self) -> None:
        ask = partial(QFileDialog.getExistingDirectory, self)
        folder = ask("Write the report on effort into")
        if folder:
            self._session.measure_effort(out=folder)


def gain_text(found: Mapping[str, Any]) -> str:
    """Return what was measured as one line; the report has the rest."""
    known = [row for row in found["versions"] if row["n_voxels"]]
    if not known:
        return "No version can be compared: mark regions as reviewed, and predict them."
    last = known[-1]
    dice = [f"{name} {value:.2f}" for name, value in last["dice"].items()
            if value is not None]  # fmt: skip
    text = (
        f"{last['version']} after {last['minutes']:.0f} min and "
        f"{counted(last['strokes'], 'stroke')}: Dice {', '.join(dice) or '–'} · "
        f"HCE {last['hce_per_mvoxel']:,.0f} per Mvoxel reviewed"
    )
    share = last["n_own"] / last["n_voxels"]
    return f"{text} · its own reference for {share:.0%}" if share else text


def _texts(effort: Effort) -> dict[str, str]:
    return {
        "active minutes": f"{effort.minutes:.1f}",
        "strokes": f"{effort.n_strokes:,}",
        "clicks": f"{effort.n_clicks:,}",
        "voxels set": f"{effort.n_voxels:,}",
        "undone": f"{effort.n_undone:,}",
        "regions reviewed": f"{effort.n_reviewed:,}",
    }


def _right(made: QLabel) -> QLabel:
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made
