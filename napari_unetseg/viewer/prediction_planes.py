"""Planes of a prediction, read in the background while somebody turns slices over.

A chunk holds many slices, and decoding those of all raters takes most of the time that
contours take: what was decoded stays a while. The window's thread never waits here; it
only notes what has changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.prediction_levels import PredictionLevels

if TYPE_CHECKING:
    from napari_unetseg.data.predictions import PredictionStore
    from napari_unetseg.viewer.chunk_cache import CachedArray

CACHE_BYTES = 130_000_000  # a screen of three raters and two classes
_PLANE_SIDE = 768
_MANY = 200  # boxes: looking for their chunks one by one takes longer than reading anew


class PredictionPlanes:
    """Reads planes of a prediction's images through a cache of its own.

    Any thread may read, one at a time; :meth:`forget` returns at once.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._levels, self._lock = PredictionLevels(max_bytes), Lock()
        self._changed: deque[Box | None] = deque()

    def forget(self, box: Box | None = None) -> None:
        """Read a box of finest voxels anew next time; None for everything."""
        self._changed.append(box)

    def read(
        self, store: PredictionStore, name: str, box: Box
    ) -> tuple[np.ndarray, Box, Zyx]:
        """Read a plane on the finest level that is not larger than a screen.

        Parameters
        ----------
        name
            An image of the store with channels.
        box
            Finest voxels, one thick.

        Returns
        -------
        array
            The plane with its channels, czyx.
        Box
            What was read, in voxels of the level.
        tuple
            How many finest voxels one of these stands for, zyx.
        """
        with self._lock:
            self._forget_what_changed()
            level = _fitting(self._levels.of(store, name), box)
            cells = box.coarser(level.factor).clipped(level.shape[-3:])
            channels = slice(0, level.shape[0])
            return level[(channels, *cells.slices)], cells, level.factor

    def _forget_what_changed(self) -> None:
        # What comes meanwhile, from the window's thread, waits for the next read.
        changed = [self._changed.popleft() for _ in range(len(self._changed))]
        for box in [None] if len(changed) > _MANY else changed:
            self._levels.forget(box)


def _fitting(levels: Sequence[CachedArray], box: Box) -> CachedArray:
    for level in levels:
        sides = (n / f for n, f in zip(box.shape, level.factor, strict=True))
        if max(sides) <= _PLANE_SIDE:
            return level
    return levels[-1]
