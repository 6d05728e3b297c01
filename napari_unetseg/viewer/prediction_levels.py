"""The images of whatever prediction is shown, read through one cache.

Another prediction comes with a fine-tuning, a rollback or another project: who reads
through this never sees what was decoded of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache
from napari_unetseg.viewer.pyramids import cached_levels

if TYPE_CHECKING:
    from napari_unetseg.data.predictions import PredictionStore


class PredictionLevels:
    """Decoded chunks of one prediction at a time; for one thread at a time."""

    def __init__(self, max_bytes: int) -> None:
        self._cache = ChunkCache(max_bytes)
        self._store: PredictionStore | None = None
        self._levels: dict[str, list[CachedArray]] = {}

    def of(self, store: PredictionStore, name: str) -> list[CachedArray]:
        """Return the levels of an image, finest first; nothing is read.

        Parameters
        ----------
        store
            The prediction that is shown; of any other, everything is forgotten.
        name
            An image of the store.
        """
        if store is not self._store:
            self._store = store
            self._levels = {}
            self._cache.clear()
        if name not in self._levels:
            self._levels[name] = cached_levels(
                store.levels(name), store.factors(name), self._cache
            )
        return self._levels[name]

    def forget(self, box: Box | None = None) -> None:
        """Read a box of finest voxels anew next time; None for everything."""
        for levels in self._levels.values():
            for level in levels:
                level.forget(box)
