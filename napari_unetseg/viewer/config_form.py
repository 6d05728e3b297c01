"""Forms made from the fields of a config: limits, choices and help stand there once."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from psygnal import Signal
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_unetseg.config import Config
from napari_unetseg.viewer.controls import label, quieten_wheel
from napari_unetseg.viewer.style import set_flag

WORDS = {
    "ome-zarr": "OME-Zarr",
    "in-place": "OME-Zarr, beside the image",
    "tiff": "TIFF",
    "nifti": "NIfTI",
    "csv": "table of objects (CSV)",
    "classes": "class ids",
    "objects": "object ids",
    "S": "small",
    "M": "medium",
    "L": "large",
    "auto": "automatic",
    "cpu": "processor",
    "cuda": "NVIDIA GPU",
    "mps": "Apple GPU",
    "torch-fp32": "PyTorch, 32 bit",
    "torch-bf16": "PyTorch, 16 bit",
    "openvino-fp32": "OpenVINO, 32 bit",
    "openvino-bf16": "OpenVINO, 16 bit",
    "fail": "failed block",
    "fill": "empty space",
    "gate": "if it is better",
    "origin": "the origin",
    "last": "the version in use",
    "decoder": "decoder and heads",
}
LABELS = {
    "memory_gb": "memory (GB)",
    "budget_s": "time limit (s)",
    "block": "block (z y x)",
    "patch": "patch (z y x)",
    "neck": "separate at necks below",
    "min_voxels": "smallest object (voxels)",
    "flips": "mirrored passes",
    "kind": "values",
    "format": "format",
    "preset": "network size",
    "promote": "use the new version",
    "start": "fine-tune from",
    "layers": "layers that learn",
}
EMPTY_MEANS = {"annotator": "everybody", "annotators": "everybody"}
ZERO_MEANS = {"steps": "automatic", "threads": "all but one"}
_ROW_HEIGHT = 26
_LARGEST_INT = 2**31 - 1


@dataclass(frozen=True)
class Editor:
    """A control and how to read and set its value."""

    widget: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], None]


class ConfigForm(QWidget):
    """Fields of a config, one row each.

    Signals
    -------
    changed
        The person changed a value.
    """

    changed = Signal()

    def __init__(self, model: type[Config], fields: Sequence[str]) -> None:
        super().__init__()
        self._model = model
        self._defaults = {name: model.model_fields[name].default for name in fields}
        self._editors: dict[str, Editor] = {}
        self._labels: dict[str, QWidget] = {}
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setHorizontalSpacing(8)
        self._layout.setVerticalSpacing(5)
        self._layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self._layout.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        for name in fields:
            self._add(name, model.model_fields[name])
        quieten_wheel(self)

    def values(self) -> dict[str, Any]:
        """Return all values as they stand in the form, not validated."""
        return {name: editor.read() for name, editor in self._editors.items()}

    def changes(self) -> dict[str, Any]:
        """Return what differs from the defaults that are shown."""
        return {
            name: value
            for name, value in self.values().items()
            if value != self._defaults[name]
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; fields that are not named stay as they are."""
        for name, value in values.items():
            self._editors[name].write(value)
        self._show_problems()

    def set_default(self, name: str, value: Any) -> None:
        """Show another value in a field, unless the person changed it."""
        editor = self._editors[name]
        if editor.read() == self._defaults[name]:
            editor.write(value)
        self._defaults[name] = value

    def editor(self, name: str) -> QWidget:
        """Return the control of a field."""
        return self._editors[name].widget

    def set_row_visible(self, name: str, is_visible: bool) -> None:
        """Show or hide a field and its label."""
        self._editors[name].widget.setVisible(is_visible)
        self._labels[name].setVisible(is_visible)

    @property
    def problem(self) -> str:
        """What is wrong with the values, as one sentence; "" if nothing is."""
        return next((f"{label_of(n)}: {p}" for n, p in self._problems().items()), "")

    def _add(self, name: str, info: FieldInfo) -> None:
        editor = make_editor(info, self._on_change)
        tip = info.description or label_of(name)
        editor.widget.setToolTip(tip)
        editor.widget.setAccessibleName(label_of(name))
        editor.widget.setMinimumHeight(_ROW_HEIGHT)
        if isinstance(editor.widget, QLineEdit):
            editor.widget.setPlaceholderText(EMPTY_MEANS.get(name, "automatic"))
        if isinstance(editor.widget, QSpinBox):
            editor.widget.setSpecialValueText(ZERO_MEANS.get(name, ""))
        editor.write(info.default)
        title = label("" if info.annotation is bool else label_of(name), "field")
        title.setToolTip(tip)
        if isinstance(editor.widget, QCheckBox):
            editor.widget.setText(label_of(name))
        self._layout.addRow(title, editor.widget)
        self._editors[name], self._labels[name] = editor, title

    def _on_change(self) -> None:
        self._show_problems()
        self.changed.emit()

    def _problems(self) -> dict[str, str]:
        try:
            self._model.model_validate(self.values())
        except ValidationError as error:
            return {
                str(e["loc"][0]): _plain(e["msg"])
                for e in error.errors()
                if e["loc"] and e["loc"][0] in self._editors
            }
        return {}

    def _show_problems(self) -> None:
        problems = self._problems()
        for name, editor in self._editors.items():
            tip = self._model.model_fields[name].description or label_of(name)
            problem = problems.get(name, "")
            editor.widget.setToolTip(f"{tip}\n{problem}" if problem else tip)
            set_flag(editor.widget, "wrong", bool(problem))


