"""A volume on disk: lazy, as many levels as it has, read box by box."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import zarr

from napari_unetseg.config import VoxelSize
from napari_unetseg.data.chunks import (
    ChunkIndex,
    absent_chunks,
    chunk_box,
    chunk_channels,
    chunk_indices,
    holds_any_chunk,
)
from napari_unetseg.data.lazy_level import LazyLevel
from napari_unetseg.data.nodes import attributes_of, is_zarr, open_image
from napari_unetseg.data.ome_metadata import ImageInfo, Level, coarsening, read_image
from napari_unetseg.errors import (
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VolumeError,
    VoxelValueError,
)
from napari_unetseg.geometry import Box, Zyx, zyx

__all__ = ["COMPLETE", "Volume", "is_zarr"]

COMPLETE = "unetseg_complete"
"""Attribute of images whose every chunk was written: an absent one is lost."""

Missing = Literal["fail", "fill"]

_CELLS = 4
"""A coarse level that tells whether a box is flat has so many voxels of it per axis."""


class Volume:
    """An image of ``(t) (c) z y x``, of which one time point is read.

    Opening reads metadata only, whatever the size. Volumes travel between processes
    as their address.

    Attributes
    ----------
    scale
        The voxel size that somebody gave, None if it is that of the metadata.
    """

    def __init__(
        self,
        uri: str,
        info: ImageInfo,
        time_point: int,
        scale: VoxelSize | None = None,
    ) -> None:
        self.uri = uri
        self.info = info
        self.time_point = time_point
        self.scale = scale

    @classmethod
    def open(
        cls,
        uri: str | Path,
        *,
        time_point: int = 0,
        scale: VoxelSize | None = None,
    ) -> Self:
        """Open a zarr volume.

        Parameters
        ----------
        scale
            The voxel size, if somebody knows better than the metadata.

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
        if scale is not None:
            info = info.scaled(scale.voxel_size, scale.unit)
        volume = cls(text, info, time_point, scale)
        volume._check_time_point()
        return volume

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.uri, self.time_point, self.scale)

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

    @property
    def factors(self) -> list[Zyx]:
        """How many finest voxels one voxel of each level stands for, zyx."""
        return coarsening(self.levels)

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
        VolumeError
            If a chunk is damaged.
        VoxelValueError
            If voxels are NaN or infinite.
        """
        if not Box.whole(self.levels[level].shape).contains(box):
            raise ValueError(f"{box} is not inside {self.name}, level {level}")
        if missing == "fail":
            self._check_chunks(box, level)
        voxels = self.stored(box, level)
        if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            at = np.argwhere(~np.isfinite(voxels))[0][1:] + box.start
            raise VoxelValueError(
                f"The volume {self.name} has voxels that are no numbers (NaN or "
                f"infinite), the first at z y x = {tuple(int(v) for v in at)}",
                do="Replace them, for example with the mean of the volume.",
            )
        return voxels

    def looks_flat(self, box: Box) -> bool:
        """Whether a coarse level has one value all over a box; quick to say.

        Coarse voxels are means and may hide a few others, and whether the finest level
        is all there is not looked at. False if no level is fit to tell.
        """
        for level in range(len(self.levels) - 1, 0, -1):
            factor = self.factors[level]
            if any(n < _CELLS * f for n, f in zip(box.shape, factor, strict=True)):
                continue
            around = box.aligned(factor)
            start = (a // f for a, f in zip(around.start, factor, strict=True))
            stop = (b // f for b, f in zip(around.stop, factor, strict=True))
            coarse = Box(zyx(start), zyx(stop)).clipped(self.levels[level].shape)
            if self.missing_chunks(coarse, level) and self._holds_chunks(box):
                return False  # left out because it is empty, or lost?
            try:
                voxels = self.stored(coarse, level)
            except VolumeError:
                return False
            return is_constant(voxels)
        return False

    def missing_chunks(self, box: Box, level: int = 0) -> list[ChunkIndex]:
        """Return the indices of the chunks of a box that are not on disk."""
        array = self._arrays[level]
        indices = chunk_indices(array, self.axes, box, self.time_point)
        return absent_chunks(array, indices)

    def _holds_chunks(self, box: Box) -> bool:
        array = self._arrays[0]
        indices = chunk_indices(array, self.axes, box, self.time_point)
        return len(absent_chunks(array, indices)) < len(indices)

    @cached_property
    def _arrays(self) -> list[zarr.Array[Any]]:
        node = open_image(self.uri)
        if isinstance(node, zarr.Array):
            return [node]
        return [cast("zarr.Array[Any]", node[level.path]) for level in self.levels]

    @cached_property
    def _is_complete(self) -> bool:
        return bool(attributes_of(open_image(self.uri)).get(COMPLETE, False))

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

    def stored(self, box: Box, level: int, channels: slice = slice(None)) -> np.ndarray:
        """Return the voxels of a box, czyx, whether or not all of them are there.

        Raises
        ------
        VolumeError
            If a chunk is damaged.
        """
        index = self._index(box.slices, channels)
        try:
            voxels = np.asarray(self._arrays[level][index])
        except (RuntimeError, ValueError, TypeError) as error:
            raise VolumeError(
                f"The volume {self.name} has a damaged chunk, level "
                f"{self.levels[level].path} cannot be read at {box}",
                do="Restore it from the source of the volume.",
            ) from error
        if "c" not in self.axes:
            voxels = voxels[np.newaxis]
        return voxels.reshape(voxels.shape[0], *box.shape)

    def _check_chunks(self, box: Box, level: int) -> None:
        array = self._arrays[level]
        wanted = chunk_indices(array, self.axes, box, self.time_point)
        absent = absent_chunks(array, wanted)
        has_neighbours = len(absent) < len(wanted)
        for index in absent:
            if self._is_lost(index, level, has_neighbours):
                raise MissingChunkError(
                    f"The volume {self.name} has lost a chunk, number "
                    f"{'.'.join(map(str, index))} of level "
                    f"{self.levels[level].path or '0'}",
                    do="Restore it, or choose that missing chunks are empty if "
                    "whoever wrote the volume leaves out empty ones.",
                )

    def _is_lost(self, index: ChunkIndex, level: int, has_neighbours: bool) -> bool:
        """Whether an absent chunk should be there; zarr leaves out empty ones."""
        if self._is_complete:
            return True
        if level > 0:
            return False
        if len(self.levels) > 1:
            return self._coarser_says_filled(index)
        return has_neighbours or self._holds_anything

    @cached_property
    def _holds_anything(self) -> bool:
        return holds_any_chunk(self._arrays[0])

    def _coarser_says_filled(self, index: ChunkIndex) -> bool:
        array = self._arrays[0]
        fine, coarse = self.levels[:2]
        box = chunk_box(array, self.axes, index)
        ratio = [
            max(1.0, b / a)
            for a, b in zip(fine.voxel_size, coarse.voxel_size, strict=True)
        ]
        # Cells that reach into a neighbour say nothing about this chunk.
        inside = Box(
            zyx(math.ceil(a / r) for a, r in zip(box.start, ratio, strict=True)),
            zyx(
                math.ceil(b / r) if b == n else int(b / r)
                for b, r, n in zip(box.stop, ratio, self.shape, strict=True)
            ),
        ).clipped(coarse.shape)
        if inside.is_empty:
            return False
        channels = chunk_channels(array, self.axes, index)
        voxels = self.stored(inside, 1, channels)
        empty = array.fill_value if array.fill_value is not None else 0
        differs = voxels != empty
        if voxels.dtype.kind == "f":
            differs &= np.isfinite(voxels)
        return bool(differs.any())


def is_constant(voxels: np.ndarray) -> bool:
    """Whether every channel (czyx) has one value."""
    return bool((voxels == voxels[:, :1, :1, :1]).all())


def _reopen(uri: str, time_point: int, scale: VoxelSize | None) -> Volume:
    return Volume.open(uri, time_point=time_point, scale=scale)
