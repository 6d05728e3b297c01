from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.errors import ClusterError, VoxelValueError
from napari_unetseg.events import BlockState, Outcome, never_cancelled
from napari_unetseg.geometry import BlockGrid, Box
from napari_unetseg.inference import dask_executor
from napari_unetseg.inference import dask_workers as dask_workers_module
from napari_unetseg.inference.dask_executor import DaskExecutor
from napari_unetseg.inference.dask_workers import dask_workers
from napari_unetseg.inference.executors import Result, Started
from napari_unetseg.inference.run import PredictJob, predict_job
from tests.helpers.trouble import (
    BROKEN,
    DEADLY,
    FLAKY,
    calm_steps,
    no_steps,
    troubled_steps,
)

BLOCKS = list(BlockGrid((1, 1, 12), (1, 1, 1)))

# What dask says about its own affairs, in its own threads.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def make_job(
    phantom_path: Path, model_dir: Path, tmp_path: Path
) -> Callable[..., PredictJob]:
    """Return a function that makes a job in a folder of its own."""

    def make(name: str, **choices: Any) -> PredictJob:
        known = {"flips": 1, "threads": 1, "block": (16, 32, 32), "backend": "auto"}
        return PredictJob(
            volume_uri=str(phantom_path),
            time_point=0,
            prediction_path=tmp_path / name / "v1.zarr",
            log_path=tmp_path / name / "v1.jsonl",
            model_dir=model_dir,
            normalisation=Normalisation(low=(60.0,), high=(180.0,)),
            class_names=("cell", "fibre"),
            config=PredictConfig.model_validate(known | choices),
        )

    return make


def test_two_processes_write_the_same_bytes_as_one(
    make_job: Callable[..., PredictJob],
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    alone, shared = make_job("alone"), make_job("shared", workers=2)
    assert predict_job(alone).done == 4
    summary = predict_job(shared)
    assert (summary.outcome, summary.done) == (Outcome.DONE, 4)
    assert_same_contents(alone.prediction_path, shared.prediction_path)
    with DoneLog.open(shared.log_path, DoneLog.read(shared.log_path)[0] or {}) as log:
        assert log.states == dict.fromkeys(range(4), BlockState.DONE)
        assert log.finest_only == set()


def test_a_run_goes_on_elsewhere(
    make_job: Callable[..., PredictJob],
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    whole = make_job("whole")
    predict_job(whole)
    first = Box((0, 0, 0), (1, 1, 1))
    assert predict_job(make_job("mixed", box=first)).done == 1
    assert predict_job(make_job("mixed", workers=2)).done == 3
    assert_same_contents(whole.prediction_path, make_job("mixed").prediction_path)


def test_coarse_levels_that_a_killed_driver_left_out_are_made(
    make_job: Callable[..., PredictJob],
    assert_same_contents: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, job = make_job("whole"), make_job("killed", workers=2)
    predict_job(whole)
    with monkeypatch.context() as patch:
        patch.setattr(
            "napari_unetseg.inference.run.write_coarse_levels", lambda *_: False
        )
        assert predict_job(job).outcome is Outcome.CANCELLED
    summary = predict_job(make_job("killed"))  # here, where nothing is left to do
    assert (summary.outcome, summary.done) == (Outcome.DONE, 0)
    assert_same_contents(whole.prediction_path, job.prediction_path)


def test_trouble_with_a_block_is_its_own(cluster: DaskExecutor, tmp_path: Path) -> None:
    steps = partial(troubled_steps, tmp_path)
    progress = list(cluster.run(BLOCKS, steps, never_cancelled))
    assert [p.block for p in progress if isinstance(p, Started)] == BLOCKS
    ended = {p.block.index: p for p in progress if isinstance(p, Result)}
    assert set(ended) == set(range(12))
    bad = {index for index, result in ended.items() if result.error is not None}
    assert bad == {BROKEN, DEADLY}
    assert isinstance(ended[BROKEN].error, VoxelValueError)
    assert ended[BROKEN].reason == "The voxels hold NaN."
    assert "died, most likely for want of memory" in ended[DEADLY].reason
    assert (tmp_path / f"tries-{FLAKY}").read_text() == "xxx"
    written = {int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()}
    assert written == set(range(12)) - bad


def test_none_begins_after_a_cancel(cluster: DaskExecutor, tmp_path: Path) -> None:
    begun: list[int] = []
    steps = partial(calm_steps, tmp_path)
    for progress in cluster.run(BLOCKS, steps, lambda: len(begun) >= 5):
        if isinstance(progress, Started):
            begun.append(progress.block.index)
    assert begun == [0, 1, 2, 3, 4]


def test_a_worker_that_cannot_begin_ends_the_run(cluster: DaskExecutor) -> None:
    with pytest.raises(ClusterError, match="could not begin, FileNotFoundError"):
        list(cluster.run(BLOCKS, no_steps, never_cancelled))


def test_only_a_few_blocks_are_on_their_way(
    cluster: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "SUBMITTED_TOGETHER", 3)
    taken = 0

    def blocks() -> Iterator[Any]:
        nonlocal taken
        for block in BLOCKS:
            taken += 1
            yield block

    n_ended = 0
    steps = partial(calm_steps, tmp_path)
    for progress in cluster.run(blocks(), steps, never_cancelled):
        n_ended += isinstance(progress, Result)
        assert taken - n_ended <= 2 * 2 + 3 + 1
    assert n_ended == 12


def test_a_scheduler_that_is_not_there_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, unused_address: str
) -> None:
    monkeypatch.setattr(dask_workers_module, "CONNECT_S", 0.5)
    with (
        pytest.raises(ClusterError, match=f"no dask scheduler at {unused_address}"),
        dask_workers(PredictConfig(scheduler=unused_address)),
    ):
        pass


@pytest.fixture
def unused_address() -> str:
    """An address on loopback at which nobody listens."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


def test_a_scheduler_without_a_gpu_is_a_sentence(
    cluster: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_workers_module, "FIRST_WORKER_S", 0.0)
    address = cluster.client.scheduler.address
    config = PredictConfig(scheduler=address, device="cuda")
    with (
        pytest.raises(ClusterError, match="No worker with a GPU .*got 2 without one"),
        dask_workers(config),
    ):
        pass


def test_a_scheduler_of_others_is_used(
    cluster: DaskExecutor,
    make_job: Callable[..., PredictJob],
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    alone = make_job("alone")
    predict_job(alone)
    address = cluster.client.scheduler.address
    there = make_job("there", scheduler=address)
    assert predict_job(there).done == 4
    assert_same_contents(alone.prediction_path, there.prediction_path)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(ClusterError, match=r"pip install napari-unetseg\[distributed\]"),
        dask_workers(PredictConfig(workers=2)),
    ):
        pass
