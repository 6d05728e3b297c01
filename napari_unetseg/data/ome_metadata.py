"""What a zarr image says about itself, read and checked before anything else.

OME-Zarr 0.4 and 0.5 (https://ngff.openmicroscopy.org) and plain zarr arrays become one
:class:`ImageInfo`; every fault of the metadata becomes one sentence.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaozarrs
import zarr
from pydantic import ValidationError

from napari_unetseg.data.nodes import (
    last_part,
    ome_of,
    open_image,
)
from napari_unetseg.errors import (
    LabelsError,
    MetadataError,
    UnsupportedFormatError,
)
from napari_unetseg.geometry import Zyx, zyx

VERSIONS = ("0.4", "0.5")
TRANSFORMS = "coordinateTransformations"
PLAIN_AXES = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}

Scale = tuple[float, float, float]


@dataclass(frozen=True)
class Level:
    """One level of a pyramid, its space axes only.

    Attributes
    ----------
    path
        Name of the array inside the image's group; "" for a plain array.
    shape, chunk
        In voxels, zyx; a 2D image has z = 1.
    voxel_size, translation
        Physical, zyx.
    """

    path: str
    shape: Zyx
    chunk: Zyx
    voxel_size: Scale
    translation: Scale


def coarsening(levels: Sequence[Level]) -> list[Zyx]:
    """Return how many finest voxels one voxel of each level stands for, zyx.

    From the scales: shapes are rounded, so their quotient is no whole number.
    """
    finest = levels[0].voxel_size
    return [
        zyx(max(1, round(b / a)) for a, b in zip(finest, level.voxel_size, strict=True))
        for level in levels
    ]


@dataclass(frozen=True)
class ImageInfo:
    """What an image says about itself; ``axes`` are those on disk, e.g. ``tczyx``."""

    name: str
    version: str
    axes: str
    levels: tuple[Level, ...]
    n_channels: int
    unit: str | None
    dtype: np.dtype[Any]
    label_names: tuple[str, ...]
    is_labels: bool
    metadata_hash: str

    def scaled(self, voxel_size: Scale, unit: str | None) -> ImageInfo:
        """Return the same image with another voxel size of its finest level."""
        ratio = np.divide(voxel_size, self.levels[0].voxel_size)
        levels = tuple(
            replace(
                level,
                voxel_size=_scale(np.multiply(level.voxel_size, ratio)),
                translation=_scale(np.multiply(level.translation, ratio)),
            )
            for level in self.levels
        )
        return replace(self, levels=levels, unit=unit or self.unit)


def read_image(uri: str | Path) -> ImageInfo:
    """Read and check the metadata of an image or of a label image.

    Raises
    ------
    VolumeNotFoundError, UnsupportedFormatError, MetadataError, LabelsError
        With one sentence that says what is wrong.
    """
    node = open_image(uri)
    name = last_part(str(uri))
    if isinstance(node, zarr.Array):
        return _plain(node, name)
    ome = ome_of(node)
    multiscale = _multiscale(ome, name)
    version = _version(ome, multiscale, name)
    # First what a person understands, then what only the schema says.
    _check_numbers(multiscale, name)
    _check_structure(ome, version, name)
    return _image(node, name, version, ome, multiscale)


def _multiscale(ome: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    multiscales = ome.get("multiscales")
    if not isinstance(multiscales, list) or not multiscales:
        raise UnsupportedFormatError(
            f"The zarr group {name} is no image, it has no multiscales metadata",
            do="Open the image or the array inside it.",
        )
    first = multiscales[0]
    if not isinstance(first, Mapping):
        raise MetadataError(
            f"The multiscales metadata of {name} is damaged",
            do="Correct the metadata at its source.",
        )
    return first


def _version(ome: Mapping[str, Any], multiscale: Mapping[str, Any], name: str) -> str:
    version = str(ome.get("version") or multiscale.get("version") or "0.4")
    if version not in VERSIONS:
        raise UnsupportedFormatError(
            f"{name} is written in a version of OME-Zarr that is not read",
            got=version,
            expected=" or ".join(VERSIONS),
            do="Convert it, or update napari-unetseg.",
        )
    return version


def _check_numbers(multiscale: Mapping[str, Any], name: str) -> None:
    """Refuse scales and translations that no space can have."""
    for kind, values in _transforms_of(multiscale):
        numbers = [v for v in values if isinstance(v, int | float)]
        if kind == "scale" and not all(math.isfinite(v) and v > 0 for v in numbers):
            raise MetadataError(
                f"The voxel size in the metadata of {name} is impossible",
                got=" × ".join(f"{v:g}" for v in numbers),
                expected="numbers greater than zero",
                do="Correct the scale at its source.",
            )
        if not all(math.isfinite(v) for v in numbers):
            raise MetadataError(
                f"The translation in the metadata of {name} is no number",
                got=", ".join(f"{v:g}" for v in numbers),
                do="Correct the translation at its source.",
            )


def _transforms_of(multiscale: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield kind and values of all transforms, passing over what is malformed."""
    datasets = multiscale.get("datasets")
    holders = [multiscale, *(datasets if isinstance(datasets, list) else [])]
    for holder in holders:
        listed = holder.get(TRANSFORMS) if isinstance(holder, Mapping) else None
        for item in listed if isinstance(listed, list) else []:
            kind = item.get("type") if isinstance(item, Mapping) else None
            if kind in ("scale", "translation") and isinstance(item.get(kind), list):
                yield kind, item[kind]


