"""How the steps of many blocks are laid out in time; what comes out is the same.

::

    serial     read 1 · predict 1 · write 1 · read 2 · predict 2 · write 2 · …
    pipeline   read 1 · read 2    · read 3  · …
                      · predict 1 · predict 2 · …
                                  · write 1   · write 2 · …
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.geometry import Block

QUEUE_LENGTH = 2


@dataclass(frozen=True)
class Steps:
    """The three steps of a block; each may raise.

    Attributes
    ----------
    read
        Returns what ``predict`` takes, or None for an empty block.
    """

    read: Callable[[Block], Any]
    predict: Callable[[Any, Block], BlockPrediction]
    write: Callable[[Block, BlockPrediction], None]


@dataclass(frozen=True)
class Result:
    """How a block ended: with an error, empty, or with its voxels on disk."""

    block: Block
    empty: bool = False
    error: Exception | None = None
    seconds: float = 0.0


class Executor(Protocol):
    """Whatever takes blocks through the three steps."""

    def run(
        self,
        blocks: Iterable[Block],
        steps: Steps,
        on_start: Callable[[Block], None],
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Result]:
        """Yield one result per block; none is begun after a cancel."""
        ...


class SerialExecutor:
    """One block after another, in the calling thread."""

    def run(
        self,
        blocks: Iterable[Block],
        steps: Steps,
        on_start: Callable[[Block], None],
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Result]:
        """Yield one result per block."""
        for block in blocks:
            if is_cancelled():
                return
            on_start(block)
            started = time.monotonic()
            item = _read(steps, block)
            item = _predict(steps, block, item)
            yield _write(steps, block, item, started)


class PipelineExecutor:
    """Reading and writing go on in threads of their own while the network computes."""

    def run(
        self,
        blocks: Iterable[Block],
        steps: Steps,
        on_start: Callable[[Block], None],
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Result]:
        """Yield one result per block."""
        to_predict: queue.Queue[Any] = queue.Queue(QUEUE_LENGTH)
        to_write: queue.Queue[Any] = queue.Queue(QUEUE_LENGTH)
        results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        stop = threading.Event()

        def read_all() -> None:
            for block in blocks:
                if stop.is_set() or is_cancelled():
                    break
                to_predict.put((block, _read(steps, block)))
            to_predict.put(None)

        def write_all() -> None:
            while (entry := to_write.get()) is not None:
                block, item, started = entry
                results.put(_write(steps, block, item, started))
            results.put(None)

        threads = [
            threading.Thread(target=read_all, name="unetseg-read"),
            threading.Thread(target=write_all, name="unetseg-write"),
        ]
        for thread in threads:
            thread.start()
        try:
            while (entry := to_predict.get()) is not None:
                block, item = entry
                if is_cancelled():
                    continue  # let the reader come to its end
                on_start(block)
                started = time.monotonic()
                to_write.put((block, _predict(steps, block, item), started))
                while not results.empty():
                    if (result := results.get()) is not None:
                        yield result
            to_write.put(None)
            while (result := results.get()) is not None:
                yield result
        finally:
            stop.set()
            _drain(to_predict, threads[0])
            to_write.put(None)
            for thread in threads:
                thread.join()


def _drain(waiting: queue.Queue[Any], thread: threading.Thread) -> None:
    """Make room until the thread that fills a queue has ended."""
    while thread.is_alive():
        try:
            waiting.get(timeout=0.05)
        except queue.Empty:
            continue


def _read(steps: Steps, block: Block) -> Any:
    try:
        return steps.read(block)
    except Exception as error:  # noqa: BLE001 (one bad block must not end the run)
        return error


def _predict(steps: Steps, block: Block, item: Any) -> Any:
    if item is None or isinstance(item, Exception):
        return item
    try:
        return steps.predict(item, block)
    except Exception as error:  # noqa: BLE001 (as above)
        return error


def _write(steps: Steps, block: Block, item: Any, started: float) -> Result:
    error: Exception | None = item if isinstance(item, Exception) else None
    if item is not None and error is None:
        try:
            steps.write(block, item)
        except Exception as failed:  # noqa: BLE001 (as above)
            error = failed
    seconds = time.monotonic() - started
    return Result(block, empty=item is None, error=error, seconds=seconds)
