from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from zarr.storage import LocalStore

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data import convert as convert_module
from napari_unetseg.data.convert import convert, default_chunk, needs_conversion
from napari_unetseg.data.pyramid import downsample_mean
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    Cancelled,
    DiskFullError,
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VolumeError,
    VolumeNotFoundError,
)
from napari_unetseg.events import (
    Event,
    Progress,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box
from tests.helpers.conversion import (
    VOXELS,
    assert_nothing_left,
    run,
    voxels_of,
)


class TestPyramid:
    @pytest.fixture
    def volume(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
        """A converted volume of several levels, slabs and empty chunks."""
        monkeypatch.setattr(convert_module, "SLAB_BYTES", 4 * 400 * 2 * 100)
        voxels = np.zeros((9, 400, 400), np.uint16)
        voxels[5:, 190:, 100:] = 1000
        tifffile.imwrite(tmp_path / "a.tif", voxels)
        target = tmp_path / "out.zarr"
        config = ConvertConfig(chunk=(4, 64, 64))
        convert(tmp_path / "a.tif", target, config, ignore_event, never_cancelled)
        return Volume.open(target)

    def test_every_level_is_the_mean_of_the_one_before(self, volume: Volume) -> None:
        levels = [np.asarray(volume.array(n)[...]) for n in range(len(volume.levels))]
        assert [level.shape for level in levels] == [
            (9, 400, 400),
            (5, 200, 200),
            (3, 100, 100),
        ]
        assert levels[0].max() == 1000
        for fine, coarse in itertools.pairwise(levels):
            np.testing.assert_array_equal(downsample_mean(fine, (2, 2, 2)), coarse)

    def test_empty_chunks_are_written_so_that_an_absent_one_is_lost(
        self, volume: Volume
    ) -> None:
        for number, level in enumerate(volume.levels):
            assert volume.missing_chunks(Box.whole(level.shape), number) == []
        (Path(volume.uri) / "0" / "c" / "0" / "0" / "0").unlink()
        with pytest.raises(MissingChunkError, match=r"number 0\.0\.0"):
            Volume.open(volume.uri).read(Box((0, 0, 0), (4, 64, 64)))


def test_progress_counts_up_to_its_total(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    heard: list[Event] = []
    run(tmp_path / "a.tif", heard.append)
    started, *progress = heard
    assert isinstance(started, RunStarted)
    assert started.verb == "convert"
    assert [e.done for e in progress if isinstance(e, Progress)] == list(
        range(1, started.total + 1)
    )


def test_a_cancelled_conversion_leaves_nothing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        assert (tmp_path / "out.zarr.partial").exists()
        return True

    with pytest.raises(Cancelled) as caught:
        run(tmp_path / "a.tif", is_cancelled=cancelled)
    assert str(caught.value) == "The conversion was stopped. Nothing was written."
    assert asked
    assert_nothing_left(tmp_path)


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    original = LocalStore.set

    async def fill_up(self: LocalStore, key: str, value: Any) -> None:
        if "/c/" in key:
            raise OSError(errno.ENOSPC, "No space left on device")
        await original(self, key, value)

    monkeypatch.setattr(LocalStore, "set", fill_up)
    with pytest.raises(DiskFullError) as caught:
        run(tmp_path / "a.tif")
    assert str(caught.value).startswith(
        "The disk is full, the converted volume out.zarr could not be written to "
    )
    assert_nothing_left(tmp_path)


def test_what_a_killed_conversion_left_is_cleared_away(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    (tmp_path / "out.zarr.partial").mkdir()
    (tmp_path / "out.zarr.partial" / "half").write_text("")
    np.testing.assert_array_equal(
        voxels_of(Volume.open(run(tmp_path / "a.tif")))[0], VOXELS
    )
    assert [path.name for path in tmp_path.glob("out*")] == ["out.zarr"]


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    target = tmp_path / "out.zarr"
    target.write_text("precious")
    with pytest.raises(VolumeError) as caught:
        run(tmp_path / "a.tif")
    assert str(caught.value) == (
        f"There already is something at {target}. "
        "Choose another name, or remove it first."
    )
    assert target.read_text() == "precious"


class TestWhatCannotBeConverted:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "gone.tif"
        with pytest.raises(VolumeNotFoundError) as caught:
            run(path)
        assert str(caught.value) == f"There is nothing at {path}. Check the path."
        assert not needs_conversion(path)

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("notes")
        with pytest.raises(UnsupportedFormatError) as caught:
            run(path)
        assert str(caught.value) == (
            "notes.txt is no volume that can be opened: "
            "got .txt, expected zarr, TIFF or NIfTI."
        )
        assert not needs_conversion(path)

    def test_a_folder_without_planes(self, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.mkdir()
        with pytest.raises(UnsupportedFormatError) as caught:
            run(path)
        assert str(caught.value) == (
            "The folder empty holds no TIFF files, "
            "expected one TIFF per plane, numbered."
        )
        assert not needs_conversion(path)

    @pytest.mark.parametrize("content", [b"", b"II*\0", b"this is no TIFF at all"])
    def test_a_damaged_tiff(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(UnsupportedFormatError) as caught:
            run(tmp_path / "a.tif")
        assert str(caught.value) == (
            "a.tif cannot be read as TIFF, it may be damaged. "
            "Open it in another program and save it again."
        )

    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_a_truncated_tiff_leaves_nothing(
        self, tmp_path: Path, compression: str | None
    ) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, VOXELS, compression=compression)
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(UnsupportedFormatError, match=r"a\.tif cannot be "):
            run(path)
        assert_nothing_left(tmp_path)

    def test_a_tiff_whose_planes_are_garbled_leaves_nothing(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, VOXELS, compression="zlib")
        with tifffile.TiffFile(path) as tiff:
            at = tiff.pages[3].dataoffsets[0]
        content = bytearray(path.read_bytes())
        content[at : at + 64] = bytes(64)
        path.write_bytes(content)
        with pytest.raises(
            UnsupportedFormatError, match=r"a\.tif cannot be decoded, \S"
        ):
            run(path)
        assert_nothing_left(tmp_path)

    def test_a_tiff_of_colours(self, tmp_path: Path) -> None:
        voxels = np.zeros((20, 24, 3), np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", voxels, photometric="rgb")
        with pytest.raises(UnsupportedFormatError) as caught:
            run(tmp_path / "a.tif")
        assert str(caught.value) == (
            "a.tif is an RGB image: got shape (20, 24, 3), expected one brightness "
            "per voxel. Split the colours, or save one channel."
        )

    def test_planes_of_different_shapes_leave_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "planes"
        folder.mkdir()
        tifffile.imwrite(folder / "0.tif", VOXELS[0])
        tifffile.imwrite(folder / "1.tif", VOXELS[1, :8])
        with pytest.raises(MetadataError) as caught:
            run(folder)
        assert str(caught.value) == (
            "The plane 1.tif differs from the first one: "
            "got (8, 24) uint16, expected (20, 24) uint16."
        )
        assert_nothing_left(tmp_path)

    def test_a_folder_of_stacks(self, tmp_path: Path) -> None:
        folder = tmp_path / "planes"
        folder.mkdir()
        tifffile.imwrite(folder / "0.tif", VOXELS)
        with pytest.raises(UnsupportedFormatError) as caught:
            run(folder)
        assert str(caught.value) == (
            "The folder planes holds no stack of planes: "
            "got 0.tif of shape (6, 20, 24), expected one 2D image per file."
        )

    def test_a_voxel_size_of_zero(self, tmp_path: Path) -> None:
        tifffile.imwrite(
            tmp_path / "a.tif",
            VOXELS,
            imagej=True,
            resolution=(1.0, 1.0),
            metadata={"axes": "ZYX", "spacing": 0.0, "unit": "um"},
        )
        with pytest.raises(MetadataError) as caught:
            run(tmp_path / "a.tif")
        assert str(caught.value) == (
            "The voxel size of the file is impossible: got 0 × 1 × 1, "
            "expected numbers greater than zero. Give the voxel size yourself."
        )
        assert_nothing_left(tmp_path)


@pytest.mark.parametrize("thickness", [0.5, 1.0, 2.0, 4.0, 10.0])
def test_chunks_hold_about_a_million_voxels_and_are_about_cubic(
    thickness: float,
) -> None:
    z, y, x = default_chunk((1000, 2000, 2000), (thickness, 1.0, 1.0))
    assert y == x
    assert 2**19 <= z * y * x <= 2**20
    assert 0.3 < z * thickness / y < 3


def test_chunks_of_huge_planes_are_flat_so_that_a_slab_fits_into_memory() -> None:
    z, y, x = default_chunk((1000, 10_000, 10_000), (1.0, 1.0, 1.0))
    assert (z, y, x) == (16, 256, 256)


def test_a_chunk_is_not_larger_than_the_volume() -> None:
    assert default_chunk((3, 40, 2000), (1, 1, 1))[:2] == (3, 40)
