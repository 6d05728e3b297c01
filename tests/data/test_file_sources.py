from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data.convert import convert, needs_conversion
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    UnsupportedFormatError,
)
from napari_unetseg.events import (
    Event,
    Message,
    never_cancelled,
)
from tests.helpers.conversion import (
    SHAPE,
    VOXELS,
    assert_nothing_left,
    converted,
    run,
    voxels_of,
)


class TestTiff:
    def test_a_stack_without_metadata_has_voxels_of_one(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", VOXELS)
        volume = converted(tmp_path / "a.tif")
        assert volume.axes == "zyx"
        assert volume.dtype == np.uint16
        assert volume.voxel_size == (1.0, 1.0, 1.0)
        np.testing.assert_array_equal(voxels_of(volume)[0], VOXELS)

    @pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
    def test_imagej_says_its_voxel_size(self, tmp_path: Path, unit: str) -> None:
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

    def test_imagej_channels_are_put_first(self, tmp_path: Path) -> None:
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
        self, tmp_path: Path, order: str, compression: str | None
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

    def test_a_series_of_times_without_depth_is_a_stack(self, tmp_path: Path) -> None:
        tifffile.imwrite(
            tmp_path / "a.tif", VOXELS, imagej=True, metadata={"axes": "TYX"}
        )
        np.testing.assert_array_equal(
            voxels_of(converted(tmp_path / "a.tif"))[0], VOXELS
        )

    def test_a_picture_is_a_volume_of_one_plane(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", VOXELS[0])
        volume = converted(tmp_path / "a.tif")
        assert volume.shape == (1, 20, 24)
        np.testing.assert_array_equal(voxels_of(volume)[0, 0], VOXELS[0])

    def test_a_folder_of_planes_is_a_stack_in_the_order_people_count(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "planes"
        folder.mkdir()
        many = np.concatenate([VOXELS, VOXELS[::-1]])
        for number, plane in enumerate(many):
            tifffile.imwrite(folder / f"plane{number}.tif", plane)
        (folder / "notes.txt").write_text("written on a Monday")
        assert needs_conversion(folder)
        np.testing.assert_array_equal(voxels_of(converted(folder))[0], many)

    def test_the_person_may_say_voxel_size_unit_and_chunk(self, tmp_path: Path) -> None:
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
        self, tmp_path: Path, nibabel: Any, suffix: str
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

    def test_the_fourth_axis_are_channels(self, tmp_path: Path, nibabel: Any) -> None:
        voxels = np.stack([VOXELS, VOXELS[::-1]])
        nibabel.save(nibabel.Nifti1Image(voxels.T, np.eye(4)), tmp_path / "a.nii")
        volume = converted(tmp_path / "a.nii")
        assert volume.n_channels == 2
        np.testing.assert_array_equal(voxels_of(volume), voxels)

    @pytest.mark.parametrize(("slope", "shift"), [(2.0, 0.0), (1.0, -1024.0)])
    def test_scaled_intensities_are_those_that_the_file_means(
        self,
        tmp_path: Path,
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
