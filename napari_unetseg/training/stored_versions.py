"""Versions of the model whose predictions are on disk, and which parts they hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import BlockGrid, Box

_PREDICTED = (BlockState.DONE, BlockState.EMPTY)


@dataclass(frozen=True)
class StoredVersion:
    """A model version whose prediction is on disk.

    Attributes
    ----------
    blocks
        Which parts it has predicted; None if nobody knows, and then none of it counts.
    """

    version: str
    created: datetime
    predictions: PredictionStore
    blocks: BlocksPlanned | None

    def predicted(self, box: Box) -> np.ndarray:
        """Return where it has predicted, bool zyx."""
        mask = np.zeros(box.shape, bool)
        if self.blocks is None:
            return mask
        grid = BlockGrid(self.predictions.shape, self.blocks.block)
        for index in grid.touching(box):
            if self.blocks.states.get(index) in _PREDICTED:
                there = grid[index].write_box.intersection(box)
                mask[there.relative_to(box).slices] = True
        return mask
