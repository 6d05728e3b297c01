"""The levels of a volume that are shown: those on disk, and coarser ones it lacks."""

from __future__ import annotations

from napari_unetseg.data.pyramid import (
    downsample_labels,
    downsample_mean,
    level_factors,
)
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache
from napari_unetseg.viewer.overview import Overview
from napari_unetseg.viewer.pyramids import cached_levels

LARGEST_PLANE, LARGEST_STACK = 2**20, 2**25  # voxels that are read at once


def overview_factors(volume: Volume) -> tuple[Zyx, ...]:
    """Return the factors of the levels that a volume lacks, none if it has enough.

    They count from its coarsest level on disk.
    """
    coarsest = volume.levels[-1]
    plane = coarsest.shape[1] * coarsest.shape[2]
    if plane <= LARGEST_PLANE and plane * coarsest.shape[0] <= LARGEST_STACK:
        return ()
    return level_factors(coarsest.shape, coarsest.voxel_size)[1:]


def shown_shapes(volume: Volume) -> list[tuple[Zyx, Zyx]]:
    """Return shape and factor of all levels that are shown, on disk or not."""
    on_disk = [level.shape for level in volume.levels]
    shapes = list(zip(on_disk, volume.factors, strict=True))
    for factor in overview_factors(volume):
        shape, below = shapes[len(on_disk) - 1]
        shapes.append(
            (
                zyx(-(-n // f) for n, f in zip(shape, factor, strict=True)),
                zyx(a * b for a, b in zip(below, factor, strict=True)),
            )
        )
    return shapes


def shown_levels(
    volume: Volume, cache: ChunkCache
) -> tuple[list[CachedArray], Overview | None]:
    """Return all levels that are shown, and what fills those that are not on disk."""
    arrays = volume.lazy_levels()
    levels = cached_levels(arrays, volume.factors, cache)
    factors = overview_factors(volume)
    if not factors:
        return levels, None
    overview = Overview(
        arrays[-1],
        factors,
        cache,
        source_factor=volume.factors[-1],
        reduce=downsample_labels if volume.info.is_labels else downsample_mean,
    )
    return [*levels, *overview.levels], overview
