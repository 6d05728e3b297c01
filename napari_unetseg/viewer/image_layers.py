"""A volume as napari image layers: lazy, multiscale, at its physical place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pint

from napari_unetseg.viewer.pyramids import LazyArray, lazy_views

if TYPE_CHECKING:
    from napari_unetseg.data.volume import Volume

IMAGE = "image"
_CHANNEL_COLORS = ("gray", "green", "magenta", "cyan", "yellow", "red", "blue")
_LARGEST_SIDE = 1024
_LOG = logging.getLogger(__name__)


def warm_up() -> None:
    """Load the units of layers, a third of a second, before a volume is opened."""
    pint.Unit("pixel")


def layer_place(volume: Volume) -> dict[str, Any]:
    """Return scale, translate and units (zyx) for layers of finest voxels."""
    return {
        "scale": volume.voxel_size,
        "translate": volume.levels[0].translation,
        "units": (_known_unit(volume.unit),) * 3,
        "axis_labels": ("z", "y", "x"),
    }


def image_options(
    volume: Volume, levels: Sequence[LazyArray]
) -> list[tuple[list[Any], dict[str, Any]]]:
    """Return pyramid and keyword arguments of one image layer per channel."""
    place = layer_place(volume)
    limits = contrast_limits(volume)
    views = lazy_views(levels)
    if volume.n_channels == 1:
        return [_channel(views, IMAGE, "gray", limits[0], place)]
    colors = _CHANNEL_COLORS[1:]
    return [
        _channel(
            [view[c] for view in views],
            f"{IMAGE} {c + 1}",
            colors[c % len(colors)],
            limits[c],
            {**place, "blending": "additive"},
        )
        for c in range(volume.n_channels)
    ]


def contrast_limits(volume: Volume) -> list[tuple[float, float]]:
    """Return, per channel, a range that shows nearly all of the middle; never empty.

    Looked at is the middle plane of the coarsest level, its middle if it is large.
    """
    array = volume.lazy_levels()[-1]
    middle = array.shape[-3] // 2
    sides = [
        slice(max(0, (n - _LARGEST_SIDE) // 2), (n + _LARGEST_SIDE) // 2)
        for n in array.shape[-2:]
    ]
    sample = array[(..., slice(middle, middle + 1), *sides)]
    sample = sample.reshape(volume.n_channels, -1)
    return [_range(values[np.isfinite(values)]) for values in sample]


def _range(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _channel(
    levels: Sequence[Any],
    name: str,
    colormap: str,
    limits: tuple[float, float],
    place: dict[str, Any],
) -> tuple[list[Any], dict[str, Any]]:
    options = {
        **place,
        "name": name,
        "colormap": colormap,
        "contrast_limits": limits,
        "multiscale": True,
        "cache": False,
    }
    return list(levels), options


def _known_unit(unit: str | None) -> str:
    """Return the unit if napari knows it, else pixels."""
    if unit is None:
        return "pixel"
    try:
        pint.Unit(unit)
    except (pint.errors.PintError, ValueError, AttributeError) as error:
        _LOG.info("unit %r is unknown, shown as pixels: %s", unit, error)
        return "pixel"
    return unit
