"""Which part of what hangs together is the clicked object: the lobe up to its necks.

::

      (  ×  )(    )              (  ×  )
       (   )  (  )       ──▶      (   )
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import ndimage

from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.masks import tight_box

MOST_VOXELS = 60_000
"""Larger masks are split on every second, third, … voxel: the time stays the same."""

_LEAST_RADIUS = 3.0
"""In finest voxels. What is thinner all over is a fibre or a membrane: its necks are
those of a rough border, and it goes on behind them."""


def own_lobes(
    mask: np.ndarray,
    points: Iterable[Zyx],
    voxel_size: Sequence[float],
    neck: float,
) -> np.ndarray:
    """Return the lobes of a mask (bool zyx) that hold one of these voxels.

    Parameters
    ----------
    voxel_size
        zyx, in any unit.
    neck
        How narrow a neck separates, as in :class:`Splitting`; 0 separates nothing.
    """
    tight = tight_box(mask)
    inside = mask[tight.slices]
    lobes = _lobes(inside, voxel_size, neck)
    here = [Box.around(p, (1, 1, 1)).relative_to(tight).start for p in points]
    own = {int(lobes[point]) for point in here} - {0}
    if not own:
        return mask
    kept = np.zeros_like(mask)
    kept[tight.slices] = inside & np.isin(lobes, list(own))
    return kept


def _lobes(mask: np.ndarray, voxel_size: Sequence[float], neck: float) -> np.ndarray:
    """Return the number of the lobe of each voxel of a mask, 0 if unknown."""
    step = _coarse_step(mask.shape, voxel_size)
    z, y, x = voxel_size
    coarse = mask[:: step[0], :: step[1], :: step[2]]
    spacing = (z * step[0], y * step[1], x * step[2])
    depth = ndimage.distance_transform_edt(np.pad(coarse, 1), sampling=spacing)
    if depth.max() < _LEAST_RADIUS * min(voxel_size):
        neck = 0
    lobes, _ = Splitting(neck, spacing).label(coarse.astype(np.uint8))
    if max(step) > 1:  # what lies between the voxels that were split
        lobes = np.where(lobes > 0, lobes, ndimage.maximum_filter(lobes, 3))
    for axis, times in enumerate(step):
        if times > 1:
            lobes = np.repeat(lobes, times, axis=axis)
    whole: np.ndarray = lobes[tuple(slice(0, n) for n in mask.shape)]
    return whole


def _coarse_step(shape: Sequence[int], voxel_size: Sequence[float]) -> Zyx:
    """Return every how manieth voxel is split, zyx; thick slices are all kept."""
    thin = [size < 2 * min(voxel_size) for size in voxel_size]
    step = zyx((1, 1, 1))
    while np.prod([-(-n // s) for n, s in zip(shape, step, strict=True)]) > MOST_VOXELS:
        step = zyx(s + is_thin for s, is_thin in zip(step, thin, strict=True))
    return step
