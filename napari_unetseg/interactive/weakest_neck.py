"""The parts of an object that belong to several places in it.

::

    strength    ∧   ∧  ∧       a basin per peak, joined across the strongest necks
               ∧ ∧_∧ ∧∧ ∧      first, but never those of two places if there is a
                ×      ×       neck between them
               1 1 1│2 2 2     so it does not matter how near to a peak a place is

This is a watershed from markers (Beucher and Meyer, 1993) whose markers are whole
basins: from a single voxel on a slope, a flood would lose its own peak to the other.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import block_reduce
from skimage.segmentation import watershed

from napari_unetseg.data.split_objects import Groups, basins_of, necks_between
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.objects import VoxelSize

_NECK = 0.9  # of the weaker peak: what is stronger is no neck, and parts half way
_LARGE = 2**22  # voxels: about a second


def parts_at(
    places: np.ndarray, strength: np.ndarray, mask: np.ndarray, voxel_size: VoxelSize
) -> np.ndarray:
    """Return the place that each voxel belongs to, 1, 2, …; 0 outside, int zyx.

    Places with no neck between them part half way.

    Parameters
    ----------
    places
        Voxels of the object, int n × zyx.
    strength
        How strongly each voxel holds the object together, float zyx.
    mask
        The object, bool zyx.
    voxel_size
        zyx, in any unit.
    """
    if mask.size > _LARGE:
        step = np.where(np.asarray(voxel_size) < 2 * min(voxel_size), 2, 1)
        if _are_apart(places // step):
            return _coarse_parts_at(places, strength, mask, voxel_size, step)
    return _parts_at(places, strength, mask, voxel_size)


def _coarse_parts_at(
    places: np.ndarray,
    strength: np.ndarray,
    mask: np.ndarray,
    voxel_size: VoxelSize,
    step: np.ndarray,
) -> np.ndarray:
    """Return the parts as found in every other voxel along the fine axes.

    One voxel more or less at the border of a large object is not worth the wait.
    """
    block = tuple(step.tolist())
    coarse = parts_at(
        places // step,
        block_reduce(strength, block, np.max),
        block_reduce(mask, block, np.max),
        tuple((np.asarray(voxel_size) * step).tolist()),
    )
    for axis, n in enumerate(block):
        coarse = np.repeat(coarse, n, axis)
    fine: np.ndarray = np.where(mask, coarse[Box.whole(mask.shape).slices], 0)
    return fine


def _parts_at(
    places: np.ndarray, strength: np.ndarray, mask: np.ndarray, voxel_size: VoxelSize
) -> np.ndarray:
    basins = basins_of(strength, mask)
    here = basins[tuple(places.T)]
    roots = _joined(basins, strength, here)
    root_here = roots[here]
    number_of = np.zeros(len(roots), np.int32)
    number_of[root_here] = np.arange(1, len(places) + 1)
    parts: np.ndarray = number_of[roots[basins]]
    for basin in np.unique(root_here):
        sharing = np.flatnonzero(root_here == basin)
        if len(sharing) > 1:
            region = roots[basins] == basin
            parts[region] = sharing[_nearest(region, places[sharing], voxel_size)] + 1
    if not parts[mask].all():  # basins that touch the others at corners have no neck
        parts = watershed(-strength, parts, mask=mask, connectivity=3)
    return parts


def _are_apart(places: np.ndarray) -> bool:
    """Whether no two places are in the same voxel."""
    return len(np.unique(places, axis=0)) == len(places)


def _joined(basins: np.ndarray, strength: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Return which basin stands for each; across a neck never those of two places."""
    n = int(basins.max())
    peak = ndimage.maximum(strength, basins, np.arange(n + 1))
    groups = Groups(n)
    is_taken = np.zeros(n + 1, bool)
    is_taken[here] = True
    for one, other, width in necks_between(basins, strength):
        a, b = groups.root(one), groups.root(other)
        if a == b:
            continue
        is_neck = width < _NECK * min(peak[a], peak[b])
        if not (is_neck and is_taken[a] and is_taken[b]):
            root = groups.join(a, b)
            is_taken[root] = is_taken[a] or is_taken[b]
            peak[root] = max(peak[a], peak[b])
    return groups.roots()


def _nearest(
    region: np.ndarray, places: np.ndarray, voxel_size: VoxelSize
) -> np.ndarray:
    """Return which of the places is nearest to each voxel of a region, by index."""
    voxels = np.argwhere(region) * np.asarray(voxel_size)
    nearest = np.zeros(len(voxels), np.intp)
    least = np.full(len(voxels), np.inf)
    for index, place in enumerate(places * np.asarray(voxel_size)):
        distance = ((voxels - place) ** 2).sum(axis=1)
        closer = distance < least
        nearest[closer], least[closer] = index, distance[closer]
    return nearest
