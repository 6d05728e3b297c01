"""The one loop over blocks, and the job that a prediction is.

A block's voxels are written first and its line in the log second, so a process killed
at any time leaves nothing that a resumed run would not write again, byte for byte.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.volume import Missing, Volume
from napari_unetseg.errors import DiskFullError, ReadOnlyError, UnetsegError
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    IsCancelled,
    OnEvent,
    Outcome,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Block, BlockGrid, Zyx, zyx
from napari_unetseg.inference.executors import (
    Executor,
    PipelineExecutor,
    Result,
    Steps,
)
from napari_unetseg.inference.memory import available_bytes, output_chunk, plan_grid
from napari_unetseg.inference.process_block import read_block
from napari_unetseg.models.predictor import Predictor
from napari_unetseg.models.store import ModelCard, read_card

_LOG = logging.getLogger(__name__)
_FINISHED = {BlockState.DONE, BlockState.EMPTY}
_FATAL = (DiskFullError, ReadOnlyError)


@dataclass(frozen=True)
class PredictJob:
    """All that a prediction needs, as paths and plain values."""

    volume_uri: str
    time_point: int
    prediction_path: Path
    log_path: Path
    model_dir: Path
    normalisation: Normalisation
    class_names: tuple[str, ...]
    config: PredictConfig = field(default_factory=PredictConfig)


@dataclass(frozen=True)
class RunSummary:
    """What a run did; blocks of earlier runs do not count."""

    outcome: Outcome
    done: int = 0
    empty: int = 0
    failed: int = 0
    voxels: int = 0
    seconds: float = 0.0


def predict_job(
    job: PredictJob,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> RunSummary:
    """Predict what a job asks for, going on where an earlier run stopped.

    Raises
    ------
    RunMismatchError
        If the store was begun with other choices.
    MemoryBudgetError
        If no block fits into the memory allowed.
    DiskFullError, ReadOnlyError
        If the predictions cannot be written; what was written stays.
    """
    from napari_unetseg.models.backends.torch import TorchPredictor

    volume = Volume.open(job.volume_uri, time_point=job.time_point)
    predictor = TorchPredictor.load(job.model_dir, config=job.config)
    card = read_card(job.model_dir)
    header, _, _ = DoneLog.read(job.log_path)
    grid = _grid(job.config, volume, predictor, header)
    fingerprint = _fingerprint(job, volume, card, grid)
    with DoneLog.open(job.log_path, fingerprint) as log:
        store = _store(job, volume, predictor, grid, log)
        box = job.config.box
        indices = tuple(range(len(grid))) if box is None else grid.touching(box)
        if job.config.retry_failed:
            log.reset([i for i in indices if log.states.get(i) is BlockState.FAILED])
        return run_inference(
            grid,
            indices,
            volume=volume,
            normalisation=job.normalisation,
            predictor=predictor,
            store=store,
            log=log,
            missing=job.config.missing_chunks,
            subject=card.version,
            on_event=on_event,
            is_cancelled=is_cancelled,
        )


def run_inference(
    grid: BlockGrid,
    indices: Sequence[int],
    *,
    volume: Volume,
    normalisation: Normalisation,
    predictor: Predictor,
    store: PredictionStore,
    log: DoneLog,
    executor: Executor | None = None,
    missing: Missing = "fail",
    subject: str = "",
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> RunSummary:
    """Take blocks through reading, predicting and writing; the only loop over blocks.

    Blocks that the log knows as done or empty are skipped. A block that fails is
    logged with its reason, and the run goes on.

    Raises
    ------
    DiskFullError, ReadOnlyError
        If nothing more can be written.
    """
    todo = [i for i in indices if log.states.get(i) not in _FINISHED]
    on_event(RunStarted("predict", len(indices), len(indices) - len(todo), subject))
    states = {i: log.states[i] for i in range(len(grid)) if i in log.states}
    on_event(BlocksPlanned(grid.counts, grid.block, tuple(indices), states))

    def predict(voxels: Any, block: Block) -> BlockPrediction:
        return predictor.predict(voxels, block)

    steps = Steps(
        read=lambda block: read_block(volume, normalisation, block, missing=missing),
        predict=predict,
        write=store.write,
    )
    started = time.monotonic()
    tally = _Tally()
    blocks = (grid[i] for i in _from_the_middle(grid, todo))
    for result in (executor or PipelineExecutor()).run(
        blocks, steps, lambda block: on_event(BlockStarted(block.index)), is_cancelled
    ):
        if isinstance(result.error, _FATAL):
            raise result.error
        on_event(tally.take(result, log))
    stopped = is_cancelled() and tally.total < len(todo)
    return tally.summary(
        Outcome.CANCELLED if stopped else Outcome.DONE, time.monotonic() - started
    )


def known_blocks(log_path: Path | str, shape: Zyx) -> BlocksPlanned | None:
    """Return the grid and the states that earlier runs left, None without any."""
    header, states, _ = DoneLog.read(log_path)
    if header is None:
        return None
    grid = BlockGrid(shape, zyx(header["block"]))
    return BlocksPlanned(grid.counts, grid.block, tuple(states), states)


class _Tally:
    """Counts results and turns them into events and lines of the log."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(BlockState, 0)
        self._voxels = 0

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def take(self, result: Result, log: DoneLog) -> BlockDone:
        reason = "" if result.error is None else _reason(result.error)
        state = BlockState.DONE
        if result.error is not None:
            state = BlockState.FAILED
            _LOG.warning("block %d failed: %s", result.block.index, reason)
        elif result.empty:
            state = BlockState.EMPTY
        else:
            self._voxels += result.block.write_box.n_voxels
        self._counts[state] += 1
        log.record(result.block.index, state, reason)
        return BlockDone(
            result.block.index, result.block.write_box, state, result.seconds, reason
        )

    def summary(self, outcome: Outcome, seconds: float) -> RunSummary:
        return RunSummary(
            outcome,
            done=self._counts[BlockState.DONE],
            empty=self._counts[BlockState.EMPTY],
            failed=self._counts[BlockState.FAILED],
            voxels=self._voxels,
            seconds=seconds,
        )