def label_of(name: str) -> str:
    """Return what a field is called in the window."""
    return LABELS.get(name, name.replace("_", " "))


def make_editor(info: FieldInfo, on_change: Callable[[], None]) -> Editor:
    """Return the control that fits a field's type."""
    kind, is_optional = _without_none(info.annotation)
    if get_origin(kind) is Literal:
        return _choice(get_args(kind), on_change)
    if kind is bool:
        return _check(on_change)
    if kind is int and not is_optional:
        return _integer(info, on_change)
    if get_origin(kind) is tuple:
        return _numbers(kind, on_change)
    return _text(kind, on_change)


def _choice(options: Sequence[Any], on_change: Callable[[], None]) -> Editor:
    box = QComboBox()
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setMinimumContentsLength(6)
    for option in options:
        box.addItem(WORDS.get(str(option), str(option)), option)
    box.activated.connect(lambda _index: on_change())
    return Editor(
        box, box.currentData, lambda value: box.setCurrentIndex(box.findData(value))
    )


def _check(on_change: Callable[[], None]) -> Editor:
    box = QCheckBox()
    box.clicked.connect(lambda _checked: on_change())
    return Editor(box, box.isChecked, box.setChecked)


def _integer(info: FieldInfo, on_change: Callable[[], None]) -> Editor:
    spin = QSpinBox()
    low, high = _limits(info)
    spin.setRange(low, high)
    spin.setKeyboardTracking(False)
    spin.valueChanged.connect(lambda _value: on_change() if spin.hasFocus() else None)
    return Editor(spin, spin.value, lambda value: spin.setValue(int(value)))


def _text(kind: Any, on_change: Callable[[], None]) -> Editor:
    """Return a line; empty means that the program chooses."""
    line = QLineEdit()
    line.textEdited.connect(lambda _text: on_change())

    def read() -> Any:
        text = line.text().strip()
        if not text:
            return None
        number = _number(text) if kind in (int, float) else None
        return text if number is None else number

    def write(value: Any) -> None:
        line.setText("" if value is None else str(value))

    return Editor(line, read, write)


def _numbers(kind: Any, on_change: Callable[[], None]) -> Editor:
    """Return a line of several values: three numbers, or any number of names."""
    are_names = str in get_args(kind)
    line = QLineEdit()
    line.textEdited.connect(lambda _text: on_change())

    def read() -> Any:
        text = line.text().strip()
        if are_names:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if not text:
            return None
        parts = text.replace(",", " ").replace("×", " ").split()
        numbers = [_number(part) for part in parts]
        return text if None in numbers else tuple(numbers)

    def write(value: Any) -> None:
        joint = ", " if are_names else " "
        line.setText(joint.join(str(v) for v in value or ()))

    return Editor(line, read, write)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the type of a field, and whether it may be None."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return _bare(annotation), False
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return _bare(parts[0]), len(parts) < len(get_args(annotation))


def _bare(annotation: Any) -> Any:
    """Return a type without the limits that ``Annotated`` adds."""
    has_limits = hasattr(annotation, "__metadata__")
    return get_args(annotation)[0] if has_limits else annotation


def _limits(info: FieldInfo) -> tuple[int, int]:
    low, high = -_LARGEST_INT, _LARGEST_INT
    for limit in info.metadata:
        if isinstance(limit, annotated_types.Ge):
            low = int(str(limit.ge))
        elif isinstance(limit, annotated_types.Gt):
            low = int(str(limit.gt)) + 1
        elif isinstance(limit, annotated_types.Le):
            high = int(str(limit.le))
        elif isinstance(limit, annotated_types.Lt):
            high = int(str(limit.lt)) - 1
    return low, high


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text.replace(",", "."))
        except ValueError:
            continue
    return None


def _plain(message: str) -> str:
    """Return pydantic's sentence as a person reads it."""
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    if "valid integer" in text or "valid number" in text:
        return "write a number, or leave it empty."
    if "tuple" in text:
        return "write three numbers, or leave it empty."
    return text[:1].lower() + text[1:].rstrip(".") + "."
