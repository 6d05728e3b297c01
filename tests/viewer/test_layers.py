from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Block, Box
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.project_layers import ORDER

if TYPE_CHECKING:
    from napari import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unetseg.app.session import Session

pytestmark = pytest.mark.gui
MAPS = (RATER_DISAGREEMENT, TOTAL_UNCERTAINTY)
CONTOURS = ["contours 25 %", "contours 50 %", "contours 75 %"]


def names(viewer: Viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def make_store(session: Session, monkeypatch: pytest.MonkeyPatch) -> PredictionStore:
    """Give the session predictions: a cell, raters disagree on its rim."""
    project = session.project
    shape = project.volume.shape
    store = PredictionStore.create(
        project.folder / "predictions" / "v1.zarr",
        shape=shape,
        voxel_size=project.volume.voxel_size,
        unit=project.volume.unit,
        chunk=(8, 16, 16),
        class_names=("cell", "fibre"),
        rater_names=("Ana", "Bo"),
        maps=MAPS,
    )
    write(store, Box.whole(shape))
    monkeypatch.setattr(type(project), "predictions", lambda *_: store)
    return store


def write(store: PredictionStore, box: Box, *, value: int = 1) -> None:
    labels = np.zeros(box.shape, dtype=np.uint8)
    labels[:, 12:36, 12:36] = value
    probability = np.zeros((2, *box.shape), dtype=np.uint8)
    probability[0, :, 12:36, 12:36] = 255
    is_class = np.stack([labels == number for number in (1, 2)])
    raters = np.stack([is_class, is_class]).astype(np.uint8) * np.uint8(255)
    raters[1, :, :, 30:36] = 0
    maps = {name: np.full(box.shape, 128, dtype=np.uint8) for name in MAPS}
    store.write(Block(0, box, box), BlockPrediction(labels, probability, maps, raters))


def shown(viewer: Viewer, name: str) -> np.ndarray:
    """Return the labels of the whole finest level as a layer has them."""
    return np.asarray(viewer.layers[name].data[0])


def test_layers_of_a_new_project(viewer: Viewer, layers: SessionLayers) -> None:
    assert names(viewer) == [
        "image",
        "prediction",
        "confirmed background",
        "corrections",
    ]
    assert viewer.layers.selection.active is layers.editable
    assert layers.edit_reason == ""


def test_all_layers_lie_where_the_volume_is(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> None:
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, session.project.volume.voxel_size)
        assert layer.units == viewer.layers["image"].units


def test_prediction_appears_without_disturbing(
    viewer: Viewer,
    session: Session,
    layers: SessionLayers,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer.layers.selection.active = viewer.layers["image"]
    viewer.scene.camera.zoom *= 1.5
    camera = (viewer.scene.camera.center, viewer.scene.camera.zoom)
    make_store(session, monkeypatch)
    session.predictions_changed.emit(None)
    qtbot.waitUntil(lambda: "total uncertainty" in names(viewer))
    assert names(viewer) == [name for name in ORDER if name in names(viewer)]
    assert viewer.layers.selection.active is viewer.layers["image"]
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == camera
    assert "model disagreement" not in names(viewer)
    assert not viewer.layers["rater disagreement"].visible
    assert shown(viewer, "prediction").shape == session.project.volume.shape


def test_finished_block_shows(
    viewer: Viewer,
    session: Session,
    layers: SessionLayers,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = make_store(session, monkeypatch)
    session.predictions_changed.emit(None)
    qtbot.waitUntil(lambda: np.asarray(layers.editable.data[8, 20, 20]) == 1)
    write(store, Box.whole(store.shape), value=2)
    session.predictions_changed.emit(Box.whole(store.shape))
    qtbot.waitUntil(lambda: np.asarray(layers.editable.data[8, 20, 20]) != 1)
    assert np.asarray(layers.editable.data[8, 20, 20]) == 2


@pytest.fixture
def predicted(
    viewer: Viewer,
    session: Session,
    layers: SessionLayers,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> SessionLayers:
    """The layers of a session whose prediction is shown, contours and all."""
    make_store(session, monkeypatch)
    session.predictions_changed.emit(None)
    qtbot.waitUntil(lambda: set(CONTOURS) <= set(names(viewer)))
    return layers


def test_contours_are_drawn_for_the_visible_slice(
    viewer: Viewer, predicted: SessionLayers, qtbot: QtBot
) -> None:
    low, middle, high = (viewer.layers[name] for name in CONTOURS)
    qtbot.waitUntil(lambda: len(low.data) > 0 and len(high.data) > 0)
    z = viewer.dims.current_step[0]
    assert set(low.data[:, 0, 0]) == {z}
    # One rater of two sees the lower rim: 25 % reaches further down than 75 %.
    assert low.data[:, 0, 1].max() > high.data[:, 0, 1].max() + 3
    assert middle.edge_width > low.edge_width == high.edge_width
    viewer.dims.set_current_step(0, z + 1)
    qtbot.waitUntil(lambda: set(low.data[:, 0, 0]) == {z + 1})


def test_what_is_not_seen_is_drawn_when_one_gets_there(
    viewer: Viewer, session: Session, predicted: SessionLayers, qtbot: QtBot
) -> None:
    store, layer = session.predictions, viewer.layers["prediction"]
    predicted.editable.visible = False
    far = Box((8, 0, 0), (16, *store.shape[1:]))
    assert np.asarray(predicted.editable.data[8, 20, 20]) == 1
    viewer.dims.set_current_step(0, 8)
    viewer.dims.set_current_step(0, 0)
    drawn: list[object] = []
    layer.events.set_data.connect(drawn.append)
    write(store, far, value=2)
    session.predictions_changed.emit(far)
    # The planes in memory are read anew all the same.
    qtbot.waitUntil(lambda: np.asarray(predicted.editable.data[8, 20, 20]) == 2)
    assert drawn == []
    viewer.dims.set_current_step(0, 8)
    assert layer.get_value((8, 20, 20))[1] == 2


def test_window_and_prediction_never_show_the_same_voxel(
    viewer: Viewer, predicted: SessionLayers, qtbot: QtBot
) -> None:
    window = predicted.edit_box
    assert not shown(viewer, "prediction")[window.slices].any()
    viewer.dims.ndisplay = 3
    assert shown(viewer, "prediction")[window.slices].any()
    viewer.dims.ndisplay = 2
    predicted.editable.visible = False
    assert shown(viewer, "prediction")[window.slices].any()


def test_confirmed_background_is_no_wall_in_3d(
    viewer: Viewer, predicted: SessionLayers
) -> None:
    background = viewer.layers["confirmed background"]
    assert background.visible
    viewer.dims.ndisplay = 3
    assert not background.visible
    viewer.dims.ndisplay = 2
    assert background.visible
    background.visible = False  # by the person, who finds it so again
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    assert not background.visible


def test_disagreement_map_is_one_key_away(
    viewer: Viewer,
    session: Session,
    layers: SessionLayers,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_store(session, monkeypatch)
    session.predictions_changed.emit(None)
    qtbot.waitUntil(lambda: "rater disagreement" in names(viewer))
    layers.toggle_map()
    assert viewer.layers["rater disagreement"].visible
    colormap = viewer.layers["rater disagreement"].colormap
    assert colormap.name == "magma, clear at 0"
    clear, solid = colormap.map(np.array([0.0, 1.0]))[:, 3]
    assert (clear, solid) == (0.0, 1.0)
    layers.toggle_map()
    assert not viewer.layers["rater disagreement"].visible


def test_outlines_only_and_back(viewer: Viewer, layers: SessionLayers) -> None:
    layers.toggle_contours_only()
    assert viewer.layers["prediction"].contour == layers.editable.contour == 1
    layers.toggle_contours_only()
    assert viewer.layers["prediction"].contour == layers.editable.contour == 0


def test_new_class_gets_its_colour_everywhere(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> None:
    added = session.add_class("nucleus")
    for name in ("prediction", "corrections"):
        color = viewer.layers[name].colormap.color_dict[added.id]
        np.testing.assert_allclose(color[:3], added.rgb, atol=0.01)


def test_going_to_a_box_shows_it(viewer: Viewer, layers: SessionLayers) -> None:
    box = Box((4, 30, 30), (8, 40, 40))
    layers.go_to(box)
    layers.settle()
    assert viewer.dims.current_step[0] == 6
    seen = layers.visible_box(depth=4)
    assert seen.contains(box)
    np.testing.assert_allclose(
        viewer.scene.camera.center[1:],
        np.multiply(box.centre, viewer.layers["image"].scale)[1:],
    )


def test_voxel_under_a_world_position(viewer: Viewer, layers: SessionLayers) -> None:
    scale = viewer.layers["image"].scale
    assert layers.voxel_at(np.multiply((3.2, 4.4, 5.6), scale)) == (3, 4, 6)
    assert layers.voxel_at(np.multiply((-1.0, 4.4, 5.6), scale)) is None


def test_layers_of_other_people_are_left_alone(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> None:
    own = viewer.add_points(np.zeros((1, 3)), name="mine")
    session.close()
    assert list(viewer.layers) == [own]


def test_closing_takes_all_layers_away(viewer: Viewer, session: Session) -> None:
    layers = SessionLayers(viewer, session)
    layers.close()
    assert len(viewer.layers) == 0
    session.predictions_changed.emit(None)
    viewer.dims.ndisplay = 3
    assert len(viewer.layers) == 0


def test_a_volume_that_was_mended_is_read_anew(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> None:
    image = viewer.layers["image"]
    viewer.dims.set_current_step(0, 4)
    assert image.get_value((4, 20, 20))[1] != 251
    path = f"{session.project.volume.uri}/{session.project.volume.levels[0].path}"
    zarr.open_array(path, mode="r+")[4, 20, 20] = 251
    block = (16, 48, 48)
    session.planned.emit(BlocksPlanned((1, 1, 1), block, (0,), {}))
    assert image.get_value((4, 20, 20))[1] != 251
    failed = {0: BlockState.FAILED}
    session.planned.emit(BlocksPlanned((1, 1, 1), block, (0,), failed))
    assert image.get_value((4, 20, 20))[1] == 251
