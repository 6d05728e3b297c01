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


def test_open_predict_correct_learn_export_and_find_it_all_again(
    make_viewer: Callable[..., Viewer],
    project_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_unetseg.app.session.FINETUNE_STEPS", 5)
    viewer = make_viewer()
    window = main_widget(viewer)
    session, hand = window.session, Hand(viewer)
    hand.rest(200)
    session.open_path(project_folder)
    session.set_annotator("Ana")
    hand.wait_until(lambda: window.layers.editable is not None, what="the layers")
    voxel = session.project.volume.voxel_size
    ended: list[str] = []
    session.job_finished.connect(lambda verb, finished: ended.append(verb))

    def world(z: int, y: int, x: int) -> list[float]:
        return [n * size for n, size in zip((z, y, x), voxel, strict=True)]

    # predict the visible region
    hand.press(Qt.Key.Key_P)
    hand.wait_until(lambda: "predict" in ended, what="the prediction", seconds=120)
    predicted = session.predictions.read_labels(WHOLE)
    assert predicted.any()

    # click an object, take it
    probability = session.predictions.read_probability(WHOLE)[0]
    z = int(probability.max(axis=(1, 2)).argmax())
    y, x = np.unravel_index(int(probability[z].argmax()), probability.shape[1:])
    viewer.dims.set_point(0, z * voxel[0])
    hand.rest(200)
    hand.press(Qt.Key.Key_C)
    hand.click(world(z, int(y), int(x)))
    hand.wait_until(lambda: session.preview is not None, what="the object")
    assert session.preview.class_id == 1
    hand.press(Qt.Key.Key_Return)
    assert session.project.corrections.n_strokes == 1

    # paint a stroke, take it back, do it again
    hand.press(Qt.Key.Key_B)
    hand.press(Qt.Key.Key_2)
    hand.drag([world(z, 8, n) for n in range(6, 40, 3)])
    assert session.project.corrections.n_strokes == 2
    painted = session.project.corrections.read("Ana", WHOLE)
    assert (painted[z, 8, 6:37] == 2).all()
    hand.press(Qt.Key.Key_Z, CTRL)
    assert session.project.corrections.n_strokes == 1
    assert not (session.project.corrections.read("Ana", WHOLE) == 2).any()
    hand.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(
        session.project.corrections.read("Ana", WHOLE), painted
    )

    # fine-tune; the new version predicts what was on show
    ended.clear()
    hand.press(Qt.Key.Key_T)
    hand.wait_until(lambda: ended == ["train", "predict"], what="v2", seconds=200)
    assert session.project.active_model == "v2"
    assert session.project.models.card("v2").parent == "v1"

    # switch the version and back
    session.set_active_model("v1")
    np.testing.assert_array_equal(session.predictions.read_labels(WHOLE), predicted)
    session.set_active_model("v2")

    # export with the button
    panel = window.panels["export"]
    panel.set_target(tmp_path / "out.zarr")
    hand.push(panel.findChild(QPushButton, "export_button"))
    hand.wait_until(lambda: "export" in ended, what="the export", seconds=60)
    composite = session.composite(WHOLE)[:]
    exported = Volume.open(tmp_path / "out.zarr").read(WHOLE)[0]
    np.testing.assert_array_equal(exported, composite)

    # close, reopen: everything is there
    session.close()
    assert window.layers.editable is None
    session.open_path(project_folder)
    hand.rest(200)
    assert session.project.active_model == "v2"
    assert session.project.models.versions() == ["v1", "v2"]
    assert session.annotator == "Ana"
    assert session.can_undo
    np.testing.assert_array_equal(session.composite(WHOLE)[:], composite)
