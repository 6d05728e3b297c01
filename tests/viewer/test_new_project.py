from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_unetseg.app.opening import Found, PathKind
from napari_unetseg.config import VoxelSize
from napari_unetseg.viewer.new_project import ProjectQuestion

pytestmark = pytest.mark.gui
SAID = VoxelSize(voxel_size=(50.0, 4.6, 4.6), unit="nanometer")


@pytest.fixture
def question(qtbot: QtBot) -> ProjectQuestion:
    question = ProjectQuestion()
    qtbot.addWidget(question)
    return question


@pytest.fixture
def answers(question: ProjectQuestion) -> list[tuple[Any, ...]]:
    given: list[tuple[Any, ...]] = []
    question.answered.connect(lambda *answer: given.append(answer))
    return given


def ask(question: ProjectQuestion, scale: VoxelSize | None) -> None:
    question.ask(Found(PathKind.VOLUME, "/data/v.zarr", Path("/data/v.unetseg"), scale))


def test_what_the_volume_says_is_shown_and_stays(
    question: ProjectQuestion, answers: list[tuple[Any, ...]], qtbot: QtBot
) -> None:
    ask(question, SAID)
    assert question.sizes.text() == "4.6 × 4.6 × 50"
    assert question.unit.currentText() == "nm"
    qtbot.mouseClick(question.create_button, Qt.MouseButton.LeftButton)
    assert answers == [("/data/v.zarr", ("object",), None)]


@pytest.mark.parametrize("typed", ["4.6 x 4.6 x 50", "4.6, 4.6, 50", "4.6 4.6 50"])
def test_a_voxel_size_is_typed_where_the_file_says_none(
    question: ProjectQuestion,
    answers: list[tuple[Any, ...]],
    qtbot: QtBot,
    typed: str,
) -> None:
    ask(question, None)
    assert question.sizes.text() == "1 × 1 × 1"
    question.sizes.selectAll()
    qtbot.keyClicks(question.sizes, typed)
    question.unit.setCurrentText("nm")
    qtbot.keyClick(question.sizes, Qt.Key.Key_Return)
    assert answers == [("/data/v.zarr", ("object",), SAID)]


@pytest.mark.parametrize("typed", ["4.6", "1 × 2 × 0", "1 × 2 × x", "1 2 nan", ""])
def test_what_is_no_voxel_size_is_not_taken(
    question: ProjectQuestion,
    answers: list[tuple[Any, ...]],
    qtbot: QtBot,
    typed: str,
) -> None:
    ask(question, SAID)
    question.sizes.selectAll()
    qtbot.keyClick(question.sizes, Qt.Key.Key_Delete)
    qtbot.keyClicks(question.sizes, typed)
    assert not question.create_button.isEnabled()
    qtbot.keyClick(question.sizes, Qt.Key.Key_Return)
    assert answers == []


def test_a_unit_that_nobody_listed_is_kept(question: ProjectQuestion) -> None:
    ask(question, VoxelSize(voxel_size=(2.0, 1.0, 1.0), unit="furlong"))
    assert question.unit.currentText() == "furlong"
