"""Work that is done block by block, and whoever takes the blocks.

::

    block ──▶ read ──▶ take ──▶ write        by one_by_one here, by threads or by the
                                             workers of a cluster above (inference/)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias

from napari_unetseg.geometry import Block


class BlockWork(Protocol):
    """The three steps of a block; no block needs what another one has written."""

    def read(self, block: Block) -> Any:
        """Return what ``take`` takes."""
        ...

    def take(self, content: Any, block: Block) -> Any:
        """Return what ``write`` takes."""
        ...

    def write(self, block: Block, result: Any) -> None:
        """Put the result on disk."""
        ...


OpenWork: TypeAlias = Callable[[], BlockWork]
"""Opens what the work needs, in the process that does it; can be pickled."""


class Engine(Protocol):
    """Whatever takes blocks through the steps."""

    def __call__(self, blocks: Iterable[Block], open_work: OpenWork) -> Iterator[Block]:
        """Yield each block when it is on disk, in any order.

        Raises
        ------
        Exception
            What went wrong with the first block that could not be done.
        """
        ...


def one_by_one(blocks: Iterable[Block], open_work: OpenWork) -> Iterator[Block]:
    """Yield each block when it is on disk; an engine of the calling thread."""
    work = open_work()
    for block in blocks:
        work.write(block, work.take(work.read(block), block))
        yield block
