from __future__ import annotations

from napari_unetseg.app.status import JobState, ProgressMeter
from napari_unetseg.events import (
    BlockDone,
    BlockState,
    Outcome,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
)
from napari_unetseg.geometry import Box


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_speed_and_time_left_are_means_over_the_run() -> None:
    clock = Clock()
    meter = ProgressMeter(clock)
    meter.start("predict")
    meter.take(RunStarted("predict", total=12, finished=2, subject="v1"))
    clock.now += 4.0
    for index in range(2):
        box = Box((0, 0, 0), (100, 100, 100))
        status = meter.take(BlockDone(index, box, BlockState.DONE))

    assert (status.done, status.total) == (4, 12)
    assert status.speed_mvox_s == 0.5
    assert status.seconds_left == 16.0


def test_empty_blocks_count_as_progress_but_not_as_speed() -> None:
    meter = ProgressMeter(Clock())
    meter.start("predict")
    meter.take(RunStarted("predict", total=2))
    status = meter.take(BlockDone(0, Box((0, 0, 0), (8, 8, 8)), BlockState.EMPTY, 0.1))

    assert status.done == 1
    assert status.speed_mvox_s is None


def test_steps_and_progress_set_the_count_and_the_text() -> None:
    meter = ProgressMeter(Clock())
    meter.start("train")
    assert meter.take(StepDone(3, 10, loss=0.25)).text == "loss 0.250"
    assert meter.take(Progress(5, 10, "level 1")).done == 5


def test_another_kind_of_work_begins_its_own_time() -> None:
    clock = Clock()
    meter = ProgressMeter(clock)
    meter.start("train")
    clock.now += 100.0
    assert meter.take(StepDone(10, 10, loss=0.25)).seconds_left == 0.0
    assert meter.take(Progress(0, 4, "comparing with v1")).seconds_left is None
    clock.now += 2.0
    assert meter.take(Progress(1, 4, "comparing with v1")).seconds_left == 6.0


def test_a_training_with_a_time_limit_has_no_more_left_than_that() -> None:
    clock = Clock()
    meter = ProgressMeter(clock)
    meter.start("train", limit_s=30.0)
    meter.take(RunStarted("train", total=400))
    clock.now += 10.0
    assert meter.take(StepDone(10, 400, 0.5, seconds=10.0)).seconds_left == 20.0
    assert meter.take(StepDone(10, 400, 0.5, seconds=31.0)).seconds_left == 0.0


def test_the_end_and_a_cancel_change_the_state() -> None:
    meter = ProgressMeter(Clock())
    assert meter.start("export").state is JobState.RUNNING
    assert meter.cancelling().state is JobState.CANCELLING
    assert meter.take(RunFinished(Outcome.CANCELLED)).is_idle
