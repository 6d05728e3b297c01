"""Pyramids as napari likes them, and labels as a person wants to see them.

Labels are composed when they are read, on each level::

    prediction (level k)  ⊕  corrections (sampled at level k)  −  window being edited

The window is cut out because the editable layer draws it: twice half transparent
would be a darker rectangle, and an erased voxel would shine through from below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from napari.layers._multiscale_data import MultiScaleData

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache, ChunkedArray

ReadBox = Callable[[Box], np.ndarray]


class LazyArray(Protocol):
    """What can be wrapped: a zarr array or one that looks like it."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...


class LazyView:
    """Part of an array-like, not read before somebody wants numbers.

    napari cuts the viewport out of a pyramid level first and picks the slice after, so
    a zarr array would be read through its whole depth. Two cuts of a view are one read.
    Unlike dask it has no graph and no cache: what was written later is seen, and a
    slice reads one slice of each chunk.
    """

    def __init__(
        self, source: LazyArray, key: tuple[int | slice, ...] | None = None
    ) -> None:
        self._source = source
        self._key = key or tuple(slice(0, n) for n in source.shape)
        self.dtype = np.dtype(source.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes that are left."""
        return tuple(len(range(k.start, k.stop, k.step or 1)) for _, k in self._axes())

    @property
    def ndim(self) -> int:
        """How many axes are left."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many voxels the part has."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> LazyView:
        items = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in items:
            gap = items.index(Ellipsis)
            items[gap : gap + 1] = [slice(None)] * (self.ndim - len(items) + 1)
        narrowed = list(self._key)
        for (axis, whole), item in zip(self._axes(), items, strict=False):
            part = range(whole.start, whole.stop, whole.step or 1)[item]
            narrowed[axis] = (
                slice(part.start, part.stop, part.step)
                if isinstance(part, range)
                else part
            )
        return LazyView(self._source, tuple(narrowed))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # Sources understand slices only; axes that were picked go away afterwards.
        cut = tuple(
            slice(k, k + 1) if isinstance(k, int) else slice(k.start, k.stop)
            for k in self._key
        )
        picked = tuple(
            0 if isinstance(k, int) else slice(None, None, k.step) for k in self._key
        )
        return np.asarray(np.asarray(self._source[cut])[picked], dtype=dtype)

    def _axes(self) -> list[tuple[int, slice]]:
        return [(i, k) for i, k in enumerate(self._key) if isinstance(k, slice)]


def cached_levels(
    levels: Sequence[ChunkedArray], factors: Sequence[Zyx], cache: ChunkCache
) -> list[CachedArray]:
    """Read pyramid levels, finest first, through a cache from now on."""
    pairs = zip(levels, factors, strict=True)
    return [CachedArray(level, cache, factor) for level, factor in pairs]


def lazy_views(levels: Sequence[LazyArray]) -> MultiScaleData:
    """Wrap pyramid levels, finest first; nothing is read.

    napari would take a list of one level for a stack of planes.
    """
    return MultiScaleData([LazyView(level) for level in levels])


@dataclass
class Overlay:
    """Corrections that are laid over what was predicted.

    Attributes
    ----------
    read
        Gives corrections of a box of finest voxels, ``UNSET`` where there are none.
    boxes
        Where corrections are; nothing is read elsewhere.
    hole
        Box that is shown by another layer.
    """

    read: ReadBox
    boxes: tuple[Box, ...] = ()
    hole: Box | None = field(default=None)


class ComposedLevel:
    """One level of (prediction ⊕ corrections), an array-like of uint8, zyx.

    Parameters
    ----------
    base
        The prediction at this level, None where nothing is predicted.
    values
        Maps corrections to what is shown; the corrections themselves by default.
    """

    ndim = 3

    def __init__(
        self,
        overlay: Overlay,
        *,
        shape: Zyx,
        factor: Zyx,
        base: LazyArray | None = None,
        values: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self._overlay, self._factor = overlay, factor
        self._base, self._values = base, values

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        bounds = [s.indices(n) for s, n in zip(key, self.shape, strict=True)]
        box = Box(zyx(b[0] for b in bounds), zyx(b[1] for b in bounds))
        if self._base is None:
            shown = np.zeros(box.shape, dtype=np.uint8)
        else:
            shown = np.array(self._base[box.slices], dtype=np.uint8)
        for labelled in self._overlay.boxes:
            self._lay_over(shown, box, labelled)
        if self._overlay.hole is not None:
            inside = self._at_level(self._overlay.hole).intersection(box)
            shown[inside.relative_to(box).slices] = 0
        return shown

    def _lay_over(self, shown: np.ndarray, box: Box, labelled: Box) -> None:
        """Paste the corrections of one labelled box, taking one of each cell."""
        part = self._at_level(labelled).intersection(box)
        if part.is_empty:
            return
        finest = Box(
            zyx(a * f for a, f in zip(part.start, self._factor, strict=True)),
            zyx(b * f for b, f in zip(part.stop, self._factor, strict=True)),
        ).intersection(labelled)
        if finest.is_empty:
            return
        steps = tuple(slice(None, None, f) for f in self._factor)
        sampled = self._overlay.read(finest)[steps]
        target = shown[part.relative_to(box).slices]
        target = target[tuple(slice(0, n) for n in sampled.shape)]
        if self._values is not None:
            sampled = self._values(sampled)
        np.copyto(target, sampled, where=sampled != UNSET)

    def _at_level(self, box: Box) -> Box:
        start = zyx(a // f for a, f in zip(box.start, self._factor, strict=True))
        stop = zyx(-(-b // f) for b, f in zip(box.stop, self._factor, strict=True))
        return Box(start, stop).clipped(self.shape)


def only_background(corrections: np.ndarray) -> np.ndarray:
    """Return 1 where somebody said background, ``UNSET`` elsewhere."""
    return np.where(corrections == 0, 1, UNSET).astype(np.uint8)
