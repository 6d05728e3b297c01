"""A volume on disk: lazy, as many levels as it has, read box by box."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import zarr

from napari_unetseg.data.nodes import attributes_of, is_zarr, open_node
from napari_unetseg.data.ome_metadata import ImageInfo, Level, read_image
from napari_unetseg.errors import (
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VoxelValueError,
)
from napari_unetseg.geometry import Box, Zyx, zyx

__all__ = ["COMPLETE", "LazyLevel", "Volume", "is_zarr"]

COMPLETE = "unetseg_complete"
"""Attribute of images whose every chunk was written: an absent one is lost."""

Missing = Literal["fail", "fill"]


class Volume:
    """An image of ``(t) (c) z y x``, of which one time point is read.

    Opening reads metadata only, whatever the size. Volumes travel between processes
    as their address.
    """

    def __init__(self, uri: str, info: ImageInfo, time_point: int) -> None:
        self.uri = uri
        self.info = info
        self.time_point = time_point

    @classmethod
    def open(cls, uri: str | Path, *, time_point: int = 0) -> Self:
        """Open a zarr volume.

        Raises
        ------
        VolumeError
            If it is none; one sentence says why.
        """
        text = str(uri)
        if "://" not in text:
            path = Path(text).expanduser().resolve()
            if path.is_file():
                raise UnsupportedFormatError(
                    f"{path.name} is no zarr volume",
                    do="Convert it first: open it in the window, or use "
                    "napari-unetseg new.",
                )
            text = str(path)
        info = read_image(text)
        volume = cls(text, info, time_point)
        volume._check_time_point()
        return volume

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.uri, self.time_point)

    @property
    def name(self) -> str:
        """Name of the folder without its suffixes."""
        last = self.uri.rstrip("/").rsplit("/", 1)[-1]
        return last.removesuffix(".zarr").removesuffix(".ome")

    @property
    def shape(self) -> Zyx:
        """Shape of the finest level, zyx."""
        return self.levels[0].shape

    @property
    def levels(self) -> tuple[Level, ...]:
        """All levels, the finest first."""
        return self.info.levels

    @property
    def n_channels(self) -> int:
        """How many channels there are."""
        return self.info.n_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels on disk."""
        return self.info.dtype

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Physical size of a voxel of the finest level, zyx."""
        return self.levels[0].voxel_size

    @property
    def unit(self) -> str | None:
        """Unit of the voxel size."""
        return self.info.unit

    @property
    def axes(self) -> str:
        """Axes as they are on disk."""
        return self.info.axes

    @property
    def n_bytes(self) -> int:
        """Size of the finest level, uncompressed, one time point."""
        n_voxels = Box.whole(self.shape).n_voxels
        return n_voxels * self.n_channels * self.dtype.itemsize

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What tells this volume from another one; plain values."""
        return {
            "shape": list(self.shape),
            "n_channels": self.n_channels,
            "dtype": str(self.dtype),
            "voxel_size": list(self.voxel_size),
            "metadata_hash": self.info.metadata_hash,
        }

    def array(self, level: int = 0) -> zarr.Array[Any]:
        """Return a level as it is stored."""
        return self._arrays[level]

    def lazy_levels(self) -> list[LazyLevel]:
        """Return array-likes of all levels, zyx or, with several channels, czyx."""
        return [LazyLevel(self, number) for number in range(len(self.levels))]

    def read(
        self, box: Box, level: int = 0, *, missing: Missing = "fail"
    ) -> np.ndarray:
        """Return the voxels of a box, czyx, as they are stored.

        Parameters
        ----------
        box
            In voxels of the level, inside it.
        missing
            What to do with a chunk that is not on disk but should be: ``"fail"``, or
            ``"fill"`` it with the fill value.

        Raises
        ------
        MissingChunkError
            If a chunk is lost.
        VoxelValueError
            If voxels are NaN or infinite.
        """
        if missing == "fail":
            self._check_chunks(box, level)
        voxels = self._stored(box, level)
        if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            at = np.argwhere(~np.isfinite(voxels))[0][1:] + box.start
            raise VoxelValueError(
                f"The volume {self.name} has voxels that are no numbers (NaN or "
                f"infinite), the first at z y x = {tuple(int(v) for v in at)}",
                do="Replace them, for example with the mean of the volume.",
            )
        return voxels

    def missing_chunks(self, box: Box, level: int = 0) -> list[tuple[int, ...]]:
        """Return the indices of the chunks of a box that are not on disk."""
        array = self._arrays[level]
        return [
            index for index in self._chunks_of(box, level) if not _exists(array, index)
        ]

    @cached_property
    def _arrays(self) -> list[zarr.Array[Any]]:
        node = open_node(self.uri)
        if isinstance(node, zarr.Array):
            return [node]
        if self.levels[0].path not in node:  # images inside a bioformats2raw group
            node = cast("zarr.Group", node["0"])
        return [cast("zarr.Array[Any]", node[level.path]) for level in self.levels]

    @cached_property
    def _is_complete(self) -> bool:
        node = open_node(self.uri)
        return bool(attributes_of(node).get(COMPLETE, False))

    def _check_time_point(self) -> None:
        n_times = self.array(0).shape[self.axes.index("t")] if "t" in self.axes else 1
        if not 0 <= self.time_point < n_times:
            raise MetadataError(
                f"The volume {self.name} has no such time point",
                got=self.time_point,
                expected=f"0 to {n_times - 1}",
            )

    def _index(self, space: tuple[slice, ...], channels: slice) -> tuple[Any, ...]:
        by_axis: dict[str, Any] = dict(zip("zyx", space, strict=True))
        by_axis |= {"t": self.time_point, "c": channels}
        return tuple(by_axis[axis] for axis in self.axes)

    def _stored(
        self, box: Box, level: int, channels: slice = slice(None)
    ) -> np.ndarray:
        voxels = np.asarray(self._arrays[level][self._index(box.slices, channels)])
        if "c" not in self.axes:
            voxels = voxels[np.newaxis]
        return voxels.reshape(voxels.shape[0], *box.shape)

    def _chunks_of(self, box: Box, level: int) -> Iterator[tuple[int, ...]]:
        """Yield the indices, over the axes on disk, of the chunks a box touches."""
        array = self._arrays[level]
        chunk = dict(zip(self.axes, array.chunks, strict=True))
        ranges = {"t": [self.time_point // chunk.get("t", 1)]}
        ranges["c"] = list(range(-(-self.n_channels // chunk.get("c", 1))))
        for axis, start, stop in zip("zyx", box.start, box.stop, strict=True):
            size = chunk.get(axis, 1)
            ranges[axis] = list(range(start // size, -(-stop // size)))
        yield from itertools.product(*(ranges[axis] for axis in self.axes))

    def _check_chunks(self, box: Box, level: int) -> None:
        absent = self.missing_chunks(box, level)
        for index in absent:
            if self._is_lost(index, level):
                raise MissingChunkError(
                    f"The volume {self.name} has lost a chunk, number "
                    f"{'.'.join(map(str, index))} of level {self.levels[level].path}",
                    do="Restore it, or choose that missing chunks are empty space.",
                )

    def _is_lost(self, index: tuple[int, ...], level: int) -> bool:
        """Whether an absent chunk should be there; zarr leaves out empty ones."""
        if self._is_complete:
            return True
        if level > 0:
            return False
        if len(self.levels) > 1:
            return self._coarser_says_filled(index)
        return self._writes_empty_chunks

    @cached_property
    def _writes_empty_chunks(self) -> bool:
        """Whether anything was written at all; then a gap is suspicious."""
        array = self._arrays[0]
        grid = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
        corners = itertools.product(*({0, n // 2, n - 1} for n in grid))
        return any(_exists(array, index) for index in corners)

    def _coarser_says_filled(self, index: tuple[int, ...]) -> bool:
        array = self._arrays[0]
        by_axis = dict(zip(self.axes, index, strict=True))
        chunk = dict(zip(self.axes, array.chunks, strict=True))
        start = zyx(by_axis.get(a, 0) * chunk.get(a, 1) for a in "zyx")
        stop = zyx(s + chunk.get(a, 1) for s, a in zip(start, "zyx", strict=True))
        fine = Box(start, stop).clipped(self.shape)
        coarse = self.levels[1].shape
        ratio = [round(n / m) for n, m in zip(self.shape, coarse, strict=True)]
        inside = Box(
            zyx(-(-a // r) for a, r in zip(fine.start, ratio, strict=True)),
            zyx(b // r for b, r in zip(fine.stop, ratio, strict=True)),
        )
        if inside.is_empty:
            return False
        voxels = self._stored(inside, 1)
        return bool((voxels != (array.fill_value or 0)).any())


@dataclass(frozen=True)
class LazyLevel:
    """One level as an array: zyx, or czyx if the volume has several channels."""

    volume: Volume
    level: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, zyx or czyx."""
        space = self.volume.levels[self.level].shape
        many = self.volume.n_channels > 1
        return (self.volume.n_channels, *space) if many else space

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunk, zyx or czyx."""
        space = self.volume.levels[self.level].chunk
        return (1, *space) if self.volume.n_channels > 1 else space

    @property
    def ndim(self) -> int:
        """3, or 4 with several channels."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels on disk."""
        return self.volume.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        full = _expanded(index, self.ndim)
        bounds = [
            slice(i, i + 1) if isinstance(i, int | np.integer) else slice(*i.indices(n))
            for i, n in zip(full, self.shape, strict=True)
        ]
        plain = [slice(b.start, b.stop) for b in bounds]
        many = self.ndim == 4
        voxels = self.volume._stored(  # noqa: SLF001 (one module, one thing)
            Box.from_slices(plain[-3:]), self.level, plain[0] if many else slice(None)
        )
        stepped = [slice(None, None, b.step) for b in bounds]
        voxels = voxels[tuple(stepped)] if many else voxels[0][tuple(stepped)]
        dropped = tuple(0 if isinstance(i, int | np.integer) else slice(None)
                        for i in full)  # fmt: skip
        return voxels[dropped]


def _expanded(index: tuple[Any, ...], ndim: int) -> list[Any]:
    items: list[Any] = []
    for item in index:
        if item is Ellipsis:
            items += [slice(None)] * (ndim - len(index) + 1)
        else:
            items.append(item)
    return items + [slice(None)] * (ndim - len(items))


def _exists(array: zarr.Array[Any], index: tuple[int, ...]) -> bool:
    """Whether the chunk, or the shard that holds it, is on disk."""
    if array.shards is not None:
        index = tuple(
            i * c // s
            for i, c, s in zip(index, array.chunks, array.shards, strict=True)
        )
    key = array.metadata.encode_chunk_key(index)
    path = array.store_path / key
    from zarr.core.sync import sync

    return bool(sync(path.exists()))


def _reopen(uri: str, time_point: int) -> Volume:
    return Volume.open(uri, time_point=time_point)


def size_text(n_bytes: int) -> str:
    """Return a size as people write it, e.g. ``"1.2 GB"``."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
