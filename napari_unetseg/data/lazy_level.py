"""A level of a volume as an array, read when it is indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.geometry import Box

if TYPE_CHECKING:
    from napari_unetseg.data.volume import Volume


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
        """Return voxels; whole numbers and slices with positive steps."""
        items = _expanded(index if isinstance(index, tuple) else (index,), self.ndim)
        spans: list[slice] = []
        rest: list[slice | int] = []
        for item, length in zip(items, self.shape, strict=True):
            if isinstance(item, slice):
                start, stop, step = item.indices(length)
                if step < 1:
                    raise IndexError("a volume is read forwards: steps are positive")
                spans.append(slice(start, max(start, stop)))
                rest.append(slice(None, None, step))
            else:
                at = range(length)[int(item)]
                spans.append(slice(at, at + 1))
                rest.append(0)
        many = self.ndim == 4
        voxels = self.volume.stored(
            Box.from_slices(spans[-3:]), self.level, spans[0] if many else slice(None)
        )
        return (voxels if many else voxels[0])[tuple(rest)]


def _expanded(index: tuple[Any, ...], ndim: int) -> list[Any]:
    """Return one item per axis, an ellipsis and left-out axes spelled out."""
    if not any(item is Ellipsis for item in index):
        index = (*index, Ellipsis)
    at = next(n for n, item in enumerate(index) if item is Ellipsis)
    middle = [slice(None)] * (ndim - len(index) + 1)
    return [*index[:at], *middle, *index[at + 1 :]]
