"""Which block comes next: the nearest to where somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from napari_unetseg.events import Look
from napari_unetseg.geometry import Block, BlockGrid, Zyx, zyx


def nearest_first(
    grid: BlockGrid, indices: Sequence[int], look: Look
) -> Iterator[Block]:
    """Yield blocks by their distance from a voxel that may move meanwhile.

    Parameters
    ----------
    grid, indices
        The blocks.
    look
        Asked before every block; while it says None, the middle of all blocks counts.
    """
    if not indices:
        return
    left = np.asarray(indices, dtype=np.int64)
    first, last = grid[int(left.min())].write_box, grid[int(left.max())].write_box
    middle = first.hull(last).centre
    at, seen = None, look()
    while len(left):
        if at != (wanted := seen or middle):
            at = wanted
            left = _sorted_from(grid, left, at)
        yield grid[int(left[-1])]
        left = left[:-1]
        seen = look()


def _sorted_from(grid: BlockGrid, indices: np.ndarray, voxel: Zyx) -> np.ndarray:
    """Return indices with the nearest block last; of equals, the lowest index."""
    squared = np.zeros(len(indices))
    places = np.unravel_index(indices, grid.counts)
    axes = zip(places, grid.block, grid.shape, zyx(voxel), strict=True)
    for place, length, stop, wanted in axes:
        start = place * length
        centre = (start + np.minimum(start + length, stop)) // 2
        squared += (centre - wanted) ** 2.0
    order: np.ndarray = indices[np.lexsort((indices, squared))[::-1]]
    return order
