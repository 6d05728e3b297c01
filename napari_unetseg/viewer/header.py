"""The first lines of the dock: project, saved mark, model and annotator."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from napari_unetseg.app.model_actions import VersionState, state_of
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import SaveKind
from napari_unetseg.data.volume import Volume
from napari_unetseg.viewer.controls import elided, explain, label, row, set_hint
from napari_unetseg.viewer.style import annotator_color, set_flag, set_role, swatch

NO_PROJECT = "No project open"
_MARKS = {
    SaveKind.SAVED: "✓ saved",
    SaveKind.SAVING: "● saving",
    SaveKind.NOT_SAVED: "▲ not saved",
}
_MARK_TIPS = {
    SaveKind.SAVED: "Everything you did is on disk.",
    SaveKind.SAVING: "Your last edit is being written.",
}
_MODEL_TIP = "The model whose prediction is shown and corrected."
_ANNOTATOR_TIP = (
    "Who is editing now. Every correction keeps the name of the person who made it."
)
_UNITS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "angstrom": "Å"}
_COUNT_FILES_S = 0.15


class Header(QFrame):
    """Always there, whatever card is open."""

    def __init__(
        self, session: Session, show_keys: Callable[[], None], tour: Callable[[], None]
    ) -> None:
        super().__init__()
        self._session = session
        self.setObjectName("Header")
        self.name = _ProjectName(session)
        self.mark = label()
        self.model = _chip("model")
        self.annotator = _chip("annotator")
        self.help = QToolButton()
        self.help.setText("?")
        self.help.setToolTip("Keys, and a short tour.")
        self.help.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.help.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        set_role(self.help, "quiet")
        menu = QMenu(self.help)
        menu.addAction("All keys  (?)", show_keys)
        menu.addAction("Short tour", tour)
        self.help.setMenu(menu)
        self._not_saved = label(wraps=True)
        self._not_saved.setObjectName("NotSaved")
        self._not_saved.setMargin(6)
        self._make_menu(self.model, self._fill_models)
        self._make_menu(self.annotator, self._fill_annotators)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 8)
        layout.setSpacing(6)
        layout.addLayout(row(self.name, self.mark, self.help))
        layout.addLayout(row(self.model, self.annotator, None))
        layout.addWidget(self._not_saved)
        self.refresh()

    def refresh(self) -> None:
        """Show what is open, who edits, and whether it is saved."""
        project = self._session.project
        self.name.setText(NO_PROJECT if project is None else project.name)
        version = None if project is None else project.active_model
        self.model.setText(f"model  {version or 'none'} ▾")
        closed = "Open a volume first." if project is None else ""
        explain(self.model, _MODEL_TIP, closed)
        name = self._session.annotator
        self.annotator.setText(f" {_short(name)} ▾")
        self.annotator.setIcon(swatch(self._color(name)))
        self.annotator.setToolTip(f"{name}\n{_ANNOTATOR_TIP}")
        self._show_mark()

    def _show_mark(self) -> None:
        state, project = self._session.save_state, self._session.project
        set_hint(self._not_saved, "")
        if project is None:
            self.mark.setText("")
            return
        if project.read_only:
            self.mark.setText("read-only")
            self.mark.setToolTip(project.held_by)
            set_flag(self.mark, "state", "none")
            return
        self.mark.setText(_MARKS[state.kind])
        why = " ".join(part for part in (state.reason.rstrip("."), state.do) if part)
        if state.reason and state.do:
            why = f"{state.reason.rstrip('.')}. {state.do}"
        self.mark.setToolTip(_MARK_TIPS.get(state.kind, why))
        set_flag(self.mark, "state", state.kind.value)
        if state.kind is SaveKind.NOT_SAVED:
            set_hint(self._not_saved, why)

    def _color(self, name: str) -> str:
        return annotator_color(name, self._session.annotators)

    def _make_menu(self, chip: QToolButton, fill: Callable[[QMenu], None]) -> None:
        menu = QMenu(chip)
        menu.aboutToShow.connect(lambda: fill(menu))
        chip.setMenu(menu)

    def _fill_models(self, menu: QMenu) -> None:
        menu.clear()
        project = self._session.project
        if project is None:
            return
        for card in reversed(project.models.cards()):
            origin = f"from {card.parent}" if card.parent else "new"
            state = state_of(project, card)
            mark = ", candidate" if state is VersionState.CANDIDATE else ""
            action = menu.addAction(
                f"{card.version}   {origin}{mark}",
                lambda v=card.version: self._session.use_version(v),
            )
            assert action is not None
            action.setCheckable(True)
            action.setChecked(card.version == project.active_model)
        if menu.isEmpty():
            nothing = menu.addAction("No model yet: train one, or import one")
            assert nothing is not None
            nothing.setEnabled(False)
        menu.addSeparator()
        menu.addAction("Import a model…", lambda: import_model(self, self._session))

    def _fill_annotators(self, menu: QMenu) -> None:
        menu.clear()
        for name in self._session.annotators:
            action = menu.addAction(
                swatch(self._color(name)),
                name,
                lambda n=name: self._session.set_annotator(n),
            )
            assert action is not None
            action.setCheckable(True)
            action.setChecked(name == self._session.annotator)
        menu.addSeparator()
        line = QLineEdit()
        line.setPlaceholderText("somebody else")
        line.setToolTip("Type a name and press Enter.")

        def take() -> None:
            self._session.set_annotator(line.text())
            menu.close()

        line.returnPressed.connect(take)
        holder = QWidgetAction(menu)
        holder.setDefaultWidget(line)
        menu.addAction(holder)


class _ProjectName(QWidget):
    """The project's name; its volume in the tooltip, looked up when it is asked for."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._sizes: dict[str, str] = {}
        self._text = elided("title")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout = row(self._text)
        self.setLayout(layout)

    def text(self) -> str:
        """Return the name."""
        return str(self._text.text())

    def setText(self, text: str) -> None:
        """Show a name."""
        self._text.setText(text)
        self.setToolTip(text)

    def event(self, event: QEvent | None) -> bool:
        """Describe the volume before the tooltip is shown."""
        project = self._session.project
        if isinstance(event, QHelpEvent) and project is not None:
            uri = project.volume.uri
            if uri not in self._sizes:
                self._sizes[uri] = size_on_disk(project.volume)
            self.setToolTip(
                f"{project.folder}\n{describe(project.volume)}\n{self._sizes[uri]}"
            )
        return super().event(event)


