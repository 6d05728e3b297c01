from __future__ import annotations

import errno
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaozarrs
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore

from napari_unetseg.data.nodes import attributes_of
from napari_unetseg.data.ome_zarr import create_image, read_image, register_labels
from napari_unetseg.data.pyramid import (
    downsample_classes,
    downsample_labels,
    downsample_mean,
    level_factors,
)
from napari_unetseg.data.pyramid_store import THIN, write_pyramid_block
from napari_unetseg.errors import DiskFullError, ReadOnlyError
from napari_unetseg.geometry import BlockGrid, Box, zyx

SHAPE = (10, 22, 30)
RNG = np.random.default_rng(0)


def make(path: Path, **more: Any) -> zarr.Group:
    fields: dict[str, Any] = {
        "shape": SHAPE,
        "dtype": "uint8",
        "chunk": (4, 8, 8),
        "voxel_size": (1.0, 1.0, 1.0),
        "unit": "micrometer",
        "n_levels": 3,
    }
    return create_image(path, **(fields | more))


def levels_of(path: Path) -> list[np.ndarray]:
    group = zarr.open_group(path, mode="r")
    return [np.asarray(group[name][...]) for name in sorted(group.array_keys())]


def test_an_image_is_made_with_all_its_levels_and_no_chunk(tmp_path: Path) -> None:
    make(tmp_path / "image.zarr")
    info = read_image(tmp_path / "image.zarr")
    assert info.version == "0.5"
    assert [level.shape for level in info.levels] == [SHAPE, (5, 11, 15), (3, 6, 8)]
    assert [level.voxel_size[0] for level in info.levels] == [1.0, 2.0, 4.0]
    assert [level.translation[0] for level in info.levels] == [0.0, 0.5, 1.5]
    assert not list((tmp_path / "image.zarr").rglob("c/**/*"))


def test_the_origin_moves_all_levels(tmp_path: Path) -> None:
    make(tmp_path / "image.zarr", origin=(10.0, 20.0, 30.0), voxel_size=(2, 2, 2))
    levels = read_image(tmp_path / "image.zarr").levels
    assert [level.translation for level in levels] == [
        (10.0, 20.0, 30.0),
        (11.0, 21.0, 31.0),
        (13.0, 23.0, 33.0),
    ]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("n_channels", [None, 2])
