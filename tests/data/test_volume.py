from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from napari_unetseg.data.ome_zarr import create_image, write_pyramid_block
from napari_unetseg.data.volume import COMPLETE, Volume, is_zarr
from napari_unetseg.errors import (
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VolumeNotFoundError,
    VoxelValueError,
)
from napari_unetseg.geometry import Box

SHAPE = (8, 12, 16)
CHUNK = (4, 6, 8)
WHOLE = Box.whole(SHAPE)


def numbers(*shape: int, dtype: str = "uint16") -> np.ndarray:
    """Voxels that are all different and none of them zero."""
    return (np.arange(np.prod(shape)) + 1).reshape(shape).astype(dtype)


def plain(path: Path, voxels: np.ndarray, chunk: tuple[int, ...], **more: Any) -> Path:
    array = zarr.create_array(
        path, shape=voxels.shape, chunks=chunk, dtype=voxels.dtype, **more
    )
    array[...] = voxels
    return path


@pytest.fixture
def volume_path(tmp_path: Path) -> Path:
    """An OME-Zarr image of two levels."""
    path = tmp_path / "brain.ome.zarr"
    group = create_image(
        path,
        shape=SHAPE,
        dtype="uint16",
        chunk=CHUNK,
        voxel_size=(1.0, 0.5, 0.5),
        unit="micrometer",
        n_levels=2,
    )
    write_pyramid_block(group, WHOLE, numbers(*SHAPE))
    return path


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


