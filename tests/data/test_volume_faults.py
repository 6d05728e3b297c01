from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import COMPLETE, Volume
from napari_unetseg.errors import (
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VolumeNotFoundError,
    VoxelValueError,
)
from napari_unetseg.geometry import Box
from tests.helpers.numbered_volumes import (
    CHUNK,
    SHAPE,
    WHOLE,
    numbers,
    plain,
)


def image_of_two_channels(path: Path) -> zarr.Group:
    return create_image(
        path,
        shape=SHAPE,
        dtype="uint8",
        chunk=CHUNK,
        voxel_size=(1, 1, 1),
        n_channels=2,
        n_levels=2,
    )


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
        group = image_of_two_channels(path)
        voxels = np.stack([np.zeros(SHAPE, np.uint8), np.full(SHAPE, 7, np.uint8)])
        write_pyramid_block(group, WHOLE, voxels)
        np.testing.assert_array_equal(Volume.open(path).read(WHOLE), voxels)

    def test_a_lost_chunk_of_one_channel_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "two.zarr"
        group = image_of_two_channels(path)
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