def describe(volume: Volume) -> str:
    """Return shape and voxel size as one line, x first as people say it."""
    return f"{shape_text(volume)} · {voxel_text(volume)}"


def shape_text(volume: Volume) -> str:
    """Return the shape, x × y × z."""
    return "×".join(str(n) for n in reversed(volume.shape))


def unit_text(volume: Volume) -> str:
    """Return the unit of lengths as people write it, "" if there is none."""
    return _UNITS.get(volume.unit or "", volume.unit or "")


def voxel_text(volume: Volume) -> str:
    """Return the voxel size, x × y × z, with its unit."""
    unit = unit_text(volume)
    sizes = "×".join(f"{s:.4g}" for s in reversed(volume.voxel_size))
    return f"{sizes} {unit}".strip() if unit else f"voxel {sizes}"


def size_on_disk(volume: Volume) -> str:
    """Return how much room the volume takes, as far as it can be told at once."""
    whole = f"{size_text(volume.n_bytes)} uncompressed"
    if "://" in volume.uri:
        return whole
    used, end = 0, time.monotonic() + _COUNT_FILES_S
    for folder, _, files in os.walk(volume.uri):
        used += sum((Path(folder) / name).stat().st_size for name in files)
        if time.monotonic() > end:
            return f"more than {size_text(used)} on disk, {whole}"
    return f"{size_text(used)} on disk, {whole}"


def size_text(n_bytes: int) -> str:
    """Return a size as people write it.

    Examples
    --------
    >>> size_text(123), size_text(1_230_000_000)
    ('123 B', '1.23 GB')
    """
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def import_model(parent: QWidget, session: Session) -> None:
    """Ask for a model's folder and take it into the project."""
    folder = QFileDialog.getExistingDirectory(parent, "Folder of the model")
    if folder:
        session.import_model(folder)


def _chip(name: str) -> QToolButton:
    chip = QToolButton()
    chip.setObjectName(f"Chip_{name}")
    chip.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    set_role(chip, "chip")
    return chip


def _short(name: str, length: int = 16) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
