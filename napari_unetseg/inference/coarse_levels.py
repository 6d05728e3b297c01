"""The coarse levels of a prediction, as a pass of the same engine.

For runs of many writers, whose blocks may share the chunks of coarse levels: level 1 is
made from level 0, level 2 from level 1 and so on, chunk by chunk, and only where blocks
have changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.events import IsCancelled, never_cancelled
from napari_unetseg.geometry import Block, Box
from napari_unetseg.inference.block_work import finished_blocks
from napari_unetseg.inference.executors import Executor, Steps


def write_coarse_levels(
    store: PredictionStore,
    boxes: Iterable[Box],
    executor: Executor,
    is_cancelled: IsCancelled = never_cancelled,
) -> bool:
    """Write the coarse levels over boxes of the finest one; False if cancelled.

    Raises
    ------
    Exception
        What went wrong with the first chunk that could not be written.
    """
    changed = tuple(boxes)
    for level in range(1, store.n_levels):
        grid = store.coarse_grid(level)
        blocks = [grid[index] for index in store.coarse_blocks(level, changed)]
        steps = partial(coarse_steps, store.path, level)
        done = finished_blocks(executor, blocks, steps, is_cancelled)
        if sum(1 for _ in done) < len(blocks):
            return False
    return True


def coarse_steps(path: Path, level: int) -> Steps:
    """Return the steps of one level; reading and reducing are part of the writing."""
    store = PredictionStore.open(path, "r+")
    return Steps(
        read=lambda block: block,
        predict=lambda _, block: block,
        write=lambda block, _: _coarsen(store, level, block),
    )


def _coarsen(store: PredictionStore, level: int, block: Block) -> None:
    store.coarsen(level, block.write_box)
