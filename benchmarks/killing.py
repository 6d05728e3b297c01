"""Let a child process work, kill it at a random moment, and keep what it said."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

READY = "ready"
Child = Callable[[str, Path, Any, int], None]


def killed(
    context: ForkServerContext,
    child: Child,
    kind: str,
    folder: Path,
    seed: int,
    *,
    longest_s: float = 0.8,
) -> list[list[str]]:
    """Let a child work, kill the process, and return the words of what it told.

    Parameters
    ----------
    child
        Called with kind, folder, a pipe to tell into and the seed; it says "ready"
        when it begins, and a line for all that is done.
    longest_s
        It is killed at the latest so long after that.
    """
    randomness = random.Random(seed)
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(kind, folder, writing, seed))
    process.start()
    writing.close()
    told = b""
    if randomness.random() < 0.9:  # else it is killed while it opens the project
        told += _read_until(
            reading.fileno(), time.perf_counter() + 60, f"{READY}\n".encode()
        )
    moment = time.perf_counter() + randomness.uniform(0.01, longest_s)
    told += _read_until(reading.fileno(), moment)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    told += _read_until(reading.fileno(), time.perf_counter() + 60)
    process.join()
    assert process.exitcode == -signal.SIGKILL, process.exitcode
    reading.close()
    return [line.split() for line in told.decode().splitlines() if line != READY]


def tell(pipe: int, line: str) -> None:
    """Say something from the child; lines this short are never torn."""
    os.write(pipe, f"{line}\n".encode())


def _read_until(pipe: int, moment: float, word: bytes | None = None) -> bytes:
    """Read a pipe until a moment, its end, or a word."""
    told = b""
    while (left := moment - time.perf_counter()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 2**16)
            told += part
            if not part or (word is not None and told.endswith(word)):
                break
    return told
