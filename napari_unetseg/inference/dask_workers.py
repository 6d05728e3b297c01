"""Where the workers of a cluster come from, and how they share a prediction.

::

    scheduler tcp://…   somebody else's workers, on any machines
    workers N           processes of this machine, for as long as the run
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_unetseg.config import PredictConfig
from napari_unetseg.errors import ClusterError
from napari_unetseg.inference.dask_executor import BLOCKS_PER_WORKER, DaskExecutor
from napari_unetseg.inference.executors import OpenSteps, Steps
from napari_unetseg.inference.job import Plan, PredictJob, open_job, plan_job
from napari_unetseg.inference.memory import available_bytes
from napari_unetseg.inference.workers import steps_of

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 20.0
FIRST_WORKER_S = 120.0

FATAL_DEATHS = 2
"""A block during which so many workers died is not given to another one."""

_POLL_S = 0.1
_GPU = "GPU"


class DaskWorkers:
    """The workers of a cluster, about to predict.

    Parameters
    ----------
    executor
        Connected to them.
    share
        What of the config changes for each of them.
    """

    write_all_levels = False

    def __init__(self, executor: DaskExecutor, share: Mapping[str, Any]) -> None:
        self.executor = executor
        self._share = dict(share)

    def prepare(self, job: PredictJob) -> tuple[Plan, OpenSteps]:
        """Let one worker load the network and decide; all others follow it."""
        alone = {"scheduler": None, "workers": 0} | self._share
        job = replace(job, config=job.config.replace(**alone))
        plan: Plan = self.executor.call(_plan, job)
        job = replace(job, config=job.config.replace(backend=plan.backend))
        return plan, partial(_open, job)


@contextmanager
def dask_workers(config: PredictConfig) -> Iterator[DaskWorkers]:
    """Connect to the scheduler of a config, or start workers on this machine.

    Raises
    ------
    ClusterError
        If there is no scheduler at the address, or dask is not installed.
    """
    needs = {_GPU: 1.0} if config.device == "cuda" else {}
    share = {} if config.scheduler else _share_of(config)
    with dask_executor(config.scheduler, config.workers, needs) as executor:
        yield DaskWorkers(executor, share)


@contextmanager
def dask_executor(
    scheduler: str | None, workers: int, resources: Mapping[str, float] | None = None
) -> Iterator[DaskExecutor]:
    """Connect to a scheduler, or start workers on this machine.

    Parameters
    ----------
    scheduler
        Its address; None for workers of this machine.
    workers
        How many those are.
    resources
        What a block needs of somebody else's worker.

    Raises
    ------
    ClusterError
        If there is no scheduler at the address, or dask is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ClusterError(
            "Workers need dask.distributed, which is not installed",
            do="Install it with pip install napari-unetseg[distributed].",
        )
    if scheduler is None:
        with _own_workers(workers) as client:
            yield DaskExecutor(client)
    else:
        with _connected(scheduler) as client:
            _wait_for_worker(client, resources or {})
            yield DaskExecutor(client, resources)


@contextmanager
def _own_workers(n: int) -> Iterator[Client]:
    import dask.config
    from distributed import Client, LocalCluster

    deaths = {"distributed.scheduler.allowed-failures": FATAL_DEATHS - 1}
    with dask.config.set(deaths):
        cluster = LocalCluster(
            n_workers=n,
            threads_per_worker=BLOCKS_PER_WORKER,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any port: its usual one may be taken
            memory_limit=0,  # blocks are cut to fit; nothing is to be killed
        )
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"There is no dask scheduler at {address}",
            do="Start one with dask scheduler, and give the address that it prints.",
        ) from error
    with client:
        yield client


def _wait_for_worker(client: Client, resources: Mapping[str, float]) -> None:
    """Wait until there is a worker that may take a block."""
    until = time.monotonic() + FIRST_WORKER_S
    while True:
        offers = client.scheduler_info(n_workers=-1)["workers"].values()
        if any(
            all(offer.get("resources", {}).get(k, 0) >= v for k, v in resources.items())
            for offer in offers
        ):
            return
        if time.monotonic() > until:
            break
        time.sleep(_POLL_S)
    what = " with a GPU" if resources else ""
    raise ClusterError(
        f"No worker{what} has come to the scheduler",
        got=f"{len(offers)} without one" if offers and resources else None,
        do="Start workers with dask worker ADDRESS"
        + (' --resources "GPU=1", one per GPU.' if resources else "."),
    )


def _share_of(config: PredictConfig) -> dict[str, Any]:
    """Return threads and memory of each of several workers on this machine."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    memory = config.memory_gb or available_bytes() / 2e9
    return {
        "threads": config.threads or max(1, cores // config.workers),
        "memory_gb": memory / config.workers,
    }


# What follows runs in the processes of the workers.


def _plan(job: PredictJob) -> Plan:
    volume, predictor = open_job(job)
    return plan_job(job, volume, predictor)


def _open(job: PredictJob) -> Steps:
    volume, predictor = open_job(job)
    return steps_of(job, volume, predictor, all_levels=False)
