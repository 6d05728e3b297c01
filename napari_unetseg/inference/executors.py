"""How the steps of many blocks are laid out in time; what comes out is the same.

::

    serial     read 1 · predict 1 · write 1 · read 2 · predict 2 · write 2 · …
    pipeline   read 1 · read 2    · read 3  · …
                      · predict 1 · predict 2 · …
                                  · write 1   · write 2 · …
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar

from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Block

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

BLOCKS_WAITING = 1
"""Blocks between two threads of the pipeline."""

BLOCKS_READ_AHEAD = BLOCKS_WAITING + 1
BLOCKS_TO_WRITE = BLOCKS_WAITING + 2

ATTEMPTS = 3
"""Reading and writing are tried so often: shares and stores on the network falter."""

PAUSE_S = 0.2
"""Before the second attempt; four times as long before each further one."""


@dataclass(frozen=True)
class Steps:
    """The three steps of a block; each may raise.

    Attributes
    ----------
    read
        Returns what ``predict`` takes, or None for an empty block.
    predict
        Returns what ``write`` takes.
    remark
        Returns what is worth to be noted of that.
    """

    read: Callable[[Block], Any]
    predict: Callable[[Any, Block], Any]
    write: Callable[[Block, Any], None]
    remark: Callable[[Any], str] = field(default=lambda _made: "")


OpenSteps: TypeAlias = Callable[[], Steps]
"""Makes the steps, in the process that takes them: what is opened stays there."""


@dataclass(frozen=True)
class Started:
    """The network begins with a block."""

    block: Block


@dataclass(frozen=True)
class Result:
    """How a block ended: failed, empty, or with its voxels on disk.

    Attributes
    ----------
    error
        Of a failed block.
    reason
        Why it failed, a sentence; of others a remark.
    seconds
        Spent in the three steps.
    """

    block: Block
    empty: bool = False
    error: Exception | None = None
    reason: str = ""
    seconds: float = 0.0


Progress: TypeAlias = Started | Result


class Executor(Protocol):
    """Whatever takes blocks through the three steps."""

    def run(
        self,
        blocks: Iterable[Block],
        open_steps: OpenSteps,
        is_cancelled: Callable[[], bool],
    ) -> Generator[Progress, None, None]:
        """Yield a ``Started`` and a ``Result`` per block; none begins after a cancel.

        Whoever stops before the end closes the iterator.
        """
        ...


class SerialExecutor:
    """One block after another, in the calling thread."""

    def run(
        self,
        blocks: Iterable[Block],
        open_steps: OpenSteps,
        is_cancelled: Callable[[], bool],
    ) -> Generator[Progress, None, None]:
        """Yield a ``Started`` and a ``Result`` per block."""
        steps = open_steps()
        for block in blocks:
            if is_cancelled():
                return
            yield Started(block)
            yield take_block(steps, block)


class PipelineExecutor:
    """Reading, predicting and writing each go on in a thread of their own.

    What happened is yielded in the calling thread, as soon as it did.
    """

    def run(
        self,
        blocks: Iterable[Block],
        open_steps: OpenSteps,
        is_cancelled: Callable[[], bool],
    ) -> Generator[Progress, None, None]:
        """Yield a ``Started`` and a ``Result`` per block."""
        yield from _Pipeline(blocks, open_steps(), is_cancelled).run()


def take_block(
    steps: Steps, block: Block, alone: AbstractContextManager[Any] | None = None
) -> Result:
    """Take a block through all steps; whatever fails is in the result.

    Parameters
    ----------
    alone
        Entered around the second step, for those that must not overlap.
    """
    item = _read(steps, block)
    with alone or nullcontext():
        item = _predict(steps, item)
    return _write(steps, item)


@dataclass(frozen=True)
class _Item:
    """A block on its way, with what the last step made of it."""

    result: Result
    content: Any = None

    @property
    def goes_on(self) -> bool:
        return self.result.error is None and not self.result.empty


_Inbox: TypeAlias = "queue.Queue[_Item | None]"


class _Pipeline:
    """The threads of one run, and the queues between them; None ends a queue."""

    def __init__(
        self, blocks: Iterable[Block], steps: Steps, is_cancelled: Callable[[], bool]
    ) -> None:
        self._blocks, self._steps, self._is_cancelled = blocks, steps, is_cancelled
        self._to_predict: _Inbox = queue.Queue(BLOCKS_WAITING)
        self._to_write: _Inbox = queue.Queue(BLOCKS_WAITING)
        self._out: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._fault: BaseException | None = None

    def run(self) -> Iterator[Progress]:
        threads = [
            self._thread("read", self._read_all, None, self._to_predict.put),
            self._thread(
                "predict", self._predict_all, self._to_predict, self._to_write.put
            ),
            self._thread("write", self._write_all, self._to_write, self._out.put),
        ]
        for thread in threads:
            thread.start()
        try:
            while (progress := self._out.get()) is not None:
                yield progress
        finally:
            # Each stage takes what it gets until its queue ends, so that all come to
            # an end by themselves, at most one block later.
            self._stop.set()
            for thread in threads:
                thread.join()
        if self._fault is not None:
            raise self._fault

    def _thread(
        self,
        name: str,
        stage: Callable[[], None],
        inbox: _Inbox | None,
        end: Callable[[None], None],
    ) -> threading.Thread:
        """Return a thread that, whatever happens in it, lets its neighbours end."""

        def guarded() -> None:
            try:
                stage()
            except BaseException as fault:  # noqa: BLE001 (raised by the calling thread)
                self._fault = fault
                self._stop.set()
                if inbox is not None:
                    while inbox.get() is not None:
                        continue
            finally:
                end(None)

        return threading.Thread(target=guarded, name=f"unetseg-{name}")

    @property
    def _is_stopped(self) -> bool:
        return self._stop.is_set() or self._is_cancelled()

    def _read_all(self) -> None:
        for block in self._blocks:
            if self._is_stopped:
                return
            self._to_predict.put(_read(self._steps, block))

    def _predict_all(self) -> None:
        while (item := self._to_predict.get()) is not None:
            if not self._is_stopped:
                self._out.put(Started(item.result.block))
                self._to_write.put(_predict(self._steps, item))

    def _write_all(self) -> None:
        while (item := self._to_write.get()) is not None:
            self._out.put(_write(self._steps, item))


def _read(steps: Steps, block: Block) -> _Item:
    started = time.monotonic()
    try:
        content = _tried(steps.read, block)
    except Exception as error:  # noqa: BLE001 (one bad block must not end the run)
        return _failed(Result(block), error, "Reading the voxels", started)
    return _Item(_timed(Result(block, empty=content is None), started), content)


def _predict(steps: Steps, item: _Item) -> _Item:
    if not item.goes_on:
        return item
    started = time.monotonic()
    try:
        prediction = steps.predict(item.content, item.result.block)
    except Exception as error:  # noqa: BLE001 (as above)
        return _failed(item.result, error, "Predicting", started)
    result = replace(item.result, reason=steps.remark(prediction))
    return _Item(_timed(result, started), prediction)


def _write(steps: Steps, item: _Item) -> Result:
    if not item.goes_on:
        return item.result
    started = time.monotonic()
    try:
        _tried(steps.write, item.result.block, item.content)
    except Exception as error:  # noqa: BLE001 (as above)
        return _failed(item.result, error, "Writing the prediction", started).result
    return _timed(item.result, started)


def _tried(step: Callable[..., T], *arguments: Any) -> T:
    """Return what a step returns, after a few attempts if need be.

    A fault that is explained will not go away by itself; others may.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return step(*arguments)
        except (UnetsegError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 (of any library that stores voxels)
            _LOG.info("tried again after %s: %s", type(error).__name__, error)
            time.sleep(PAUSE_S * 4**attempt)
    return step(*arguments)


def _timed(result: Result, started: float) -> Result:
    return replace(result, seconds=result.seconds + time.monotonic() - started)


def _failed(result: Result, error: Exception, doing: str, started: float) -> _Item:
    reason = str(error)
    if not isinstance(error, UnetsegError):
        reason = f"{doing} failed, {type(error).__name__}: {reason or 'no details'}."
    return _Item(replace(_timed(result, started), error=error, reason=reason))
