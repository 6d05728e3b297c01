"""The whole job in a real window, with mouse and keys, as a person does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_unetseg.app.sample import make_project_with_default_model
from napari_unetseg.config import Preferences
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import main_widget

if TYPE_CHECKING:
    from napari import Viewer

pytestmark = pytest.mark.gui
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
WHOLE = Box((0, 0, 0), (16, 48, 48))


@pytest.fixture
def project_folder(phantom_path: Path) -> Path:
    folder = phantom_path.with_suffix(".unetseg")
    make_project_with_default_model(folder, phantom_path)
    return folder


class Person:
    """Somebody at the window, who uses mouse and keys only."""

    def __init__(self, viewer: Viewer, folder: Path) -> None:
        self.viewer, self.window = viewer, main_widget(viewer)
        self.session, self.hand = self.window.session, Hand(viewer)
        self.ended: list[str] = []
        self.session.job_finished.connect(lambda verb, _: self.ended.append(verb))
        self.hand.rest(200)
        self.open(folder)
        self.session.set_annotator("Ana")

    def open(self, folder: Path) -> None:
        self.session.open_path(folder)
        self.wait(lambda: self.window.layers.editable is not None, "the layers")

    def wait(self, happened: Callable[[], bool], what: str) -> None:
        self.hand.wait_until(happened, what=what, seconds=200)

    def world(self, z: int, y: int, x: int) -> list[float]:
        size = self.session.project.volume.voxel_size
        return [n * s for n, s in zip((z, y, x), size, strict=True)]

    def go_to_slice(self, z: int) -> None:
        self.viewer.dims.set_point(0, self.world(z, 0, 0)[0])
        self.hand.rest(200)

    def predict(self) -> np.ndarray:
        self.hand.press(Qt.Key.Key_P)
        self.wait(lambda: "predict" in self.ended, "the prediction")
        return self.session.predictions.read_labels(WHOLE)

    def click_on(self, z: int, y: int, x: int) -> None:
        self.hand.press(Qt.Key.Key_C)
        self.hand.click(self.world(z, y, x))
        self.wait(lambda: self.session.preview is not None, "the object")

    def n_strokes(self) -> int:
        return self.session.project.corrections.n_strokes

    def labels(self) -> np.ndarray:
        return self.session.project.corrections.read("Ana", WHOLE)


@pytest.fixture
def ana(
    make_viewer: Callable[..., Viewer],
    project_folder: Path,
) -> Person:
    """Ana, with the sample model and a fine-tuning of five steps."""
    person = Person(make_viewer(), project_folder)
    person.session.set_preferences(Preferences(finetune_steps=5))
    return person


def surest_cell(person: Person) -> tuple[int, int, int]:
    """Return the voxel where the model is surest of a cell."""
    probability = person.session.predictions.read_probability(WHOLE)[0]
    z, y, x = np.unravel_index(int(probability.argmax()), probability.shape)
    return int(z), int(y), int(x)


def paint_undo_redo(person: Person, z: int) -> None:
    """Paint a stroke of class 2, take it back, and do it again."""
    hand = person.hand
    hand.press(Qt.Key.Key_B)
    hand.press(Qt.Key.Key_2)
    hand.drag([person.world(z, 8, n) for n in range(6, 40, 3)])
    assert person.n_strokes() == 2
    painted = person.labels()
    assert (painted[z, 8, 6:37] == 2).all()
    hand.press(Qt.Key.Key_Z, CTRL)
    assert person.n_strokes() == 1
    assert not (person.labels() == 2).any()
    hand.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(person.labels(), painted)


def use_the_candidate(person: Person) -> None:
    """Two strokes tell nobody which version is better: read that, and use the new."""
    assert person.session.project.active_model == "v1"
    panel = person.window.panels["learn"]
    panel.set_open(True)
    versions = panel.versions
    person.wait(lambda: versions.selected == "v2", "the candidate")
    assert "more reviewed regions would allow" in versions.report.text()
    assert "v2: Kept as a candidate" in person.window.status_line.text.text()
    person.hand.push(versions.button)


def export_with_the_button(person: Person, target: Path) -> np.ndarray:
    """Export to a store of its own and return what it holds."""
    panel = person.window.panels["export"]
    panel.set_target(target)
    person.hand.push(panel.findChild(QPushButton, "export_button"))
    person.wait(lambda: "export" in person.ended, "the export")
    return Volume.open(target).read(WHOLE)[0]


def test_open_predict_correct_learn_export_and_find_it_all_again(
    ana: Person, project_folder: Path, tmp_path: Path
) -> None:
    session = ana.session
    predicted = ana.predict()
    assert predicted.any()

    z, y, x = surest_cell(ana)
    ana.go_to_slice(z)
    ana.click_on(z, y, x)
    assert session.preview.class_id == 1
    ana.hand.press(Qt.Key.Key_Return)
    assert ana.n_strokes() == 1
    paint_undo_redo(ana, z)

    ana.ended.clear()
    ana.hand.press(Qt.Key.Key_T)
    ana.wait(lambda: ana.ended == ["train"], "the fine-tuned version")
    use_the_candidate(ana)  # which predicts what was on show
    ana.wait(lambda: ana.ended == ["train", "predict"], "its prediction")
    assert session.project.active_model == "v2"
    assert session.project.models.card("v2").parent == "v1"
    session.go_back()
    assert session.project.active_model == "v1"
    np.testing.assert_array_equal(session.predictions.read_labels(WHOLE), predicted)
    session.use_version("v2")

    exported = export_with_the_button(ana, tmp_path / "out.zarr")
    composite = session.composite(WHOLE)[:]
    np.testing.assert_array_equal(exported, composite)

    session.close()
    assert ana.window.layers.editable is None
    ana.open(project_folder)
    assert session.project.active_model == "v2"
    assert session.project.models.versions() == ["v1", "v2"]
    assert session.annotator == "Ana"
    assert session.can_undo
    np.testing.assert_array_equal(session.composite(WHOLE)[:], composite)
