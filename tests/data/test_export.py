from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_unetseg.data.ome_zarr import create_image, read_image, register_labels
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 44)
SIZE = (2.0, 0.5, 0.25)
ORIGIN = (10.0, 20.0, 30.0)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_ome_zarr_store_is_a_valid_label_image(
    export, labels, volume, tmp_path
) -> None:
    result = export(labels, volume, target=tmp_path / "out.zarr")

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


def test_pyramid_keeps_thin_labels(export, labels, volume, tmp_path) -> None:
    export(labels, volume, format="in-place")

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
    export, make_image, labels, tmp_path, zarr_format, version, consolidated
) -> None:
    path = tmp_path / "image.zarr"
    make_image(path, zarr_format)
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

    result = export(labels, Volume.open(path), format="in-place", name="mine")

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


def test_objects_are_numbered_over_tiles(export, labels, volume, tmp_path) -> None:
    result = export(
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


def test_objects_keep_their_ids_when_others_come_and_go(
    export, labels, volume, tmp_path
) -> None:
    target = tmp_path / "out.zarr"
    options = {"kind": "objects", "target": target, "overwrite": True}

    def ids() -> np.ndarray:
        return zarr.open_group(target, mode="r")["0"][:]

    export(labels, volume, **options)
    before = ids()
    kept = int(before[5, 30, 10])
    labels.values[labels.values == 1] = 0
    labels.values[0, 0, 0:2] = labels.values[3, 3, 38:] = 1
    result = export(labels, volume, **options)
    now = ids()
    assert set(np.unique(now[labels.values == 2])) == {kept}
    fresh = set(np.unique(now[labels.values == 1]))
    assert len(fresh) == 2
    assert min(fresh) > before.max()
    assert result["n_objects"] == 3
    assert result["voxels_per_class"]["fibre"] == (labels.values == 2).sum()
    table = tmp_path / "out.csv"
    export(labels, volume, target=table, format="csv", like=target)
    rows = table.read_text().splitlines()[1:]
    assert {int(row.split(",")[0]) for row in rows} == {kept, *fresh}


def test_ids_are_kept_of_objects_only(export, labels, volume, tmp_path) -> None:
    export(labels, volume, target=tmp_path / "classes.zarr")
    with pytest.raises(ExportError, match="no ids that could be kept"):
        export(
            labels,
            volume,
            target=tmp_path / "out.csv",
            format="csv",
            like=tmp_path / "classes.zarr",
        )


def test_small_objects_can_be_left_out_of_classes(
    export, labels, volume, tmp_path
) -> None:
    result = export(labels, volume, target=tmp_path / "out.zarr", min_voxels=2)

    out = zarr.open_group(tmp_path / "out.zarr", mode="r")["0"][:]
    assert out.dtype == np.uint8
    assert out[0, 0, 43] == 0
    assert (out != labels.values).sum() == 1
    assert result["n_objects"] is None


def test_a_part_stands_where_it_was(export, labels, volume, tmp_path) -> None:
    box = Box((2, 4, 8), (9, 31, 44))
    result = export(labels, volume, target=tmp_path / "out.zarr", box=box)

    out = Volume.open(tmp_path / "out.zarr")
    np.testing.assert_array_equal(
        out.read(Box.whole(box.shape), missing="fill")[0], labels.values[box.slices]
    )
    assert out.levels[0].translation == (10 + 2 * 2, 20 + 4 * 0.5, 30 + 8 * 0.25)
    assert result["shape"] == list(box.shape)
