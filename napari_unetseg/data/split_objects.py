"""Objects that touch, told apart where the neck between them is narrow.

::

    class ids ──▶ distance to the border ──▶ a basin per peak ──▶ basins joined again
                                                                  unless the neck
        ( a )( b )      ∧     ∧                a │ b              between is narrow
        (    )(  )     ∧ ∧   ∧ ∧

A neck is as wide as the distance at the saddle between two peaks. Basins are joined if
it is at least ``neck`` times that of the lower peak, the widest necks first. The basins
are those of a watershed (Vincent and Soille, 1991), the rule that of a relative
dynamics of peaks (Grimaud, 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_unetseg.geometry import Zyx

_SMOOTH = 1.0  # voxels: a rough border makes many small peaks
MARGIN: Zyx = (32, 32, 32)
"""How much of its neighbours a tile sees: larger objects may be cut differently."""

TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels touch if they share a face, an edge or a corner."""


@dataclass(frozen=True)
class Splitting:
    """How objects that touch are told apart.

    Attributes
    ----------
    neck
        Objects are separated where the neck between them is narrower than this part of
        the smaller one; 0 separates nothing, 1 every bulge.
    voxel_size
        zyx, in any unit.
    """

    neck: float
    voxel_size: tuple[float, float, float]

    def label(self, classes: np.ndarray) -> tuple[np.ndarray, int]:
        """Return object ids 1, 2, …, int32 zyx, and how many there are.

        Parameters
        ----------
        classes
            Class ids, uint8 zyx; objects of two classes are never one.
        """
        ids = np.zeros(classes.shape, np.int32)
        n_objects = 0
        for number in np.unique(classes[classes > 0]):
            mask = classes == number
            distance = smooth_distance(mask, self.voxel_size)
            basins = basins_of(distance, mask)
            joined, n_found = _joined(basins, distance, self.neck)
            ids[mask] = joined[basins[mask]] + n_objects
            n_objects += n_found
        return ids, n_objects


def smooth_distance(mask: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the smoothed distance to the border in finest voxels, 0 outside.

    What lies beyond the array is taken for more of the same, not for a border.

    Parameters
    ----------
    mask
        Voxels of one or several objects, bool zyx.
    voxel_size
        zyx, in any unit.
    """
    shortest = min(voxel_size)
    size = [v / shortest for v in voxel_size]
    if mask.all():
        return np.ones(mask.shape, np.float32)
    distance = ndimage.distance_transform_edt(mask, sampling=size)
    sigma = [_SMOOTH / s for s in size]
    smooth = ndimage.gaussian_filter(distance.astype(np.float32), sigma)
    return np.where(mask, np.maximum(smooth, 1e-6), 0)


class Groups:
    """Basins 1 to n, 0 for none, that are joined one by one (union and find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n + 1))

    def root(self, basin: int) -> int:
        """Return the basin that stands for all that this one is joined with."""
        parent = self._parent
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    def join(self, one: int, other: int) -> int:
        """Join what two roots stand for; return the lower one, which stays a root."""
        low, high = sorted((one, other))
        self._parent[high] = low
        return low

    def roots(self) -> np.ndarray:
        """Return the root of each basin, from 0 on."""
        return np.asarray([self.root(basin) for basin in range(len(self._parent))])


def basins_of(distance: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a basin, 1, 2, …, for each peak of the distance; 0 outside."""
    highest = ndimage.maximum_filter(distance, size=3)
    peaks, _ = ndimage.label(mask & (distance == highest), TOUCHING)
    basins: np.ndarray = watershed(-distance, peaks, mask=mask, connectivity=3)
    return basins


def _joined(
    basins: np.ndarray, distance: np.ndarray, neck: float
) -> tuple[np.ndarray, int]:
    """Return the object of each basin (0 → 0), and how many objects there are."""
    n = int(basins.max(initial=0))
    peak = ndimage.maximum(distance, basins, np.arange(n + 1))
    groups = Groups(n)
    for one, other, width in necks_between(basins, distance):
        a, b = groups.root(one), groups.root(other)
        if a != b and width >= neck * min(peak[a], peak[b]):
            peak[groups.join(a, b)] = max(peak[a], peak[b])
    roots = groups.roots()
    kept, number = np.unique(roots, return_inverse=True)
    return number.astype(np.int32), len(kept) - 1


def necks_between(
    basins: np.ndarray, distance: np.ndarray
) -> list[tuple[int, int, float]]:
    """Return pairs of basins that touch, and the width of the neck, widest first."""
    keys, widths = [], []
    n = np.int64(basins.max(initial=0)) + 1
    for axis in range(basins.ndim):
        a, b = _shifted(basins, axis)
        touch = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[touch], b[touch]), np.maximum(a[touch], b[touch])
        keys.append(low.astype(np.int64) * n + high)
        here, there = _shifted(distance, axis)
        widths.append(np.minimum(here[touch], there[touch]))
    key, width = np.concatenate(keys), np.concatenate(widths)
    pairs, which = np.unique(key, return_inverse=True)
    widest = np.zeros(len(pairs), np.float32)
    np.maximum.at(widest, which, width)
    order = np.lexsort((pairs, -widest))
    return [(int(pairs[i] // n), int(pairs[i] % n), float(widest[i])) for i in order]


def _shifted(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all voxels but the last along an axis, and their next neighbours."""
    low = [slice(None)] * values.ndim
    high = [slice(None)] * values.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return values[tuple(low)], values[tuple(high)]
