"""What a prediction needs: paths and values, its grid, its store, its fingerprint."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetseg.config import PredictConfig, VoxelSize
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    MemoryBudgetError,
    ModelMismatchError,
    RunMismatchError,
)
from napari_unetseg.geometry import BlockGrid, Zyx, zyx
from napari_unetseg.inference.executors import BLOCKS_READ_AHEAD, BLOCKS_TO_WRITE
from napari_unetseg.inference.memory import (
    available_bytes,
    check_fits_memory,
    output_chunk,
    plan_grid,
    resident_bytes,
)
from napari_unetseg.inference.process_block import sample_of
from napari_unetseg.inference.unchanged import Earlier
from napari_unetseg.models.predictor import Predictor
from napari_unetseg.models.store import ModelCard

if TYPE_CHECKING:
    from napari_unetseg.models.network_predictor import NetworkPredictor

SMALLER_CHUNKS = (1, 2, 4)
"""By which chunks are divided until a block fits the memory."""


@dataclass(frozen=True)
class PredictJob:
    """All that a prediction needs, as paths and plain values.

    Attributes
    ----------
    class_names, thin
        Names of the foreground classes, and the ids of those that are thin.
    scale
        The voxel size, if somebody knows better than the volume's metadata.
    earlier
        What another version said; its blocks are kept where nothing changes.
    """

    volume_uri: str
    time_point: int
    prediction_path: Path
    log_path: Path
    model_dir: Path
    normalisation: Normalisation
    class_names: tuple[str, ...]
    thin: tuple[int, ...] = ()
    config: PredictConfig = field(default_factory=PredictConfig)
    scale: VoxelSize | None = None
    earlier: Earlier | None = None


@dataclass(frozen=True)
class Plan:
    """What is decided before the first block, and is the same for all who help.

    Attributes
    ----------
    grid
        How the volume is cut.
    backend
        What runs the network: a name, not ``"auto"``.
    class_names, rater_names, map_names
        What is written.
    """

    grid: BlockGrid
    backend: str
    class_names: tuple[str, ...]
    rater_names: tuple[str, ...]
    map_names: tuple[str, ...]


def open_job(job: PredictJob) -> tuple[Volume, NetworkPredictor]:
    """Open the volume and load the network of a job."""
    from napari_unetseg.models.network_predictor import NetworkPredictor

    volume = Volume.open(job.volume_uri, time_point=job.time_point, scale=job.scale)
    sample = sample_of(volume, job.normalisation)
    return volume, NetworkPredictor.load(
        job.model_dir, config=job.config, sample=sample
    )


def plan_job(job: PredictJob, volume: Volume, predictor: NetworkPredictor) -> Plan:
    """Return the plan of a prediction; its first run decides, later ones follow."""
    return Plan(
        grid=plan_blocks(job, volume, predictor),
        backend=predictor.backend,
        class_names=predictor.class_names,
        rater_names=predictor.rater_names,
        map_names=predictor.map_names,
    )


def plan_blocks(job: PredictJob, volume: Volume, predictor: Predictor) -> BlockGrid:
    """Return the grid of a prediction, as earlier runs cut it if there were any."""
    bytes_for = _bytes_for(volume, predictor)
    allowed = job.config.memory_gb
    memory = available_bytes()
    if allowed is not None:
        memory = max(0, int(allowed * 1e9) - resident_bytes())
    grid = None if job.config.block else _known_grid(job, volume, predictor)
    if grid is not None:
        check_fits_memory(grid, bytes_for, memory)
        return grid
    if allowed is None:
        memory //= 2
    choose = partial(
        plan_grid,
        volume.shape,
        halo=predictor.halo,
        stride=predictor.stride,
        bytes_for=bytes_for,
        memory_bytes=memory,
        wanted=job.config.block,
        mvoxel_per_s=predictor.mvoxel_per_s,
    )
    chunk = output_chunk(volume.shape, predictor.stride, job.config.block)
    for smaller in SMALLER_CHUNKS:  # slow, but better than not at all
        tight = zyx(
            max(s, c // smaller // s * s)
            for c, s in zip(chunk, predictor.stride, strict=True)
        )
        with contextlib.suppress(MemoryBudgetError):
            return choose(chunk=tight)
    return choose(chunk=chunk)


def _known_grid(
    job: PredictJob, volume: Volume, predictor: Predictor
) -> BlockGrid | None:
    """Return the grid of earlier runs; None if there were none, or of another model."""
    header, _, _ = DoneLog.read(job.log_path)
    if header is None or "block" not in header:
        return None
    block = zyx(header["block"])
    if any(b % s for b, s in zip(block, predictor.stride, strict=True)):
        return None
    return BlockGrid(volume.shape, block, predictor.halo, predictor.stride)


def _bytes_for(volume: Volume, predictor: Predictor) -> Callable[[Zyx], int]:
    """Return the peak memory of a run by shape of a read box: network and queues."""
    in_voxel = volume.n_channels * (4 + volume.dtype.itemsize)
    out_voxel = (
        1 + len(predictor.class_names) + len(predictor.map_names)
        + len(predictor.rater_names)
    )  # fmt: skip
    waiting = BLOCKS_READ_AHEAD * in_voxel + BLOCKS_TO_WRITE * out_voxel
    return lambda read: predictor.bytes_for(read) + math.prod(read) * waiting


def fingerprint_of(
    job: PredictJob, volume: Volume, card: ModelCard, grid: BlockGrid
) -> dict[str, Any]:
    """Return what the voxels of a prediction depend on."""
    made_of = {
        "model": card.weights_sha256,
        **choices_of(job, volume),
        "block": list(grid.block),
        "halo": list(grid.halo),
    }
    # Only what is not as usual: older runs, which did not know it, can be resumed.
    if job.config.skip_flat:
        made_of["skip_flat"] = True
    if card.temperature != 1.0:
        made_of["temperature"] = card.temperature
    return made_of


def choices_of(job: PredictJob, volume: Volume) -> dict[str, Any]:
    """Return what a prediction depends on besides the model and the grid."""
    return {
        "volume": volume.fingerprint,
        "time_point": job.time_point,
        "normalisation": job.normalisation.model_dump(),
        "flips": job.config.flips,
        "missing_chunks": job.config.missing_chunks,
    }


def choices_begun_with(prediction_path: Path, log_path: Path) -> dict[str, Any]:
    """Return the choices that all runs of a prediction share; {} before the first.

    Raises
    ------
    RunMismatchError
        If the log is something else.
    """
    header, _, _ = DoneLog.read(log_path)
    if header is None or not PredictionStore.exists(prediction_path):
        return {}
    shared = ("flips", "missing_chunks", "skip_flat")
    return {name: header[name] for name in shared if name in header}


def open_store(job: PredictJob, volume: Volume, plan: Plan) -> PredictionStore:
    """Open the store, or make it."""
    if len(job.class_names) != len(plan.class_names):
        raise ModelMismatchError(
            "The model has another number of classes",
            got=len(plan.class_names),
            expected=len(job.class_names),
            do="Choose a model that was trained for these classes.",
        )
    if not PredictionStore.exists(job.prediction_path):
        return PredictionStore.create(
            job.prediction_path,
            shape=volume.shape,
            voxel_size=volume.voxel_size,
            unit=volume.unit,
            chunk=output_chunk(volume.shape, plan.grid.stride, plan.grid.block),
            class_names=job.class_names,
            rater_names=plan.rater_names,
            maps=plan.map_names,
            thin=job.thin,
        )
    store = PredictionStore.open(job.prediction_path, "r+")
    _check_store(store, volume, plan)
    return store


def _check_store(store: PredictionStore, volume: Volume, plan: Plan) -> None:
    """Refuse a store that was made for something else, as one without a log may be."""
    raters = plan.rater_names if len(plan.rater_names) >= 2 else ()
    parts = {
        "shape": (volume.shape, store.shape),
        "number of classes": (len(plan.class_names), len(store.class_names)),
        "raters": (tuple(raters), store.rater_names),
        "maps": (tuple(plan.map_names), store.map_names),
    }
    block = plan.grid.block
    if any(b % c for b, c in zip(block, store.chunk, strict=True)):
        parts["block"] = (block, f"whole chunks of {store.chunk}")
    for name, (got, expected) in parts.items():
        if got != expected:
            raise RunMismatchError(
                f"The predictions in {store.path.name} have another {name}",
                got=got,
                expected=expected,
                do="Remove the folder and predict again; corrections are kept.",
            )
