"""Saving a labels layer as OME-Zarr, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.ome_zarr import Rgba, create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.errors import LabelsError, explained_writing
from napari_unetseg.geometry import Box, Zyx, zyx

_CHUNK = (32, 128, 128)


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as an OME-Zarr 0.5 image of integers.

    Parameters
    ----------
    path
        Ends in ``.zarr``; nothing may be there yet.
    data
        Array of the layer, y x or z y x, or its pyramid, of which the finest counts.
    attributes
        Of the layer: name, scale, units.

    Returns
    -------
    list of str
        The path that was written.

    Raises
    ------
    LabelsError
        If the layer has more than three axes, or there is something at the path.
    """
    finest = data[0] if attributes.get("multiscale") else data
    shape = _zyx_shape(finest)
    if Path(path).exists():
        raise LabelsError(
            f"There already is something at {path}", do="Choose another name."
        )
    with explained_writing("the labels", path):
        group = create_image(
            Path(path),
            shape=shape,
            dtype=finest.dtype,
            chunk=_chunk(shape),
            voxel_size=_padded(attributes.get("scale", (1,) * finest.ndim)),
            unit=_unit(attributes.get("units")),
            origin=_padded(attributes.get("translate", (0,) * finest.ndim), 0.0),
            name=str(attributes.get("name", "labels")),
            compressor="labels",
            label_of=_source_image(Path(path)),
            label_colors=_colors(attributes.get("colormap")),
        )
        for box in Box.whole(shape).cells(_block(shape)):
            part = box.clipped(shape)
            key = part.slices[-finest.ndim :]
            block = np.asarray(finest[key]).reshape(part.shape)
            write_pyramid_block(group, part, block)
    return [path]


def _zyx_shape(data: Any) -> Zyx:
    if data.ndim not in (2, 3):
        raise LabelsError(
            "Only labels with two or three axes can be written",
            got=f"{data.ndim} axes",
            expected="y x or z y x",
            do="Choose one time point first.",
        )
    return zyx((1,) * (3 - data.ndim) + tuple(data.shape))


def _padded(values: Any, first: float = 1.0) -> tuple[float, float, float]:
    z, y, x = (first,) * (3 - len(values)) + tuple(float(value) for value in values)
    return z, y, x


def _colors(colormap: Any) -> dict[int, Rgba]:
    """Return the colours that a person chose; random ones are not kept."""
    chosen = getattr(colormap, "color_dict", {})
    colors: dict[int, Rgba] = {0: (0, 0, 0, 0)}
    for value, color in chosen.items():
        if value is not None and value > 0:
            red, green, blue, alpha = (round(255 * float(part)) for part in color)
            colors[int(value)] = (red, green, blue, alpha)
    return colors


def _source_image(path: Path) -> str:
    """Return the image that these labels belong to, if they lie in its folder."""
    return "../../" if path.parent.name == "labels" else ""


def _chunk(shape: Zyx) -> Zyx:
    return zyx(min(n, c) for n, c in zip(shape, _CHUNK, strict=True))


def _block(shape: Zyx) -> Zyx:
    """Return a block of whole chunks on every level of the pyramid."""
    return zyx(8 * c for c in _chunk(shape))


def _unit(units: Any) -> str | None:
    """Return the unit of the last axis by its long name; pixels are none."""
    unit = str(units[-1]) if units else ""
    return None if unit in ("", "pixel", "dimensionless") else unit
