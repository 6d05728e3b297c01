from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data import predictions
from napari_unetseg.errors import DiskFullError, ReadOnlyError
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    Event,
    Outcome,
    RunStarted,
)
from napari_unetseg.geometry import Block, BlockGrid, Box
from napari_unetseg.inference.executors import (
    Executor,
    PipelineExecutor,
    SerialExecutor,
)
from napari_unetseg.inference.run import known_blocks

GRID = BlockGrid((12, 12, 400), (8, 16, 64), halo=(2, 3, 5), stride=(2, 4, 4))


def ended(events: list[Event]) -> list[BlockDone]:
    return [event for event in events if isinstance(event, BlockDone)]


def chunk_of(run: Any, *, x: int) -> Path:
    """Return the file of a chunk of the volume's first row."""
    path: Path = run.path / "volume.zarr" / "0" / "c" / "0" / "0" / str(x // 16)
    return path


def test_a_network_that_adds_one_gives_the_volume_plus_one(
    run: Any, voxels: np.ndarray, executor: Executor
) -> None:
    summary = run.go(executor)
    whole = Box.whole(GRID.shape)
    np.testing.assert_array_equal(run.store.read_labels(whole), voxels + 1)
    probability = run.store.read_probability(whole)
    np.testing.assert_array_equal(probability, [voxels + 1, 254 - voxels])
    np.testing.assert_array_equal(
        run.store.read_rater_probability(whole),
        [[voxels + 1] * 2, [(voxels + 1) // 3] * 2],
    )
    assert (summary.outcome, summary.done, summary.failed) == (Outcome.DONE, 14, 0)
    assert summary.voxels == voxels.size


def test_serial_and_pipeline_leave_the_same_bytes_on_every_level(
    make_run: Callable[..., Any],
    voxels: np.ndarray,
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    one, other = make_run(voxels), make_run(voxels)
    one.go(SerialExecutor())
    other.go(PipelineExecutor(), look=lambda: (0, 0, 0))  # in another order, too
    assert_same_contents(one.path / "v1.zarr", other.path / "v1.zarr")


def test_a_run_tells_its_plan_and_every_block(run: Any, executor: Executor) -> None:
    events: list[Event] = []
    run.go(executor, events, indices=(3, 4, 5), subject="v7")
    assert events[0] == RunStarted("predict", 3, 0, "v7")
    assert events[1] == BlocksPlanned((2, 1, 7), GRID.block, (3, 4, 5), {})
    for index in (3, 4, 5):
        begun = events.index(BlockStarted(index))
        done = next(e for e in ended(events) if e.index == index)
        assert begun < events.index(done)
        assert done.write_box == GRID[index].write_box
        assert done.state is BlockState.DONE
        assert done.seconds > 0
    assert len(events) == 8


def test_blocks_near_the_wanted_place_come_first(run: Any) -> None:
    events: list[Event] = []
    run.go(SerialExecutor(), events, indices=range(7), look=lambda: (4, 8, 330))
    assert [e.index for e in ended(events)] == [5, 4, 6, 3, 2, 1, 0]
    events.clear()
    run.go(SerialExecutor(), events, indices=range(7, 14))
    assert next(e.index for e in ended(events)) == 10


def test_blocks_that_are_done_are_not_done_again(run: Any, executor: Executor) -> None:
    run.go(executor, indices=(0, 1))
    events: list[Event] = []
    summary = run.go(executor, events, indices=(0, 1, 2))
    assert events[0] == RunStarted("predict", 3, 2)
    assert isinstance(events[1], BlocksPlanned)
    assert events[1].states == {0: BlockState.DONE, 1: BlockState.DONE}
    assert [e.index for e in ended(events)] == [2]
    assert summary.done == 1
    plan = known_blocks(run.path / "log.jsonl", GRID.shape)
    assert plan is None  # this log has no grid: it is not a job's


def test_an_empty_block_is_told_from_one_that_is_done(
    make_run: Callable[..., Any], voxels: np.ndarray, executor: Executor
) -> None:
    voxels[:, :, :200] = 7  # no chunk is missing, there is only nothing to see
    run = make_run(voxels)
    events: list[Event] = []
    summary = run.go(executor, events, indices=(0, 6))
    states = {event.index: event.state for event in ended(events)}
    assert states == {0: BlockState.EMPTY, 6: BlockState.DONE}
    assert (summary.done, summary.empty) == (1, 1)
    assert not run.store.read_labels(GRID[0].write_box).any()
    assert run.go(executor, indices=(0, 6)).done == 0


def test_a_block_that_fails_is_told_and_the_others_go_on(
    run: Any, faulty: Callable[..., Any], executor: Executor
) -> None:
    events: list[Event] = []
    predictor = faulty(3, RuntimeError("the weights are odd"))
    summary = run.go(executor, events, indices=range(7), predictor=predictor)
    assert (summary.outcome, summary.done, summary.failed) == (Outcome.DONE, 6, 1)
    (failed,) = [e for e in ended(events) if e.state is BlockState.FAILED]
    assert failed.index == 3
    assert failed.reason == "Predicting failed, RuntimeError: the weights are odd."
    with run.log() as log:
        assert log.reasons == {3: failed.reason}


def test_a_block_that_failed_once_is_done_when_tried_again(
    run: Any, faulty: Callable[..., Any], voxels: np.ndarray, executor: Executor
) -> None:
    predictor = faulty(3, MemoryError("too large"))
    run.go(executor, indices=range(7), predictor=predictor)
    predictor.is_faulty = False
    kept = run.go(executor, indices=range(7), predictor=predictor, retry_failed=False)
    assert (kept.done, kept.failed) == (0, 0)
    again = run.go(executor, indices=range(7), predictor=predictor)
    assert (again.done, again.failed) == (1, 0)
    box = GRID[3].write_box
    np.testing.assert_array_equal(run.store.read_labels(box), voxels[box.slices] + 1)
    with run.log() as log:
        assert log.reasons == {}


def test_a_lost_chunk_fails_the_blocks_that_need_it(
    run: Any, executor: Executor
) -> None:
    chunk_of(run, x=192).unlink()
    events: list[Event] = []
    summary = run.go(executor, events, indices=range(7))
    failed = {e.index: e.reason for e in ended(events) if e.state is BlockState.FAILED}
    assert sorted(failed) == [2, 3]  # block 2 only reads it, 5 voxels into its halo
    assert "lost a chunk" in failed[3]
    assert summary.done == 5
    filled = run.go(executor, indices=range(7), missing="fill")
    assert (filled.done, filled.failed) == (2, 0)


def test_a_chunk_that_cannot_be_decoded_fails_its_block(
    run: Any, executor: Executor
) -> None:
    chunk_of(run, x=0).write_bytes(b"no longer what it was")
    events: list[Event] = []
    run.go(executor, events, indices=(0, 6))
    reasons = {event.index: event.reason for event in ended(events)}
    assert reasons[6] == ""
    assert "damaged chunk" in reasons[0]


def test_voxels_that_are_no_numbers_fail_their_block(
    make_run: Callable[..., Any], voxels: np.ndarray, executor: Executor
) -> None:
    bad = voxels.astype(np.float32)
    bad[1, 2, 3] = np.nan
    run = make_run(bad)
    events: list[Event] = []
    run.go(executor, events, indices=(0, 6))
    states = {event.index: event for event in ended(events)}
    assert states[6].state is BlockState.DONE
    assert states[0].state is BlockState.FAILED
    assert "no numbers" in states[0].reason


def test_a_cancelled_run_stops_within_a_block_and_goes_on_later(
    make_run: Callable[..., Any],
    voxels: np.ndarray,
    executor: Executor,
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    run, undisturbed = make_run(voxels), make_run(voxels)
    begun: list[int] = []

    def on_event(event: Event) -> None:
        if isinstance(event, BlockStarted):
            begun.append(event.index)

    summary = run.go(executor, on_event=on_event, is_cancelled=lambda: len(begun) >= 3)
    assert summary.outcome is Outcome.CANCELLED
    # The network may begin with one more before the flag is seen.
    assert summary.done == len(begun) <= 5
    rest = run.go(executor)
    assert (rest.outcome, rest.done) == (Outcome.DONE, 14 - summary.done)
    undisturbed.go(SerialExecutor())
    assert_same_contents(run.path / "v1.zarr", undisturbed.path / "v1.zarr")


def test_a_run_that_was_cancelled_before_it_began_does_nothing(
    run: Any, executor: Executor
) -> None:
    summary = run.go(executor, is_cancelled=lambda: True)
    assert (summary.outcome, summary.done) == (Outcome.CANCELLED, 0)


def test_a_full_disk_ends_the_run_and_loses_nothing(
    make_run: Callable[..., Any],
    voxels: np.ndarray,
    executor: Executor,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    run, undisturbed = make_run(voxels), make_run(voxels)
    write = predictions.write_pyramid_block
    calls: list[Box] = []

    def fills_up(group: Any, box: Box, data: np.ndarray) -> None:
        calls.append(box)
        if len(calls) > 16:  # in the middle of the fifth block
            raise OSError(errno.ENOSPC, "No space left on device")
        write(group, box, data)

    events: list[Event] = []
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "write_pyramid_block", fills_up)
        with pytest.raises(DiskFullError, match="The disk is full, the prediction"):
            run.go(executor, events)
    done = {e.index for e in ended(events)}
    assert len(done) == 4
    with run.log() as log:
        assert set(log.states) == done
    assert run.go(executor).done == 10
    undisturbed.go(SerialExecutor())
    assert_same_contents(run.path / "v1.zarr", undisturbed.path / "v1.zarr")


def test_a_log_that_cannot_be_written_ends_the_run(
    run: Any, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ReadOnlyError("The log is read-only")

    monkeypatch.setattr("napari_unetseg.data.done_log.DoneLog.record", full)
    events: list[Event] = []
    with pytest.raises(ReadOnlyError):
        run.go(executor, events)
    assert ended(events) == []


def test_a_listener_that_fails_stops_the_run_and_not_the_program(
    run: Any, executor: Executor
) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, BlockDone):
            raise KeyError("a bug in the listener")

    with pytest.raises(KeyError, match="a bug"):
        run.go(executor, on_event=on_event)
    with run.log() as log:
        assert len(log.states) == 1


def test_what_was_written_is_there_before_it_is_announced(
    run: Any, voxels: np.ndarray, executor: Executor
) -> None:
    reader = predictions.PredictionStore.open(run.store.path)
    seen: list[Block] = []

    def on_event(event: Event) -> None:
        if isinstance(event, BlockDone):
            box = event.write_box
            now = reader.read_labels(box)
            np.testing.assert_array_equal(now, voxels[box.slices] + 1)
            seen.append(GRID[event.index])

    run.go(executor, on_event=on_event, indices=range(7))
    assert len(seen) == 7
