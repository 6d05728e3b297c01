"""Images that are made, found again, and refused with one clear sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_unetseg.data.ome_zarr import (
    create_image,
    downsample_labels,
    downsample_mean,
    level_factors,
    read_image,
    register_labels,
    write_pyramid_block,
)
from napari_unetseg.errors import (
    LabelsError,
    MetadataError,
    UnsupportedFormatError,
    VolumeError,
    VolumeNotFoundError,
)
from napari_unetseg.geometry import Box

SHAPE = (13, 40, 65)


def _image(path: Path, **changes: Any) -> zarr.Group:
    arguments: dict[str, Any] = {
        "shape": SHAPE,
        "dtype": "uint8",
        "chunk": (8, 16, 16),
        "voxel_size": (2.0, 1.0, 1.0),
        "unit": "micrometer",
        "n_levels": 3,
    }
    return create_image(path, **(arguments | changes))


def _change(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the OME metadata of an image of version 0.5 as a text editor would."""
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    change(content["attributes"]["ome"])
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_made_is_read_again(tmp_path: Path, zarr_format: Any) -> None:
    path = tmp_path / "a.zarr"
    _image(path, zarr_format=zarr_format, n_channels=2, origin=(1.0, 2.0, 3.0))
    info = read_image(path)
    assert info.version == {2: "0.4", 3: "0.5"}[zarr_format]
    assert (info.axes, info.n_channels, info.unit) == ("czyx", 2, "micrometer")
    assert [level.shape for level in info.levels] == [
        (13, 40, 65),
        (13, 20, 33),
        (7, 10, 17),
    ]
    assert [level.voxel_size for level in info.levels] == [
        (2.0, 1.0, 1.0),
        (2.0, 2.0, 2.0),
        (4.0, 4.0, 4.0),
    ]
    # The centre of a cell of two voxels lies half a voxel after that of the first.
    assert [level.translation for level in info.levels] == [
        (1.0, 2.0, 3.0),
        (1.0, 2.5, 3.5),
        (2.0, 3.5, 4.5),
    ]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_images_and_labels_are_valid_for_others(
    tmp_path: Path, zarr_format: Any
) -> None:
    path = tmp_path / "a.zarr"
    _image(path, zarr_format=zarr_format, n_channels=2, channel_names=("a", "b"))
    for name in ("first", "second"):
        _image(
            path / "labels" / name,
            zarr_format=zarr_format,
            compressor="labels",
            label_of="../../",
            label_colors={1: (255, 0, 0, 255)},
        )
        register_labels(path, name)
        register_labels(path, name)
    yaozarrs.validate_zarr_store(path)
    assert read_image(path).label_names == ("first", "second")
    assert read_image(path / "labels" / "first").is_labels


def test_ome_zarr_reads_what_is_made(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    io = pytest.importorskip("ome_zarr.io")
    path = tmp_path / "a.zarr"
    group = _image(path)
    voxels = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE)
    write_pyramid_block(group, Box.whole(SHAPE), voxels)
    node = next(iter(reader.Reader(io.parse_url(str(path)))()))
    assert len(node.data) == 3
    np.testing.assert_array_equal(np.asarray(node.data[0]), voxels)
    second = node.metadata["coordinateTransformations"][1]
    assert second[0]["scale"] == [2.0, 2.0, 2.0]


