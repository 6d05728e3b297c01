from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    MemoryBudgetError,
    ModelMismatchError,
    RunMismatchError,
)
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockState,
    Event,
    Outcome,
    RunStarted,
)
from napari_unetseg.geometry import Box
from napari_unetseg.inference import job as job_module
from napari_unetseg.inference.run import PredictJob, known_blocks, predict_job
from napari_unetseg.inference.unchanged import Earlier

SHAPE = (16, 48, 48)
BLOCK = (16, 32, 32)


@pytest.fixture
def make_job(
    phantom_path: Path, model_dir: Path, tmp_path: Path
) -> Callable[..., PredictJob]:
    """Return a function that makes a job of choices."""
    normalisation = estimate_normalisation(Volume.open(phantom_path))

    def make(**choices: Any) -> PredictJob:
        config = PredictConfig.model_validate({"flips": 1, "threads": 1} | choices)
        return PredictJob(
            volume_uri=str(phantom_path),
            time_point=0,
            prediction_path=tmp_path / "predictions" / "v1.zarr",
            log_path=tmp_path / "runs" / "v1.jsonl",
            model_dir=model_dir,
            normalisation=normalisation,
            class_names=("cell", "fibre"),
            config=config,
        )

    return make


@pytest.fixture
def begun(make_job: Callable[..., PredictJob]) -> PredictJob:
    """A prediction of which the first block is done."""
    job = make_job(block=BLOCK, box=Box((0, 0, 0), (1, 1, 1)))
    assert predict_job(job).done == 1
    return job


def test_a_volume_is_predicted_with_a_real_network(
    make_job: Callable[..., PredictJob],
) -> None:
    events: list[Event] = []
    summary = predict_job(make_job(block=BLOCK, flips=2), events.append)
    assert (summary.outcome, summary.done) == (Outcome.DONE, 4)
    assert summary.voxels == 16 * 48 * 48
    assert events[0] == RunStarted("predict", 4, 0, "v1")
    store = PredictionStore.open(make_job().prediction_path)
    assert store.class_names == ("cell", "fibre")
    assert store.map_names == ("model_disagreement", "total_uncertainty")
    assert store.read_map("total_uncertainty", Box.whole(SHAPE)).any()


def test_the_first_run_decides_on_the_grid(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    events: list[Event] = []
    summary = predict_job(make_job(), events.append)  # the whole, no block chosen
    assert summary.done == 3
    assert events[0] == RunStarted("predict", 4, 1, "v1")
    plan = BlocksPlanned((1, 2, 2), BLOCK, (0, 1, 2, 3), {0: BlockState.DONE})
    assert events[1] == plan
    known = known_blocks(begun.log_path, SHAPE)
    assert known is not None
    assert (known.counts, known.block) == ((1, 2, 2), BLOCK)
    assert known.states == dict.fromkeys(range(4), BlockState.DONE)


def test_blocks_of_another_version_are_kept_until_all_are_asked_for(
    make_job: Callable[..., PredictJob], tmp_path: Path
) -> None:
    """The same network stands for both versions: nothing can change."""
    before = make_job(block=BLOCK)
    predict_job(before)
    job = dataclasses.replace(
        before,
        prediction_path=tmp_path / "predictions" / "v2.zarr",
        log_path=tmp_path / "runs" / "v2.jsonl",
        earlier=Earlier("v1", before.prediction_path, before.log_path),
    )
    events: list[Event] = []
    summary = predict_job(job, events.append)
    assert (summary.done, summary.kept, summary.failed_because) == (4, 4, "")
    remarks = {event.reason for event in events if isinstance(event, BlockDone)}
    assert remarks == {"as v1 said"}
    stores = [PredictionStore.open(one.prediction_path) for one in (before, job)]
    for name in stores[0].names:
        arrays = [np.asarray(store.levels(name)[0][:]) for store in stores]
        np.testing.assert_array_equal(*arrays)
    assert predict_job(job).done == 0
    everything = predict_job(dataclasses.replace(job, earlier=None))
    assert (everything.done, everything.kept) == (4, 0)


def test_only_blocks_that_touch_the_box_are_predicted_the_nearest_first(
    make_job: Callable[..., PredictJob],
) -> None:
    events: list[Event] = []
    box = Box((0, 30, 40), (4, 48, 48))
    predict_job(make_job(block=BLOCK, box=box), events.append)
    assert [e.index for e in events if isinstance(e, BlockDone)] == [3, 1]


def test_failed_blocks_alone_are_tried_again(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    with DoneLog.open(begun.log_path, DoneLog.read(begun.log_path)[0] or {}) as log:
        log.record(2, BlockState.FAILED, "The disk was away.")
    events: list[Event] = []
    summary = predict_job(make_job(only_failed=True), events.append)
    assert summary.done == 1
    assert events[0] == RunStarted("predict", 1, 0, "v1")
    assert [e.index for e in events if isinstance(e, BlockDone)] == [2]
    assert predict_job(make_job(only_failed=True)).done == 0
    with DoneLog.open(begun.log_path, DoneLog.read(begun.log_path)[0] or {}) as log:
        log.record(2, BlockState.FAILED, "Once more.")
    assert predict_job(make_job(only_failed=True, retry_failed=False)).done == 1
    assert predict_job(make_job()).done == 2


def test_what_a_killed_process_had_not_finished_is_swept(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    stray = begun.prediction_path / "probability" / "0" / "c" / "0.4f2a.partial"
    stray.write_bytes(b"half a chunk")
    assert predict_job(make_job(box=Box((0, 0, 0), (1, 1, 1)))).done == 0
    assert stray.exists()  # the run before had ended by itself
    log = begun.log_path
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in lines if "synced" not in line))
    predict_job(make_job())
    assert not stray.exists()


def test_a_cancelled_job_says_so(make_job: Callable[..., PredictJob]) -> None:
    summary = predict_job(make_job(block=BLOCK), is_cancelled=lambda: True)
    assert (summary.outcome, summary.done) == (Outcome.CANCELLED, 0)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"flips": 4}, "begun with another choice of flips: got 4, expected 1"),
        ({"block": (16, 16, 48)}, "begun with another choice of block"),
    ],
)
def test_another_choice_is_refused(
    begun: PredictJob,
    make_job: Callable[..., PredictJob],
    choice: dict[str, Any],
    sentence: str,
) -> None:
    with pytest.raises(RunMismatchError, match=sentence):
        predict_job(make_job(**choice))
    assert predict_job(make_job()).done == 3


