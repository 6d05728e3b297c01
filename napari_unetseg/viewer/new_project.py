"""What is asked before a volume gets its project: classes, and how large voxels are."""

from __future__ import annotations

import math
import re

from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QFrame, QLineEdit, QVBoxLayout

from napari_unetseg.app.opening import Found
from napari_unetseg.config import VoxelSize
from napari_unetseg.viewer.controls import elided, label, push_button, row, set_hint

UNITS = {"": "–", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm",
         "angstrom": "Å"}  # fmt: skip
_SIZES = "Voxel size x × y × z:"
_UNKNOWN = "The file does not say how large a voxel is."
_THICK = "Brushes, networks and distances go by it where slices are thick."
_BETWEEN = re.compile(r"[\s,;×x*]+")


class ProjectQuestion(QFrame):
    """Asks what is segmented in a volume that has no project yet.

    Signals
    -------
    answered
        The volume's address, the names of the classes, and the voxel size; None where
        that of the volume is right.
    """

    answered = Signal(str, tuple, object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("Question")
        self._uri = ""
        self._said: VoxelSize | None = None
        self._what = elided()
        self.names = QLineEdit("object")
        self.names.setToolTip("Names of the classes, with commas between them.")
        self.names.setAccessibleName("class names")
        self.sizes = QLineEdit()
        self.sizes.setToolTip(f"How large a voxel is along x, y and z. {_THICK}")
        self.sizes.setAccessibleName("voxel size")
        self.unit = QComboBox()
        self.unit.setToolTip("Unit of the voxel size.")
        for name, short in UNITS.items():
            self.unit.addItem(short, name)
        for field in (self.names, self.sizes):
            field.returnPressed.connect(self._answer)
            field.textEdited.connect(lambda _text: self._check())
        self._unknown = label(role="hint", wraps=True)
        self._problem = label(role="problem", wraps=True)
        self.create_button = push_button(
            "Create project",
            "Make a project folder beside the volume; the volume is only read.",
            self._answer,
            "primary",
        )
        cancel = push_button("Cancel", "Do not open this volume.", self.hide, "quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 10)
        layout.setSpacing(6)
        layout.addWidget(self._what)
        layout.addWidget(label("Names of the classes, with commas:", "field"))
        layout.addWidget(self.names)
        layout.addWidget(label(_SIZES, "field"))
        layout.addLayout(row(self.sizes, self.unit))
        layout.addWidget(self._unknown)
        layout.addWidget(self._problem)
        layout.addLayout(row(self.create_button, cancel, None))
        self.hide()

    def ask(self, found: Found) -> None:
        """Ask for the classes of a volume, and whether its voxel size is right."""
        self._uri, self._said = found.path, found.scale
        name = found.path.rstrip("/").rsplit("/", 1)[-1]
        self._what.setText(f"What is segmented in {name}?")
        self._what.setToolTip(found.path)
        sizes = found.scale.voxel_size if found.scale else (1.0, 1.0, 1.0)
        self.sizes.setText(" × ".join(f"{size:.6g}" for size in reversed(sizes)))
        self._show_unit((found.scale.unit if found.scale else None) or "")
        set_hint(self._unknown, "" if found.scale else _UNKNOWN)
        self._check()
        self.show()
        self.names.setFocus()
        self.names.selectAll()

    def _show_unit(self, name: str) -> None:
        if self.unit.findData(name) < 0:
            self.unit.addItem(name, name)
        self.unit.setCurrentIndex(self.unit.findData(name))

    def _answer(self) -> None:
        if not self._check():
            self.answered.emit(self._uri, self._given_names(), self._given_scale())

    def _given_names(self) -> tuple[str, ...]:
        parts = self.names.text().split(",")
        return tuple(part.strip() for part in parts if part.strip())

    def _given_sizes(self) -> tuple[float, ...]:
        """Return what was typed as numbers, xyz; nothing if it is not three."""
        parts = [part for part in _BETWEEN.split(self.sizes.text()) if part]
        try:
            sizes = tuple(float(part) for part in parts)
        except ValueError:
            return ()
        good = len(sizes) == 3 and all(math.isfinite(s) and s > 0 for s in sizes)
        return sizes if good else ()

    def _given_scale(self) -> VoxelSize | None:
        """Return the voxel size if it is another one than the volume says."""
        x, y, z = self._given_sizes()
        unit = self.unit.currentData() or None
        given = VoxelSize(voxel_size=(z, y, x), unit=unit)
        known = self._said or VoxelSize(voxel_size=(1.0, 1.0, 1.0))
        shown = tuple(float(f"{size:.6g}") for size in known.voxel_size)
        same = given.voxel_size == shown and given.unit == known.unit
        return None if same else given

    def _check(self) -> str:
        """Say what is wrong with the answers, and return it."""
        names = self._given_names()
        problem = ""
        if not names:
            problem = "Name at least one class."
        elif len(set(names)) < len(names):
            problem = "Every class needs a name of its own."
        elif not self._given_sizes():
            problem = "The voxel size is three numbers, e.g. 0.5 × 0.5 × 2."
        set_hint(self._problem, problem)
        self.create_button.setEnabled(not problem)
        return problem
