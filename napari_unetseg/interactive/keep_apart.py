"""Parts of an object, kept apart by as little background as that takes.

Where two parts touch, the larger one gives way::

    1 1 1 2 2 2 2         1 1 1 · 2 2 2
    1 1 2 2 2 2 2   ──▶   1 1 · 2 2 2 2
    1 1 1 1 2 2 2         1 1 1 1 · 2 2
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_unetseg.data.split_objects import TOUCHING

_ROUNDS = 3
_Index = tuple[slice, slice, slice]


def kept_apart(parts: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Return parts of which no two touch; 0 where there is background now.

    Parameters
    ----------
    parts
        1, 2, … for each part, 0 outside, int zyx.
    protected
        Voxels that stay, bool zyx, at least one in each part, no two of different
        parts touching. What is cut off from them goes to the part it touches.
    """
    mask = parts > 0
    flat = np.zeros(parts.shape, np.uint8)
    for _ in range(_ROUNDS):
        apart = np.where(_giving_way(parts, protected), 0, parts)
        pieces, n_pieces = ndimage.label(apart > 0, TOUCHING)
        is_core = np.zeros(n_pieces + 1, bool)
        is_core[pieces[protected]] = True
        is_core[0] = False
        core = np.where(is_core[pieces], apart, 0)
        if is_core.sum() == n_pieces:
            break
        parts = watershed(flat, core, mask=mask, connectivity=3)
    return core


def _giving_way(parts: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Return the voxels that touch a smaller part, or a protected voxel of another."""
    sizes = np.bincount(parts.ravel())
    rank_of = np.empty(len(sizes), np.int32)
    rank_of[np.argsort(sizes, kind="stable")] = np.arange(1, len(sizes) + 1)
    rank = np.where(protected, 0, rank_of[parts])
    lost = np.zeros(parts.shape, bool)
    for here, there in _neighbours():
        one, other = parts[here], parts[there]
        touch = (one != other) & (one > 0) & (other > 0)
        lost[here] |= touch & (rank[here] > rank[there])
        lost[there] |= touch & (rank[there] > rank[here])
    return lost


def _neighbours() -> Iterator[tuple[_Index, _Index]]:
    """Yield all voxels that have a neighbour, and these, for 13 of 26 directions."""
    ends = {-1: slice(1, None), 0: slice(None), 1: slice(None, -1)}
    for dz, dy, dx in product((-1, 0, 1), repeat=3):
        if (dz, dy, dx) > (0, 0, 0):
            yield (ends[dz], ends[dy], ends[dx]), (ends[-dz], ends[-dy], ends[-dx])
