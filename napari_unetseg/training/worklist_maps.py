"""A prediction on a level that is small enough to look through as a whole.

Of a huge volume this is a coarse level of its pyramid: the finest is never read, and a
cell, which is scored at once, then holds several tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_unetseg.data.predictions import PROBABILITY, PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx

MAX_VOXELS = 2**22
CELL_EDGE = 8  # coarse voxels along the edge of what is scored at once, at least


@dataclass(frozen=True)
class Seen:
    """What a prediction says in a box, on a coarse level.

    Attributes
    ----------
    probability
        Foreground classes × 255, uint8 czyx.
    values
        What regions are ranked by, uint8 zyx: a map × 255, the labels, or, by default,
        the probability of the likeliest class.
    is_open
        Where nobody has settled it, bool zyx.
    """

    probability: np.ndarray
    values: np.ndarray
    is_open: np.ndarray


class CoarseMaps:
    """The probability of a prediction and one more of its images.

    Parameters
    ----------
    shape
        Of the volume, zyx.
    tile
        Size of a region in level-0 voxels.
    image
        What regions are ranked by, as :class:`Seen` says; "" for the probability.
    by_tile
        Whether a cell is one tile, however few coarse voxels that may be.

    Attributes
    ----------
    cell
        Size of what is scored at once in level-0 voxels, whole tiles.
    """

    def __init__(
        self,
        predictions: PredictionStore,
        shape: Zyx,
        tile: Zyx,
        image: str = "",
        *,
        by_tile: bool = False,
    ) -> None:
        self.shape, self.tile = shape, tile
        arrays = predictions.levels(PROBABILITY)
        sizes = [math.prod(array.shape[-3:]) for array in arrays]
        level = next(
            (k for k, size in enumerate(sizes) if size <= MAX_VOXELS), len(sizes) - 1
        )
        self._factor = predictions.factors(PROBABILITY)[level]
        self._probability = arrays[level]
        self._image = predictions.levels(image)[level] if image else None
        self.cell: Zyx = tile if by_tile else self._cell_of(tile)

    @property
    def n_cells(self) -> int:
        """How many cells there are, with those in which there is nothing."""
        return math.prod(self._counts)

    def cells(self) -> Iterator[tuple[int, Box, Seen]]:
        """Yield number, box and voxels of each cell with values, in C order."""
        _, height, width = self.shape
        for slab in Box.whole(self.shape).cells((self.cell[0], height, width)):
            slab = slab.clipped(self.shape)
            whole, seen = slab.coarser(self._factor), self.read(slab)
            if not seen.values.any():
                continue
            for cell in slab.cells(self.cell):
                box = cell.clipped(self.shape)
                at = box.coarser(self._factor).relative_to(whole).slices
                if seen.values[at].any():
                    part = Seen(
                        seen.probability[:, *at], seen.values[at], seen.is_open[at]
                    )
                    yield self._number(cell), box, part

    def read(self, box: Box) -> Seen:
        """Return what is predicted in a box, as if nothing was settled."""
        here = box.coarser(self._factor).slices
        probability = np.asarray(self._probability[:, *here])
        values = (
            probability.max(axis=0)
            if self._image is None
            else np.asarray(self._image[here])
        )
        return Seen(probability, values, np.ones(values.shape, bool))

    def voxels(self, box: Box) -> tuple[np.ndarray, ...]:
        """Return, along z, y and x, the level-0 voxels in a box that it is seen by.

        Each is in the middle of a coarse voxel.
        """
        coarse = box.coarser(self._factor)
        return tuple(
            np.clip(np.arange(first, last) * f + f // 2, a, b - 1)
            for first, last, f, a, b in zip(
                coarse.start, coarse.stop, self._factor, box.start, box.stop,
                strict=True,
            )
        )  # fmt: skip

    def _cell_of(self, tile: Zyx) -> Zyx:
        """Return a tile, or more of them in a huge volume."""
        return zyx(
            t * max(1, math.ceil(CELL_EDGE * f / t)) if f > 1 else t
            for t, f in zip(tile, self._factor, strict=True)
        )

    @property
    def _counts(self) -> Zyx:
        return zyx(-(-n // c) for n, c in zip(self.shape, self.cell, strict=True))

    def _number(self, cell: Box) -> int:
        z, y, x = (a // c for a, c in zip(cell.start, self.cell, strict=True))
        _, height, width = self._counts
        return (z * height + y) * width + x
