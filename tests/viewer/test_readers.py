from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from napari.layers import Layer

from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.image_layers import layer_place
from napari_unetseg.viewer.pyramids import LazyView
from napari_unetseg.viewer.readers import project_reader, volume_reader


def read(path: Path) -> list[Layer]:
    reader = volume_reader(str(path))
    assert reader is not None
    return [Layer.create(*data) for data in reader(str(path))]


def test_volume_is_lazy_multiscale_and_in_place(phantom_path: Path) -> None:
    image, *labels = read(phantom_path)
    assert image.multiscale
    assert all(isinstance(level, LazyView) for level in image.data)
    assert image.name == "small"
    expected = zarr.open_array(phantom_path / "0", mode="r")[:]
    np.testing.assert_array_equal(np.asarray(image.data[0]), np.squeeze(expected))
    assert {"truth"} <= {layer.name for layer in labels}
    assert all(layer._type_string == "labels" for layer in labels)
    assert not any(layer.visible for layer in labels)


def test_each_channel_is_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "two.zarr"
    shape = (4, 32, 32)
    group = create_image(
        path,
        shape=shape,
        dtype="uint16",
        chunk=shape,
        voxel_size=(2.0, 1.0, 1.0),
        unit="micrometer",
        n_channels=2,
        n_levels=1,
    )
    voxels = np.arange(2 * 4 * 32 * 32, dtype=np.uint16).reshape(2, *shape)
    write_pyramid_block(group, Box.whole(shape), voxels)
    first, second = read(path)
    assert (first.name, second.name) == ("two 1", "two 2")
    np.testing.assert_array_equal(np.asarray(second.data[0]), voxels[1])
    np.testing.assert_allclose(second.scale, (2, 1, 1))
    assert first.colormap.name != second.colormap.name


@pytest.mark.parametrize("unit", [None, "furlong_of_nowhere"])
def test_unknown_units_are_pixels(unit: str | None) -> None:
    level = SimpleNamespace(translation=(0.0, 0.0, 0.0))
    volume = SimpleNamespace(voxel_size=(1.0, 1.0, 1.0), unit=unit, levels=[level])
    assert layer_place(volume)["units"] == ("pixel",) * 3


def test_other_paths_are_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "notes.zarr").mkdir()
    assert volume_reader(str(tmp_path / "notes.zarr")) is None
    assert volume_reader([str(tmp_path)]) is None
    assert project_reader(str(tmp_path)) is None


def test_project_folders_are_ours(project_folder: Path) -> None:
    assert project_reader(str(project_folder)) is not None


def test_project_without_a_window_is_explained(project_folder: Path) -> None:
    reader = project_reader(str(project_folder))
    assert reader is not None
    with pytest.raises(UnetsegError, match=r"in a window"):
        reader(str(project_folder))
