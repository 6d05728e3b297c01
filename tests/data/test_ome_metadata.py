from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr

from napari_unetseg.data.ome_metadata import coarsening, read_image
from napari_unetseg.data.ome_zarr import create_image, register_labels
from napari_unetseg.errors import (
    LabelsError,
    MetadataError,
    UnsupportedFormatError,
)

SHAPE = (6, 20, 24)
Change = Callable[[dict[str, Any]], None]


def make(path: Path, *, zarr_format: Literal[2, 3] = 3, **more: Any) -> Path:
    fields: dict[str, Any] = {
        "shape": SHAPE,
        "dtype": "uint8",
        "chunk": (6, 10, 12),
        "voxel_size": (2.0, 0.5, 0.25),
        "unit": "micrometer",
        "n_levels": 2,
    }
    create_image(path, zarr_format=zarr_format, **(fields | more))
    return path


@pytest.fixture(params=["0.5", "0.4"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image of two levels, once in each version of OME-Zarr."""
    return make(tmp_path / "image.zarr", zarr_format=3 if request.param == "0.5" else 2)


def edit(path: Path, change: Change) -> None:
    """Change the OME metadata of an image where its version keeps it."""
    file = path / "zarr.json"
    if file.exists():
        content = json.loads(file.read_text())
        change(content["attributes"]["ome"])
    else:
        file = path / ".zattrs"
        content = json.loads(file.read_text())
        change(content)
    file.write_text(json.dumps(content))


def scale_of(ome: dict[str, Any], level: int) -> list[float]:
    dataset = ome["multiscales"][0]["datasets"][level]
    scale: list[float] = dataset["coordinateTransformations"][0]["scale"]
    return scale


def test_both_versions_say_the_same(image: Path) -> None:
    info = read_image(image)
    assert info.version in {"0.4", "0.5"}
    assert info.axes == "zyx"
    assert info.unit == "micrometer"
    assert info.dtype == np.uint8
    assert info.n_channels == 1
    assert not info.is_labels
    assert [level.path for level in info.levels] == ["0", "1"]
    assert [level.shape for level in info.levels] == [SHAPE, (6, 20, 12)]
    assert [level.voxel_size for level in info.levels] == [
        (2.0, 0.5, 0.25),
        (2.0, 0.5, 0.5),
    ]
    assert info.levels[0].chunk == (6, 10, 12)


def test_the_centre_of_a_coarser_voxel_is_translated(image: Path) -> None:
    fine, coarse = read_image(image).levels
    assert fine.translation == (0.0, 0.0, 0.0)
    assert coarse.translation == (0.0, 0.0, 0.125)


def test_coarser_voxels_are_counted_by_scale_and_not_by_shape(tmp_path: Path) -> None:
    path = make(tmp_path / "odd.zarr", shape=(9, 9, 33), chunk=(9, 9, 33), n_levels=5,
                voxel_size=(1.0, 1.0, 1.0))  # fmt: skip
    levels = read_image(path).levels
    assert levels[-1].shape[2] == 3
    assert coarsening(levels)[-1][2] == 16


def test_a_transformation_of_the_whole_pyramid_comes_after_that_of_the_level(
    image: Path,
) -> None:
    def change(ome: dict[str, Any]) -> None:
        ome["multiscales"][0]["coordinateTransformations"] = [
            {"type": "scale", "scale": [1.0, 10.0, 10.0]},
            {"type": "translation", "translation": [0.0, 5.0, 7.0]},
        ]

    edit(image, change)
    fine, coarse = read_image(image).levels
    assert fine.voxel_size == (2.0, 5.0, 2.5)
    assert fine.translation == (0.0, 5.0, 7.0)
    assert coarse.translation == (0.0, 5.0, 8.25)


def test_labels_are_listed_and_known_as_labels(image: Path) -> None:
    zarr_format: Literal[2, 3] = 3 if (image / "zarr.json").exists() else 2
    make(
        image / "labels" / "cells",
        zarr_format=zarr_format,
        label_of="../../",
        label_colors={1: (255, 0, 0, 255)},
    )
    register_labels(image, "cells")
    assert read_image(image).label_names == ("cells",)
    assert read_image(image / "labels" / "cells").is_labels


def test_an_image_without_labels_has_none(image: Path) -> None:
    assert read_image(image).label_names == ()


def test_channels_and_times_are_told_from_space(tmp_path: Path) -> None:
    path = make(tmp_path / "two.zarr", n_channels=2)
    info = read_image(path)
    assert (info.axes, info.n_channels) == ("czyx", 2)
    assert info.levels[0].shape == SHAPE
    assert info.levels[0].voxel_size == (2.0, 0.5, 0.25)


def test_a_flat_image_is_one_voxel_thick(tmp_path: Path) -> None:
    path = tmp_path / "flat.zarr"
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [4.0, 4.0]}
    dataset = {"path": "s0", "coordinateTransformations": [scale]}
    group = zarr.create_group(
        path,
        attributes={
            "ome": {
                "version": "0.5",
                "multiscales": [{"axes": axes, "datasets": [dataset]}],
            }
        },
    )
    group.create_array("s0", shape=(20, 24), chunks=(10, 12), dtype="uint8")
    (level,) = read_image(path).levels
    assert level.shape == (1, 20, 24)
    assert level.chunk == (1, 10, 12)
    assert level.voxel_size == (1.0, 4.0, 4.0)


def test_an_image_of_bioformats2raw_is_found_inside(tmp_path: Path) -> None:
    outer = tmp_path / "outer.zarr"
    zarr.create_group(outer, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    make(outer / "0", zarr_format=2)
    assert read_image(outer).levels[0].shape == SHAPE


def test_the_hash_tells_metadata_apart_and_not_names(image: Path) -> None:
    first = read_image(image).metadata_hash
    copy = image.with_name("copy.zarr")
    shutil.copytree(image, copy)
    assert read_image(copy).metadata_hash == first

    def change(ome: dict[str, Any]) -> None:
        scale_of(ome, 0)[0] = 1.0

    edit(copy, change)
    assert read_image(copy).metadata_hash != first


class TestFaults:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -0.5])
    def test_an_impossible_scale(self, image: Path, value: float) -> None:
        def change(ome: dict[str, Any]) -> None:
            scale_of(ome, 1)[1] = value

        edit(image, change)
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The voxel size in the metadata of image.zarr is impossible: "
            f"got 2 × {value:g} × 0.5, expected numbers greater than zero. "
            "Correct the scale at its source."
        )

    def test_an_impossible_translation(self, image: Path) -> None:
        def change(ome: dict[str, Any]) -> None:
            dataset = ome["multiscales"][0]["datasets"][1]
            dataset["coordinateTransformations"][1]["translation"][0] = float("nan")

        edit(image, change)
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The translation in the metadata of image.zarr is no number: "
            "got nan, 0, 0.125. Correct the translation at its source."
        )

    def test_a_later_version(self, tmp_path: Path) -> None:
        path = make(tmp_path / "image.zarr")
        edit(path, lambda ome: ome.update(version="0.6"))
        with pytest.raises(UnsupportedFormatError) as caught:
            read_image(path)
        assert str(caught.value) == (
            "image.zarr is written in a version of OME-Zarr that is not read: "
            "got 0.6, expected 0.4 or 0.5. Convert it, or update napari-unetseg."
        )

    def test_labels_that_are_no_integers(self, tmp_path: Path) -> None:
        path = make(
            tmp_path / "cells", dtype="float32", label_of="../../", label_colors={}
        )
        with pytest.raises(LabelsError) as caught:
            read_image(path)
        assert str(caught.value) == (
            "The labels cells are no integers: got float32, expected whole numbers, "
            "one per object or class."
        )

    def test_a_listed_level_that_is_absent(self, image: Path) -> None:
        shutil.rmtree(image / "1")
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "Level 1 of image.zarr is listed in the metadata but missing or damaged. "
            "Restore the array, or remove it from the metadata."
        )

    def test_a_level_that_is_a_group(self, tmp_path: Path) -> None:
        path = make(tmp_path / "image.zarr")
        shutil.rmtree(path / "1")
        zarr.create_group(path / "1")
        with pytest.raises(MetadataError) as caught:
            read_image(path)
        assert str(caught.value) == "Level 1 of image.zarr is a group and no array."

    def test_levels_that_grow(self, image: Path) -> None:
        for old, new in (("0", "x"), ("1", "0"), ("x", "1")):
            (image / old).rename(image / new)
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The levels of image.zarr grow, level 1 is larger than level 0: "
            "got (6, 20, 24), expected at most (6, 20, 12). "
            "List the levels from fine to coarse."
        )

    def test_scales_that_shrink(self, image: Path) -> None:
        edit(image, lambda ome: ome["multiscales"][0]["datasets"].reverse())
        with pytest.raises(
            MetadataError, match=r"not ordered from highest to lowest|levels .* grow"
        ):
            read_image(image)

    def test_a_scale_of_the_whole_pyramid_that_is_zero(self, image: Path) -> None:
        def change(ome: dict[str, Any]) -> None:
            ome["multiscales"][0]["coordinateTransformations"] = [
                {"type": "scale", "scale": [0.0, 1.0, 1.0]}
            ]

        edit(image, change)
        with pytest.raises(MetadataError, match="is impossible: got 0 × 1 × 1"):
            read_image(image)

    def test_axes_that_do_not_fit_the_array(self, image: Path) -> None:
        def change(ome: dict[str, Any]) -> None:
            multiscale = ome["multiscales"][0]
            multiscale["axes"].pop(0)
            for dataset in multiscale["datasets"]:
                scale, translation = dataset["coordinateTransformations"]
                scale["scale"].pop(0)
                translation["translation"].pop(0)

        edit(image, change)
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The axes of image.zarr do not fit its array: got 2 axes, expected 3."
        )

    def test_axes_in_another_order(self, image: Path) -> None:
        edit(image, lambda ome: ome["multiscales"][0]["axes"].reverse())
        with pytest.raises(UnsupportedFormatError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The axes of image.zarr are in an order that is not read: "
            "got xyz, expected t, c, z, y, x in this order."
        )

    def test_a_scale_of_too_few_numbers(self, image: Path) -> None:
        edit(image, lambda ome: scale_of(ome, 0).pop())
        with pytest.raises(
            MetadataError, match=r"The OME-Zarr metadata of image\.zarr is wrong at "
        ) as caught:
            read_image(image)
        assert str(caught.value).endswith("Correct the metadata at its source.")

    def test_a_level_without_any_scale(self, image: Path) -> None:
        def change(ome: dict[str, Any]) -> None:
            dataset = ome["multiscales"][0]["datasets"][0]
            dataset["coordinateTransformations"].clear()

        edit(image, change)
        with pytest.raises(
            MetadataError, match=r"metadata of image\.zarr is wrong at multiscales\.0"
        ):
            read_image(image)

    @pytest.mark.parametrize("multiscales", [None, [], {}, "0"])
    def test_a_group_without_an_image(self, image: Path, multiscales: object) -> None:
        edit(image, lambda ome: ome.update(multiscales=multiscales))
        with pytest.raises(UnsupportedFormatError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The zarr group image.zarr is no image, it has no multiscales metadata. "
            "Open the image or the array inside it."
        )

    @pytest.mark.parametrize("multiscales", [["0"], [None], [[]]])
    def test_multiscales_that_are_something_else(
        self, image: Path, multiscales: object
    ) -> None:
        edit(image, lambda ome: ome.update(multiscales=multiscales))
        with pytest.raises(MetadataError) as caught:
            read_image(image)
        assert str(caught.value) == (
            "The multiscales metadata of image.zarr is damaged. "
            "Correct the metadata at its source."
        )

    def test_ome_metadata_that_is_a_word(self, tmp_path: Path) -> None:
        path = tmp_path / "image.zarr"
        zarr.create_group(path, attributes={"ome": "image"})
        with pytest.raises(UnsupportedFormatError, match="no multiscales metadata"):
            read_image(path)

    def test_an_image_of_colours_is_no_volume(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.zarr"
        axes = [{"name": n, "type": "space"} for n in "zyx"]
        scale = {"type": "scale", "scale": [1.0, 1.0, 1.0]}
        dataset = {"path": "0", "coordinateTransformations": [scale]}
        multiscale = {"axes": axes, "datasets": [dataset]}
        group = zarr.create_group(
            path, attributes={"ome": {"version": "0.5", "multiscales": [multiscale]}}
        )
        group.create_array("0", shape=(16, 20, 3), chunks=(16, 20, 3), dtype="uint8")
        with pytest.raises(
            UnsupportedFormatError, match=r"photo\.zarr is an RGB image"
        ):
            read_image(path)

    def test_an_array_without_voxels(self, tmp_path: Path) -> None:
        path = tmp_path / "nothing.zarr"
        zarr.create_array(path, shape=(0, 4, 4), chunks=(1, 4, 4), dtype="uint8")
        with pytest.raises(MetadataError) as caught:
            read_image(path)
        assert str(caught.value) == (
            "nothing.zarr holds no voxels: got shape (0, 4, 4)."
        )
