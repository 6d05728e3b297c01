"""The card that opens a volume and says what it is."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QWidget,
)

from napari_unetseg.app.opening import Found
from napari_unetseg.app.project import Project
from napari_unetseg.config import VoxelSize
from napari_unetseg.data.volume import Volume
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.controls import (
    elided,
    label,
    push_button,
    row,
    set_hint,
)
from napari_unetseg.viewer.header import describe, shape_text, size_text, voxel_text
from napari_unetseg.viewer.new_project import ProjectQuestion
from napari_unetseg.viewer.panels.panel import Panel, Parts
from napari_unetseg.viewer.side_views import SideViews

EMPTY = "Drop a volume here, or open the sample."
FORMATS = "OME-Zarr, zarr, TIFF or NIfTI. It is never loaded whole."
_FILES = "Volumes (*.tif *.tiff *.nii *.nii.gz);;All files (*)"


class VolumePanel(Panel):
    """Opens volumes and projects; asks for class names where there is no project."""

    name = "Volume"
    hears = ("classes_wanted",)

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._hint = label(EMPTY, wraps=True)
        self._formats = label(FORMATS, "hint", wraps=True)
        self.open_folder = push_button(
            "Open folder…",
            "Open a zarr volume, a project (.unetseg) or a folder of TIFF slices.",
            self._ask_folder,
            "primary",
        )
        self.open_file = push_button(
            "Open file…",
            "Open a TIFF or NIfTI file; it is turned into OME-Zarr once.",
            self._ask_file,
        )
        self.open_sample = push_button(
            "Open the sample",
            "A small phantom with three raters and a model, to try everything on.",
            lambda: self.session.open_sample(),
        )
        self.question = ProjectQuestion()
        self.question.answered.connect(self._make_project)
        self._facts = _Facts()
        self.more = Fold(self._facts, "Levels, chunks and where it is on disk.")
        self.body.addWidget(self.question)
        self.body.addWidget(self._hint)
        self.body.addWidget(self._formats)
        self.body.addLayout(row(self.open_folder, self.open_file, None))
        self.side_views = SideViews(parts)
        self.side_fold = Fold(
            self.side_views, "The other two planes, small; they follow.", "side views"
        )
        self.side_fold.toggled.connect(self.side_views.follow)
        self.body.addLayout(
            row(self.open_sample, None, self.side_fold.button, self.more.button)
        )
        self.body.addWidget(self.side_fold)
        self.body.addWidget(self.more)
        self.connections.add(self.session.classes_wanted, self._ask_classes)
        self.set_open(True)

    def refresh(self) -> None:
        """Show what is open."""
        project = self.session.project
        if project is None:
            self.set_summary("nothing open yet")
        else:
            self.set_summary(describe(project.volume))
            self.question.hide()
            self._facts.show_project(project)
        set_hint(self._hint, EMPTY if project is None else "")
        set_hint(self._formats, FORMATS if project is None else "")
        for fold in (self.more, self.side_fold):
            fold.button.setVisible(project is not None)
            if project is None and fold.is_open:
                fold.toggle()

    def close_panel(self) -> None:
        """Let go of session and viewer."""
        super().close_panel()
        self.side_views.close_views()

    def _ask_classes(self, found: Found) -> None:
        self.question.ask(found)
        self.set_open(True)

    def _make_project(
        self, uri: str, names: tuple[str, ...], scale: VoxelSize | None
    ) -> None:
        self.question.hide()
        self.session.open_volume(uri, class_names=names, scale=scale)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a volume or a project")
        if folder:
            self.session.open_path(folder)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a volume", "", _FILES)
        if path:
            self.session.open_path(path)


class _Facts(QWidget):
    """What is known of the open volume."""

    def __init__(self) -> None:
        super().__init__()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setHorizontalSpacing(10)
        self._form.setVerticalSpacing(3)
        self._shown: tuple[tuple[str, str], ...] = ()

    def show_project(self, project: Project) -> None:
        """Show the rows of a project."""
        rows = _facts(project.volume, str(project.folder))
        if rows == self._shown:
            return
        self._shown = rows
        while self._form.rowCount():
            self._form.removeRow(0)
        for name, value in rows:
            text = elided()
            text.setText(value)
            text.setToolTip(value)
            holder = QHBoxLayout()
            holder.addWidget(text)
            self._form.addRow(label(name, "field"), holder)


def _facts(volume: Volume, folder: str) -> tuple[tuple[str, str], ...]:
    chunk = "×".join(str(n) for n in reversed(volume.levels[0].chunk))
    channels = f"{volume.n_channels} × {volume.dtype}"
    return (
        ("shape (x×y×z)", shape_text(volume)),
        ("voxel size", voxel_text(volume)),
        ("channels", channels),
        ("levels", f"{len(volume.levels)}, chunks of {chunk}"),
        ("uncompressed", size_text(volume.n_bytes)),
        ("format", f"OME-Zarr {volume.info.version}".replace("OME-Zarr zarr", "zarr")),
        ("volume", volume.uri),
        ("project", folder),
    )
