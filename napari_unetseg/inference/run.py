"""The one loop over blocks, and the job that a prediction is.

A block's voxels are written first and its line in the log second, so a process killed
at any time leaves nothing that a resumed run would not write again, byte for byte.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.chunks import sweep_partial
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    DiskFullError,
    ReadOnlyError,
    RunMismatchError,
    explained_writing,
)
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    Event,
    IsCancelled,
    Look,
    OnEvent,
    Outcome,
    RunStarted,
    ignore_event,
    never_cancelled,
    nobody_looks,
)
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx
from napari_unetseg.inference.coarse_levels import write_coarse_levels
from napari_unetseg.inference.executors import (
    Executor,
    OpenSteps,
    PipelineExecutor,
    Result,
    Started,
)
from napari_unetseg.inference.job import PredictJob, fingerprint_of, open_store
from napari_unetseg.inference.order import nearest_first
from napari_unetseg.inference.workers import Workers, workers_for
from napari_unetseg.models.predictor import check_channels
from napari_unetseg.models.store import ModelCard, read_card

__all__ = [
    "PredictJob",
    "RunSummary",
    "known_blocks",
    "predict_job",
    "run_inference",
]

_LOG = logging.getLogger(__name__)
_FATAL = (DiskFullError, ReadOnlyError)
# A block that was done without filling a gap is the same where gaps are filled, and
# one that was read is the same where others are not.
_ALLOWED_CHANGES = (("missing_chunks", "fail", "fill"), ("skip_flat", None, True))


@dataclass(frozen=True)
class RunSummary:
    """What a run did; blocks of earlier runs do not count.

    Attributes
    ----------
    kept
        How many of those that are done were taken from another version.
    failed_because
        The reason of the first block that failed.
    """

    outcome: Outcome
    done: int = 0
    empty: int = 0
    failed: int = 0
    voxels: int = 0
    seconds: float = 0.0
    backend: str = ""
    kept: int = 0
    failed_because: str = ""


def predict_job(
    job: PredictJob,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
    look: Look = nobody_looks,
) -> RunSummary:
    """Predict what a job asks for, going on where an earlier run stopped.

    The first run of a prediction decides on the grid; later ones, of whichever part
    of the volume and on whichever machines, keep it.

    Parameters
    ----------
    is_cancelled
        Is asked from several threads.
    look
        Where somebody looks, asked before every block: near ones come first.

    Raises
    ------
    RunMismatchError
        If the prediction was begun with other choices.
    ModelMismatchError
        If the model is for other volumes.
    MemoryBudgetError
        If no block fits into the memory allowed.
    ClusterError
        If there is no scheduler, or it was lost.
    DiskFullError, ReadOnlyError
        If the predictions cannot be written; what was written stays.
    """
    volume = Volume.open(job.volume_uri, time_point=job.time_point, scale=job.scale)
    card = read_card(job.model_dir)
    check_channels(card.version, expected=card.spec.in_channels, got=volume.n_channels)
    if not PredictionStore.exists(job.prediction_path):
        with explained_writing("the log of the run", job.log_path):
            job.log_path.unlink(missing_ok=True)  # of a prediction that was removed
    with workers_for(job.config) as workers:
        return _predict(workers, job, volume, card, on_event, is_cancelled, look)


def _predict(
    workers: Workers,
    job: PredictJob,
    volume: Volume,
    card: ModelCard,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
    look: Look,
) -> RunSummary:
    """Let workers take the blocks, then write the coarse levels that they left out."""
    plan, open_steps = workers.prepare(job)
    fingerprint = fingerprint_of(job, volume, card, plan.grid)
    with DoneLog.open(job.log_path, fingerprint, allowed=_ALLOWED_CHANGES) as log:
        if job.earlier is None:
            log.reset(log.kept)
        store = open_store(job, volume, plan)
        if log.was_killed:
            sweep_partial(store.path)
        summary = run_inference(
            plan.grid,
            _selected(plan.grid, job.config, log),
            open_steps=open_steps,
            log=log,
            executor=workers.executor,
            finest_only=not workers.write_all_levels,
            backend=plan.backend,
            retry_failed=job.config.retry_failed or job.config.only_failed,
            look=partial(_looked_at, job.config.box, look),
            subject=card.version,
            on_event=on_event,
            is_cancelled=is_cancelled,
        )
        behind = [plan.grid[index].write_box for index in sorted(log.finest_only)]
        if not write_coarse_levels(store, behind, workers.executor, is_cancelled):
            return replace(summary, outcome=Outcome.CANCELLED)
        if behind:
            log.record_all_levels()
    return summary


def run_inference(
    grid: BlockGrid,
    indices: Sequence[int],
    *,
    open_steps: OpenSteps,
    log: DoneLog,
    executor: Executor | None = None,
    finest_only: bool = False,
    retry_failed: bool = True,
    look: Look = nobody_looks,
    subject: str = "",
    backend: str = "",
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> RunSummary:
    """Take blocks through reading, predicting and writing; the only loop over blocks.

    Blocks that the log knows as done or empty are skipped. A block that fails is
    logged with its reason, and the run goes on.

    Parameters
    ----------
    open_steps
        Makes the three steps, wherever they are taken.
    finest_only
        Whether the steps leave the coarse levels to later.
    look
        Blocks near to where somebody looks come first; else near to the middle.
    subject, backend
        What is predicted with, for the events and the summary.

    Raises
    ------
    DiskFullError, ReadOnlyError
        If nothing more can be written.
    """
    skipped = {BlockState.DONE, BlockState.EMPTY}
    if not retry_failed:
        skipped.add(BlockState.FAILED)
    todo = [index for index in indices if log.states.get(index) not in skipped]
    on_event(RunStarted("predict", len(indices), len(indices) - len(todo), subject))
    on_event(BlocksPlanned(grid.counts, grid.block, tuple(indices), dict(log.states)))
    started = time.monotonic()
    tally = _Tally()
    blocks = nearest_first(grid, todo, look)
    with contextlib.closing(
        (executor or PipelineExecutor()).run(blocks, open_steps, is_cancelled)
    ) as run:
        for progress in run:
            on_event(_event_of(progress, tally, log, finest_only=finest_only))
    stopped = is_cancelled() and tally.total < len(todo)
    outcome = Outcome.CANCELLED if stopped else Outcome.DONE
    return tally.summary(outcome, time.monotonic() - started, backend)


def known_blocks(log_path: Path | str, shape: Zyx) -> BlocksPlanned | None:
    """Return the grid and the states that earlier runs left, None without any."""
    try:
        header, states, _ = DoneLog.read(log_path)
    except RunMismatchError as error:
        _LOG.warning("%s", error)
        return None
    if header is None or "block" not in header:
        return None
    grid = BlockGrid(shape, zyx(header["block"]))
    return BlocksPlanned(grid.counts, grid.block, tuple(states), states)


class _Tally:
    """Counts how blocks ended."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(BlockState, 0)
        self._voxels = self._kept = 0
        self._reason = ""

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def add(self, state: BlockState, box: Box, reason: str) -> None:
        self._counts[state] += 1
        if state is BlockState.FAILED:
            self._reason = self._reason or reason
        elif state is BlockState.DONE:
            self._voxels += box.n_voxels
            self._kept += bool(reason)

    def summary(self, outcome: Outcome, seconds: float, backend: str) -> RunSummary:
        return RunSummary(
            outcome,
            done=self._counts[BlockState.DONE],
            empty=self._counts[BlockState.EMPTY],
            failed=self._counts[BlockState.FAILED],
            voxels=self._voxels,
            seconds=seconds,
            backend=backend,
            kept=self._kept,
            failed_because=self._reason,
        )


def _event_of(
    progress: Started | Result, tally: _Tally, log: DoneLog, *, finest_only: bool
) -> Event:
    """Note what happened to a block and return it as an event."""
    index, box = progress.block.index, progress.block.write_box
    if isinstance(progress, Started):
        return BlockStarted(index)
    state = BlockState.EMPTY if progress.empty else BlockState.DONE
    if progress.error is not None:
        if isinstance(progress.error, _FATAL):
            raise progress.error
        state = BlockState.FAILED
        _LOG.warning("block %d: %s", index, progress.reason, exc_info=progress.error)
    log.record(index, state, progress.reason, finest_only=finest_only)
    tally.add(state, box, progress.reason)
    return BlockDone(index, box, state, progress.seconds, progress.reason)


def _looked_at(box: Box | None, look: Look) -> Zyx | None:
    """Return where somebody looks, else the middle of what is wanted."""
    return look() or (None if box is None else box.centre)


def _selected(grid: BlockGrid, config: PredictConfig, log: DoneLog) -> Sequence[int]:
    wanted = range(len(grid)) if config.box is None else grid.touching(config.box)
    if not config.only_failed:
        return wanted
    return [i for i in wanted if log.states.get(i) is BlockState.FAILED]
