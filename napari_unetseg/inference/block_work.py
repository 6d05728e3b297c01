"""Blocks of work that needs no network: objects, coarse levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from napari_unetseg.data.engine import OpenWork
from napari_unetseg.events import IsCancelled
from napari_unetseg.geometry import Block
from napari_unetseg.inference.executors import Executor, OpenSteps, Result, Steps


def finished_blocks(
    executor: Executor,
    blocks: Iterable[Block],
    open_steps: OpenSteps,
    is_cancelled: IsCancelled,
) -> Iterator[Block]:
    """Yield each block when it is done, until somebody cancels.

    Raises
    ------
    Exception
        What went wrong with the first block that could not be done: unlike in a
        prediction, none can be left out.
    """
    with closing(executor.run(blocks, open_steps, is_cancelled)) as run:
        for progress in run:
            if isinstance(progress, Result):
                if progress.error is not None:
                    raise progress.error
                yield progress.block


@dataclass(frozen=True)
class ExecutorEngine:
    """An executor as an engine for the work of ``data/``."""

    executor: Executor
    is_cancelled: IsCancelled

    def __call__(self, blocks: Iterable[Block], open_work: OpenWork) -> Iterator[Block]:
        """Yield each block when it is on disk."""
        steps = partial(_steps_of, open_work)
        return finished_blocks(self.executor, blocks, steps, self.is_cancelled)


def _steps_of(open_work: OpenWork) -> Steps:
    work = open_work()
    return Steps(work.read, work.take, work.write)
