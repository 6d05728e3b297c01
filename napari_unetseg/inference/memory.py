"""How large a block may be: computed before the run, not found out by crashing."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

COMFORTABLE_READ = 64 * 192 * 192
"""Voxels of a read box that are predicted in a second or two by any machine."""

COMFORTABLE_S = 1.5
"""Seconds of a pass over a read box: the window fills while one looks."""

LARGEST_READ = 96 * 256 * 256
"""Voxels of a read box where a wide halo would waste much of a smaller one."""

LARGEST_S = 4 * COMFORTABLE_S
"""Seconds of a pass over such a box."""

WORTH_WAITING = 1.25
"""Larger blocks than comfortable must make the whole so many times as fast."""

FALLBACK_BYTES = 2 * 2**30
MAX_CHUNK = (32, 64, 64)
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Return the memory that is free now, as far as system and container say."""
    return int(min(_free_bytes(), _left_in_container()))


def resident_bytes() -> int:
    """Return the memory that this process has already; 0 where nobody says it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return values["MemAvailable"] * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:  # what is free is not told everywhere: half of what there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return FALLBACK_BYTES


def _left_in_container() -> float:
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        return max(0, limit - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return math.inf


def output_chunk(shape: Zyx, stride: Zyx, block: Zyx | None = None) -> Zyx:
    """Return the chunk of the prediction: whole strides, not larger than needed.

    Its sides are powers of two times the stride, so that coarser levels of a pyramid
    divide it evenly.

    Parameters
    ----------
    shape, stride
        Of the volume and of the network, zyx.
    block
        One that somebody chose; chunks are not larger.
    """
    chunk = []
    needed = shape if block is None else Box.whole(block).clipped(shape).shape
    for n, s, most in zip(needed, stride, MAX_CHUNK, strict=True):
        size = s
        while size * 2 <= most and size < n:
            size *= 2
        chunk.append(size)
    return zyx(chunk)


def plan_grid(
    shape: Zyx,
    *,
    chunk: Zyx,
    halo: Zyx,
    stride: Zyx,
    bytes_for: Callable[[Zyx], int],
    memory_bytes: int,
    wanted: Zyx | None = None,
    mvoxel_per_s: float = 0.0,
) -> BlockGrid:
    """Return the grid with the block of whole chunks that wastes least on its halo.

    Parameters
    ----------
    shape, chunk, halo, stride
        Of the volume, of the output, and of the network; zyx.
    bytes_for
        Peak memory of a run whose blocks are read from boxes of this shape.
    memory_bytes
        What may be used.
    wanted
        A block that somebody chose; rounded up to whole chunks.
    mvoxel_per_s
        Of one pass of the network; blocks are larger where it is fast.

    Raises
    ------
    MemoryBudgetError
        If not even one chunk, or not the block that was chosen, fits; with both
        numbers.
    """

    def grid(block: Zyx) -> BlockGrid:
        return BlockGrid(shape, block, halo, stride)

    if wanted is not None:
        within = (min(w, n) for w, n in zip(wanted, shape, strict=True))
        chosen = grid(zyx(-(-w // c) * c for w, c in zip(within, chunk, strict=True)))
        check_fits_memory(chosen, bytes_for, memory_bytes)
        return chosen
    smallest = grid(chunk)
    check_fits_memory(smallest, bytes_for, memory_bytes)

    def best(limit: int) -> BlockGrid:
        fitting = (
            candidate
            for candidate in map(grid, _candidates(shape, chunk, limit))
            if math.prod(largest_read(candidate)) <= limit
            and bytes_for(largest_read(candidate)) <= memory_bytes
        )
        return max(fitting, key=_worth, default=smallest)

    comfortable, large = map(best, read_limits(mvoxel_per_s))
    is_worth_it = _worth(large) >= WORTH_WAITING * _worth(comfortable)
    return large if is_worth_it else comfortable


def read_limits(mvoxel_per_s: float) -> tuple[int, int]:
    """Return the most voxels of a read box: comfortable, and with wide halos."""
    per_s = int(1e6 * mvoxel_per_s)
    return (
        max(COMFORTABLE_READ, int(COMFORTABLE_S * per_s)),
        max(LARGEST_READ, int(LARGEST_S * per_s)),
    )


def largest_read(grid: BlockGrid) -> Zyx:
    """Return the shape of the largest read box of a grid."""
    return zyx(
        min(-(-n // s) * s, b + 2 * (-(-h // s) * s))
        for n, b, h, s in zip(
            grid.shape, grid.block, grid.halo, grid.stride, strict=True
        )
    )


def check_fits_memory(
    grid: BlockGrid, bytes_for: Callable[[Zyx], int], memory_bytes: int
) -> None:
    """Refuse a grid whose blocks need more memory than is allowed.

    Raises
    ------
    MemoryBudgetError
        With both numbers.
    """
    need = bytes_for(largest_read(grid))
    if need > memory_bytes:
        raise MemoryBudgetError(
            f"Predicting a block of {' × '.join(map(str, grid.block))} voxels needs "
            "more memory than is allowed",
            got=f"{memory_bytes / 1e9:.2f} GB",
            expected=f"at least {need / 1e9:.2f} GB",
            do="Allow more memory, close other programs, or choose a smaller block or "
            "model.",
        )


def _candidates(shape: Zyx, chunk: Zyx, limit: int) -> Iterator[Zyx]:
    """Yield blocks of whole chunks, at most ``limit`` voxels of them in the volume."""
    counts = (range(1, -(-n // c) + 1) for n, c in zip(shape, chunk, strict=True))
    z_counts, y_counts, x_counts = counts
    for z, y in itertools.product(z_counts, y_counts):
        plane = min(z * chunk[0], shape[0]) * min(y * chunk[1], shape[1])
        if plane * min(chunk[2], shape[2]) > limit:
            continue
        for x in x_counts:
            if plane * min(x * chunk[2], shape[2]) > limit:
                break
            yield (z * chunk[0], y * chunk[1], x * chunk[2])


def _worth(grid: BlockGrid) -> float:
    """Return which part of what is read is kept."""
    kept = (min(b, n) for b, n in zip(grid.block, grid.shape, strict=True))
    read = (min(r, n) for r, n in zip(largest_read(grid), grid.shape, strict=True))
    return math.prod(kept) / math.prod(read)
