from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from napari_unetseg.config import VoxelSize
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume, is_zarr
from napari_unetseg.errors import (
    MetadataError,
)
from napari_unetseg.geometry import Box
from tests.helpers.numbered_volumes import (
    CHUNK,
    SHAPE,
    WHOLE,
    numbers,
    plain,
)


def test_a_volume_says_what_it_is(volume_path: Path) -> None:
    volume = Volume.open(volume_path)
    assert volume.name == "brain"
    assert volume.shape == SHAPE
    assert volume.axes == "zyx"
    assert volume.n_channels == 1
    assert volume.dtype == np.uint16
    assert volume.voxel_size == (1.0, 0.5, 0.5)
    assert volume.unit == "micrometer"
    assert volume.n_bytes == 2 * WHOLE.n_voxels
    assert [level.shape for level in volume.levels] == [SHAPE, (8, 6, 8)]


def test_a_box_is_read_with_its_channels_first(volume_path: Path) -> None:
    box = Box((1, 2, 3), (7, 11, 13))
    voxels = Volume.open(volume_path).read(box)
    assert voxels.shape == (1, *box.shape)
    np.testing.assert_array_equal(voxels[0], numbers(*SHAPE)[box.slices])


def test_a_coarser_level_is_read_in_its_own_voxels(volume_path: Path) -> None:
    volume = Volume.open(volume_path)
    stored = np.asarray(volume.array(1)[...])
    voxels = volume.read(Box((0, 1, 2), (8, 5, 6)), level=1)
    np.testing.assert_array_equal(voxels[0], stored[:, 1:5, 2:6])


@pytest.mark.parametrize("shape", [(12, 16), SHAPE, (2, *SHAPE), (3, 2, *SHAPE)])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays_of_two_to_five_axes_are_volumes(
    tmp_path: Path, shape: tuple[int, ...], zarr_format: int
) -> None:
    voxels = numbers(*shape)
    path = plain(tmp_path / "plain.zarr", voxels, shape, zarr_format=zarr_format)
    volume = Volume.open(path)
    expected = voxels.reshape(-1, *(1, 1, 1, *shape)[-4:])[0]
    assert volume.axes == "tczyx"[-len(shape) :]
    assert volume.shape == expected.shape[-3:]
    assert volume.voxel_size == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(volume.read(Box.whole(volume.shape)), expected)