class TestWhatIsNoVolume:
    def test_a_missing_path_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "gone.zarr"
        with pytest.raises(VolumeNotFoundError) as caught:
            Volume.open(path)
        assert str(caught.value) == (
            f"There is nothing at {path}. Check the path; the volume may have moved."
        )
        assert isinstance(caught.value, FileNotFoundError)

    def test_a_file_is_to_be_converted(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("not a volume")
        with pytest.raises(UnsupportedFormatError) as caught:
            Volume.open(path)
        assert str(caught.value) == (
            "notes.txt is no zarr volume. Convert it first: open it in the window, "
            "or use napari-unetseg new."
        )

    def test_an_empty_folder_says_what_is_missing(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(UnsupportedFormatError) as caught:
            Volume.open(tmp_path / "empty")
        assert str(caught.value) == (
            "The folder empty holds no zarr volume, expected a folder with zarr.json, "
            ".zgroup or .zarray."
        )

    def test_a_truncated_zarr_json_is_damaged_metadata(self, volume_path: Path) -> None:
        metadata = volume_path / "zarr.json"
        metadata.write_text(metadata.read_text()[:40])
        with pytest.raises(MetadataError) as caught:
            Volume.open(volume_path)
        sentence = str(caught.value)
        assert sentence.startswith("The zarr metadata of brain.ome.zarr is damaged, ")
        assert sentence.endswith(
            ". Restore zarr.json (or .zarray, .zattrs) from the source."
        )

    def test_a_truncated_zarr_json_of_a_level_is_damaged_metadata(
        self, volume_path: Path
    ) -> None:
        metadata = volume_path / "1" / "zarr.json"
        metadata.write_text(metadata.read_text()[:40])
        with pytest.raises(
            MetadataError,
            match=r"Level 1 of brain\.ome\.zarr is listed .* but missing or damaged",
        ):
            Volume.open(volume_path)

    def test_a_truncated_zarray_is_damaged_metadata(self, tmp_path: Path) -> None:
        path = plain(tmp_path / "old.zarr", numbers(4, 4, 4), (4, 4, 4), zarr_format=2)
        (path / ".zarray").write_text('{"shape": [4, 4')
        with pytest.raises(
            MetadataError, match=r"The zarr metadata of old\.zarr is damaged"
        ):
            Volume.open(path)

    def test_a_picture_is_no_volume(self, tmp_path: Path) -> None:
        path = plain(
            tmp_path / "photo.zarr", numbers(16, 20, 3, dtype="uint8"), (16, 20, 3)
        )
        with pytest.raises(UnsupportedFormatError) as caught:
            Volume.open(path)
        assert str(caught.value) == (
            "photo.zarr is an RGB image, colours are its last axis: "
            "got shape (16, 20, 3), expected one brightness per voxel, or channels "
            "before z, y, x. Move the colour axis to the front, or keep one channel."
        )

    @pytest.mark.parametrize("shape", [(9,), (1, 1, 1, 2, 2, 2)])
    def test_too_few_or_too_many_axes_are_refused(
        self, tmp_path: Path, shape: tuple[int, ...]
    ) -> None:
        path = plain(tmp_path / "odd.zarr", numbers(*shape), shape)
        with pytest.raises(UnsupportedFormatError) as caught:
            Volume.open(path)
        assert str(caught.value) == (
            "The array odd.zarr has the wrong number of axes: "
            f"got {len(shape)}, expected 2 to 5 (t, c, z, y, x)."
        )

    def test_voxels_that_are_complex_are_refused(self, tmp_path: Path) -> None:
        path = plain(
            tmp_path / "wave.zarr", numbers(4, 4, 4, dtype="complex64"), (4, 4, 4)
        )
        with pytest.raises(UnsupportedFormatError) as caught:
            Volume.open(path)
        assert str(caught.value) == (
            "The voxels of wave.zarr are no numbers: got complex64."
        )


class TestVoxelsThatAreNoNumbers:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_reading_them_says_where_the_first_is(
        self, tmp_path: Path, value: float
    ) -> None:
        voxels = numbers(*SHAPE, dtype="float32")
        voxels[2, 3, 4] = value
        path = plain(tmp_path / "holes.zarr", voxels, CHUNK)
        with pytest.raises(VoxelValueError) as caught:
            Volume.open(path).read(Box((1, 1, 1), (4, 6, 8)))
        assert str(caught.value) == (
            "The volume holes has voxels that are no numbers (NaN or infinite), the "
            "first at z y x = (2, 3, 4). "
            "Replace them, for example with the mean of the volume."
        )

    def test_boxes_beside_them_can_be_read(self, tmp_path: Path) -> None:
        voxels = numbers(*SHAPE, dtype="float32")
        voxels[2, 3, 4] = np.nan
        path = plain(tmp_path / "holes.zarr", voxels, CHUNK)
        box = Box((4, 0, 0), SHAPE)
        read = Volume.open(path).read(box)
        np.testing.assert_array_equal(read[0], voxels[box.slices])


Remove = Callable[[str], None]


class TestMissingChunks:
    @pytest.fixture
    def remove(self, volume_path: Path) -> Remove:
        return lambda key: (volume_path / "0" / "c" / key).unlink()

    def test_one_that_the_coarser_level_knows_is_lost(
        self, volume_path: Path, remove: Remove
    ) -> None:
        remove("1/0/1")
        volume = Volume.open(volume_path)
        assert volume.missing_chunks(WHOLE) == [(1, 0, 1)]
        with pytest.raises(MissingChunkError) as caught:
            volume.read(WHOLE)
        assert str(caught.value) == (
            "The volume brain has lost a chunk, number 1.0.1 of level 0. "
            "Restore it, or choose that missing chunks are empty if whoever wrote the "
            "volume leaves out empty ones."
        )

    def test_it_can_be_filled_instead(self, volume_path: Path, remove: Remove) -> None:
        remove("1/0/1")
        voxels = Volume.open(volume_path).read(WHOLE, missing="fill")
        expected = numbers(*SHAPE)
        expected[4:, :6, 8:] = 0
        np.testing.assert_array_equal(voxels[0], expected)

    def test_boxes_beside_it_can_be_read(
        self, volume_path: Path, remove: Remove
    ) -> None:
        remove("1/0/1")
        box = Box((0, 0, 0), (8, 12, 8))
        assert Volume.open(volume_path).read(box).all()

    def test_an_empty_region_has_no_chunks_and_has_lost_none(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "sparse.zarr"
        group = create_image(
            path,
            shape=SHAPE,
            dtype="uint8",
            chunk=CHUNK,
            voxel_size=(1, 1, 1),
            n_levels=2,
        )
        voxels = np.zeros(SHAPE, np.uint8)
        voxels[:4, :6, :8] = 9
        write_pyramid_block(group, WHOLE, voxels)
        volume = Volume.open(path)
        assert len(volume.missing_chunks(WHOLE)) == 7
        np.testing.assert_array_equal(volume.read(WHOLE)[0], voxels)

    def test_a_channel_may_be_empty_where_another_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "two.zarr"
        group = create_image(
            path,
            shape=SHAPE,
            dtype="uint8",
            chunk=CHUNK,
            voxel_size=(1, 1, 1),
            n_channels=2,
            n_levels=2,
        )
        voxels = np.stack([np.zeros(SHAPE, np.uint8), np.full(SHAPE, 7, np.uint8)])
        write_pyramid_block(group, WHOLE, voxels)
        np.testing.assert_array_equal(Volume.open(path).read(WHOLE), voxels)

    def test_a_lost_chunk_of_one_channel_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "two.zarr"
        group = create_image(
            path,
            shape=SHAPE,
            dtype="uint8",
            chunk=CHUNK,
            voxel_size=(1, 1, 1),
            n_channels=2,
            n_levels=2,
        )
        voxels = np.full((2, *SHAPE), 7, np.uint8)
        write_pyramid_block(group, WHOLE, voxels)
        (path / "0" / "c" / "1" / "0" / "0" / "0").unlink()
        with pytest.raises(MissingChunkError, match=r"number 1\.0\.0\.0 of level 0"):
            Volume.open(path).read(WHOLE)

    def test_a_complete_image_has_lost_whatever_is_absent(self, tmp_path: Path) -> None:
        path = tmp_path / "complete.zarr"
        create_image(
            path,
            shape=SHAPE,
            dtype="uint8",
            chunk=CHUNK,
            voxel_size=(1, 1, 1),
            n_levels=2,
            attributes={COMPLETE: True},
        )
        for level in "01":
            with zarr.config.set({"array.write_empty_chunks": True}):
                array = zarr.open_array(path / level, mode="r+")
            array[...] = 0
        assert not Volume.open(path).read(WHOLE).any()
        (path / "0" / "c" / "0" / "0" / "0").unlink()
        with pytest.raises(MissingChunkError, match=r"number 0\.0\.0 of level 0"):
            Volume.open(path).read(WHOLE)

    @pytest.mark.parametrize(
        ("zarr_format", "key"), [(3, Path("c", "0", "1", "0")), (2, Path("0.1.0"))]
    )
    def test_a_gap_in_a_plain_array_counts_as_lost(
        self, tmp_path: Path, zarr_format: int, key: Path
    ) -> None:
        path = plain(
            tmp_path / "plain.zarr", numbers(*SHAPE), CHUNK, zarr_format=zarr_format
        )
        (path / key).unlink()
        with pytest.raises(MissingChunkError, match=r"number 0\.1\.0"):
            Volume.open(path).read(WHOLE)
        assert Volume.open(path).read(WHOLE, missing="fill").any()

    def test_a_plain_array_without_any_chunk_is_empty(self, tmp_path: Path) -> None:
        path = plain(tmp_path / "plain.zarr", np.zeros(SHAPE, np.uint8), CHUNK)
        assert not Volume.open(path).read(WHOLE).any()

    def test_a_lost_shard_is_noticed(self, tmp_path: Path) -> None:
        path = plain(tmp_path / "sharded.zarr", numbers(*SHAPE), CHUNK, shards=SHAPE)
        np.testing.assert_array_equal(Volume.open(path).read(WHOLE)[0], numbers(*SHAPE))
        big = tmp_path / "two.zarr"
        plain(big, numbers(16, 12, 16), CHUNK, shards=SHAPE)
        (big / "c" / "1" / "0" / "0").unlink()
        volume = Volume.open(big)
        assert volume.read(WHOLE).all()
        with pytest.raises(MissingChunkError):
            volume.read(WHOLE.shifted((8, 0, 0)))


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