def _reason(error: Exception) -> str:
    if isinstance(error, UnetsegError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _from_the_middle(grid: BlockGrid, indices: Sequence[int]) -> list[int]:
    """Order blocks by their distance from the middle of what was asked for."""
    if not indices:
        return []
    asked = grid[indices[0]].write_box.hull(grid[indices[-1]].write_box)
    middle = asked.centre

    def distance(index: int) -> tuple[int, int]:
        centre = grid[index].write_box.centre
        return sum((a - b) ** 2 for a, b in zip(centre, middle, strict=True)), index

    return sorted(indices, key=distance)


def _grid(
    config: PredictConfig,
    volume: Volume,
    predictor: Predictor,
    header: dict[str, Any] | None,
) -> BlockGrid:
    """Return the grid of the store; its first run decides, all later ones follow."""
    if header is not None and config.block is None:
        return BlockGrid(
            volume.shape, zyx(header["block"]), predictor.halo, predictor.stride
        )
    memory = available_bytes() // 2
    if config.memory_gb is not None:
        memory = int(config.memory_gb * 1e9)
    return plan_grid(
        volume.shape,
        chunk=output_chunk(volume.shape, predictor.stride),
        halo=predictor.halo,
        stride=predictor.stride,
        bytes_for=predictor.bytes_for,
        memory_bytes=memory,
        wanted=config.block,
    )


def _fingerprint(
    job: PredictJob, volume: Volume, card: ModelCard, grid: BlockGrid
) -> dict[str, Any]:
    return {
        "model": card.weights_sha256,
        "volume": volume.fingerprint,
        "time_point": job.time_point,
        "normalisation": job.normalisation.model_dump(),
        "flips": job.config.flips,
        "missing_chunks": job.config.missing_chunks,
        "block": list(grid.block),
        "halo": list(grid.halo),
    }


def _store(
    job: PredictJob,
    volume: Volume,
    predictor: Predictor,
    grid: BlockGrid,
    log: DoneLog,
) -> PredictionStore:
    if PredictionStore.exists(job.prediction_path):
        return PredictionStore.open(job.prediction_path, "r+")
    log.reset(list(log.states))  # the store was removed: nothing of it is done
    return PredictionStore.create(
        job.prediction_path,
        shape=volume.shape,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        chunk=output_chunk(volume.shape, predictor.stride),
        class_names=predictor.class_names,
        rater_names=predictor.rater_names,
        maps=predictor.map_names,
    )
