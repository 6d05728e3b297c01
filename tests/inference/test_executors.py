from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.errors import MissingChunkError
from napari_unetseg.events import never_cancelled
from napari_unetseg.geometry import Block, BlockGrid
from napari_unetseg.inference.executors import (
    BLOCKS_READ_AHEAD,
    Executor,
    PipelineExecutor,
    Result,
    SerialExecutor,
    Started,
    Steps,
)

BLOCKS = list(BlockGrid((1, 1, 12), (1, 1, 1)))
NOTHING = BlockPrediction(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1, 1), "u1"))


class Trace:
    """Steps that note what happened, in which order and in which thread."""

    def __init__(self, **faults: dict[int, BaseException | None]) -> None:
        self.did: list[tuple[str, int]] = []
        self.threads: dict[str, set[str]] = {"read": set(), "predict": set(),
                                             "write": set()}  # fmt: skip
        self._faults = faults

    def _do(self, step: str, block: Block) -> None:
        self.did.append((step, block.index))
        self.threads[step].add(threading.current_thread().name)
        fault = self._faults.get(step, {}).get(block.index)
        if fault is not None:
            raise fault

    def read(self, block: Block) -> Any:
        self._do("read", block)
        return None if block.index in self._faults.get("empty", {}) else block.index

    def predict(self, content: Any, block: Block) -> BlockPrediction:
        assert content == block.index
        self._do("predict", block)
        return NOTHING

    def write(self, block: Block, prediction: BlockPrediction) -> None:
        assert prediction is NOTHING
        self._do("write", block)

    @property
    def steps(self) -> Steps:
        return Steps(self.read, self.predict, self.write)

    def done(self, step: str) -> list[int]:
        return [index for name, index in self.did if name == step]


def results(run: Iterator[Any]) -> list[Result]:
    return [progress for progress in run if isinstance(progress, Result)]


def test_every_block_goes_through_all_steps_in_order(executor: Executor) -> None:
    trace = Trace()
    ended = results(executor.run(BLOCKS, lambda: trace.steps, never_cancelled))
    every = list(range(12))
    assert [result.block.index for result in ended] == every
    assert trace.done("read") == trace.done("predict") == trace.done("write") == every
    assert not any(result.error or result.empty for result in ended)


def test_a_block_is_begun_before_it_ends(executor: Executor) -> None:
    progress = list(executor.run(BLOCKS, lambda: Trace().steps, never_cancelled))
    assert len(progress) == 24
    for block in BLOCKS:
        kinds = [type(p) for p in progress if p.block == block]
        assert kinds == [Started, Result]


def test_a_failing_step_ends_its_block_only(executor: Executor) -> None:
    trace = Trace(
        read={1: MissingChunkError("A chunk is lost", do="Restore it.")},
        predict={2: ValueError("odd")},
        write={3: OSError()},
        empty={4: None},
    )
    ended = results(executor.run(BLOCKS, lambda: trace.steps, never_cancelled))
    assert len(ended) == 12
    assert {r.block.index: r.reason for r in ended if r.error is not None} == {
        1: "A chunk is lost. Restore it.",
        2: "Predicting failed, ValueError: odd.",
        3: "Writing the prediction failed, OSError: no details.",
    }
    assert [r.block.index for r in ended if r.empty] == [4]
    assert {1, 4}.isdisjoint(trace.done("predict"))
    assert {1, 2, 4}.isdisjoint(trace.done("write"))


def test_the_steps_of_a_pipeline_have_threads_of_their_own() -> None:
    trace = Trace()
    list(PipelineExecutor().run(BLOCKS, lambda: trace.steps, never_cancelled))
    assert trace.threads == {
        "read": {"unetseg-read"},
        "predict": {"unetseg-predict"},
        "write": {"unetseg-write"},
    }


def test_a_pipeline_reads_on_while_the_network_computes() -> None:
    trace = Trace()
    both = threading.Event()

    def read(block: Block) -> Any:
        if block.index == 1:
            both.set()
        return trace.read(block)

    def predict(content: Any, block: Block) -> BlockPrediction:
        assert both.wait(timeout=30)  # would never end if reading had to wait
        return trace.predict(content, block)

    steps = Steps(read, predict, trace.write)
    assert (
        len(results(PipelineExecutor().run(BLOCKS, lambda: steps, never_cancelled)))
        == 12
    )


def test_a_pipeline_never_reads_far_ahead() -> None:
    trace = Trace()
    ahead: list[int] = []

    def read(block: Block) -> Any:
        content = trace.read(block)
        ahead.append(len(trace.done("read")) - len(trace.done("predict")))
        return content

    steps = Steps(read, trace.predict, trace.write)
    list(PipelineExecutor().run(BLOCKS, lambda: steps, never_cancelled))
    # One more is being handed over between two threads.
    assert max(ahead) <= BLOCKS_READ_AHEAD + 1


def test_no_block_is_begun_after_a_cancel(executor: Executor) -> None:
    trace = Trace()
    ended = results(
        executor.run(
            BLOCKS, lambda: trace.steps, lambda: len(trace.done("predict")) >= 3
        )
    )
    # What the network had finished is written, and nothing is left in the middle.
    assert trace.done("predict") == trace.done("write") == [0, 1, 2]
    assert [result.block.index for result in ended] == [0, 1, 2]


def test_closing_a_run_ends_its_threads(executor: Executor) -> None:
    run = executor.run(BLOCKS, lambda: Trace().steps, never_cancelled)
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("unetseg-")]


@pytest.mark.parametrize("step", ["read", "predict", "write"])
def test_a_fault_of_the_program_is_raised_and_leaves_no_thread(step: str) -> None:
    trace = Trace(**{step: {5: KeyboardInterrupt()}})
    for made in (SerialExecutor(), PipelineExecutor()):
        with pytest.raises(KeyboardInterrupt):
            list(made.run(BLOCKS, lambda: trace.steps, never_cancelled))
        assert not [t for t in threading.enumerate() if t.name.startswith("unetseg-")]


def test_a_flag_that_fails_is_raised(executor: Executor) -> None:
    def is_cancelled() -> bool:
        raise LookupError("no flag")

    with pytest.raises(LookupError, match="no flag"):
        list(executor.run(BLOCKS, lambda: Trace().steps, is_cancelled))


def test_a_share_that_falters_is_tried_again(executor: Executor) -> None:
    trace = Trace()
    tries = {"read": 0, "write": 0}

    def falters(step: str, block: Block) -> None:
        if block.index == 4:
            tries[step] += 1
            if tries[step] <= 2:
                raise ConnectionResetError("the share is away")

    def read(block: Block) -> Any:
        falters("read", block)
        return trace.read(block)

    def write(block: Block, prediction: BlockPrediction) -> None:
        falters("write", block)
        trace.write(block, prediction)

    steps = Steps(read, trace.predict, write)
    ended = results(executor.run(BLOCKS, lambda: steps, never_cancelled))
    assert not any(result.error for result in ended)
    assert tries == {"read": 3, "write": 3}
    assert trace.done("write") == list(range(12))


def test_what_is_explained_is_not_tried_again(executor: Executor) -> None:
    tries: list[int] = []

    def read(block: Block) -> Any:
        tries.append(block.index)
        raise MissingChunkError("A chunk is lost")

    steps = Steps(read, Trace().predict, Trace().write)
    ended = results(executor.run(BLOCKS[:3], lambda: steps, never_cancelled))
    assert all(isinstance(r.error, MissingChunkError) for r in ended)
    assert tries == [0, 1, 2]
