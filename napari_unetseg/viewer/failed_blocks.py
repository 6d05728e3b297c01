"""Blocks that failed, in red over the image: they are not background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx
from napari_unetseg.viewer.block_cells import COLORS
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.project_layers import FAILED_BLOCKS

_LONGEST_CELL = 64
_OPACITY = 0.45


class FailedBlocks:
    """A layer with one cell per piece of a block; there only while a block is failed.

    The cells are pieces, so that they end with the volume and not with the last block.
    """

    def __init__(self, layers: SessionLayers) -> None:
        self._layers = layers
        self._grid: BlockGrid | None = None
        self._cell: Zyx = (1, 1, 1)
        self._failed: set[int] = set()

    def set_plan(
        self, plan: BlocksPlanned, states: Mapping[int, BlockState], shape: Zyx
    ) -> None:
        """Take the grid of a prediction."""
        self._grid = BlockGrid(shape, plan.block)
        self._failed = {i for i, s in states.items() if s is BlockState.FAILED}
        self._cell = cell_of(self._grid)
        self._show()

    def set_state(self, index: int, state: BlockState) -> None:
        """Take the new state of a block."""
        if (state is BlockState.FAILED) != (index in self._failed):
            self._failed ^= {index}
            self._show()

    def close(self) -> None:
        """Take the layer away."""
        self._failed.clear()
        self._show()

    def _show(self) -> None:
        self._layers.take(FAILED_BLOCKS)
        if self._grid is None or not self._failed:
            return
        cells = [-(-n // c) for n, c in zip(self._grid.shape, self._cell, strict=True)]
        data = np.zeros(cells, np.uint8)
        for index in self._failed:
            data[self._cells(self._grid[index]).slices] = 1
        self._layers.put(self._layer(data))

    def _cells(self, block: Block) -> Box:
        box = block.write_box.aligned(self._cell)
        start, stop = (
            zyx(v // c for v, c in zip(end, self._cell, strict=True))
            for end in (box.start, box.stop)
        )
        return Box(start, stop)

    def _layer(self, data: np.ndarray) -> Labels:
        place: dict[str, Any] = self._layers.place(Box.whole(data.shape))
        size, cell = np.asarray(place["scale"]), np.asarray(self._cell)
        place["translate"] = tuple(place["translate"] + size * (cell - 1) / 2)
        place["scale"] = tuple(size * cell)
        colors = {0: "transparent", 1: COLORS[BlockState.FAILED], None: "transparent"}
        layer = Labels(
            data,
            name=FAILED_BLOCKS,
            opacity=_OPACITY,
            colormap=DirectLabelColormap(color_dict=colors),
            **place,
        )
        layer.editable = False
        return layer


def cell_of(grid: BlockGrid) -> Zyx:
    """Return pieces that blocks consist of, not longer than needed to end neatly."""
    cell = []
    for n, block in zip(grid.shape, grid.block, strict=True):
        fitting = [d for d in range(1, min(block, _LONGEST_CELL) + 1) if block % d == 0]
        cell.append(n if block >= n else fitting[-1])
    return zyx(cell)
