from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_unetseg.app.jobs import JobRunner
from napari_unetseg.app.status import JobState
from napari_unetseg.config import NewProjectConfig, PredictConfig, TrainConfig
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    Event,
    Outcome,
    RunFinished,
)

PATIENCE_S = 120


def collect(
    runner: JobRunner, until: Callable[[list[Event]], bool] | None = None
) -> list[Event]:
    """Return what a job says until it has ended, or until something was said."""
    events: list[Event] = []
    pause = threading.Event()
    for _ in range(PATIENCE_S * 50):
        events += runner.poll()
        if events and isinstance(events[-1], RunFinished):
            return events
        if until is not None and until(events):
            return events
        pause.wait(0.02)
    raise AssertionError(f"The job has not ended; it said {events}.")


@pytest.fixture
def runner() -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.close()


def _a_block_is_done(events: list[Event]) -> bool:
    return any(isinstance(event, BlockDone) for event in events)


SMALL_BLOCKS = PredictConfig(block=(8, 16, 16), flips=1)


def test_a_job_says_what_it_plans_does_and_how_it_ended(
    runner: JobRunner, project_with_model: Path
) -> None:
    runner.start("predict", PredictConfig(flips=1), folder=project_with_model)
    assert runner.state is JobState.RUNNING
    events = collect(runner)

    assert any(isinstance(event, BlocksPlanned) for event in events)
    assert _a_block_is_done(events)
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    assert finished.outcome is Outcome.DONE, finished.error
    assert finished.result["failed"] == 0
    assert runner.state is JobState.IDLE


def test_a_fault_of_the_input_arrives_as_its_sentence(
    runner: JobRunner, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.tif"
    about = NewProjectConfig(classes=("cell",))
    runner.start("new_project", about, volume=missing, folder=tmp_path / "p")
    finished = collect(runner)[-1]

    assert isinstance(finished, RunFinished)
    assert finished.outcome is Outcome.FAILED
    assert "missing.tif" in finished.error
    assert "Traceback" not in finished.error


def test_only_one_job_runs_at_a_time(
    runner: JobRunner, project_with_model: Path
) -> None:
    runner.start("predict", PredictConfig(), folder=project_with_model)
    with pytest.raises(RuntimeError, match="predict job is still running"):
        runner.start("predict", PredictConfig(), folder=project_with_model)
    runner.cancel()
    assert runner.state is JobState.CANCELLING
    collect(runner)


def test_cancel_ends_a_job_between_blocks(
    runner: JobRunner, project_with_model: Path
) -> None:
    runner.start("predict", SMALL_BLOCKS, folder=project_with_model)
    collect(runner, until=_a_block_is_done)
    runner.cancel()
    finished = collect(runner)[-1]

    assert isinstance(finished, RunFinished)
    assert finished.outcome in {Outcome.CANCELLED, Outcome.DONE}
    assert runner.state is JobState.IDLE


def test_a_training_that_is_stopped_has_time_to_keep_what_it_has(
    runner: JobRunner, project_with_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unetseg.app.jobs.CANCEL_GRACE_S", 0.0)
    runner.start("train", TrainConfig(parent="v1"), folder=project_with_model)
    runner.cancel()
    finished = collect(runner)[-1]

    assert isinstance(finished, RunFinished)
    assert "Nothing is labelled yet" in finished.error, "its own word, not its end"


def test_a_job_goes_on_where_somebody_looks(
    runner: JobRunner, project_with_model: Path
) -> None:
    runner.look_at((0, 0, 0))  # nothing runs: nobody hears it
    small = SMALL_BLOCKS.replace(threads=1)
    runner.start("predict", small, folder=project_with_model)
    runner.look_at((0, 0, 0))  # said before it has read its first line
    events = collect(runner)
    order = [event.index for event in events if isinstance(event, BlockDone)]
    assert order[0] == 0
    assert isinstance(events[-1], RunFinished)
    assert events[-1].outcome is Outcome.DONE


def test_a_killed_job_becomes_a_sentence_and_can_be_started_again(
    runner: JobRunner, project_with_model: Path
) -> None:
    runner.start("predict", SMALL_BLOCKS, folder=project_with_model)
    collect(runner, until=_a_block_is_done)
    assert runner.process_id is not None
    os.kill(runner.process_id, signal.SIGKILL)
    finished = collect(runner)[-1]

    assert isinstance(finished, RunFinished)
    if finished.outcome is Outcome.FAILED:  # it may have ended just before
        assert "ended unexpectedly (signal 9)" in finished.error
        assert "start it again to go on" in finished.error
    runner.start("predict", SMALL_BLOCKS, folder=project_with_model)
    again = collect(runner)[-1]
    assert isinstance(again, RunFinished)
    assert again.outcome is Outcome.DONE, again.error


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_job_lets_the_window_go_first(
    runner: JobRunner, project_with_model: Path
) -> None:
    known = _children()
    runner.start("predict", SMALL_BLOCKS, folder=project_with_model)
    collect(runner, until=lambda events: bool(events))
    (child,) = _children() - known
    assert os.getpriority(os.PRIO_PROCESS, child) >= 10
    assert os.sched_getscheduler(child) == os.SCHED_BATCH
    # Between sessions, Linux would share the processor evenly all the same.
    assert os.getsid(child) == os.getsid(0)
    assert os.getpgid(child) != os.getpgid(0)


def _children() -> set[int]:
    threads = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for thread in threads for child in thread.read_text().split()}
