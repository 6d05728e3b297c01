"""Making OME-Zarr 0.5 images.

Reading the metadata stands in :mod:`napari_unetseg.data.ome_metadata`, filling the
levels in :mod:`napari_unetseg.data.pyramid_store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import zarr
from zarr.codecs import BloscCodec, BloscShuffle, ZstdCodec

from napari_unetseg.data.nodes import is_zarr, ome_of
from napari_unetseg.data.ome_metadata import ImageInfo, Level, read_image
from napari_unetseg.data.pyramid import level_factors
from napari_unetseg.errors import explained_writing
from napari_unetseg.geometry import Zyx, zyx

__all__ = [
    "ImageInfo",
    "Level",
    "create_image",
    "is_zarr",
    "level_factors",
    "read_image",
    "register_labels",
]

Rgba = tuple[int, int, int, int]


def create_image(
    path: str | Path,
    *,
    shape: Zyx,
    dtype: Any,
    chunk: Zyx,
    voxel_size: Sequence[float],
    unit: str | None = None,
    n_channels: int | None = None,
    n_levels: int | None = None,
    name: str = "",
    fill_value: int = 0,
    compressor: Literal["image", "labels"] = "image",
    channel_names: Sequence[str] | None = None,
    label_of: str | None = None,
    label_colors: Mapping[int, Rgba] | None = None,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any] | None = None,
    zarr_format: Literal[2, 3] = 3,
) -> zarr.Group:
    """Make an empty OME-Zarr image, 0.5 (zarr 3) or 0.4 (zarr 2), with all its levels.

    Parameters
    ----------
    path
        Folder of the image; must not exist yet.
    shape, chunk
        Of the finest level, zyx.
    voxel_size, origin
        Physical, zyx.
    n_channels, n_levels
        None for axes zyx, else the axes are czyx; None: until a plane is small.
    compressor
        ``"image"``: blosc-lz4 with shuffle; ``"labels"``: zstd.
    label_of, label_colors
        Relative path of the image that these labels belong to, which makes it a label
        image; label value → red, green, blue, alpha as bytes.

    Raises
    ------
    DiskFullError, ReadOnlyError
        If it cannot be written.
    """
    path = Path(path)
    factors = level_factors(shape, voxel_size, n_levels)
    ome = _metadata(path, factors, voxel_size, origin, unit, n_channels, name)
    ome |= _about_values(channel_names, label_of, label_colors)
    with explained_writing(f"the image {path.name}", path):
        group = zarr.create_group(
            path,
            zarr_format=zarr_format,
            attributes={**_versioned(ome, zarr_format), **(attributes or {})},
        )
        codecs = _codecs(compressor, zarr_format, n_channels is not None)
        kind = {"dtype": dtype, "fill_value": fill_value, **codecs}
        for number, factor in enumerate(factors):
            level = _divided(shape, factor)
            _create_level(group, str(number), level, chunk, n_channels, kind)
    return group


def _create_level(
    group: zarr.Group,
    path: str,
    shape: Zyx,
    chunk: Zyx,
    n_channels: int | None,
    kind: Mapping[str, Any],
) -> None:
    lead = () if n_channels is None else (n_channels,)
    chunks = (*(1 for _ in lead), *_at_most(chunk, shape))
    group.create_array(path, shape=(*lead, *shape), chunks=chunks, **kind)


def _about_values(
    channel_names: Sequence[str] | None,
    label_of: str | None,
    label_colors: Mapping[int, Rgba] | None,
) -> dict[str, Any]:
    """Return the metadata of channels and of labels."""
    about: dict[str, Any] = {}
    if channel_names is not None:
        about["omero"] = {"channels": [_channel(label) for label in channel_names]}
    if label_of is not None:
        about["image-label"] = _image_label(label_of, label_colors or {})
    return about


def register_labels(image_path: str | Path, name: str) -> None:
    """List a label image in the ``labels`` group of an image, 0.4 or 0.5."""
    image = zarr.open_group(image_path, mode="r+")
    version = image.metadata.zarr_format
    with explained_writing(
        f"the list of labels of {Path(image_path).name}", image_path
    ):
        labels = image.require_group("labels")
        listed = list(ome_of(labels).get("labels", ()))
        if name not in listed:
            labels.attrs.update(_versioned({"labels": [*listed, name]}, version))


def _versioned(ome: dict[str, Any], zarr_format: int) -> dict[str, Any]:
    """Put the metadata where this version of OME-Zarr has it."""
    if zarr_format == 3:
        return {"ome": {"version": "0.5", **ome}}
    for multiscale in ome.get("multiscales", ()):
        multiscale["version"] = "0.4"
    return ome


def _metadata(
    path: Path,
    factors: Sequence[Zyx],
    voxel_size: Sequence[float],
    origin: Sequence[float],
    unit: str | None,
    n_channels: int | None,
    name: str,
) -> dict[str, Any]:
    lead = 0 if n_channels is None else 1
    space = {"type": "space"} | ({"unit": unit} if unit else {})
    axes: list[dict[str, Any]] = [{"name": "c", "type": "channel"}] * lead
    axes += [{"name": axis, **space} for axis in "zyx"]
    datasets = []
    for number, factor in enumerate(factors):
        scale = [v * f for v, f in zip(voxel_size, factor, strict=True)]
        # The centre of a binned cell lies half a fine voxel short of half a coarse one.
        moved = [
            o + v * (f - 1) / 2
            for o, v, f in zip(origin, voxel_size, factor, strict=True)
        ]
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0] * lead + scale},
                    {"type": "translation", "translation": [0.0] * lead + moved},
                ],
            }
        )
    return {
        "multiscales": [{"name": name or path.stem, "axes": axes, "datasets": datasets}]
    }


def _channel(label: str) -> dict[str, Any]:
    window = {"start": 0, "end": 255, "min": 0, "max": 255}
    return {"label": label, "color": "FFFFFF", "active": True, "window": window}


def _image_label(label_of: str, colors: Mapping[int, Rgba]) -> dict[str, Any]:
    listed = [
        {"label-value": int(value), "rgba": list(rgba)}
        for value, rgba in sorted(colors.items())
    ]
    source = {"source": {"image": label_of}}
    return source | ({"colors": listed} if listed else {})


def _codecs(kind: str, zarr_format: int, has_channels: bool) -> dict[str, Any]:
    axes = ("c", "z", "y", "x") if has_channels else ("z", "y", "x")
    if zarr_format == 2:
        separator = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        return {"compressors": "auto", **separator}
    if kind == "labels":
        return {"compressors": ZstdCodec(level=1), "dimension_names": axes}
    codec = BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle)
    return {"compressors": codec, "dimension_names": axes}


def _divided(shape: Zyx, factor: Zyx) -> Zyx:
    return zyx(-(-n // f) for n, f in zip(shape, factor, strict=True))


def _at_most(chunk: Zyx, shape: Zyx) -> Zyx:
    return zyx(max(1, min(c, n)) for c, n in zip(chunk, shape, strict=True))
