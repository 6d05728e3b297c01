"""What raters would draw, what they drew, how far they agree, and who decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHeaderView,
    QInputDialog,
    QSlider,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.app.status import Notice
from napari_unetseg.viewer.card import section
from napari_unetseg.viewer.class_colormap import class_colormap
from napari_unetseg.viewer.controls import explain, label, push_button, row, set_hint
from napari_unetseg.viewer.panels.panel import Connections, Parts
from napari_unetseg.viewer.rater_readout import RaterReadout
from napari_unetseg.viewer.rater_view import RaterView
from napari_unetseg.viewer.readers import label_layer
from napari_unetseg.viewer.style import set_role

EVERYBODY = "everybody"
_NO_STYLES = "This model knows one rater only: labels of several are needed first."
_SHOW = "Show the labels as this rater would draw them (R: the next one)."
_STEPS = {-1: "Show the rater or draw before.", 1: "Show the next rater or draw (R)."}
_ADOPT = "Write what this rater would draw in view, on this slice, as your edit."
_HEIGHT = (
    "How sure a voxel is this rater's: to the left all that the rater may have drawn, "
    "to the right what the rater would have drawn for sure."
)
_COMPARE = "Measure how far the annotators agree, and write a report."
_OPEN = "Open the report in the browser."
_CONSENSUS = "Write what the annotators agree on as labels, and show them."
_ADJUDICATE = "Walk through the regions on which the annotators disagree, and decide."
_BACK = "Walk through what the model is unsure of again."
_IMPORT = "Take labels that somebody made elsewhere in: TIFF, zarr or NIfTI."
_FILES = "Labels (*.tif *.tiff *.nii *.nii.gz);;All files (*)"
_ROW_HEIGHT, _MOST_ROWS = 22, 6


class RaterTools(QWidget):
    """Styles that the model knows, annotators of the project, and their agreement."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._viewer, self._session, self._layers = (
            parts.viewer,
            parts.session,
            parts.layers,
        )
        self.view = RaterView(parts.viewer, parts.session, parts.layers)
        self.readout = RaterReadout(parts.viewer, parts.session, parts.layers)
        self._report: Path | None = None
        self._counted = (-1, "")
        self._connections = Connections()
        self._make_controls()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        rows.addLayout(
            row(
                label("as", "field"),
                self.before,
                self.who,
                self.after,
                self.adopt,
                None,
            )
        )
        rows.addLayout(row(label("sure", "field"), self.strictness, self.percent))
        rows.addWidget(self.opinion)
        rows.addWidget(section("ANNOTATORS"))
        rows.addWidget(self.table)
        rows.addLayout(row(self.bring, self.compare, self.open_report, None))
        rows.addWidget(self.found)
        rows.addLayout(row(self.method, self.agree, None, self.decide))
        self._connections.add(self.view.changed, self.refresh)
        self._connections.add(self.readout.said, self._on_opinion)
        self._connections.add(self._session.raters_compared, self._on_compared)
        self._connections.add(self._session.consensus_made, self._on_consensus)

    def set_open(self, is_open: bool) -> None:
        """Follow the mouse only while somebody reads it."""
        self.readout.is_on = is_open
        if is_open:
            self.refresh()

    def refresh(self) -> None:
        """Show who there is, and what can be done."""
        session, names = self._session, self.view.names
        self._show_names(names)
        several = len(names) > 1
        for by, button in ((-1, self.before), (1, self.after)):
            explain(button, _STEPS[by], "" if several else _NO_STYLES)
        explain(self.who, _SHOW, "" if several else _NO_STYLES)
        no_one = "" if self.view.chosen else "Choose a rater first."
        refused = session.why_not("edit")
        explain(self.strictness, _HEIGHT, "" if several and not no_one else no_one)
        self.percent.setText(f"≥ {round(100 * self.view.height)} %")
        explain(
            self.adopt, _ADOPT, refused or ("" if several else _NO_STYLES) or no_one
        )
        explain(self.compare, _COMPARE, session.why_not("compare_raters"))
        explain(self.agree, _CONSENSUS, session.why_not("make_consensus"))
        explain(self.method, _CONSENSUS, session.why_not("make_consensus"))
        explain(self.bring, _IMPORT, session.why_not("import_rater"))
        is_on = session.is_adjudicating
        self.decide.setText("Stop deciding" if is_on else "Decide between them")
        reason = "" if is_on else session.why_not("adjudicate")
        explain(self.decide, _BACK if is_on else _ADJUDICATE, reason)
        self.open_report.setVisible(self._report is not None)
        self._count()

    def close_tools(self) -> None:
        """Let go of session and layers."""
        self._connections.close()
        self.view.close()
        self.readout.close()

    # --- parts --------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.who = QComboBox()
        self.who.setMinimumWidth(120)
        self.who.activated.connect(lambda _at: self._on_who())
        self.before = push_button("‹", _STEPS[-1], lambda: self.view.step(-1))
        self.after = push_button("›", _STEPS[1], lambda: self.view.step(1))
        self.strictness = QSlider(Qt.Orientation.Horizontal)
        self.strictness.setRange(5, 95)
        self.strictness.setPageStep(10)
        self.strictness.setValue(round(100 * self.view.height))
        self.strictness.valueChanged.connect(lambda n: self.view.set_height(n / 100))
        self.percent = label(role="hint")
        self.adopt = push_button("Adopt in view", _ADOPT, self._adopt)
        self.opinion = label(role="hint", wraps=True)
        self.opinion.setText("Point at a voxel to read what they would say of it.")
        self.table = QTreeWidget()
        self.table.setRootIsDecorated(False)
        self.table.setToolTip("Voxels that each annotator labelled, by class.")
        self.table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.compare = push_button(
            "Compare", _COMPARE, lambda: self._session.compare_raters(), "primary"
        )
        self.open_report = push_button("Open report", _OPEN, self._open_report)
        self.bring = push_button("Import labels…", _IMPORT, self._import)
        self.found = label(role="hint", wraps=True)
        self.method = QComboBox()
        self.method.addItem("majority", "majority")
        self.method.addItem("STAPLE", "staple")
        self.agree = push_button("Consensus", _CONSENSUS, self._consensus)
        self.decide = push_button("Decide between them", _ADJUDICATE, self._decide)
        set_hint(self.found, "")

    # --- what is shown ------------------------------------------------------------

    def _show_names(self, names: tuple[str, ...]) -> None:
        wanted = [EVERYBODY, *names]
        if [self.who.itemText(n) for n in range(self.who.count())] != wanted:
            self.who.clear()
            self.who.addItems(wanted)
        at = names.index(self.view.chosen) + 1 if self.view.chosen else 0
        self.who.setCurrentIndex(at)

    def _count(self) -> None:
        """Count who labelled what, off the window's thread, if anything changed."""
        project = self._session.project
        self.table.setVisible(project is not None)
        state = (-1, "") if project is None else (
            project.corrections.n_strokes, str(project.folder)
        )  # fmt: skip
        if project is not None and self.isVisible() and state != self._counted:
            self._counted = state
            create_worker(
                self._session.rater_matrix,
                _start_thread=True,
                _connect={"returned": self._show_counts},
            )

    def _show_counts(self, counts: dict[str, dict[str, int]]) -> None:
        names = list(next(iter(counts.values()), {}))
        self.table.clear()
        self.table.setHeaderLabels(["annotator", *names])
        for who, of_class in counts.items():
            texts = [who, *(f"{of_class[name]:,}" for name in names)]
            item = QTreeWidgetItem(texts)
            for column in range(1, len(texts)):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
            self.table.addTopLevelItem(item)
        header = self.table.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        rows = min(max(len(counts), 1), _MOST_ROWS) + 1
        self.table.setFixedHeight(rows * _ROW_HEIGHT + 6)

    def _on_opinion(self, text: str) -> None:
        self.opinion.setText(text or "Nothing is predicted here.")

    def _on_compared(self, found: dict[str, Any]) -> None:
        path = found.get("report")
        self._report = None if path is None else Path(path)
        set_role(self.compare, "" if self._report else "primary")
        set_hint(self.found, agreement_text(found))
        self.refresh()

    def _on_consensus(self, found: dict[str, Any]) -> None:
        target = str(found["target"])
        name = f"consensus ({found['method']})"
        if name in self._viewer.layers:
            self._viewer.layers.remove(name)
        layer = label_layer(target, name)
        if self._session.project is not None:
            layer.colormap = class_colormap(self._session.project.classes)
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active  # who paints goes on painting
        self._session.notice.emit(Notice("info", f"The consensus is in {target}."))

    # --- what the person does -----------------------------------------------------

    def _on_who(self) -> None:
        name = self.who.currentText()
        self.view.choose("" if name == EVERYBODY else name)

    def _adopt(self) -> None:
        box = self._layers.visible_box(depth=0)
        if box is not None and not box.is_empty:
            self._session.adopt_rater(self.view.chosen, box, self.view.height)

    def _open_report(self) -> None:
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))

    def _consensus(self) -> None:
        self._session.make_consensus(self.method.currentData())

    def _decide(self) -> None:
        if self._session.is_adjudicating:
            self._session.stop_adjudicating()
        else:
            self._session.adjudicate()
        self.refresh()

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Labels of a rater", "", _FILES)
        if path:
            self.import_from(path)

    def import_from(self, path: str) -> None:
        """Ask whose labels these are, and take them in."""
        ask = partial(QInputDialog.getText, self, "Import labels")
        name, is_given = ask("Who made them?", text=Path(path).name.split(".")[0])
        if is_given and name.strip():
            self._session.import_rater(path, name.strip())


def agreement_text(found: dict[str, Any]) -> str:
    """Return what a comparison found as one line; the report has the rest.

    Kappa is left to it: it looks at voxels that all raters labelled, often few.
    """
    measures = {"mean_dice": "Dice", "krippendorff_alpha": "Krippendorff's alpha"}
    values = {name: found["near"][key] for key, name in measures.items()}
    known = {name: value for name, value in values.items() if value is not None}
    told = [f"{name} {value:.2f}" for name, value in known.items()]
    names = found["names"]
    who = " and ".join(names) if len(names) == 2 else f"{len(names)} annotators"
    return f"{who}, near the objects: {', '.join(told) or 'nothing to compare'}."
