"""How large a block may be: computed before the run, not found out by crashing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.geometry import BlockGrid, Zyx, zyx

# A block of about so many read voxels takes a second or two on two cores: small enough
# that the window fills while one looks, large enough that the halo does not dominate.
COMFORTABLE_READ = 2**21
FALLBACK_BYTES = 2 * 2**30
MAX_CHUNK = (32, 64, 64)


def available_bytes() -> int:
    """Return the memory that is free now, as far as the system says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return values["MemAvailable"] * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pages = getattr(os, "sysconf", lambda _: 0)("SC_PHYS_PAGES")
        return pages * 4096 // 2 or FALLBACK_BYTES


def output_chunk(shape: Zyx, stride: Zyx) -> Zyx:
    """Return the chunk of the prediction: whole strides, not larger than needed.

    Its sides are powers of two times the stride, so that coarser levels of a pyramid
    divide it evenly.
    """
    chunk = []
    for n, s, most in zip(shape, stride, MAX_CHUNK, strict=True):
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
) -> BlockGrid:
    """Return the grid with the largest block of whole chunks that fits.

    Parameters
    ----------
    shape, chunk, halo, stride
        Of the volume, of the output, and of the network; zyx.
    bytes_for
        Peak memory of predicting a read box of this shape.
    memory_bytes
        What may be used.
    wanted
        A block that somebody chose; rounded up to whole chunks.

    Raises
    ------
    MemoryBudgetError
        If not even one chunk fits; with both numbers.
    """
    if wanted is not None:
        block = zyx(-(-w // c) * c for w, c in zip(wanted, chunk, strict=True))
        _check(bytes_for(_read_shape(block, halo, stride, shape)), memory_bytes)
        return BlockGrid(shape, block, halo, stride)
    best = chunk
    need = bytes_for(_read_shape(chunk, halo, stride, shape))
    _check(need, memory_bytes)
    for block in _larger(chunk, shape):
        read = _read_shape(block, halo, stride, shape)
        too_long = read[0] * read[1] * read[2] > COMFORTABLE_READ
        if too_long or bytes_for(read) > memory_bytes:
            break
        best = block
    return BlockGrid(shape, best, halo, stride)


def _larger(chunk: Zyx, shape: Zyx) -> Iterator[Zyx]:
    """Yield ever larger blocks: the axis with the shortest block is doubled first."""
    block = list(chunk)
    while True:
        open_axes = [a for a in range(3) if block[a] < shape[a]]
        if not open_axes:
            return
        axis = min(open_axes, key=lambda a: (block[a], -a))
        block[axis] *= 2
        yield zyx(block)


def _read_shape(block: Zyx, halo: Zyx, stride: Zyx, shape: Zyx) -> Zyx:
    return zyx(
        min(-(-n // s) * s, b + 2 * (-(-h // s) * s))
        for n, b, h, s in zip(shape, block, halo, stride, strict=True)
    )


def _check(need: int, allowed: int) -> None:
    if need > allowed:
        raise MemoryBudgetError(
            "Predicting one block needs more memory than is allowed",
            got=f"{allowed / 1e9:.2f} GB",
            expected=f"at least {need / 1e9:.2f} GB",
            do="Allow more memory, close other programs, or choose a smaller model.",
        )
