"""The card through which the labels leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QVBoxLayout, QWidget

from napari_unetseg.app.status import Notice
from napari_unetseg.config import ExportConfig
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.config_form import ConfigForm
from napari_unetseg.viewer.controls import (
    explain,
    label,
    push_button,
    row,
    set_hint,
)
from napari_unetseg.viewer.panels.panel import Panel, Parts

SUFFIXES = {"ome-zarr": ".zarr", "tiff": ".tif", "nifti": ".nii.gz", "csv": ".csv"}
IN_PLACE = "in-place"
_REST = ("neck", "min_voxels", "annotator", "overwrite")
_TIP = "Write the corrected labels: your corrections over the prediction."
_STOP_TIP = "Stop exporting. Nothing half-written is left."
_NOTHING = "There is nothing to export yet: predict or label something first."
_NO_TARGET = "Say where to write first."


class ExportPanel(Panel):
    """Format, target, kind; the rest under more."""

    name = "Export"
    hears = ("labels_changed", "predictions_changed", "model_changed")

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.form = ConfigForm(ExportConfig, ("format", "kind", "name"))
        self.rest = ConfigForm(ExportConfig, _REST)
        for form in (self.form, self.rest):
            form.changed.connect(self._on_form)
        self.target = QLineEdit()
        self.target.setAccessibleName("target")
        self.target.textEdited.connect(self._on_target)
        self._is_own_target = False
        self.browse = push_button("…", "Choose where to write.", self._browse)
        self._target_row = QWidget()
        self._target_row.setLayout(row(label("to", "field"), self.target, self.browse))
        self.view_only = QCheckBox("only the visible region")
        self.view_only.setToolTip("Write only what the canvas shows.")
        more = QWidget()
        below = QVBoxLayout(more)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.rest)
        below.addWidget(self.view_only)
        self.more = Fold(
            more, "Touching objects, smallest object, whose corrections, part of it."
        )
        self.button = push_button("Export", _TIP, self.export, "primary")
        self.button.setObjectName("export_button")
        self.stop = push_button("Stop", _STOP_TIP, self.session.cancel)
        self._hint = label(role="hint", wraps=True)
        self.body.addWidget(self.form)
        self.body.addWidget(self._target_row)
        self.body.addLayout(row(self.button, self.stop, None, self.more.button))
        self.body.addWidget(self._hint)
        self.body.addWidget(self.more)
        self.connections.add(self.session.project_changed, self._on_project)
        self._last = ""
        self.connections.add(self.session.notice, self._on_notice)

    @property
    def config(self) -> ExportConfig:
        """What is chosen.

        Raises
        ------
        pydantic.ValidationError
            If a field holds something that it must not.
        """
        values: dict[str, Any] = {**self.form.values(), **self.rest.values()}
        text = self.target.text().strip()
        in_place = values["format"] == IN_PLACE
        values["target"] = Path(text).expanduser() if text and not in_place else None
        if self.view_only.isChecked():
            values["box"] = self.layers.visible_box()
        return ExportConfig.model_validate(values)

    def set_target(self, path: Path | str) -> None:
        """Open the card and name where to write."""
        self.set_open(True)
        self.target.setText(str(path))
        self._on_target(str(path))
        self.refresh()

    def export(self) -> None:
        """Write the labels."""
        self.session.export(self.config)

    def refresh(self) -> None:
        """Show what can be exported, and where to."""
        job = self.session.job
        is_exporting = job.verb == "export" and not job.is_idle
        in_place = self.form.values()["format"] == IN_PLACE
        self._target_row.setVisible(not in_place)
        reason = self._why_not(in_place)
        explain(self.button, _TIP, reason)
        explain(self.stop, _STOP_TIP, self.session.why_not("cancel"))
        self.button.setVisible(not is_exporting)
        self.stop.setVisible(is_exporting)
        set_hint(self._hint, reason if job.is_idle else "")
        self.target.setToolTip(f"{self.target.text()}\nThe file or folder to write.")
        self.set_summary(self._last if self.session.project is not None else "")

    def _why_not(self, in_place: bool) -> str:
        if reason := self.session.why_not("export"):
            return reason
        if self.session.predictions is None and not self.session.has_labels:
            return _NOTHING
        if not in_place and not self.target.text().strip():
            return _NO_TARGET
        return self.form.problem or self.rest.problem

    def _on_project(self, _project: object) -> None:
        self._is_own_target, self._last = False, ""
        self._suggest()

    def _on_form(self) -> None:
        self._suggest()
        self.mark()

    def _on_target(self, _text: str) -> None:
        self._is_own_target = True
        self.mark()

    def _on_notice(self, notice: Notice) -> None:
        if notice.text.startswith("Exported to "):
            self._last = notice.text.rstrip(".").replace("Exported to", "last:")
            self.mark()

    def _suggest(self) -> None:
        """Name a target beside the project, unless the person named one."""
        project, suffix = self.session.project, self._suffix()
        if self._is_own_target and self.target.text().strip():
            given = self.target.text().strip()
            for other in SUFFIXES.values():
                if given.endswith(other) and suffix:
                    self.target.setText(given.removesuffix(other) + suffix)
                    break
            return
        if project is None or not suffix:
            self.target.clear()
            return
        name = str(self.form.values()["name"] or "segmentation")
        folder = project.folder.parent
        self.target.setText(str(folder / f"{project.name}_{name}{suffix}"))

    def _suffix(self) -> str:
        return SUFFIXES.get(str(self.form.values()["format"]), "")

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Write the labels to", self.target.text()
        )
        if path:
            self.set_target(path)
