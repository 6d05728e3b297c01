"""How chunks of an array become tiles of a coarser level of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.viewer.chunk_cache import ChunkIndex


@dataclass(frozen=True)
class TileGrid:
    """How chunks of the source become tiles of a coarser level; all tuples (c)zyx.

    A tile is what one chunk becomes. Where cells are longer than chunks, a cell is the
    mean of the chunk that holds its centre: reading them all would take for ever.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    factor: tuple[int, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """Shape of a tile, in voxels of the level."""
        return tuple(max(1, c // f) for c, f in self._per_axis)

    @property
    def extent(self) -> tuple[int, ...]:
        """Shape of a tile, in voxels of the source."""
        return tuple(n * f for n, f in zip(self.cells, self.factor, strict=True))

    @property
    def level_shape(self) -> tuple[int, ...]:
        """Shape of the level."""
        return tuple(-(-n // f) for n, f in zip(self.shape, self.factor, strict=True))

    @property
    def n_tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each axis."""
        pairs = zip(self.level_shape, self.cells, strict=True)
        return tuple(-(-n // c) for n, c in pairs)

    def source(self, index: ChunkIndex) -> tuple[slice, ...]:
        """Return what of the source is read for a tile."""
        parts = []
        for i, whole, n, (chunk, f) in zip(
            index, self.extent, self.shape, self._per_axis, strict=True
        ):
            start, stop = i * whole, min((i + 1) * whole, n)
            if chunk < f:
                middle = min(start + f // 2, n - 1) // chunk * chunk
                start, stop = max(start, middle), min(stop, middle + chunk)
            parts.append(slice(start, stop))
        return tuple(parts)

    def target(self, index: ChunkIndex) -> tuple[slice, ...]:
        """Return where a tile lies in the level."""
        return tuple(
            slice(i * c, min((i + 1) * c, n))
            for i, c, n in zip(index, self.cells, self.level_shape, strict=True)
        )

    def reduction(self, voxels: np.ndarray) -> Zyx:
        """Return the factors that make a tile of what was read for it."""
        space = zip(voxels.shape[-3:], self._per_axis[-3:], strict=True)
        return zyx(f if chunk >= f else n for n, (chunk, f) in space)

    @property
    def _per_axis(self) -> list[tuple[int, int]]:
        return list(zip(self.chunk, self.factor, strict=True))
