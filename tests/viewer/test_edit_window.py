from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.viewer.edit_window import MAX_SIDE, ZOOM_IN
from napari_unetseg.viewer.hand import Hand

if TYPE_CHECKING:
    from napari import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui
SHAPE = (64, 6000, 6000)


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """A project on a large empty volume instead of the phantom."""
    from napari_unetseg.app.project import Project

    path = tmp_path / "large.zarr"
    create_image(
        path,
        shape=SHAPE,
        dtype="uint8",
        chunk=(16, 128, 128),
        voxel_size=(1.0, 1.0, 1.0),
    )
    folder = tmp_path / "large.unetseg"
    Project.create(folder, path, class_names=("cell",)).close()
    return folder


@pytest.fixture
def zoomed(
    viewer: Viewer, layers: SessionLayers, qtbot: QtBot
) -> Iterator[SessionLayers]:
    """The layers with the view zoomed in on the middle of the volume."""
    viewer.scene.camera.zoom = 2
    qtbot.waitUntil(lambda: layers.edit_reason == "")
    return layers


def test_whole_plane_is_too_much_to_edit(viewer: Viewer, layers: SessionLayers) -> None:
    assert layers.edit_reason == ZOOM_IN
    assert not layers.editable.visible


def test_window_covers_the_view_and_not_much_more(zoomed: SessionLayers) -> None:
    assert zoomed.editable.visible
    window = zoomed.edit_box
    assert window.contains(zoomed.visible_box(depth=0))
    assert max(window.shape) < MAX_SIDE
    assert window.shape[0] <= 48
    np.testing.assert_allclose(zoomed.editable.translate, window.start)


def test_window_follows_the_camera_and_the_slices(
    viewer: Viewer, zoomed: SessionLayers, qtbot: QtBot
) -> None:
    before = zoomed.edit_box
    viewer.scene.camera.center = (0, 1000, 5000)
    viewer.dims.set_current_step(0, 60)
    qtbot.waitUntil(lambda: zoomed.edit_box.contains(zoomed.visible_box(depth=0)))
    assert not zoomed.edit_box.overlaps(before)


def test_window_stays_during_a_stroke(
    viewer: Viewer, zoomed: SessionLayers, session: Session, qtbot: QtBot
) -> None:
    window = zoomed.edit_box
    layer = zoomed.editable
    with layer.block_history():
        layer.paint((8, 100, 100), 1)
        viewer.scene.camera.center = (0, 1000, 5000)
        Hand(viewer).rest(300)
        assert zoomed.edit_box == window
    assert len(session.project.corrections.strokes()) == 1
    qtbot.waitUntil(lambda: zoomed.edit_box != window)


def test_zooming_out_again_says_what_to_do(
    viewer: Viewer, zoomed: SessionLayers, qtbot: QtBot
) -> None:
    said: list[str] = []
    zoomed.edit_reason_changed.connect(said.append)
    viewer.scene.camera.zoom = 0.05
    qtbot.waitUntil(lambda: said == [ZOOM_IN])
    assert not zoomed.editable.editable