def test_the_metadata_keep_the_rules_of_ome_zarr(
    tmp_path: Path, zarr_format: Literal[2, 3], n_channels: int | None
) -> None:
    path = tmp_path / "image.zarr"
    names = None if n_channels is None else ("first", "second")
    make(path, zarr_format=zarr_format, n_channels=n_channels, channel_names=names)
    for name, colors in (("cells", {1: (255, 0, 0, 255)}), ("plain", None)):
        make(
            path / "labels" / name,
            zarr_format=zarr_format,
            label_of="../../",
            label_colors=colors,
        )
        register_labels(path, name)
    yaozarrs.validate_zarr_store(str(path))
    assert read_image(path).label_names == ("cells", "plain")
    for name in ("cells", "plain"):
        yaozarrs.validate_zarr_store(str(path / "labels" / name))
        assert read_image(path / "labels" / name).is_labels


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_reference_reader_sees_what_was_written(
    tmp_path: Path, zarr_format: Literal[2, 3]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io = pytest.importorskip("ome_zarr.io")
        reader = pytest.importorskip("ome_zarr.reader")
    path = tmp_path / "image.zarr"
    voxels = RNG.integers(0, 255, SHAPE, np.uint8)
    labels = (voxels // 100).astype(np.uint8)
    write_pyramid_block(make(path, zarr_format=zarr_format), Box.whole(SHAPE), voxels)
    drawn = make(
        path / "labels" / "cells",
        zarr_format=zarr_format,
        label_of="../../",
        label_colors={1: (255, 0, 0, 255), 2: (0, 0, 255, 128)},
    )
    write_pyramid_block(drawn, Box.whole(SHAPE), labels)
    register_labels(path, "cells")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = list(reader.Reader(io.parse_url(path))())
    image, cells = nodes[0], nodes[-1]
    assert [axis["name"] for axis in image.metadata["axes"]] == ["z", "y", "x"]
    assert len(image.data) == 3
    np.testing.assert_array_equal(np.asarray(image.data[0]), voxels)
    np.testing.assert_array_equal(np.asarray(cells.data[0]), labels)
    transforms = image.metadata["coordinateTransformations"][1]
    assert transforms[0]["scale"] == [2.0, 2.0, 2.0]
    assert transforms[1]["translation"] == [0.5, 0.5, 0.5]


def test_one_write_fills_every_level(tmp_path: Path) -> None:
    voxels = RNG.integers(0, 255, SHAPE, np.uint8)
    path = tmp_path / "image.zarr"
    write_pyramid_block(make(path), Box.whole(SHAPE), voxels)
    fine, half, quarter = levels_of(path)
    np.testing.assert_array_equal(fine, voxels)
    np.testing.assert_array_equal(half, downsample_mean(voxels, (2, 2, 2)))
    np.testing.assert_array_equal(quarter, downsample_mean(half, (2, 2, 2)))


def test_labels_are_reduced_as_labels(tmp_path: Path) -> None:
    labels = (RNG.random(SHAPE) < 0.05).astype(np.uint8) * 2
    path = tmp_path / "labels"
    write_pyramid_block(make(path, label_of="../../"), Box.whole(SHAPE), labels)
    fine, half, quarter = levels_of(path)
    np.testing.assert_array_equal(fine, labels)
    np.testing.assert_array_equal(half, downsample_classes(labels, (2, 2, 2)))
    np.testing.assert_array_equal(quarter, downsample_classes(half, (2, 2, 2)))


def test_thin_labels_and_ids_are_reduced_in_their_own_way(tmp_path: Path) -> None:
    labels = (RNG.random(SHAPE) < 0.05).astype(np.uint8) * 2
    thin = make(tmp_path / "thin", label_of="../", attributes={THIN: [2]})
    write_pyramid_block(thin, Box.whole(SHAPE), labels)
    half = levels_of(tmp_path / "thin")[1]
    np.testing.assert_array_equal(half, downsample_labels(labels, (2, 2, 2), "any"))
    ids = make(tmp_path / "ids", label_of="../", dtype="uint32")
    write_pyramid_block(ids, Box.whole(SHAPE), labels.astype(np.uint32) * 1000)
    half = levels_of(tmp_path / "ids")[1]
    np.testing.assert_array_equal(np.unique(half), [0, 2000])


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    shape=st.tuples(st.integers(1, 13), st.integers(1, 17), st.integers(1, 17)),
    thickness=st.sampled_from([0.5, 1.0, 3.0]),
    order=st.randoms(use_true_random=False),
)
def test_blocks_in_any_order_give_the_pyramid_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    thickness: float,
    order: Any,
) -> None:
    voxel_size = (thickness, 1.0, 1.0)
    voxels = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    path = tmp_path_factory.mktemp("blocks") / "image.zarr"
    group = make(
        path, shape=shape, chunk=(8, 8, 8), voxel_size=voxel_size,
    )  # fmt: skip
    blocks = list(BlockGrid(shape, (8, 8, 8)))
    order.shuffle(blocks)
    for block in blocks:
        write_pyramid_block(group, block.write_box, voxels[block.write_box.slices])
    factors = level_factors(shape, voxel_size, 3)
    before = (1, 1, 1)
    for level, factor in zip(levels_of(path), factors, strict=True):
        ratio = zyx(f // b for f, b in zip(factor, before, strict=True))
        voxels, before = downsample_mean(voxels, ratio), factor
        np.testing.assert_array_equal(level, voxels)


def test_a_coarse_level_three_voxels_wide_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    make(path, shape=(40, 40, 12))
    assert read_image(path).levels[2].shape == (10, 10, 3)


def test_a_box_that_cuts_a_coarse_cell_is_refused(tmp_path: Path) -> None:
    group = make(tmp_path / "image.zarr")
    box = Box((2, 0, 0), (6, 8, 8))
    with pytest.raises(ValueError, match="does not start on whole cells"):
        write_pyramid_block(group, box, np.ones(box.shape, np.uint8))


def test_channels_stand_first_and_have_chunks_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    voxels = RNG.integers(0, 255, (2, *SHAPE), np.uint8)
    group = make(path, n_channels=2, channel_names=("first", "second"))
    write_pyramid_block(group, Box.whole(SHAPE), voxels)
    assert zarr.open_array(path / "0", mode="r").chunks == (1, 4, 8, 8)
    fine, half, _ = levels_of(path)
    np.testing.assert_array_equal(fine, voxels)
    np.testing.assert_array_equal(half, downsample_mean(voxels, (2, 2, 2)))


def test_the_fill_value_is_what_was_never_written(tmp_path: Path) -> None:
    make(tmp_path / "image.zarr", fill_value=255)
    assert all((level == 255).all() for level in levels_of(tmp_path / "image.zarr"))


def test_attributes_of_the_caller_stand_beside_those_of_ome(tmp_path: Path) -> None:
    group = make(tmp_path / "image.zarr", attributes={"unetseg_complete": True})
    assert attributes_of(group)["unetseg_complete"] is True
    assert read_image(tmp_path / "image.zarr").levels


def test_labels_are_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    make(path)
    for name in ("cells", "fibres", "cells"):
        register_labels(path, name)
    assert read_image(path).label_names == ("cells", "fibres")


def test_an_image_is_not_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    write_pyramid_block(make(path), Box.whole(SHAPE), np.ones(SHAPE, np.uint8))
    with pytest.raises(ValueError, match="group exists"):
        make(path)
    assert levels_of(path)[0].all()


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (
            errno.ENOSPC,
            DiskFullError,
            "The disk is full, the image image.zarr could not be written to ",
        ),
        (
            errno.EROFS,
            ReadOnlyError,
            "The image image.zarr could not be written, ",
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[Exception],
    sentence: str,
) -> None:
    async def refuse(self: LocalStore, *args: Any, **more: Any) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(LocalStore, "set", refuse)
    monkeypatch.setattr(LocalStore, "set_if_not_exists", refuse)
    with pytest.raises(kind) as caught:
        make(tmp_path / "image.zarr")
    assert str(caught.value).startswith(sentence)
