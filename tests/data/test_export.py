from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_unetseg.config import ExportConfig
from napari_unetseg.data import export_plan
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.convert import convert, needs_conversion
from napari_unetseg.data.export import export_labels
from napari_unetseg.data.ome_zarr import create_image, read_image, register_labels
from napari_unetseg.data.tiff_export import TiffWriter
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, DiskFullError, ExportError, ReadOnlyError
from napari_unetseg.events import (
    Progress,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 44)
SIZE = (2.0, 0.5, 0.25)
ORIGIN = (10.0, 20.0, 30.0)
CLASSES = default_classes(["cell", "fibre"])


@dataclass
class Labels:
    values: np.ndarray

    @property
    def shape(self):
        return self.values.shape

    def read(self, box: Box) -> np.ndarray:
        return self.values[box.slices]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_plan, "_tile", lambda chunk: (8, 16, 16))
    monkeypatch.setattr(
        export_plan, "default_chunk", lambda shape, voxel_size: (8, 16, 16)
    )


def _volume(path: Path, zarr_format: Any = 3, *, n_levels: int = 2) -> Volume:
    group = create_image(
        path,
        shape=SHAPE,
        dtype="uint8",
        chunk=(8, 16, 16),
        voxel_size=SIZE,
        origin=ORIGIN,
        unit="micrometer",
        n_levels=n_levels,
        zarr_format=zarr_format,
    )
    group["0"][:] = 7
    return Volume.open(path)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return _volume(tmp_path / "image.zarr")


@pytest.fixture
def labels() -> Labels:
    values = np.zeros(SHAPE, np.uint8)
    values[2:10, 4:20, 4:20] = 1  # over several tiles
    values[1:11, 30:32, 2:40] = 2
    values[0, 0, 43] = 1
    return Labels(values)


