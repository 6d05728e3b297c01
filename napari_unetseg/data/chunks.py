"""Chunks on disk: which there are, without ever listing them, and what was torn."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import zarr
from zarr.core.sync import sync

from napari_unetseg.geometry import Box, zyx

ChunkIndex: TypeAlias = tuple[int, ...]


def chunk_indices(
    array: zarr.Array[Any], axes: str, box: Box, time_point: int
) -> list[ChunkIndex]:
    """Return the files, as indices over the axes on disk, that a box is spread over.

    Parameters
    ----------
    array
        As stored, with ``axes`` such as ``tczyx``.
    box
        In voxels of the array; all channels of one time point count.
    """
    sizes = dict(zip(axes, file_shape(array), strict=True))
    lengths = dict(zip(axes, array.shape, strict=True))
    spans = dict(zip("zyx", zip(box.start, box.stop, strict=True), strict=True))
    spans |= {"t": (time_point, time_point + 1), "c": (0, lengths.get("c", 1))}
    ranges = []
    for axis in axes:
        (start, stop), size = spans[axis], sizes[axis]
        ranges.append(range(start // size, -(-stop // size)))
    return list(itertools.product(*ranges))


def chunk_box(array: zarr.Array[Any], axes: str, index: ChunkIndex) -> Box:
    """Return the voxels that a file holds, zyx, cut at the end of the array."""
    sizes = dict(zip(axes, file_shape(array), strict=True))
    where = dict(zip(axes, index, strict=True))
    start = zyx(where.get(a, 0) * sizes.get(a, 1) for a in "zyx")
    stop = zyx(s + sizes.get(a, 1) for s, a in zip(start, "zyx", strict=True))
    lengths = dict(zip(axes, array.shape, strict=True))
    return Box(start, stop).clipped([lengths.get(a, 1) for a in "zyx"])


def chunk_channels(array: zarr.Array[Any], axes: str, index: ChunkIndex) -> slice:
    """Return the channels that a file holds; all of them without such an axis."""
    if "c" not in axes:
        return slice(None)
    at = axes.index("c")
    size = file_shape(array)[at]
    return slice(index[at] * size, (index[at] + 1) * size)


def absent_chunks(
    array: zarr.Array[Any], indices: Iterable[ChunkIndex]
) -> list[ChunkIndex]:
    """Return those of the files that are not there, asked for all at once."""
    wanted = list(indices)
    paths = [array.store_path / array.metadata.encode_chunk_key(i) for i in wanted]

    async def look() -> list[bool]:
        return await asyncio.gather(*(path.exists() for path in paths))

    found = sync(look())
    return [i for i, is_there in zip(wanted, found, strict=True) if not is_there]


def holds_any_chunk(array: zarr.Array[Any]) -> bool:
    """Whether anything was written, judged by corners and middles of the array."""
    grid = [-(-n // c) for n, c in zip(array.shape, file_shape(array), strict=True)]
    probes = set(itertools.product(*({0, n // 2, n - 1} for n in grid)))
    return len(absent_chunks(array, probes)) < len(probes)


def file_shape(array: zarr.Array[Any]) -> Sequence[int]:
    """Return what one file holds: a shard if there are any, else a chunk."""
    return array.shards or array.chunks


def sweep_partial(folder: Path) -> int:
    """Remove chunks that a killed process had not finished; return how many.

    zarr writes beside the chunk and renames, so that none of them is in use.
    """
    n_removed = 0
    for path in folder.rglob("*.partial"):
        if path.is_file():
            path.unlink(missing_ok=True)
            n_removed += 1
    return n_removed
