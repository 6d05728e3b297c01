"""Coarser levels: by which factors, and how voxels are reduced."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np

from napari_unetseg.geometry import Zyx, zyx

SMALLEST_PLANE = 192
MAX_LEVELS = 10

_WIDE = {np.dtype("uint8"): np.dtype("uint16"), np.dtype("uint16"): np.dtype("uint32")}
_MOST_SUMMED = 128  # of the largest values, and what is added to round, fit


def level_factors(
    shape: Zyx, voxel_size: Sequence[float], n_levels: int | None = None
) -> tuple[Zyx, ...]:
    """Return the cumulative factor of each level; the first is (1, 1, 1).

    An axis is halved only while its voxels are not much longer than the shortest ones:
    thick sections stay what they are until the planes have caught up.

    Parameters
    ----------
    shape
        Of the finest level, zyx.
    voxel_size
        Physical, zyx.
    n_levels
        How many levels; until a plane fits the screen if None.
    """
    factors = [(1, 1, 1)]
    while len(factors) < (n_levels or MAX_LEVELS):
        here = [-(-n // f) for n, f in zip(shape, factors[-1], strict=True)]
        if n_levels is None and max(here) <= SMALLEST_PLANE:
            break
        size = [v * f for v, f in zip(voxel_size, factors[-1], strict=True)]
        finest = min(size[1:])
        halve = [
            2 if n > 1 and s < 1.5 * finest else 1
            for n, s in zip(here, size, strict=True)
        ]
        if halve == [1, 1, 1]:
            break
        factors.append(zyx(f * h for f, h in zip(factors[-1], halve, strict=True)))
    return tuple(factors)


def downsample_mean(voxels: np.ndarray, factor: Zyx) -> np.ndarray:
    """Return means over cells of ``factor``; the last three axes are zyx.

    Cells at the far border hold fewer voxels and are repeated from the edge.
    """
    n, wide = math.prod(factor), _WIDE.get(voxels.dtype)
    if wide is not None and n & (n - 1) == 0 and n <= _MOST_SUMMED:
        return _mean_of_integers(_folded(voxels, factor, np.add, wide), n, voxels.dtype)
    cells = _cells(voxels, factor)
    # float32 holds 8 and 16 bits exactly, but would round the largest of 32 to zero.
    exact = np.promote_types(voxels.dtype, np.float32)
    mean: np.ndarray = cells.mean(axis=(-5, -3, -1), dtype=exact)
    if voxels.dtype.kind in "iu":
        mean = np.rint(mean)
    reduced: np.ndarray = mean.astype(voxels.dtype)
    return reduced


def downsample_labels(
    labels: np.ndarray, factor: Zyx, method: Literal["any", "mode"] = "any"
) -> np.ndarray:
    """Return labels over cells of ``factor``; the last three axes are zyx.

    Parameters
    ----------
    labels
        Integers.
    method
        ``"any"``: the largest label of a cell, so that thin sheets survive.
        ``"mode"``: the most frequent foreground label, for object ids.
    """
    if method == "any":
        return _folded(labels, factor, np.maximum, labels.dtype)
    cells = _cells(labels, factor)
    flat = np.moveaxis(cells, (-5, -3, -1), (-3, -2, -1))
    flat = flat.reshape(*flat.shape[:-3], -1)
    votes = (flat[..., :, None] == flat[..., None, :]).sum(axis=-1)
    votes[flat == 0] = 0
    return np.take_along_axis(flat, votes.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def downsample_classes(
    labels: np.ndarray, factor: Zyx, thin: Collection[int] = ()
) -> np.ndarray:
    """Return what most voxels of each cell are, or any of them if that is thin.

    Where classes are equally frequent the larger id wins, so does any over the
    background: objects neither swell nor shrink.

    Parameters
    ----------
    labels
        Class ids, uint8; the last three axes are zyx.
    thin
        Ids of sheets and fibres, which a majority would cut to pieces: the largest
        one that a cell holds.
    """
    n, top = math.prod(factor), int(labels.max(initial=0))
    wide = np.min_scalar_type(n)
    counts = [
        _folded((labels == number).view(np.uint8), factor, np.add, wide)
        for number in range(1, top + 1)
    ]
    shape = [-(-size // f) for size, f in zip(labels.shape[-3:], factor, strict=True)]
    reduced = np.zeros((*labels.shape[:-3], *shape), dtype=labels.dtype)
    best = np.full(reduced.shape, n, dtype=wide)
    for count in counts:
        best -= count
    np.maximum(best, 1, out=best)  # a class must be there to win
    for number, count in enumerate(counts, start=1):
        if number not in thin:
            reduced[count >= best] = number
            np.maximum(best, count, out=best)
    for number in sorted(set(thin) & set(range(1, top + 1))):
        reduced[counts[number - 1] > 0] = number
    return reduced


def _mean_of_integers(sums: np.ndarray, n: int, dtype: Any) -> np.ndarray:
    """Return sums of ``n`` (a power of two) divided by it, halves to the even side."""
    shift = n.bit_length() - 1
    if shift:
        odd = (sums >> shift) & 1
        sums += odd
        sums += n // 2 - 1
        sums >>= shift
    return sums.astype(dtype)


def _folded(voxels: np.ndarray, factor: Zyx, fold: np.ufunc, dtype: Any) -> np.ndarray:
    """Fold the voxels of each cell into one, along one axis after the other.

    Many times as fast as one reduction over all axes of a cell.
    """
    voxels = _padded(voxels, factor)
    for axis, step in zip((-3, -2, -1), factor, strict=True):
        behind: tuple[Any, ...] = (slice(None),) * (-axis - 1)
        parts = [voxels[(..., slice(i, None, step), *behind)] for i in range(step)]
        voxels = parts[0].astype(dtype)
        for part in parts[1:]:
            fold(voxels, part, out=voxels)
    return voxels


def _padded(voxels: np.ndarray, factor: Zyx) -> np.ndarray:
    """Fill the border from its edge, up to whole cells."""
    extra = [(0, -n % f) for n, f in zip(voxels.shape[-3:], factor, strict=True)]
    if not any(after for _, after in extra):
        return voxels
    lead: list[Any] = [(0, 0)] * (voxels.ndim - 3)
    return np.pad(voxels, [*lead, *extra], mode="edge")


def _cells(voxels: np.ndarray, factor: Zyx) -> np.ndarray:
    """Split zyx into (z, fz, y, fy, x, fx), the border filled from its edge."""
    voxels = _padded(voxels, factor)
    sizes: list[int] = []
    for n, f in zip(voxels.shape[-3:], factor, strict=True):
        sizes += [n // f, f]
    return voxels.reshape(*voxels.shape[:-3], *sizes)
