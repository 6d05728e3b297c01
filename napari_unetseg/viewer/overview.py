"""Coarser levels that are not on disk, filled while somebody looks at them.

A volume without a pyramid cannot be seen from afar without reading nearly all of it.
So what is seen comes bit by bit, the middle of the view first, and the window goes on::

    napari ──▶ OverviewLevel ── what is there ──▶ canvas
                    │ what is not
                    ▼
               Overview ── thread reads a chunk and reduces it to all levels ──▶ changed
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unetseg.data.pyramid import downsample_mean
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.viewer.chunk_cache import (
    CachedArray,
    ChunkCache,
    ChunkedArray,
    ChunkIndex,
)
from napari_unetseg.viewer.tile_grid import TileGrid

Reduce = Callable[[np.ndarray, Zyx], np.ndarray]
REFRESH_MS = 200
_CELLS = (1, 128, 128)  # of a chunk in memory, at least one tile
_MOST = 4096  # tiles asked for at once; the next look asks for more
_LOG = logging.getLogger(__name__)


class OverviewLevel(CachedArray):
    """One level; what was not read yet is zero, and is asked for."""

    def __init__(
        self,
        grid: TileGrid,
        dtype: np.dtype[Any],
        cache: ChunkCache,
        factor: Zyx,
        want: Callable[[OverviewLevel, np.ndarray], None],
    ) -> None:
        least = (1,) * (len(grid.shape) - 3) + _CELLS
        chunk = tuple(
            c * max(1, n // c) for c, n in zip(grid.cells, least, strict=True)
        )
        super().__init__(_Shape(grid.level_shape, dtype, chunk), cache, factor)
        self.grid = grid
        self._filled = np.zeros(grid.n_tiles, dtype=bool)
        self._want = want

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        bounds = [k.indices(n)[:2] for k, n in zip(key, self.shape, strict=True)]
        seen = tuple(
            slice(a // c, -(-b // c))
            for (a, b), c in zip(bounds, self.grid.cells, strict=True)
        )
        voxels = super().__getitem__(key)
        self._ask(seen)
        return voxels

    def _ask(self, seen: tuple[slice, ...]) -> None:
        """Ask for the missing tiles that are looked at, the middle first."""
        is_missing = ~self._filled[seen]
        missing = np.argwhere(is_missing)
        if not len(missing):
            return
        middle = (np.array(is_missing.shape) - 1) / 2
        distance = ((missing - middle) ** 2).sum(axis=1)
        most = min(_MOST, len(missing))
        nearest = np.argpartition(distance, most - 1)[:most]
        nearest = nearest[distance[nearest].argsort()]
        self._want(self, missing[nearest] + [part.start for part in seen])

    def fill(self, index: ChunkIndex, tile: np.ndarray) -> None:
        """Take over a tile that was read."""
        target = self.grid.target(index)
        place = tuple(s.start // c for s, c in zip(target, self._chunk, strict=True))
        chunk = self._cache.get(self._owner, place)
        if chunk is None:
            chunk = self._empty(place)
        inside = tuple(
            slice(s.start - i * c, s.stop - i * c)
            for s, i, c in zip(target, place, self._chunk, strict=True)
        )
        chunk[inside] = tile
        self._cache.put(self._owner, place, chunk)
        self._filled[index] = True

    def _read(self, missing: Sequence[ChunkIndex]) -> dict[ChunkIndex, np.ndarray]:
        """Return zeros for chunks that are not, or no longer, in memory."""
        for index in missing:
            tiles = tuple(
                slice(i * c // n, (i + 1) * c // n)
                for i, c, n in zip(index, self._chunk, self.grid.cells, strict=True)
            )
            self._filled[tiles] = False
        return {index: self._empty(index) for index in missing}

    def _empty(self, index: ChunkIndex) -> np.ndarray:
        spans = zip(index, self._chunk, self.shape, strict=True)
        return np.zeros([min(c, n - i * c) for i, c, n in spans], dtype=self.dtype)


class Overview:
    """The coarser levels of one array, and the thread that fills them.

    Parameters
    ----------
    source
        The coarsest level on disk, zyx or czyx.
    factors
        Of the levels to be made, zyx, each a multiple of the one before; how many
        voxels of the source a voxel stands for.
    source_factor
        How many finest voxels a voxel of the source stands for.
    reduce
        Makes cells from voxels.

    Attributes
    ----------
    levels
        The levels, the finest first.

    Signals
    -------
    changed
        More can be seen than before; at most five times a second.
    """

    changed = Signal()

    def __init__(
        self,
        source: ChunkedArray,
        factors: Sequence[Zyx],
        cache: ChunkCache,
        *,
        source_factor: Zyx = (1, 1, 1),
        reduce: Reduce = downsample_mean,
    ) -> None:
        self._source, self._reduce = source, reduce
        lead = (1,) * (len(source.shape) - 3)
        self.levels = [
            OverviewLevel(
                TileGrid(tuple(source.shape), tuple(source.chunks), (*lead, *factor)),
                np.dtype(source.dtype),
                cache,
                zyx(a * b for a, b in zip(factor, source_factor, strict=True)),
                self._want,
            )
            for factor in factors
        ]
        self._lock = Lock()
        self._wanted: dict[int, deque[ChunkIndex]] = {}
        # Read or being read, but not shown yet: not to be read again.
        self._claimed: set[tuple[int, ChunkIndex]] = set()
        self._done: SimpleQueue[tuple[int, ChunkIndex, np.ndarray]] = SimpleQueue()
        self._is_reading = False
        self._timer = QTimer()
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._on_timer)

    @property
    def is_busy(self) -> bool:
        """Whether something that is looked at is still missing."""
        has_more = any(self._wanted.values()) or not self._done.empty()
        return self._is_reading or has_more

    def close(self) -> None:
        """Read nothing any more."""
        self._timer.stop()
        with self._lock:
            self._wanted.clear()

    # --- on the thread of the window ----------------------------------------------

    def _want(self, level: OverviewLevel, tiles: np.ndarray) -> None:
        """Read these tiles next; what was wanted of the level before is dropped."""
        with self._lock:
            number = self.levels.index(level)
            self._wanted[number] = deque(map(tuple, tiles.tolist()))
        # Not at once: while a project opens, reading would take the time of the window.
        if not self._timer.isActive():
            self._timer.start()

    def _on_timer(self) -> None:
        n_filled = 0
        while True:
            try:
                number, index, tile = self._done.get_nowait()
            except Empty:
                break
            self.levels[number].fill(index, tile)
            with self._lock:
                self._claimed.discard((number, index))
            n_filled += 1
        if n_filled:
            self.changed.emit()
        elif not self.is_busy:
            self._timer.stop()
        self._read_on()

    def _read_on(self) -> None:
        """Start the thread if there is something to read and none does."""
        with self._lock:
            start = any(self._wanted.values()) and not self._is_reading
            self._is_reading |= start
        if start:
            Thread(target=self._read_all, name="overview", daemon=True).start()

    # --- on the thread that reads -------------------------------------------------

    def _read_all(self) -> None:
        while (job := self._next()) is not None:
            for made in self._tiles(*job):
                self._done.put(made)

    def _next(self) -> tuple[int, ChunkIndex] | None:
        """Return what to read next, of the finest level that misses something."""
        with self._lock:
            for number in sorted(self._wanted):
                while self._wanted[number]:
                    index = self._wanted[number].popleft()
                    if (number, index) not in self._claimed:
                        self._claimed |= {(n, index) for n in self._alike(number)}
                        return number, index
            self._is_reading = False
            return None

    def _alike(self, number: int) -> list[int]:
        """Return this level and the coarser ones whose tiles cover the same boxes."""
        extent = self.levels[number].grid.extent
        coarser = range(number, len(self.levels))
        return [n for n in coarser if self.levels[n].grid.extent == extent]

    def _tiles(
        self, number: int, index: ChunkIndex
    ) -> Iterator[tuple[int, ChunkIndex, np.ndarray]]:
        """Read a tile, and make those of coarser levels of it."""
        grid = self.levels[number].grid
        place = grid.source(index)
        try:
            tile = np.asarray(self._source[place])
        except (UnetsegError, OSError) as error:
            _LOG.warning("a part of the volume is not shown: %s", error)
            tile = np.zeros([s.stop - s.start for s in place], self._source.dtype)
        below = zyx(grid.factor[-3:])
        tile = self._reduce(tile, grid.reduction(tile))
        yield number, index, tile
        for coarser in self._alike(number)[1:]:
            factor = zyx(self.levels[coarser].grid.factor[-3:])
            ratio = zyx(a // b for a, b in zip(factor, below, strict=True))
            tile, below = self._reduce(tile, ratio), factor
            yield coarser, index, tile


@dataclass(frozen=True)
class _Shape:
    """An array without voxels."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]

    def __getitem__(self, key: Any, /) -> Any:
        return np.zeros(self.shape, self.dtype)[key]
