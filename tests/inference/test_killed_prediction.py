from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zarr

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.events import BlockDone, BlockState, Event, Outcome, RunStarted
from napari_unetseg.inference.run import PredictJob, predict_job

CHILD = """
import pickle, sys
from napari_unetseg.events import BlockDone
from napari_unetseg.inference.run import predict_job

def say(event):
    if isinstance(event, BlockDone):
        print(event.index, flush=True)
        sys.stdin.readline()  # goes on when it is told to

predict_job(pickle.loads(bytes.fromhex(sys.argv[1])), say)
"""


@pytest.fixture
def job(phantom_path: Path, model_dir: Path, tmp_path: Path) -> PredictJob:
    """The small phantom, a tiny network and small blocks."""
    return PredictJob(
        volume_uri=str(phantom_path),
        time_point=0,
        prediction_path=tmp_path / "killed" / "v1.zarr",
        log_path=tmp_path / "killed" / "v1.jsonl",
        model_dir=model_dir,
        normalisation=Normalisation(low=(60.0,), high=(180.0,)),
        class_names=("cell", "fibre"),
        config=PredictConfig(block=(16, 16, 16), flips=2, device="cpu", threads=1),
    )


def killed_at_the_second_block(job: PredictJob) -> list[int]:
    """Predict in a child, kill it without warning, return the blocks it told of."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, pickle.dumps(job).hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        first = child.stdout.readline()
        child.stdin.write("\n")
        child.stdin.flush()
        second = child.stdout.readline()
        child.kill()
    assert child.returncode == -signal.SIGKILL
    return [int(first), int(second)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_prediction_of_a_network_goes_on_and_ends_with_the_same_bytes(
    job: PredictJob, tmp_path: Path, assert_same_contents: Callable[[Path, Path], None]
) -> None:
    told = killed_at_the_second_block(job)
    _, states, _ = DoneLog.read(job.log_path)
    assert {states[index] for index in told} == {BlockState.DONE}

    heard: list[Event] = []
    summary = predict_job(job, heard.append)
    assert summary.outcome is Outcome.DONE
    (started,) = (event for event in heard if isinstance(event, RunStarted))
    again = [event.index for event in heard if isinstance(event, BlockDone)]
    assert started.finished == len(states)
    assert sorted([*states, *again]) == list(range(started.total))

    undisturbed = tmp_path / "undisturbed"
    predict_job(
        replace(
            job,
            prediction_path=undisturbed / "v1.zarr",
            log_path=undisturbed / "v1.jsonl",
        )
    )
    assert_same_contents(job.prediction_path, undisturbed / "v1.zarr")
    assert zarr.open_array(undisturbed / "v1.zarr" / "probability" / "0")[...].any()