def test_another_intensity_range_is_refused(begun: PredictJob) -> None:
    changed = begun.normalisation.replace(high=(250.0,))
    with pytest.raises(RunMismatchError, match="choice of normalisation: high"):
        predict_job(dataclasses.replace(begun, normalisation=changed))


def test_a_gap_may_be_filled_later_as_the_failed_block_advises(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    assert predict_job(make_job(missing_chunks="fill")).done == 3
    with pytest.raises(RunMismatchError, match="missing chunks: got fail"):
        predict_job(make_job())


def test_predictions_that_were_removed_begin_anew(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    shutil.rmtree(begun.prediction_path)
    summary = predict_job(make_job(flips=2, block=BLOCK))
    assert summary.done == 4
    header, states, _ = DoneLog.read(begun.log_path)
    assert header is not None
    assert (header["flips"], len(states)) == (2, 4)


def test_predictions_without_a_log_are_checked_and_done_again(
    begun: PredictJob, make_job: Callable[..., PredictJob]
) -> None:
    begun.log_path.unlink()
    with pytest.raises(
        RunMismatchError, match=r"predictions in v1\.zarr have another maps: got \("
    ):
        predict_job(make_job(flips=2, block=BLOCK))
    begun.log_path.unlink(missing_ok=True)
    assert predict_job(make_job(block=BLOCK)).done == 4


def test_too_little_memory_is_refused_before_anything_is_written(
    make_job: Callable[..., PredictJob],
) -> None:
    job = make_job(memory_gb=0.001)
    with pytest.raises(MemoryBudgetError, match=r"got 0\.00 GB, expected at least 0\."):
        predict_job(job)
    assert not job.prediction_path.exists()
    assert not job.log_path.exists()


def test_memory_is_checked_when_going_on_too(
    begun: PredictJob,
    make_job: Callable[..., PredictJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_module, "available_bytes", lambda: 10_000)
    with pytest.raises(MemoryBudgetError, match="16 × 32 × 32"):
        predict_job(make_job())


def test_a_model_for_other_channels_is_refused_before_anything_is_written(
    make_job: Callable[..., PredictJob], tmp_path: Path
) -> None:
    path = tmp_path / "two.zarr"
    create_image(
        path,
        shape=SHAPE,
        dtype=np.uint8,
        chunk=SHAPE,
        voxel_size=(1, 1, 1),
        n_channels=2,
    )
    job = dataclasses.replace(make_job(), volume_uri=str(path))
    with pytest.raises(ModelMismatchError, match="got 2 channels, expected 1"):
        predict_job(job)
    assert not job.prediction_path.exists()


def test_a_model_for_other_classes_is_refused(
    make_job: Callable[..., PredictJob],
) -> None:
    job = dataclasses.replace(make_job(), class_names=("cell",))
    with pytest.raises(ModelMismatchError, match="another number of classes: got 2"):
        predict_job(job)


def test_nothing_is_known_of_a_log_that_is_none(tmp_path: Path) -> None:
    assert known_blocks(tmp_path / "none.jsonl", SHAPE) is None
    (tmp_path / "other.jsonl").write_text("no log\n")
    assert known_blocks(tmp_path / "other.jsonl", SHAPE) is None
