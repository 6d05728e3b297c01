"""What a prediction survives: kills, dying workers, bad blocks, shares that falter.

The same volume is predicted undisturbed, by each executor, killed many times at random
moments, and on a cluster whose workers die and whose blocks misbehave. What is on disk
afterwards is compared byte by byte.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Target, parse_args, write_report
from benchmarks.prediction_job import files_of, make_job, make_volume
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import VoxelValueError
from napari_unetseg.events import BlockDone, BlockState, Event
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.inference.dask_workers import DaskWorkers, dask_workers
from napari_unetseg.inference.executors import OpenSteps, SerialExecutor, Steps
from napari_unetseg.inference.job import PredictJob, fingerprint_of, open_store
from napari_unetseg.inference.run import RunSummary, predict_job, run_inference
from napari_unetseg.inference.workers import LocalWorkers
from napari_unetseg.models.store import read_card

BLOCK: Zyx = (32, 64, 64)
FLAKY, POISON, DEADLY = 2, 5, 9
CHILD = """
import pickle, sys
from napari_unetseg.inference.run import predict_job
from napari_unetseg.models import network_predictor  # torch takes its time
job = pickle.loads(bytes.fromhex(sys.argv[1]))
print("ready", flush=True)
predict_job(job)
"""


class Site:
    """One volume, and a folder of its own for each prediction."""

    def __init__(self, folder: Path, shape: Zyx) -> None:
        self.folder, self.shape = folder, shape
        self.volume = folder / "volume.zarr"
        make_volume(self.volume, shape, Box.whole(shape))
        # Named, so that a slow moment does not choose another backend; one thread,
        # because two add up in another order.
        self._choices: dict[str, Any] = {
            "block": BLOCK, "backend": "torch-fp32", "threads": 1,
        }  # fmt: skip

    def job(self, name: str, **choices: Any) -> PredictJob:
        """Return a job whose prediction goes into a folder of this name."""
        return make_job(self.volume, self.folder / name, **self._choices, **choices)

    def files(self, name: str) -> dict[str, bytes]:
        """Return what was written."""
        return files_of(self.folder / name / "v1.zarr")


def by_executor(site: Site, reference: dict[str, bytes]) -> dict[str, bool]:
    """Return which executors write the same bytes as the pipeline."""
    job = site.job("serial")
    workers = LocalWorkers()
    workers.executor = SerialExecutor()  # type: ignore[assignment]
    plan, open_steps = workers.prepare(job)
    run_with(job, plan, open_steps, workers.executor, finest_only=False)
    predict_job(site.job("distributed", workers=2))
    return {name: site.files(name) == reference for name in ("serial", "distributed")}


def run_with(
    job: PredictJob,
    plan: Any,
    open_steps: OpenSteps,
    executor: Any,
    *,
    finest_only: bool,
    on_event: Any = lambda event: None,
) -> RunSummary:
    """Run a prediction with steps of our own."""
    volume = Volume.open(job.volume_uri)
    card = read_card(job.model_dir)
    with DoneLog.open(
        job.log_path, fingerprint_of(job, volume, card, plan.grid)
    ) as log:
        open_store(job, volume, plan)
        return run_inference(
            plan.grid,
            tuple(range(len(plan.grid))),
            open_steps=open_steps,
            log=log,
            executor=executor,
            finest_only=finest_only,
            on_event=on_event,
        )


def killed(site: Site, n_kills: int, reference: dict[str, bytes]) -> dict[str, Any]:
    """Kill a prediction at random moments, then let it end."""
    randomness = random.Random(0)
    job = site.job("killed")
    n_rounds = n_done = 0
    blocks_at_kill = []
    while n_done < n_kills:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, pickle.dumps(job).hex()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(randomness.uniform(0.3, 3.0))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        if child.returncode == -signal.SIGKILL:  # else it had ended by itself
            n_done += 1
            blocks_at_kill.append(len(states_of(job)))
        if all_done(job):
            n_rounds += site.files("killed") == reference
            shutil.rmtree(site.folder / "killed")
    summary = predict_job(job)
    return {
        "kills": n_done,
        "blocks_known_at_each_kill": blocks_at_kill,
        "blocks_left_for_the_last_run": summary.done,
        "finished_meanwhile_and_identical": n_rounds,
        "identical_after_resume": site.files("killed") == reference,
    }


def states_of(job: PredictJob) -> dict[int, BlockState]:
    """Return what the log of a job knows."""
    return DoneLog.read(job.log_path)[1]


def all_done(job: PredictJob) -> bool:
    """Whether nothing is left to do."""
    states = states_of(job)
    return len(states) == n_blocks(job) and set(states.values()) == {BlockState.DONE}


def n_blocks(job: PredictJob) -> int:
    """Return how many blocks a job has."""
    shape = Volume.open(job.volume_uri).shape
    counts = [-(-n // b) for n, b in zip(shape, BLOCK, strict=True)]
    return counts[0] * counts[1] * counts[2]


def troubled(open_steps: OpenSteps, notes: Path) -> Steps:
    """Return steps of which three blocks have trouble; made in the worker."""
    steps = open_steps()

    def read(block: Block) -> Any:
        tries = notes / f"read-{block.index}"
        with tries.open("a") as stream:
            stream.write("x")
        if block.index == FLAKY and tries.stat().st_size <= 2:
            raise ConnectionResetError("the share is away")
        return steps.read(block)

    def predict(content: Any, block: Block) -> Any:
        if block.index == POISON:
            raise VoxelValueError("This block is poison")
        if block.index == DEADLY:
            os._exit(9)
        return steps.predict(content, block)

    return Steps(read, predict, steps.write)


def on_a_cluster(site: Site, reference: dict[str, bytes]) -> dict[str, Any]:
    """Kill a worker from outside, and give the workers bad blocks."""
    notes = site.folder / "notes"
    notes.mkdir()
    job = site.job("cluster", workers=2)
    with dask_workers(job.config) as workers:
        plan, open_steps = workers.prepare(job)
        summary = run_with(
            job,
            plan,
            partial(troubled, open_steps, notes),
            workers.executor,
            finest_only=True,
            on_event=_KillsAWorker(workers),
        )
        n_workers = len(workers.executor.client.nthreads())
    states = states_of(job)
    failed = {i for i, state in states.items() if state is BlockState.FAILED}
    rest = set(range(n_blocks(job))) - failed
    right = failed == {POISON, DEADLY} and all(
        states[index] is BlockState.DONE for index in rest
    )
    retried = predict_job(site.job("cluster", workers=2))
    return {
        "failed": sorted(failed),
        "reasons": list(DoneLog.read(job.log_path)[2].values()),
        "done": summary.done,
        "reads_of_the_flaky_block": (notes / f"read-{FLAKY}").stat().st_size,
        "workers_at_the_end": n_workers,
        "retried": retried.done,
        "identical_after_retry": site.files("cluster") == reference,
        "states_right": right and retried.done == 2,
    }


class _KillsAWorker:
    """Kills one of the workers when a few blocks are done."""

    def __init__(self, workers: DaskWorkers) -> None:
        self._workers, self._n_done = workers, 0

    def __call__(self, event: Event) -> None:
        self._n_done += isinstance(event, BlockDone)
        if self._n_done == 4 and isinstance(event, BlockDone):
            pids = self._workers.executor.client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)


def main() -> None:
    """Do all of it."""
    arguments = parse_args(__doc__.splitlines()[0])
    n_kills = 6 if arguments.quick else 20
    shape: Zyx = (64, 192, 192)
    with tempfile.TemporaryDirectory() as scratch:
        site = Site(Path(scratch), shape)
        predict_job(site.job("undisturbed"))
        reference = site.files("undisturbed")
        executors = by_executor(site, reference)
        print(executors, flush=True)
        kills = killed(site, n_kills, reference)
        print(kills, flush=True)
        cluster = on_a_cluster(site, reference)
        print(cluster, flush=True)
    same = kills["identical_after_resume"] and all(executors.values())
    right = cluster["states_right"] and cluster["identical_after_retry"]
    figures = {"executors": executors, "kills": kills, "cluster": cluster}
    targets = [
        Target("kills", kills["kills"], ">=", n_kills if arguments.quick else 20),
        Target("identical_after_resume", float(same), "==", 1.0),
        Target("cluster_states_right", float(right), "==", 1.0),
    ]
    write_report(arguments.json, figures, targets)


if __name__ == "__main__":
    main()
