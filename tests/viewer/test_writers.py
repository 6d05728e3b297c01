from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels

from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.writers import write_labels


def save(layer: Labels, path: Path) -> list[str]:
    data, attributes, _ = layer.as_layer_data_tuple()
    return write_labels(str(path), data, attributes)


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 700, (5, 70, 90)).astype(np.uint16)


def test_labels_come_back_as_they_were(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "cells.zarr"
    layer = Labels(values, name="cells", scale=(3, 1, 1), units="um")
    assert save(layer, path) == [str(path)]
    volume = Volume.open(path)
    np.testing.assert_array_equal(volume.read(Box.whole(volume.shape))[0], values)
    assert volume.info.is_labels
    assert volume.voxel_size == (3, 1, 1)
    assert volume.unit == "micrometer"
    assert volume.dtype == np.uint16


def test_finest_level_of_a_pyramid_counts(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "pyramid.zarr"
    layer = Labels([values, values[:, ::2, ::2]], multiscale=True)
    save(layer, path)
    volume = Volume.open(path)
    np.testing.assert_array_equal(volume.read(Box.whole(volume.shape))[0], values)


def test_plane_becomes_one_slice(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "plane.zarr"
    save(Labels(values[0]), path)
    assert Volume.open(path).shape == (1, 70, 90)


def test_time_series_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="two or three axes"):
        save(Labels(np.zeros((2, 2, 8, 8), dtype=np.uint8)), tmp_path / "time.zarr")


def test_nothing_is_overwritten(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "taken.zarr"
    path.mkdir()
    with pytest.raises(LabelsError, match="already"):
        save(Labels(values), path)
    assert not list(path.iterdir())