def test_transforms_of_the_whole_image_count(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    _image(path)

    def add(ome: dict[str, Any]) -> None:
        ome["multiscales"][0]["coordinateTransformations"] = [
            {"type": "scale", "scale": [10.0, 10.0, 10.0]},
            {"type": "translation", "translation": [7.0, 0.0, 0.0]},
        ]

    _change(path, add)
    second = read_image(path).levels[1]
    assert second.voxel_size == (20.0, 20.0, 20.0)
    assert second.translation == (7.0, 5.0, 5.0)


def test_a_bio_formats_group_opens_its_first_image(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    _image(tmp_path / "a.zarr" / "0", zarr_format=2)
    assert read_image(tmp_path / "a.zarr").levels[0].shape == SHAPE


def test_a_plain_array_says_its_shape_only(tmp_path: Path) -> None:
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.zarr"
        zarr.create_array(
            path, shape=(2, 3, 9, 9), dtype="uint16", zarr_format=zarr_format
        )
        info = read_image(path)
        assert (info.version, info.axes, info.n_channels) == ("zarr", "czyx", 2)
        assert info.levels[0].voxel_size == (1.0, 1.0, 1.0)


def test_the_hash_follows_the_metadata(tmp_path: Path) -> None:
    _image(tmp_path / "a.zarr", name="same")
    _image(tmp_path / "b.zarr", name="same")
    _image(tmp_path / "c.zarr", name="same", unit="nanometer")
    a, b, c = (read_image(tmp_path / f"{n}.zarr").metadata_hash for n in "abc")
    assert a == b != c


def _set_scale(value: float) -> Callable[[dict[str, Any]], None]:
    def change(ome: dict[str, Any]) -> None:
        dataset = ome["multiscales"][0]["datasets"][1]
        dataset["coordinateTransformations"][0]["scale"][0] = value

    return change


def _swap_levels(ome: dict[str, Any]) -> None:
    datasets = ome["multiscales"][0]["datasets"]
    datasets[0]["path"], datasets[2]["path"] = datasets[2]["path"], datasets[0]["path"]


def _set_version(ome: dict[str, Any]) -> None:
    ome["version"] = "0.6rc0"


def _text_scale(ome: dict[str, Any]) -> None:
    dataset = ome["multiscales"][0]["datasets"][0]
    dataset["coordinateTransformations"][0]["scale"][1] = "wide"


def _drop_scale(ome: dict[str, Any]) -> None:
    ome["multiscales"][0]["datasets"][0]["coordinateTransformations"] = []


def _drop_axis(ome: dict[str, Any]) -> None:
    multiscale = ome["multiscales"][0]
    del multiscale["axes"][0]
    for dataset in multiscale["datasets"]:
        for transform in dataset["coordinateTransformations"]:
            del transform[transform["type"]][0]


def _no_mapping(ome: dict[str, Any]) -> None:
    ome["multiscales"] = ["image"]


def _no_multiscales(ome: dict[str, Any]) -> None:
    del ome["multiscales"]


def _other_path(ome: dict[str, Any]) -> None:
    ome["multiscales"][0]["datasets"][2]["path"] = "lost"


def _far_translation(ome: dict[str, Any]) -> None:
    dataset = ome["multiscales"][0]["datasets"][0]
    dataset["coordinateTransformations"][1]["translation"][2] = float("inf")


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (
            _set_scale(float("nan")),
            MetadataError,
            "voxel size in the metadata",
        ),
        (_set_scale(0.0), MetadataError, "got 0 × 2 × 2, expected numbers greater"),
        (_set_scale(-1.0), MetadataError, "got -1 × 2 × 2"),
        (_far_translation, MetadataError, "translation in the metadata of a.zarr"),
        (_swap_levels, MetadataError, "levels of a.zarr grow"),
        (_set_version, UnsupportedFormatError, "got 0.6rc0, expected 0.4 or 0.5"),
        (_text_scale, MetadataError, "wrong at multiscales.0.datasets.0"),
        (_drop_scale, MetadataError, "wrong at multiscales.0.datasets.0"),
        (_drop_axis, MetadataError, "got 2 axes, expected 3"),
        (_no_mapping, MetadataError, "multiscales metadata of a.zarr is damaged"),
        (_no_multiscales, UnsupportedFormatError, "it has no multiscales metadata"),
        (_other_path, MetadataError, "Level lost of a.zarr is listed"),
    ],
)
def test_wrong_metadata_is_refused(
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    kind: type[VolumeError],
    sentence: str,
) -> None:
    path = tmp_path / "a.zarr"
    _image(path)
    _change(path, change)
    with pytest.raises(kind, match=sentence):
        read_image(path)


def test_a_missing_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"nothing at .*gone\.zarr"):
        read_image(tmp_path / "gone.zarr")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "gone.zarr")


def test_a_text_file_and_an_empty_folder_are_no_volume(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnsupportedFormatError, match=r"notes\.txt is no volume"):
        read_image(tmp_path / "notes.txt")
    with pytest.raises(UnsupportedFormatError, match="empty holds no zarr volume"):
        read_image(tmp_path / "empty")


