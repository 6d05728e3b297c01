"""A dry run of very many blocks through the dask executor.

The predictor computes nothing, so that only the handing out is measured: tasks per
second, and the memory of driver and scheduler (here one process) as the blocks go by.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.config import PredictConfig
from napari_unetseg.events import never_cancelled
from napari_unetseg.geometry import Block, BlockGrid
from napari_unetseg.inference.dask_workers import dask_workers
from napari_unetseg.inference.executors import Result, Steps

SAMPLES = 20
SETTLED_AT = 100_000


def nothing_steps() -> Steps:
    """Return steps that do nothing; made in the worker."""
    return Steps(
        read=lambda block: block.index,
        predict=lambda content, _: content,
        write=lambda *_: None,
    )


def resident_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def dry_run(n_blocks: int) -> dict[str, Any]:
    """Hand out blocks that nobody computes."""
    grid = BlockGrid((n_blocks * 8, 8, 8), (8, 8, 8))
    blocks: Iterator[Block] = itertools.islice(grid, n_blocks)
    every = max(1, n_blocks // SAMPLES)
    memory, n_done = [], 0
    with dask_workers(PredictConfig(workers=2)) as workers:
        started = time.perf_counter()
        for progress in workers.executor.run(blocks, nothing_steps, never_cancelled):
            if isinstance(progress, Result):
                n_done += 1
                if n_done % every == 0:
                    memory.append(round(resident_mb(), 1))
                    print(f"{n_done:,} blocks, {memory[-1]} MB", flush=True)
        seconds = time.perf_counter() - started
    return {
        "blocks": n_done,
        "tasks_per_s": n_done / seconds,
        "driver_and_scheduler_mb": memory,
    }


def main() -> None:
    """Do the dry run."""
    arguments = parse_args(__doc__.splitlines()[0])
    figures = dry_run(20_000 if arguments.quick else 500_000)
    memory = figures["driver_and_scheduler_mb"]
    # dask remembers its last hundred thousand tasks: from there on it must be flat.
    settled = min(SETTLED_AT, figures["blocks"] // 5) * SAMPLES // figures["blocks"]
    growth = memory[-1] / memory[settled]
    write_report(
        arguments.json, figures, [Target("memory_growth_ratio", growth, "<=", 1.10)]
    )


if __name__ == "__main__":
    main()
