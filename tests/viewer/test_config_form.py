from __future__ import annotations

from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QLineEdit, QSpinBox, QWidget

from napari_unetseg.config import Config, ExportConfig, PredictConfig, TrainConfig
from napari_unetseg.viewer.config_form import ConfigForm

pytestmark = pytest.mark.gui
PREDICT = ("block", "flips", "device", "threads", "memory_gb", "missing_chunks",
           "retry_failed", "model")  # fmt: skip
TRAIN = ("preset", "steps", "budget_s", "batch", "patch", "learning_rate", "seed",
         "annotators", "parent", "blocks", "recompute")  # fmt: skip
EXPORT = ("format", "name", "kind", "annotator", "min_voxels", "overwrite")


def made(qtbot: QtBot, model: type[Config], fields: tuple[str, ...]) -> ConfigForm:
    form = ConfigForm(model, fields)
    qtbot.addWidget(form)
    return form


@pytest.mark.parametrize(
    ("model", "fields"),
    [(PredictConfig, PREDICT), (TrainConfig, TRAIN), (ExportConfig, EXPORT)],
)
def test_defaults_come_up_as_they_are(
    qtbot: QtBot, model: type[Config], fields: tuple[str, ...]
) -> None:
    form = made(qtbot, model, fields)
    for name, value in form.values().items():
        assert value == model.model_fields[name].default, name
    assert form.changes() == {}
    assert form.problem == ""


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (PredictConfig, {"block": (32, 64, 64), "flips": 4, "memory_gb": 1.5}),
        (PredictConfig, {"device": "cpu", "threads": 3, "retry_failed": False}),
        (TrainConfig, {"annotators": ("Ana", "Bo"), "learning_rate": 0.001}),
        (TrainConfig, {"blocks": "reversible", "recompute": True}),
        (TrainConfig, {"steps": 50, "budget_s": 60, "patch": (16, 32, 32)}),
        (ExportConfig, {"format": "csv", "name": "cells", "annotator": "Ana"}),
    ],
)
def test_values_make_the_round_trip(
    qtbot: QtBot, model: type[Config], values: dict[str, Any]
) -> None:
    form = made(qtbot, model, tuple(values))
    form.set_values(values)
    assert form.values() == values
    config = model.model_validate(form.changes())
    assert {name: getattr(config, name) for name in values} == values


def test_descriptions_are_the_tooltips(qtbot: QtBot) -> None:
    form = made(qtbot, TrainConfig, TRAIN)
    for name in TRAIN:
        description = TrainConfig.model_fields[name].description
        assert form.editor(name).toolTip() == description


def test_limits_come_from_the_field(qtbot: QtBot) -> None:
    form = made(qtbot, TrainConfig, ("batch", "steps"))
    batch = form.editor("batch")
    assert isinstance(batch, QSpinBox)
    assert (batch.minimum(), batch.maximum()) == (1, 16)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("block", "32 64", "block"),
        ("block", "a b c", "write three numbers"),
        ("memory_gb", "much", "write a number"),
        ("memory_gb", "-1", "greater than 0"),
    ],
)
def test_wrong_input_is_said_where_it_stands(
    qtbot: QtBot, name: str, text: str, said: str
) -> None:
    form = made(qtbot, PredictConfig, PREDICT)
    line = form.editor(name)
    assert isinstance(line, QLineEdit)
    qtbot.keyClicks(line, text)
    assert said in form.problem
    assert line.property("wrong") is True
    line.clear()
    line.textEdited.emit("")
    assert form.problem == ""
    assert line.property("wrong") is False


def test_typing_says_that_something_changed(qtbot: QtBot) -> None:
    form = made(qtbot, PredictConfig, PREDICT)
    heard: list[bool] = []
    form.changed.connect(lambda: heard.append(True))
    form.set_values({"memory_gb": 3.0})
    assert not heard
    line = form.editor("memory_gb")
    qtbot.keyClick(line, Qt.Key.Key_5)
    assert heard


def test_another_default_shows_unless_the_person_chose(qtbot: QtBot) -> None:
    form = made(qtbot, TrainConfig, ("steps",))
    form.set_default("steps", 150)
    assert form.values() == {"steps": 150}
    form.set_values({"steps": 33})
    form.set_default("steps", 400)
    assert form.values() == {"steps": 33}


def test_the_wheel_changes_nothing_that_was_not_clicked(qtbot: QtBot) -> None:
    form = made(qtbot, PredictConfig, ("flips", "threads"))
    form.show()
    for name in ("flips", "threads"):
        roll(form.editor(name))
    assert form.changes() == {}
    assert isinstance(form.editor("flips"), QComboBox)


def roll(widget: QWidget) -> None:
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