def _check_structure(ome: Mapping[str, Any], version: str, name: str) -> None:
    models = yaozarrs.v05 if version == "0.5" else yaozarrs.v04
    model = models.LabelImage if "image-label" in ome else models.Image
    try:
        model.model_validate(dict(ome))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise MetadataError(
            f"The OME-Zarr metadata of {name} is wrong at {place}, {problem}",
            do="Correct the metadata at its source.",
        ) from error


def _image(
    group: zarr.Group,
    name: str,
    version: str,
    ome: Mapping[str, Any],
    multiscale: Mapping[str, Any],
) -> ImageInfo:
    axes = "".join(str(axis["name"]).lower() for axis in multiscale["axes"])
    arrays = [_level_array(group, d["path"], name) for d in multiscale["datasets"]]
    _refuse_rgb(axes, arrays[0], name)
    for array in arrays:
        _check_axes(axes, array, name)
    shared = _transform(multiscale.get(TRANSFORMS), axes)
    levels = tuple(
        _level(array, dataset, axes, shared)
        for array, dataset in zip(arrays, multiscale["datasets"], strict=True)
    )
    _check_levels(levels, name)
    is_labels = "image-label" in ome
    if is_labels and arrays[0].dtype.kind not in "iub":
        raise LabelsError(
            f"The labels {name} are no integers",
            got=str(arrays[0].dtype),
            expected="whole numbers, one per object or class",
        )
    return ImageInfo(
        name=str(multiscale.get("name") or name),
        version=version,
        axes=axes,
        levels=levels,
        n_channels=arrays[0].shape[axes.index("c")] if "c" in axes else 1,
        unit=_unit(multiscale["axes"]),
        dtype=arrays[0].dtype,
        label_names=_label_names(group),
        is_labels=is_labels,
        metadata_hash=_hash({"ome": dict(ome), "shape": arrays[0].shape}),
    )


def _plain(array: zarr.Array[Any], name: str) -> ImageInfo:
    axes = PLAIN_AXES.get(array.ndim)
    if axes is None:
        raise UnsupportedFormatError(
            f"The array {name} has the wrong number of axes",
            got=array.ndim,
            expected="2 to 5 (t, c, z, y, x)",
        )
    _refuse_rgb(axes, array, name)
    _check_axes(axes, array, name)
    ones = (1.0, 1.0, 1.0)
    level = Level("", _space(array.shape), _space(array.chunks), ones, (0.0, 0.0, 0.0))
    return ImageInfo(
        name=name,
        version="zarr",
        axes=axes,
        levels=(level,),
        n_channels=array.shape[axes.index("c")] if "c" in axes else 1,
        unit=None,
        dtype=array.dtype,
        label_names=(),
        is_labels=False,
        metadata_hash=_hash({"shape": array.shape, "dtype": str(array.dtype)}),
    )


def _level_array(group: zarr.Group, path: str, name: str) -> zarr.Array[Any]:
    try:
        array = group[path]
    except (KeyError, FileNotFoundError, ValueError) as error:
        raise MetadataError(
            f"Level {path} of {name} is listed in the metadata but missing or damaged",
            do="Restore the array, or remove it from the metadata.",
        ) from error
    if not isinstance(array, zarr.Array):
        raise MetadataError(f"Level {path} of {name} is a group and no array")
    return array


