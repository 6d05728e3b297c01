"""Who takes the blocks of a prediction: this process, or workers of a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.inference.executors import (
    Executor,
    OpenSteps,
    PipelineExecutor,
    Steps,
)
from napari_unetseg.inference.job import (
    Plan,
    PredictJob,
    choices_of,
    open_job,
    plan_job,
)
from napari_unetseg.inference.process_block import predict_steps
from napari_unetseg.inference.unchanged import EarlierPrediction, LookFirst
from napari_unetseg.models.predictor import Predictor


class Workers(Protocol):
    """Whoever takes blocks.

    Attributes
    ----------
    write_all_levels
        Whether blocks are written on all levels at once: by a single writer only.
    """

    write_all_levels: bool

    @property
    def executor(self) -> Executor:
        """Hands out the blocks."""
        ...

    def prepare(self, job: PredictJob) -> tuple[Plan, OpenSteps]:
        """Decide what is the same for all blocks, and return what makes the steps."""
        ...


class LocalWorkers:
    """The threads of this process."""

    write_all_levels = True

    def __init__(self) -> None:
        self.executor = PipelineExecutor()

    def prepare(self, job: PredictJob) -> tuple[Plan, OpenSteps]:
        """Load the network, decide on the grid."""
        volume, predictor = open_job(job)
        plan = plan_job(job, volume, predictor)
        return plan, partial(steps_of, job, volume, predictor, all_levels=True)


def workers_for(config: PredictConfig) -> AbstractContextManager[Workers]:
    """Return the workers that a config asks for; a cluster is left when they are.

    Raises
    ------
    ClusterError
        If there is no scheduler at the address, or dask is not installed.
    """
    if config.scheduler is None and config.workers == 0:
        return nullcontext(LocalWorkers())
    from napari_unetseg.inference.dask_workers import dask_workers

    return dask_workers(config)


def executor_for(
    scheduler: str | None, workers: int
) -> AbstractContextManager[Executor]:
    """Return what hands out blocks that need no network.

    Parameters
    ----------
    scheduler, workers
        A cluster, or processes of this machine; neither stands for threads of this one.

    Raises
    ------
    ClusterError
        If there is no scheduler at the address, or dask is not installed.
    """
    if scheduler is None and workers == 0:
        return nullcontext(PipelineExecutor())
    from napari_unetseg.inference.dask_workers import dask_executor

    return dask_executor(scheduler, workers)


def steps_of(
    job: PredictJob, volume: Volume, predictor: Predictor, *, all_levels: bool
) -> Steps:
    """Return the steps of a job whose volume and network are open."""
    store = PredictionStore.open(job.prediction_path, "r+")
    predict = predictor.predict
    if job.earlier is not None:
        earlier = EarlierPrediction(job.earlier, store, choices_of(job, volume))
        predict = LookFirst(predictor, earlier).predict
    return predict_steps(
        volume,
        job.normalisation,
        predict,
        store,
        missing=job.config.missing_chunks,
        skip_flat=job.config.skip_flat,
        all_levels=all_levels,
    )
