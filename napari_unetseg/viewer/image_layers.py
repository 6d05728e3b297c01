"""A volume as napari image layers: lazy, multiscale, at its physical place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pint
from napari.layers import Image

from napari_unetseg.viewer.chunk_cache import ChunkCache
from napari_unetseg.viewer.pyramids import LazyArray, cached_levels, lazy_views

if TYPE_CHECKING:
    from napari_unetseg.data.volume import Volume

IMAGE = "image"
_CHANNEL_COLORS = ("gray", "green", "magenta", "cyan", "yellow", "red", "blue")
_SAMPLE_SIDE = 512
_LOG = logging.getLogger(__name__)


def layer_place(volume: Volume) -> dict[str, Any]:
    """Return scale, translate and units (zyx) for layers of finest voxels."""
    return {
        "scale": volume.voxel_size,
        "translate": volume.levels[0].translation,
        "units": (_known_unit(volume.unit),) * 3,
        "axis_labels": ("z", "y", "x"),
    }


def image_options(
    volume: Volume, cache: ChunkCache
) -> list[tuple[list[Any], dict[str, Any]]]:
    """Return pyramid and keyword arguments of one image layer per channel."""
    place = layer_place(volume)
    levels = lazy_views(cached_levels(volume.lazy_levels(), volume.factors, cache))
    if levels[0].ndim == 3:
        return [_channel(levels, IMAGE, "gray", place)]
    colors = _CHANNEL_COLORS[1:]
    return [
        _channel(
            [level[c] for level in levels],
            f"{IMAGE} {c + 1}",
            colors[c % len(colors)],
            {**place, "blending": "additive"},
        )
        for c in range(volume.n_channels)
    ]


def make_image_layers(volume: Volume, cache: ChunkCache) -> list[Image]:
    """Return one image layer per channel of a volume."""
    return [
        Image(levels, **options) for levels, options in image_options(volume, cache)
    ]


def contrast_limits(coarsest: LazyArray) -> tuple[float, float]:
    """Return a range that shows nearly all of the middle plane; never empty."""
    plane = coarsest[coarsest.shape[0] // 2]
    steps = tuple(slice(None, None, -(-n // _SAMPLE_SIDE)) for n in plane.shape)
    values = np.asarray(plane[steps])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _channel(
    levels: Sequence[Any], name: str, colormap: str, place: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    options = {
        **place,
        "name": name,
        "colormap": colormap,
        "contrast_limits": contrast_limits(levels[-1]),
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
