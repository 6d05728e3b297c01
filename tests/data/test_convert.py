from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs
from zarr.storage import LocalStore

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data import convert as convert_module
from napari_unetseg.data.convert import convert, default_chunk, needs_conversion
from napari_unetseg.data.ome_zarr import downsample_mean
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
    Message,
    Progress,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box

SHAPE = (6, 20, 24)
VOXELS = np.random.default_rng(0).integers(1, 60_000, SHAPE, np.uint16)
Convert = Callable[..., Volume]


@pytest.fixture
def converted(tmp_path: Path) -> Convert:
    """Return a converter of a file into a volume beside it."""

    def run(source: Path, **choices: Any) -> Volume:
        target = tmp_path / "out.zarr"
        config = ConvertConfig(**choices)
        convert(source, target, config, ignore_event, never_cancelled)
        yaozarrs.validate_zarr_store(str(target))
        return Volume.open(target)

    return run


def voxels_of(volume: Volume) -> np.ndarray:
    return volume.read(Box.whole(volume.shape))


class TestTiff:
    def test_a_stack_without_metadata_has_voxels_of_one(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        tifffile.imwrite(tmp_path / "a.tif", VOXELS)
        volume = converted(tmp_path / "a.tif")
        assert volume.axes == "zyx"
        assert volume.dtype == np.uint16
        assert volume.voxel_size == (1.0, 1.0, 1.0)
        np.testing.assert_array_equal(voxels_of(volume)[0], VOXELS)

    @pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
    def test_imagej_says_its_voxel_size(
        self, tmp_path: Path, converted: Convert, unit: str
    ) -> None:
        tifffile.imwrite(
            tmp_path / "a.tif",
            VOXELS,
            imagej=True,
            resolution=(4.0, 2.0),
            metadata={"axes": "ZYX", "spacing": 1.5, "unit": unit},
        )
        volume = converted(tmp_path / "a.tif")
        assert volume.voxel_size == (1.5, 0.5, 0.25)
        assert volume.unit == "micrometer"
        np.testing.assert_array_equal(voxels_of(volume)[0], VOXELS)

    def test_imagej_channels_are_put_first(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        voxels = np.stack([VOXELS, VOXELS[::-1]], axis=1)  # zcyx
        tifffile.imwrite(
            tmp_path / "a.tif", voxels, imagej=True, metadata={"axes": "ZCYX"}
        )
        volume = converted(tmp_path / "a.tif")
        assert (volume.axes, volume.n_channels) == ("czyx", 2)
        np.testing.assert_array_equal(voxels_of(volume), voxels.swapaxes(0, 1))

    @pytest.mark.parametrize("order", ["CZYX", "ZCYX"])
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_ome_tiff_says_its_axes_and_its_voxel_size(
        self, tmp_path: Path, converted: Convert, order: str, compression: str | None
    ) -> None:
        voxels = np.stack([VOXELS, VOXELS[::-1], VOXELS // 2])
        stored = voxels if order == "CZYX" else voxels.swapaxes(0, 1)
        tifffile.imwrite(
            tmp_path / "a.ome.tif",
            stored,
            compression=compression,
            metadata={
                "axes": order,
                "PhysicalSizeX": 8.0,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 9.0,
                "PhysicalSizeYUnit": "nm",
                "PhysicalSizeZ": 30.0,
                "PhysicalSizeZUnit": "nm",
            },
        )
        volume = converted(tmp_path / "a.ome.tif")
        assert volume.n_channels == 3
        assert volume.voxel_size == (30.0, 9.0, 8.0)
        assert volume.unit == "nanometer"
        np.testing.assert_array_equal(voxels_of(volume), voxels)

    def test_of_a_time_series_the_first_is_taken_and_said(self, tmp_path: Path) -> None:
        voxels = np.stack([VOXELS, VOXELS[::-1]])
        tifffile.imwrite(
            tmp_path / "a.tif", voxels, imagej=True, metadata={"axes": "TZYX"}
        )
        heard: list[Event] = []
        target = tmp_path / "out.zarr"
        convert(
            tmp_path / "a.tif", target, ConvertConfig(), heard.append, never_cancelled
        )
        np.testing.assert_array_equal(voxels_of(Volume.open(target))[0], VOXELS)
        said = [event for event in heard if isinstance(event, Message)]
        assert said == [
            Message("Only the first of 2 time points was converted.", "warning")
        ]

    def test_a_series_of_times_without_depth_is_a_stack(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        tifffile.imwrite(
            tmp_path / "a.tif", VOXELS, imagej=True, metadata={"axes": "TYX"}
        )
        np.testing.assert_array_equal(
            voxels_of(converted(tmp_path / "a.tif"))[0], VOXELS
        )

    def test_a_picture_is_a_volume_of_one_plane(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        tifffile.imwrite(tmp_path / "a.tif", VOXELS[0])
        volume = converted(tmp_path / "a.tif")
        assert volume.shape == (1, 20, 24)
        np.testing.assert_array_equal(voxels_of(volume)[0, 0], VOXELS[0])

    def test_a_folder_of_planes_is_a_stack_in_the_order_people_count(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        folder = tmp_path / "planes"
        folder.mkdir()
        many = np.concatenate([VOXELS, VOXELS[::-1]])
        for number, plane in enumerate(many):
            tifffile.imwrite(folder / f"plane{number}.tif", plane)
        (folder / "notes.txt").write_text("written on a Monday")
        assert needs_conversion(folder)
        np.testing.assert_array_equal(voxels_of(converted(folder))[0], many)

    def test_the_person_may_say_voxel_size_unit_and_chunk(
        self, tmp_path: Path, converted: Convert
    ) -> None:
        tifffile.imwrite(tmp_path / "a.tif", VOXELS)
        volume = converted(
            tmp_path / "a.tif",
            voxel_size=(3.0, 1.0, 1.0),
            unit="micrometer",
            chunk=(2, 10, 12),
        )
        assert volume.voxel_size == (3.0, 1.0, 1.0)
        assert volume.unit == "micrometer"
        assert volume.levels[0].chunk == (2, 10, 12)
        np.testing.assert_array_equal(voxels_of(volume)[0], VOXELS)


class TestNifti:
    @pytest.fixture
    def nibabel(self) -> Any:
        return pytest.importorskip("nibabel")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_x_becomes_the_last_axis_and_zooms_the_voxel_size(
        self, tmp_path: Path, converted: Convert, nibabel: Any, suffix: str
    ) -> None:
        image = nibabel.Nifti1Image(VOXELS.transpose(2, 1, 0), np.eye(4))
        image.header.set_zooms((0.5, 0.75, 2.0))
        image.header.set_xyzt_units("mm")
        nibabel.save(image, tmp_path / f"a{suffix}")
        assert needs_conversion(tmp_path / f"a{suffix}")
        volume = converted(tmp_path / f"a{suffix}")
        assert volume.shape == SHAPE
        assert volume.voxel_size == (2.0, 0.75, 0.5)
        assert volume.unit == "millimeter"
        assert volume.dtype == np.uint16
        np.testing.assert_array_equal(voxels_of(volume)[0], VOXELS)

    def test_the_fourth_axis_are_channels(
        self, tmp_path: Path, converted: Convert, nibabel: Any
    ) -> None:
        voxels = np.stack([VOXELS, VOXELS[::-1]])
        nibabel.save(nibabel.Nifti1Image(voxels.T, np.eye(4)), tmp_path / "a.nii")
        volume = converted(tmp_path / "a.nii")
        assert volume.n_channels == 2
        np.testing.assert_array_equal(voxels_of(volume), voxels)

    @pytest.mark.parametrize(("slope", "shift"), [(2.0, 0.0), (1.0, -1024.0)])
    def test_scaled_intensities_are_those_that_the_file_means(
        self,
        tmp_path: Path,
        converted: Convert,
        nibabel: Any,
        slope: float,
        shift: float,
    ) -> None:
        path = tmp_path / "a.nii"
        nibabel.save(nibabel.Nifti1Image(VOXELS.transpose(2, 1, 0), np.eye(4)), path)
        content = bytearray(path.read_bytes())
        content[112:120] = np.array(
            [slope, shift], "<f4"
        ).tobytes()  # scl_slope, _inter
        path.write_bytes(content)
        volume = converted(path)
        assert volume.dtype == np.float32
        np.testing.assert_allclose(voxels_of(volume)[0], VOXELS * slope + shift)

    def test_colours_are_refused(self, tmp_path: Path, nibabel: Any) -> None:
        colours = np.zeros((4, 4, 4), [(name, "u1") for name in "RGB"])
        nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "a.nii")
        with pytest.raises(
            UnsupportedFormatError, match=r"a\.nii is no volume of one brightness"
        ):
            run(tmp_path / "a.nii")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_a_damaged_file_is_a_sentence(
        self, tmp_path: Path, nibabel: Any, suffix: str
    ) -> None:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"this is no image at all")
        with pytest.raises(UnsupportedFormatError) as caught:
            run(path)
        assert str(caught.value) == (
            f"a{suffix} cannot be read as NIfTI, it may be damaged."
        )
        assert_nothing_left(tmp_path)

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_a_truncated_file_is_a_sentence_and_leaves_nothing(
        self, tmp_path: Path, nibabel: Any, suffix: str
    ) -> None:
        path = tmp_path / f"a{suffix}"
        nibabel.save(nibabel.Nifti1Image(VOXELS.T, np.eye(4)), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UnsupportedFormatError, match=r"a\.nii(\.gz)? cannot be "):
            run(path)
        assert_nothing_left(tmp_path)


def run(
    source: Path,
    on_event: Callable[[Event], None] = ignore_event,
    is_cancelled: Callable[[], bool] = never_cancelled,
) -> Path:
    target = source.with_name("out.zarr")
    return convert(source, target, ConvertConfig(), on_event, is_cancelled)


def assert_nothing_left(folder: Path) -> None:
    assert not list(folder.glob("out*"))


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