def test_a_person_knows_better_how_large_voxels_are(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    create_image(
        path, shape=(8, 32, 32), dtype="uint8", chunk=(8, 16, 16),
        voxel_size=(1.0, 1.0, 1.0), n_levels=2,
    )  # fmt: skip
    plain = Volume.open(path)
    scale = VoxelSize(voxel_size=(50.0, 4.0, 4.0), unit="nanometer")
    volume = Volume.open(path, scale=scale)
    assert volume.voxel_size == (50.0, 4.0, 4.0)
    assert volume.unit == "nanometer"
    assert volume.factors == plain.factors
    assert volume.levels[1].voxel_size == tuple(
        f * s for f, s in zip(plain.factors[1], scale.voxel_size, strict=True)
    )
    copy = pickle.loads(pickle.dumps(volume))
    assert copy.voxel_size == volume.voxel_size
    assert copy.fingerprint == volume.fingerprint != plain.fingerprint


def test_of_a_time_series_one_time_point_is_read(tmp_path: Path) -> None:
    voxels = numbers(3, 1, *SHAPE)
    path = plain(tmp_path / "times.zarr", voxels, (1, 1, *CHUNK))
    volume = Volume.open(path, time_point=2)
    np.testing.assert_array_equal(volume.read(WHOLE), voxels[2])
    np.testing.assert_array_equal(volume.lazy_levels()[0][...], voxels[2, 0])


@pytest.mark.parametrize("time_point", [-1, 3])
def test_a_time_point_that_is_not_there_is_refused(
    tmp_path: Path, time_point: int
) -> None:
    path = plain(tmp_path / "times.zarr", numbers(3, 1, 2, 2, 2), (1, 1, 2, 2, 2))
    with pytest.raises(MetadataError) as caught:
        Volume.open(path, time_point=time_point)
    assert str(caught.value) == (
        f"The volume times has no such time point: got {time_point}, expected 0 to 2."
    )


def test_a_volume_travels_as_its_address(tmp_path: Path) -> None:
    path = plain(tmp_path / "times.zarr", numbers(3, 1, *SHAPE), (1, 1, *CHUNK))
    volume = Volume.open(path, time_point=1)
    copy = pickle.loads(pickle.dumps(volume))
    assert copy.time_point == 1
    np.testing.assert_array_equal(copy.read(WHOLE), volume.read(WHOLE))


def test_the_fingerprint_is_plain_and_changes_with_the_volume(
    volume_path: Path,
) -> None:
    first = Volume.open(volume_path).fingerprint
    assert json.loads(json.dumps(first)) == first
    assert Volume.open(volume_path).fingerprint == first

    metadata = volume_path / "zarr.json"
    metadata.write_text(metadata.read_text().replace("0.5,", "0.25,"))
    second = Volume.open(volume_path).fingerprint
    assert second["metadata_hash"] != first["metadata_hash"]
    assert second["voxel_size"] != first["voxel_size"]


@pytest.mark.parametrize(
    "index",
    [
        np.s_[...],
        np.s_[3],
        np.s_[-1],
        np.s_[2:6, :, 5],
        np.s_[..., -2],
        np.s_[::2, 1:9:3],
        np.s_[np.int64(2), ..., 3:4],
        np.s_[2, 3, 4],
        np.s_[-3:, :-1],
    ],
)
def test_a_lazy_level_is_indexed_like_an_array(volume_path: Path, index: Any) -> None:
    level = Volume.open(volume_path).lazy_levels()[0]
    assert (level.shape, level.ndim, level.dtype) == (SHAPE, 3, np.uint16)
    assert level.chunks == CHUNK
    np.testing.assert_array_equal(level[index], numbers(*SHAPE)[index])


@pytest.mark.parametrize(
    "index", [np.s_[...], np.s_[1], np.s_[-1, 2], np.s_[0:1, ..., 3], np.s_[::2]]
)
def test_a_lazy_level_of_several_channels_has_them_first(
    tmp_path: Path, index: Any
) -> None:
    voxels = numbers(2, *SHAPE)
    path = plain(tmp_path / "two.zarr", voxels, (1, *CHUNK))
    level = Volume.open(path).lazy_levels()[0]
    assert level.shape == voxels.shape
    assert level.chunks == (1, *CHUNK)
    np.testing.assert_array_equal(level[index], voxels[index])


def test_images_of_a_bioformats2raw_group_are_opened(
    tmp_path: Path, volume_path: Path
) -> None:
    outer = tmp_path / "outer.zarr"
    zarr.create_group(
        outer, attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    )
    shutil.copytree(volume_path, outer / "0")
    volume = Volume.open(outer)
    assert len(volume.levels) == 2
    np.testing.assert_array_equal(volume.read(WHOLE)[0], numbers(*SHAPE))


@pytest.fixture
def store_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What is read from, looked for and listed in local stores."""
    calls: dict[str, list[str]] = {"get": [], "exists": [], "list": []}
    for name, kind in {
        "get": "get",
        "exists": "exists",
        "list": "list",
        "list_dir": "list",
        "list_prefix": "list",
    }.items():
        original = getattr(LocalStore, name)

        def spy(
            self: LocalStore,
            key: str = "",
            *args: Any,
            _original: Any = original,
            _kind: str = kind,
            **more: Any,
        ) -> Any:
            calls[_kind].append(key)
            return _original(self, *([key] if key else []), *args, **more)

        monkeypatch.setattr(LocalStore, name, spy)
    return calls


def test_opening_a_terabyte_reads_metadata_only(
    tmp_path: Path, store_calls: dict[str, list[str]]
) -> None:
    path = tmp_path / "terabyte.zarr"
    create_image(
        path,
        shape=(10_000, 10_000, 10_000),
        dtype="uint8",
        chunk=(64, 64, 64),
        voxel_size=(1, 1, 1),
    )
    for calls in store_calls.values():
        calls.clear()
    volume = Volume.open(path)
    assert volume.n_bytes == 10**12
    assert len(volume.levels) == 7
    names = {Path(key).name for key in store_calls["get"]}
    assert names <= {"zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"}
    assert len(store_calls["get"]) < 100
    assert store_calls["list"] == []


def test_a_box_of_a_terabyte_reads_its_own_chunks_only(
    tmp_path: Path, store_calls: dict[str, list[str]]
) -> None:
    path = tmp_path / "terabyte.zarr"
    group = create_image(
        path,
        shape=(10_000, 10_000, 10_000),
        dtype="uint8",
        chunk=(64, 64, 64),
        voxel_size=(1, 1, 1),
        n_levels=2,
    )
    box = Box((6400, 6400, 6400), (6464, 6464, 6528))
    write_pyramid_block(group, box, np.ones(box.shape, np.uint8))
    volume = Volume.open(path)
    volume.array(0)
    for calls in store_calls.values():
        calls.clear()
    assert volume.read(box).all()
    assert sorted(store_calls["get"]) == ["0/c/100/100/100", "0/c/100/100/101"]
    assert store_calls["list"] == []


def test_folders_and_addresses_are_told_from_files(
    volume_path: Path, tmp_path: Path
) -> None:
    assert is_zarr(volume_path)
    assert is_zarr("https://example.org/volume")
    assert not is_zarr(tmp_path)
    assert not is_zarr(volume_path / "zarr.json")
    assert not is_zarr(tmp_path / "gone")