def _export(labels, volume, on_event=ignore_event, is_cancelled=never_cancelled, **kw):
    return export_labels(
        labels,
        volume=volume,
        classes=CLASSES,
        config=ExportConfig(**kw),
        on_event=on_event,
        is_cancelled=is_cancelled,
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_ome_zarr_store_is_a_valid_label_image(labels, volume, tmp_path) -> None:
    result = _export(labels, volume, target=tmp_path / "out.zarr")

    out = Volume.open(tmp_path / "out.zarr")
    np.testing.assert_array_equal(
        out.read(Box.whole(SHAPE), missing="fill")[0], labels.values
    )
    assert out.voxel_size == SIZE
    assert out.levels[0].translation == ORIGIN
    assert out.unit == "micrometer"
    yaozarrs.validate_zarr_store(str(tmp_path / "out.zarr"))
    ome = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs["ome"]
    image_label = ome["image-label"]
    assert image_label["source"] == {"image": "../image.zarr"}
    assert image_label["properties"][1] == {"label-value": 2, "class": "fibre"}
    assert image_label["colors"][1] == {"label-value": 1, "rgba": [230, 159, 0, 255]}
    assert result["format"] == "ome-zarr"
    assert result["shape"] == list(SHAPE)
    assert result["n_objects"] is None
    assert result["voxels_per_class"] == {"cell": 8 * 256 + 1, "fibre": 10 * 2 * 38}
    json.dumps(result)
    assert _names(tmp_path) == ["image.zarr", "out.zarr"]


def test_pyramid_keeps_thin_labels(labels, volume, tmp_path) -> None:
    _export(labels, volume, format="in-place")

    out = Volume.open(Path(volume.uri) / "labels" / "segmentation")
    assert len(out.levels) == len(volume.levels) == 2
    coarse = out.read(Box.whole(out.levels[1].shape), 1, missing="fill")[0]
    factor = [n // m for n, m in zip(SHAPE, coarse.shape, strict=True)]
    assert max(factor) == 2
    cells = labels.values.reshape(
        *(k for n, f in zip(SHAPE, factor, strict=True) for k in (n // f, f))
    )
    np.testing.assert_array_equal(coarse, cells.max(axis=(1, 3, 5)))


@pytest.mark.parametrize(("zarr_format", "version"), [(2, "0.4"), (3, "0.5")])
@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_in_place_speaks_the_version_of_the_image(
    labels, tmp_path, zarr_format, version, consolidated
) -> None:
    path = tmp_path / "image.zarr"
    _volume(path, zarr_format)
    create_image(
        path / "labels" / "truth",
        shape=SHAPE,
        dtype="uint8",
        chunk=SHAPE,
        voxel_size=SIZE,
        n_levels=2,
        label_of="../../",
        zarr_format=zarr_format,
    )
    register_labels(path, "truth")
    if consolidated:
        zarr.consolidate_metadata(path)

    result = _export(labels, Volume.open(path), format="in-place", name="mine")

    assert read_image(path).label_names == ("truth", "mine")
    out = Volume.open(path / "labels" / "mine")
    assert out.info.version == version
    assert out.info.is_labels
    np.testing.assert_array_equal(
        out.read(Box.whole(SHAPE), missing="fill")[0], labels.values
    )
    assert result["target"] == str(path / "labels" / "mine")
    image = zarr.open_group(path / "labels" / "mine", mode="r").attrs.asdict()
    label = image.get("ome", image)["image-label"]
    assert label["source"]["image"] == "../../"
    assert [p["class"] for p in label["properties"]] == ["cell", "fibre"]
    yaozarrs.validate_zarr_store(str(path))


def test_in_place_again_needs_overwrite(labels, volume) -> None:
    _export(labels, volume, format="in-place")
    with pytest.raises(ExportError, match="already is something"):
        _export(labels, volume, format="in-place")
    empty = Labels(np.zeros(SHAPE, np.uint8))

    _export(empty, volume, format="in-place", overwrite=True)

    folder = Path(volume.uri) / "labels"
    assert not zarr.open_group(folder / "segmentation", mode="r")["0"][:].any()
    assert read_image(volume.uri).label_names == ("segmentation",)
    assert _names(folder) == ["segmentation", "zarr.json"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_in_place_names_stay_in_the_folder(labels, volume, name) -> None:
    with pytest.raises(ExportError, match="cannot have this name"):
        _export(labels, volume, format="in-place", name=name)


def test_labels_have_no_place_beside_a_plain_array(labels, tmp_path) -> None:
    zarr.create_array(tmp_path / "plain.zarr", shape=SHAPE, dtype="uint8")
    with pytest.raises(ExportError, match="plain zarr array"):
        _export(labels, Volume.open(tmp_path / "plain.zarr"), format="in-place")


def test_objects_are_numbered_over_tiles(labels, volume, tmp_path) -> None:
    result = _export(
        labels, volume, target=tmp_path / "out.zarr", kind="objects", min_voxels=2
    )

    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    ids = group["0"][:]
    assert ids.dtype == np.uint32
    assert result["n_objects"] == 2
    assert result["voxels_per_class"] == {"cell": 2048, "fibre": 760}
    assert {int(v) for v in np.unique(ids[labels.values == 2])} == {
        int(ids[5, 30, 10]),
    }
    properties = group.attrs["ome"]["image-label"]["properties"]
    assert {p["class"] for p in properties} == {"cell", "fibre"}
    assert properties[int(ids[5, 30, 10]) - 1]["class"] == "fibre"


def test_small_objects_can_be_left_out_of_classes(labels, volume, tmp_path) -> None:
    result = _export(labels, volume, target=tmp_path / "out.zarr", min_voxels=2)

    out = zarr.open_group(tmp_path / "out.zarr", mode="r")["0"][:]
    assert out.dtype == np.uint8
    assert out[0, 0, 43] == 0
    assert (out != labels.values).sum() == 1
    assert result["n_objects"] is None


def test_a_part_stands_where_it_was(labels, volume, tmp_path) -> None:
    box = Box((2, 4, 8), (9, 31, 44))
    result = _export(labels, volume, target=tmp_path / "out.zarr", box=box)

    out = Volume.open(tmp_path / "out.zarr")
    np.testing.assert_array_equal(
        out.read(Box.whole(box.shape), missing="fill")[0], labels.values[box.slices]
    )
    assert out.levels[0].translation == (10 + 2 * 2, 20 + 4 * 0.5, 30 + 8 * 0.25)
    assert result["shape"] == list(box.shape)


def test_a_part_outside_is_refused(labels, volume, tmp_path) -> None:
    with pytest.raises(ExportError, match="outside"):
        _export(
            labels,
            volume,
            target=tmp_path / "out.zarr",
            box=Box((99, 0, 0), (100, 1, 1)),
        )


def test_imagej_tiff_has_axes_and_voxel_size(labels, volume, tmp_path) -> None:
    path = tmp_path / "out.tif"
    _export(labels, volume, format="tiff", target=path)

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


def test_few_objects_are_16_bits_for_imagej(labels, volume, tmp_path) -> None:
    result = _export(
        labels, volume, format="tiff", kind="objects", target=tmp_path / "out.tif"
    )
    ids = tifffile.imread(tmp_path / "out.tif")
    assert ids.dtype == np.uint16
    assert ids.max() == result["n_objects"] == 3


def test_a_big_tiff_is_bigtiff_with_ome_metadata(
    labels, volume, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(TiffWriter.__init__, "__kwdefaults__", {"big": 1000})
    path = tmp_path / "out.ome.tif"
    _export(labels, volume, format="tiff", target=path)

    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        assert 'PhysicalSizeZ="2.0"' in (tiff.ome_metadata or "")
        assert 'PhysicalSizeXUnit="µm"' in (tiff.ome_metadata or "")
        assert tiff.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tiff.asarray(), labels.values)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_has_an_affine_in_mm(labels, volume, tmp_path, suffix) -> None:
    path = tmp_path / f"out{suffix}"
    _export(labels, volume, format="nifti", target=path)

    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels.values)
    np.testing.assert_allclose(np.diag(image.affine)[:3], [0.25e-3, 0.5e-3, 2e-3])
    np.testing.assert_allclose(image.affine[:3, 3], [30e-3, 20e-3, 10e-3])
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.uint8
    assert _names(tmp_path) == ["image.zarr", path.name]


def test_nifti_without_its_package_says_how_to_get_it(
    labels, volume, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ExportError, match=r"napari-unetseg\[nifti\]"):
        _export(labels, volume, format="nifti", target=tmp_path / "out.nii")


@pytest.mark.parametrize("name", ["out.tif", "out.nii.gz"])
def test_what_was_exported_can_be_opened_again(labels, volume, tmp_path, name) -> None:
    from napari_unetseg.config import ConvertConfig

    kind = "tiff" if name.endswith("tif") else "nifti"
    _export(labels, volume, format=kind, target=tmp_path / name)
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


def test_table_has_a_row_per_object(labels, volume, tmp_path) -> None:
    result = _export(labels, volume, format="csv", target=tmp_path / "out.csv")

    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == result["n_objects"] == 3
    cell = next(row for row in rows if row["n_voxels"] == "2048")
    assert cell["class"] == "cell"
    assert float(cell["volume_um3"]) == 2048 * 0.25
    assert float(cell["centroid_z_um"]) == 10 + 5.5 * 2
    assert _names(tmp_path) == ["image.zarr", "out.csv"]


@pytest.mark.parametrize(
    "choice",
    [
        {"format": "ome-zarr", "target": "out.zarr"},
        {"format": "in-place"},
        {"format": "tiff", "target": "out.tif"},
        {"format": "nifti", "target": "out.nii.gz", "kind": "objects"},
        {"format": "csv", "target": "out.csv"},
    ],
)
def test_a_stopped_export_leaves_nothing(labels, volume, tmp_path, choice) -> None:
    if "target" in choice:
        choice = {**choice, "target": tmp_path / choice["target"]}
    before = sorted(tmp_path.rglob("*"))
    events: list[Any] = []
    _export(labels, volume, events.append, **choice | {"overwrite": False})
    assert isinstance(events[0], RunStarted)
    assert [type(e) for e in events[1:]] == [Progress] * (len(events) - 1)
    assert events[-1].done == events[-1].total == events[0].total
    n_steps = events[0].total
    written = sorted(tmp_path.rglob("*"))
    content = {p: p.read_bytes() for p in written if p.is_file()}

    for last in (0, n_steps // 2, n_steps):
        done: list[Any] = []
        with pytest.raises(Cancelled, match="The export was stopped"):
            _export(
                labels,
                volume,
                done.append,
                lambda last=last, done=done: len(done) > last,
                **choice | {"overwrite": True},
            )
        # What stood there before is still there, bit for bit.
        assert {
            p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
        } == content
    assert len(written) > len(before)


def test_a_stopped_first_export_leaves_no_labels_folder(labels, volume) -> None:
    with pytest.raises(Cancelled):
        _export(labels, volume, is_cancelled=lambda: True, format="in-place")
    assert not (Path(volume.uri) / "labels").exists()


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    labels, volume, tmp_path, monkeypatch
) -> None:
    def full(self: Any, box: Box, values: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TiffWriter, "write", full)
    with pytest.raises(DiskFullError, match="disk is full"):
        _export(labels, volume, format="tiff", target=tmp_path / "out.tif")
    assert _names(tmp_path) == ["image.zarr"]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({}, "needs a target"),
        ({"target": "out.tif"}, "ends in .zarr"),
        ({"target": "image.zarr"}, "lies in the volume"),
        ({"target": "image.zarr/labels/x.zarr"}, "lies in the volume"),
        ({"target": "nowhere/out.zarr"}, "does not exist"),
        ({"target": "taken.zarr"}, "already is something"),
        ({"target": "taken.zarr", "overwrite": True}, "holds no labels"),
        ({"target": "other.zarr", "overwrite": True}, "holds no labels"),
    ],
)
def test_targets_that_are_refused(labels, volume, tmp_path, choice, sentence) -> None:
    (tmp_path / "taken.zarr").mkdir()
    (tmp_path / "taken.zarr" / "precious.txt").write_text("mine")
    _volume(tmp_path / "other.zarr")
    if "target" in choice:
        choice = {**choice, "target": tmp_path / choice["target"]}
    with pytest.raises(ExportError, match=sentence):
        _export(labels, volume, **choice)
    assert (tmp_path / "taken.zarr" / "precious.txt").exists()
    assert (tmp_path / "other.zarr" / "zarr.json").exists()


def test_labels_of_another_shape_are_refused(volume, tmp_path) -> None:
    with pytest.raises(ExportError, match="do not fit"):
        _export(
            Labels(np.zeros((2, 2, 2), np.uint8)), volume, target=tmp_path / "o.zarr"
        )


def test_a_read_only_image_is_refused_at_once(labels, volume, monkeypatch) -> None:
    def refused(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    events: list[Any] = []
    with pytest.raises(ReadOnlyError, match="read-only"):
        _export(labels, volume, events.append, format="in-place")
    assert events == []


def test_a_plane_can_be_exported(tmp_path) -> None:
    zarr.create_array(tmp_path / "plane.zarr", shape=(30, 40), dtype="uint8")
    values = np.zeros((1, 30, 40), np.uint8)
    values[0, 5:9, 5:9] = 1
    plane = Volume.open(tmp_path / "plane.zarr")
    for kind, name in (("ome-zarr", "o.zarr"), ("tiff", "o.tif"), ("csv", "o.csv")):
        _export(Labels(values), plane, format=kind, target=tmp_path / name)
    assert tifffile.imread(tmp_path / "o.tif").squeeze().sum() == 16
    with (tmp_path / "o.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["volume"], row["touches_edge"]) == ("16", "0")
