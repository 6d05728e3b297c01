from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.side_planes import picture, side_planes

SHAPE = (16, 48, 48)
VIEW = Box((5, 8, 4), (6, 40, 44))
COLORS = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]], float)


def planes(point=(5, 20, 30), hidden=0, height=0.4, view=VIEW, voxel_size=(1, 1, 1)):
    return side_planes(
        view, point, hidden, shape=SHAPE, voxel_size=voxel_size, height=height
    )


def test_they_cross_at_the_point_and_are_as_wide_as_the_view() -> None:
    xz, yz = planes()
    assert (xz.across, xz.down) == (2, 0)
    assert (yz.across, yz.down) == (1, 0)
    assert xz.box == Box((0, 20, 4), (14, 21, 44))
    assert yz.box == Box((0, 8, 30), (12, 40, 31))


def test_thick_slices_are_drawn_as_thick_as_they_are() -> None:
    xz, _ = planes(voxel_size=(4, 1, 1))
    assert xz.box.start[0] == 3
    assert xz.box.stop[0] == 8
    assert xz.aspect == pytest.approx(4 * 5 / 40)


@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_a_place_in_the_picture_is_a_voxel_and_back(hidden: int) -> None:
    view = Box((2, 8, 4), (14, 40, 44))
    for plane in planes(point=(5, 20, 30), hidden=hidden, view=view):
        assert plane.voxel_at(*plane.place) == (5, 20, 30)
        corner = plane.voxel_at(-1, 2)
        assert plane.box.holds(corner)


def test_a_picture_shows_image_and_labels(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        box = Box((3, 20, 10), (7, 21, 20))
        project.corrections.commit(
            box, np.ones(box.shape, bool), 2, annotator="Ana", tool="brush"
        )
        for plane in planes():
            rgb = picture(
                plane,
                project.volume,
                project.corrections,
                None,
                annotator="Ana",
                limits=(0.0, 255.0),
                colors=COLORS,
            )
            shape = plane.box.shape
            assert rgb.shape == (shape[plane.down], shape[plane.across], 3)
            grey = rgb[..., 0] == rgb[..., 2]
            blue = rgb[..., 2] > rgb[..., 0]
            expected = np.zeros(rgb.shape[:2], bool)
            if plane.across == 2:
                expected[3:7, 6:16] = True
            np.testing.assert_array_equal(blue, expected)
            np.testing.assert_array_equal(grey, ~expected)


def test_a_wide_plane_is_read_from_a_coarse_level(make_large) -> None:
    volume, corrections = make_large
    view = Box((5, 0, 0), (6, 900, 900))
    (xz, _) = side_planes(
        view, (5, 450, 450), 0, shape=volume.shape, voxel_size=(1, 1, 1), height=0.1
    )
    rgb = picture(
        xz, volume, corrections, None,
        annotator="Ana", limits=(0.0, 255.0), colors=COLORS,
    )  # fmt: skip
    assert rgb.shape[1] <= 400


@pytest.fixture
def make_large(tmp_path: Path):
    """A wide volume that is all empty, and its corrections."""
    from napari_unetseg.data.ome_zarr import create_image

    path = tmp_path / "wide.zarr"
    create_image(path, shape=(16, 900, 900), dtype="uint8", chunk=(16, 64, 64),
                 voxel_size=(1.0, 1.0, 1.0))  # fmt: skip
    with Project.create(
        tmp_path / "wide.unetseg", path, class_names=("a", "b")
    ) as project:
        yield project.volume, project.corrections