def _refuse_rgb(axes: str, finest: zarr.Array[Any], name: str) -> None:
    # Of the finest level only: coarse ones may well be three voxels wide.
    if axes.endswith("c") or _looks_rgb(axes, finest):
        raise UnsupportedFormatError(
            f"{name} is an RGB image, colours are its last axis",
            got=f"shape {finest.shape}",
            expected="one brightness per voxel, or channels before z, y, x",
            do="Move the colour axis to the front, or keep one channel.",
        )


def _check_axes(axes: str, array: zarr.Array[Any], name: str) -> None:
    if len(axes) != array.ndim:
        raise MetadataError(
            f"The axes of {name} do not fit its array",
            got=f"{len(axes)} axes",
            expected=f"{array.ndim}",
        )
    if not axes.endswith("yx") or not set(axes) <= set("tczyx"):
        raise UnsupportedFormatError(
            f"The axes of {name} are in an order that is not read",
            got=axes,
            expected="t, c, z, y, x in this order",
        )
    if array.dtype.kind not in "iufb":
        raise UnsupportedFormatError(
            f"The voxels of {name} are no numbers", got=str(array.dtype)
        )
    if 0 in array.shape:
        raise MetadataError(f"{name} holds no voxels", got=f"shape {array.shape}")


def _looks_rgb(axes: str, array: zarr.Array[Any]) -> bool:
    """Whether a plain array ends in an axis of 3 or 4 bytes, as pictures do."""
    return (
        len(axes) >= 3
        and array.shape[-1] in (3, 4)
        and array.dtype == np.uint8
        and min(array.shape[-3:-1]) > 8
    )


def _transform(listed: Sequence[Any] | None, axes: str) -> tuple[Scale, Scale]:
    """Return the scale and the translation of the space axes, zyx."""
    scale, translation = [1.0] * len(axes), [0.0] * len(axes)
    for item in listed or ():
        if item.get("type") == "scale":
            scale = [float(v) for v in item["scale"]]
        elif item.get("type") == "translation":
            translation = [float(v) for v in item["translation"]]
    return _space_of(scale, axes, 1.0), _space_of(translation, axes, 0.0)


def _level(
    array: zarr.Array[Any],
    dataset: Mapping[str, Any],
    axes: str,
    shared: tuple[Scale, Scale],
) -> Level:
    scale, translation = _transform(dataset.get(TRANSFORMS), axes)
    size = tuple(a * b for a, b in zip(scale, shared[0], strict=True))
    moved = tuple(t * s + u for t, s, u in zip(translation, *shared, strict=True))
    z_size, y_size, x_size = size
    z_at, y_at, x_at = moved
    return Level(
        str(dataset["path"]),
        _space(array.shape),
        _space(array.chunks),
        (z_size, y_size, x_size),
        (z_at, y_at, x_at),
    )


def _check_levels(levels: Sequence[Level], name: str) -> None:
    for fine, coarse in itertools.pairwise(levels):
        if any(b > a for a, b in zip(fine.shape, coarse.shape, strict=True)):
            raise MetadataError(
                f"The levels of {name} grow, level {coarse.path} is larger than "
                f"level {fine.path}",
                got=coarse.shape,
                expected=f"at most {fine.shape}",
                do="List the levels from fine to coarse.",
            )


def _unit(axes: Sequence[Mapping[str, Any]]) -> str | None:
    units = [a.get("unit") for a in axes if str(a["name"]).lower() in "zyx"]
    return str(units[-1]) if units and units[-1] else None


def _label_names(group: zarr.Group) -> tuple[str, ...]:
    try:
        listed = ome_of(group["labels"]).get("labels", ())
    except (KeyError, FileNotFoundError, ValueError):
        return ()
    return tuple(str(name) for name in listed)


def _scale(values: np.ndarray) -> Scale:
    z, y, x = (float(value) for value in values)
    return z, y, x


def _space(values: Sequence[int]) -> Zyx:
    return zyx((1, *values)[-3:])


def _space_of(values: Sequence[float], axes: str, missing: float) -> Scale:
    by_axis = dict(zip(axes, values, strict=False))
    return (
        by_axis.get("z", missing),
        by_axis.get("y", missing),
        by_axis.get("x", missing),
    )


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
