from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.visible_box import hidden_axis, visible_box

SHAPE = (20, 100, 200)
VOXEL_SIZE = (4.0, 1.0, 1.0)


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros(SHAPE, dtype=np.uint8), scale=VOXEL_SIZE)
    viewer.canvas.size = (300, 600)
    viewer.dims.set_point(0, 40)
    viewer.scene.camera.center = (0, 50, 100)
    viewer.scene.camera.zoom = 10
    return viewer


def test_rectangle_of_the_canvas_and_slices_around_the_current(
    viewer: ViewerModel,
) -> None:
    # 300 × 600 pixels at 10 pixels per voxel: 30 × 60 voxels around (50, 100).
    box = visible_box(viewer, SHAPE, VOXEL_SIZE, depth=3)
    assert box == Box((7, 35, 70), (14, 66, 131))


def test_depth_zero_is_one_slice(viewer: ViewerModel) -> None:
    assert visible_box(viewer, SHAPE, VOXEL_SIZE, depth=0).shape[0] == 1


def test_whole_plane_when_zoomed_out(viewer: ViewerModel) -> None:
    viewer.scene.camera.zoom = 0.1
    box = visible_box(viewer, SHAPE, VOXEL_SIZE, depth=0)
    assert box == Box((10, 0, 0), (11, 100, 200))


def test_empty_when_looking_elsewhere(viewer: ViewerModel) -> None:
    viewer.scene.camera.center = (0, 5000, 5000)
    assert visible_box(viewer, SHAPE, VOXEL_SIZE).is_empty


def test_follows_the_order_of_the_axes(viewer: ViewerModel) -> None:
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 30)
    viewer.scene.camera.center = (0, 40, 100)
    viewer.scene.camera.zoom = 10
    box = visible_box(viewer, SHAPE, VOXEL_SIZE, depth=0)
    assert (box.start[1], box.stop[1]) == (30, 31)
    assert (box.start[0], box.stop[0]) == (6, 15)
    assert hidden_axis(viewer) == 1


def test_origin_moves_the_volume(viewer: ViewerModel) -> None:
    moved = visible_box(viewer, SHAPE, VOXEL_SIZE, origin=(0, 10, 0), depth=0)
    assert (moved.start[1], moved.stop[1]) == (25, 56)


def test_3d_view_gives_a_cube_around_the_centre(viewer: ViewerModel) -> None:
    viewer.dims.ndisplay = 3
    viewer.scene.camera.center = (40, 50, 100)
    viewer.scene.camera.zoom = 20
    box = visible_box(viewer, SHAPE, VOXEL_SIZE)
    assert box == Box((6, 35, 85), (15, 66, 116))
    assert hidden_axis(viewer) is None


def test_volume_lies_on_the_last_axes(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((2, 4, 5, 6), dtype=np.uint8))
    viewer.scene.camera.center = (0, 50, 100)
    viewer.scene.camera.zoom = 10
    assert visible_box(viewer, SHAPE, VOXEL_SIZE, depth=0).shape == (1, 31, 61)
    assert hidden_axis(viewer) == 0
