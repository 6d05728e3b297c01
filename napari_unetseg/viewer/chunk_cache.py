"""Decoded chunks in memory, so that scrolling through a chunk decodes it once.

A chunk holds many slices, and napari asks for one at a time::

    slice z ──▶ chunks in view: in the cache? ──▶ slice of each, pasted together
                      │ no
                      ▼
                all missing ones in one read, whole depth
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_unetseg.geometry import Box, zyx

MAX_BYTES = 400_000_000

ChunkIndex = tuple[int, ...]


class ChunkedArray(Protocol):
    """A zarr array, or one that looks like it."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def chunks(self) -> tuple[int, ...]: ...
    def __getitem__(self, key: Any, /) -> Any: ...


class ChunkCache:
    """Chunks of several arrays; the ones not used for longest go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._n_bytes = max_bytes, 0
        self._chunks: OrderedDict[tuple[int, ChunkIndex], np.ndarray] = OrderedDict()

    def get(self, owner: int, index: ChunkIndex) -> np.ndarray | None:
        """Return a chunk, None if it is not there."""
        chunk = self._chunks.get((owner, index))
        if chunk is not None:
            self._chunks.move_to_end((owner, index))
        return chunk

    def put(self, owner: int, index: ChunkIndex, chunk: np.ndarray) -> None:
        """Keep a chunk; others may have to go."""
        self.drop(owner, index)
        self._chunks[owner, index] = chunk
        self._n_bytes += chunk.nbytes
        while self._n_bytes > self._max_bytes and len(self._chunks) > 1:
            self._n_bytes -= self._chunks.popitem(last=False)[1].nbytes

    def drop(self, owner: int, index: ChunkIndex) -> None:
        """Forget a chunk, if it is there."""
        chunk = self._chunks.pop((owner, index), None)
        if chunk is not None:
            self._n_bytes -= chunk.nbytes

    def drop_all(self, owner: int) -> None:
        """Forget all chunks of an array."""
        for known, index in list(self._chunks):
            if known == owner:
                self.drop(owner, index)

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """How much is kept."""
        return self._n_bytes


class CachedArray:
    """An array read through a cache; understands slices with step one.

    Parameters
    ----------
    factor
        How many finest voxels (zyx) one voxel stands for.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        source: ChunkedArray,
        cache: ChunkCache,
        factor: Sequence[int] = (1, 1, 1),
    ) -> None:
        self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)
        self._chunk = tuple(source.chunks)
        self._source, self._cache = source, cache
        self.factor = zyx(factor)
        self._owner = next(self._numbers)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        bounds = [k.indices(n)[:2] for k, n in zip(key, self.shape, strict=True)]
        result = np.empty([max(0, b - a) for a, b in bounds], dtype=self.dtype)
        if not result.size:
            return result
        wanted = self._indices(bounds)
        found = {index: self._cache.get(self._owner, index) for index in wanted}
        missing = [index for index, chunk in found.items() if chunk is None]
        found.update(self._read(missing))
        for index, chunk in found.items():
            if chunk is not None:
                self._paste(result, bounds, index, chunk)
        return result

    def forget(self, box: Box | None = None) -> None:
        """Read a box of finest voxels anew next time; None for everything."""
        if box is None:
            self._cache.drop_all(self._owner)
            return
        lead = [(0, n) for n in self.shape[:-3]]
        space = [
            (a // f, min(-(-b // f), n))
            for a, b, f, n in zip(
                box.start, box.stop, self.factor, self.shape[-3:], strict=True
            )
        ]
        for index in self._indices([*lead, *space]):
            self._cache.drop(self._owner, index)

    def _indices(self, bounds: Sequence[tuple[int, int]]) -> list[ChunkIndex]:
        ranges = [
            range(a // c, -(-b // c))
            for (a, b), c in zip(bounds, self._chunk, strict=True)
        ]
        return list(itertools.product(*ranges))

    def _read(self, missing: Sequence[ChunkIndex]) -> dict[ChunkIndex, np.ndarray]:
        """Read chunks: all at once if they nearly fill their hull, else one by one."""
        if not missing:
            return {}
        low = [min(axis) for axis in zip(*missing, strict=True)]
        high = [max(axis) + 1 for axis in zip(*missing, strict=True)]
        hull = math.prod(b - a for a, b in zip(low, high, strict=True))
        read = {}
        if hull <= 1.5 * len(missing):
            start = [a * c for a, c in zip(low, self._chunk, strict=True)]
            stop = [b * c for b, c in zip(high, self._chunk, strict=True)]
            voxels = np.asarray(self._source[self._slices(start, stop)])
            for index in missing:
                inside = tuple(
                    slice((i - a) * c, (i - a + 1) * c)
                    for i, a, c in zip(index, low, self._chunk, strict=True)
                )
                read[index] = voxels[inside].copy()
        else:
            for index in missing:
                start = [i * c for i, c in zip(index, self._chunk, strict=True)]
                stop = [(i + 1) * c for i, c in zip(index, self._chunk, strict=True)]
                read[index] = np.asarray(self._source[self._slices(start, stop)])
        for index, chunk in read.items():
            self._cache.put(self._owner, index, chunk)
        return read

    def _slices(self, start: Sequence[int], stop: Sequence[int]) -> tuple[slice, ...]:
        return tuple(
            slice(a, min(b, n)) for a, b, n in zip(start, stop, self.shape, strict=True)
        )

    def _paste(
        self,
        result: np.ndarray,
        bounds: Sequence[tuple[int, int]],
        index: ChunkIndex,
        chunk: np.ndarray,
    ) -> None:
        into, outof = [], []
        for (a, b), i, c in zip(bounds, index, self._chunk, strict=True):
            first, last = max(a, i * c), min(b, (i + 1) * c)
            into.append(slice(first - a, last - a))
            outof.append(slice(first - i * c, last - i * c))
        result[tuple(into)] = chunk[tuple(outof)]
