from __future__ import annotations

import csv
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_unetseg.data.convert import convert, needs_conversion
from napari_unetseg.data.tiff_export import TiffWriter
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError
from napari_unetseg.events import (
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 44)
SIZE = (2.0, 0.5, 0.25)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_imagej_tiff_has_axes_and_voxel_size(export, labels, volume, tmp_path) -> None:
    path = tmp_path / "out.tif"
    export(labels, volume, format="tiff", target=path)

    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tiff.asarray(), labels.values)
        metadata = tiff.imagej_metadata
        assert metadata["spacing"] == 2.0
        assert metadata["unit"] == "um"
        assert metadata["xorigin"] == -30 / 0.25
        assert metadata["Info"] == "1 = cell\n2 = fibre"
        pixels, per = tiff.pages[0].tags["XResolution"].value
        assert pixels / per == 4.0
        assert tiff.pages[0].tags["XResolution"].value != (
            tiff.pages[0].tags["YResolution"].value
        )


def test_few_objects_are_16_bits_for_imagej(export, labels, volume, tmp_path) -> None:
    result = export(
        labels, volume, format="tiff", kind="objects", target=tmp_path / "out.tif"
    )
    ids = tifffile.imread(tmp_path / "out.tif")
    assert ids.dtype == np.uint16
    assert ids.max() == result["n_objects"] == 3


def test_a_big_tiff_is_bigtiff_with_ome_metadata(
    export, labels, volume, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(TiffWriter.__init__, "__kwdefaults__", {"big": 1000})
    path = tmp_path / "out.ome.tif"
    export(labels, volume, format="tiff", target=path)

    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        assert 'PhysicalSizeZ="2.0"' in (tiff.ome_metadata or "")
        assert 'PhysicalSizeXUnit="µm"' in (tiff.ome_metadata or "")
        assert tiff.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tiff.asarray(), labels.values)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_has_an_affine_in_mm(export, labels, volume, tmp_path, suffix) -> None:
    path = tmp_path / f"out{suffix}"
    export(labels, volume, format="nifti", target=path)

    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels.values)
    np.testing.assert_allclose(np.diag(image.affine)[:3], [0.25e-3, 0.5e-3, 2e-3])
    np.testing.assert_allclose(image.affine[:3, 3], [30e-3, 20e-3, 10e-3])
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.uint8
    assert _names(tmp_path) == ["image.zarr", path.name]


def test_nifti_without_its_package_says_how_to_get_it(
    export, labels, volume, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ExportError, match=r"napari-unetseg\[nifti\]"):
        export(labels, volume, format="nifti", target=tmp_path / "out.nii")


@pytest.mark.parametrize("name", ["out.tif", "out.nii.gz"])
def test_what_was_exported_can_be_opened_again(
    export, labels, volume, tmp_path, name
) -> None:
    from napari_unetseg.config import ConvertConfig

    kind = "tiff" if name.endswith("tif") else "nifti"
    export(labels, volume, format=kind, target=tmp_path / name)
    assert needs_conversion(tmp_path / name)
    convert(
        tmp_path / name,
        tmp_path / "again.zarr",
        ConvertConfig(),
        ignore_event,
        never_cancelled,
    )
    again = Volume.open(tmp_path / "again.zarr")
    np.testing.assert_array_equal(again.read(Box.whole(SHAPE))[0], labels.values)
    in_um = 1.0 if again.unit == "micrometer" else 1000.0
    np.testing.assert_allclose(np.multiply(again.voxel_size, in_um), SIZE)


def test_table_has_a_row_per_object(export, labels, volume, tmp_path) -> None:
    result = export(labels, volume, format="csv", target=tmp_path / "out.csv")

    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == result["n_objects"] == 3
    cell = next(row for row in rows if row["n_voxels"] == "2048")
    assert cell["class"] == "cell"
    assert float(cell["volume_um3"]) == 2048 * 0.25
    assert float(cell["centroid_z_um"]) == 10 + 5.5 * 2
    assert _names(tmp_path) == ["image.zarr", "out.csv"]


def test_a_plane_can_be_exported(export, tmp_path) -> None:
    zarr.create_array(tmp_path / "plane.zarr", shape=(30, 40), dtype="uint8")
    values = np.zeros((1, 30, 40), np.uint8)
    values[0, 5:9, 5:9] = 1
    plane = Volume.open(tmp_path / "plane.zarr")
    for kind, name in (("ome-zarr", "o.zarr"), ("tiff", "o.tif"), ("csv", "o.csv")):
        export(values, plane, format=kind, target=tmp_path / name)
    assert tifffile.imread(tmp_path / "o.tif").squeeze().sum() == 16
    with (tmp_path / "o.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["volume"], row["touches_edge"]) == ("16", "0")