@pytest.mark.parametrize("damaged", ["", "1/"])
def test_a_truncated_file_is_said(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "a.zarr"
    _image(path)
    file = path / f"{damaged}zarr.json"
    file.write_text(file.read_text()[:60])
    with pytest.raises(MetadataError, match="damaged"):
        read_image(path)


def test_labels_must_be_integers(tmp_path: Path) -> None:
    _image(tmp_path / "a.zarr", label_of="../../", dtype="float32")
    with pytest.raises(LabelsError, match="no integers: got float32"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "sentence"),
    [
        ((20, 20, 3), "uint8", UnsupportedFormatError, "RGB"),
        ((9, 20, 20, 4), "uint8", UnsupportedFormatError, "RGB"),
        ((9,), "uint8", UnsupportedFormatError, "got 1, expected 2 to 5"),
        ((9, 9, 9), "complex64", UnsupportedFormatError, "got complex64"),
        ((0, 9, 9), "uint8", MetadataError, "no voxels"),
    ],
)
def test_arrays_that_are_no_volume(
    tmp_path: Path,
    shape: tuple[int, ...],
    dtype: str,
    kind: type[VolumeError],
    sentence: str,
) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=shape, dtype=dtype)
    with pytest.raises(kind, match=sentence):
        read_image(tmp_path / "a.zarr")


def test_thick_sections_stay_until_the_planes_have_caught_up() -> None:
    assert level_factors((64, 1024, 1024), (4.0, 1.0, 1.0), 4) == (
        (1, 1, 1),
        (1, 2, 2),
        (1, 4, 4),
        (2, 8, 8),
    )
    assert level_factors((64, 128, 128), (1.0, 1.0, 1.0)) == ((1, 1, 1),)
    assert level_factors((1, 512, 512), (1.0, 1.0, 1.0))[-1] == (1, 4, 4)


def test_means_and_largest_labels() -> None:
    voxels = np.array([[[0, 2, 9], [2, 3, 9]]], np.uint8)
    assert downsample_mean(voxels, (1, 2, 2)).tolist() == [[[2, 9]]]
    labels = np.array([[[0, 0, 7], [0, 5, 7]]], np.uint8)
    assert downsample_labels(labels, (1, 2, 2)).tolist() == [[[5, 7]]]
    halves = np.array([0.25, 0.75], np.float32).reshape(1, 1, 2)
    assert downsample_mean(halves, (1, 1, 2)).item() == 0.5


def test_the_most_frequent_label_is_one_that_was_there() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 900], (4, 6, 8)).astype(np.uint32)
    reduced = downsample_labels(labels, (2, 2, 2), "mode")
    for cell in np.ndindex(reduced.shape):
        inside = labels[tuple(slice(2 * i, 2 * i + 2) for i in cell)]
        counts = {int(v): int((inside == v).sum()) for v in np.unique(inside) if v}
        assert counts[int(reduced[cell])] == max(counts.values())


@pytest.mark.parametrize("shape", [(13, 40, 65), (1, 33, 57), (9, 9, 129)])
def test_blocks_give_the_same_pyramid_as_the_whole(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    voxels = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    common: dict[str, Any] = {
        "shape": shape,
        "chunk": (8, 8, 8),
        "voxel_size": (1.0, 1.0, 1.0),
        "n_levels": 4,
        "coarse_chunks": "halved",
    }
    whole = _image(tmp_path / "whole.zarr", **common)
    write_pyramid_block(whole, Box.whole(shape), voxels)
    parts = _image(tmp_path / "parts.zarr", **common)
    for cell in Box.whole(shape).cells((8, 8, 8)):
        box = cell.clipped(shape)
        write_pyramid_block(parts, box, voxels[box.slices])
    for number, factor in enumerate(level_factors(shape, (1, 1, 1), 4)):
        level = np.asarray(whole[str(number)])
        np.testing.assert_array_equal(level, np.asarray(parts[str(number)]))
        np.testing.assert_array_equal(level, downsample_mean(voxels, factor))


def test_a_block_off_the_cells_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    group = _image(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="whole cells"):
        write_pyramid_block(
            group, Box((0, 0, 2), (1, 4, 6)), np.zeros((1, 4, 4), np.uint8)
        )
