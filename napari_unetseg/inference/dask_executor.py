"""Blocks taken by the workers of a dask cluster, on one machine or on many.

::

    driver                         scheduler            worker (any number)
    a few blocks per worker  ────▶  who is free? ────▶  read · predict · write
    log, events, next block  ◀────  small results ◀───  finest level only

What travels is small: paths, boxes, how a block ended. Voxels are read and written
where the block is predicted, so that driver and scheduler need the same memory for a
hundred blocks and for a million. Only the driver writes the log.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from napari_unetseg.errors import ClusterError, UnetsegError, WorkersDiedError
from napari_unetseg.geometry import Block
from napari_unetseg.inference.executors import (
    OpenSteps,
    Progress,
    Result,
    Started,
    Steps,
    take_block,
)

if TYPE_CHECKING:
    from distributed import Client, Future

BLOCKS_PER_WORKER = 2
"""One is predicted while the next is read, or the last is written."""

SUBMITTED_TOGETHER = 32
"""The scheduler remembers half a kilobyte of each submission, as long as it runs."""

COUNT_WORKERS_EVERY_S = 5.0

_POLL_S = 0.1


class DaskExecutor:
    """Hands out blocks to the workers of a dask cluster, a few at a time.

    Parameters
    ----------
    client
        Connected to the scheduler.
    resources
        What a block needs of its worker, such as ``{"GPU": 1}``.
    """

    def __init__(
        self, client: Client, resources: Mapping[str, float] | None = None
    ) -> None:
        self.client = client
        self.resources = dict(resources or {})

    def run(
        self,
        blocks: Iterable[Block],
        open_steps: OpenSteps,
        is_cancelled: Callable[[], bool],
    ) -> Generator[Progress, None, None]:
        """Yield a ``Started`` and a ``Result`` per block.

        A worker that dies is replaced by others; a block that takes several workers
        down with it has failed.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or a worker cannot open what it needs.
        """
        run = _Run(self, _dumped(open_steps))
        try:
            for progress in run.all_of(blocks, is_cancelled):
                if isinstance(progress, Result) and run.is_suspect(progress):
                    continue
                yield progress
            # Which of a worker's blocks took it down shows when each is alone.
            while run.suspects and not is_cancelled():
                alone = run.suspects.popleft()
                for progress in run.all_of([alone], is_cancelled):
                    if isinstance(progress, Result):
                        yield progress
        finally:
            run.drop()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns on one of the workers.

        Raises
        ------
        ClusterError
            If the worker is lost.
        """
        future = self.client.submit(
            function, *arguments, pure=False, resources=self.resources or None
        )
        return _outcome(future)


@dataclass
class _Counted:
    """How many workers there are, asked for now and then."""

    n: int = 1
    at: float = -COUNT_WORKERS_EVERY_S


class _Run:
    """The blocks of one run that are under way."""

    def __init__(self, executor: DaskExecutor, payload: bytes) -> None:
        self._executor, self._payload = executor, payload
        self._blocks: dict[Future[Any], Block] = {}
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._workers = _Counted()
        self.suspects: deque[Block] = deque()

    @property
    def room(self) -> int:
        """How many blocks are to be submitted now: none, or some together."""
        now = time.monotonic()
        if now - self._workers.at > COUNT_WORKERS_EVERY_S:
            n = len(self._executor.client.nthreads())
            self._workers = _Counted(max(1, n), now)
        busy = BLOCKS_PER_WORKER * self._workers.n
        room = busy + SUBMITTED_TOGETHER - len(self._blocks)
        return room if room >= SUBMITTED_TOGETHER else 0

    def all_of(
        self, blocks: Iterable[Block], is_cancelled: Callable[[], bool]
    ) -> Iterator[Progress]:
        """Yield a ``Started`` and a ``Result`` per block, until somebody cancels."""
        todo = iter(blocks)
        while not is_cancelled():
            for block in self.submit(list(islice(todo, self.room))):
                if is_cancelled():
                    return
                yield Started(block)
            if not self._blocks:
                return
            if (result := self.next_result()) is not None:
                yield result

    def is_suspect(self, result: Result) -> bool:
        """Whether workers died that had this block, if perhaps not because of it."""
        died = isinstance(result.error, WorkersDiedError)
        if died:
            self.suspects.append(result.block)
        return died

    def submit(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """Hand out blocks, and return them."""
        if blocks:
            futures = self._executor.client.map(
                partial(_take, self._payload),
                blocks,
                pure=False,
                resources=self._executor.resources or None,
            )
            for future, block in zip(futures, blocks, strict=True):
                self._blocks[future] = block
                future.add_done_callback(self._ended.put)
        return blocks

    def next_result(self) -> Result | None:
        """Return how a block ended; None if none did for a moment."""
        try:
            future = self._ended.get(timeout=_POLL_S)
        except queue.Empty:
            return None
        block = self._blocks.pop(future)
        try:
            result: Result = _outcome(future)
        except WorkersDiedError as error:
            return Result(block, error=error, reason=str(error))
        finally:
            future.release()
        return result

    def drop(self) -> None:
        """Forget what is still under way; its blocks are not done."""
        if self._blocks:
            self._executor.client.cancel(list(self._blocks))
            self._blocks.clear()


def _outcome(future: Future[Any]) -> Any:
    """Return the result of a future; what dask says becomes a sentence."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise WorkersDiedError(
            "The workers that tried this block died, most likely for want of memory",
            do="Allow less memory, or choose a smaller block.",
        ) from error
    except UnetsegError:
        raise
    except Exception as error:
        if future.status in ("cancelled", "lost"):
            raise ClusterError(
                "The scheduler of the cluster was lost",
                do="What was written is kept; the same command goes on from there.",
            ) from error
        raise ClusterError(
            f"A worker could not begin, {type(error).__name__}: {error}",
            do="Check that all workers see the project and the volume under the same "
            "paths and have the same versions installed.",
        ) from error


def _dumped(open_steps: OpenSteps) -> bytes:
    """Return the steps to be made as bytes: the same bytes, made once per worker."""
    from distributed.protocol.pickle import dumps

    content: bytes = dumps(open_steps)
    return content


# What follows runs in the processes of the workers.

_alone = threading.Lock()
_slots = threading.BoundedSemaphore(BLOCKS_PER_WORKER)
_opening = threading.Lock()
_opened: dict[bytes, Steps] = {}


def _take(payload: bytes, block: Block) -> Result:
    """Take a block; a worker with many threads does not take more than fit."""
    with _slots:
        return take_block(_steps(payload), block, _alone)


def _steps(payload: bytes) -> Steps:
    """Return the steps of a run, made when its first block comes."""
    with _opening:
        if payload not in _opened:
            from distributed.protocol.pickle import loads

            _opened.clear()  # networks of earlier runs
            _opened[payload] = loads(payload)()
        return _opened[payload]
