"""Which voxel a click in a 3D view means: the first surface along the ray.

::

    eye ·┄┄┄┄┄┄├──○──○──●──○──┤         ● the first that is probable enough,
               volume                      or the brightest of all
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.evidence import Read

_AT_ONCE = 48  # voxels of the ray: a slanting one would need a large box to be read


def voxels_along(
    point: Sequence[float], direction: Sequence[float], shape: Zyx
) -> np.ndarray:
    """Return the voxels of a volume along a ray, in order, (n, 3) integers.

    Parameters
    ----------
    point
        Any point on the ray, in voxels zyx; the centre of a voxel is a whole number.
    direction
        Where the ray goes, in voxels zyx.
    """
    origin, step = np.asarray(point, float), np.asarray(direction, float)
    longest = np.abs(step).max()
    if longest == 0:
        return np.empty((0, 3), int)
    step = step / longest
    moves = np.abs(step) > 1e-6  # less is no voxel in any volume
    ends = np.array([[-0.5] * 3, np.array(shape) - 0.5])
    if ((origin < ends[0]) | (origin > ends[1]))[~moves].any():
        return np.empty((0, 3), int)
    # Where the ray enters and leaves the slab of each axis (Kay and Kajiya, 1986).
    times = (ends[:, moves] - origin[moves]) / step[moves]
    enters, leaves = times.min(axis=0).max(), times.max(axis=0).min()
    if enters > leaves:
        return np.empty((0, 3), int)
    along = np.arange(enters, leaves, 0.5)[:, None]
    voxels = np.rint(origin + along * step).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < shape)).all(axis=1)]
    is_new = np.append(True, (np.diff(voxels, axis=0) != 0).any(axis=1))
    along_ray: np.ndarray = voxels[is_new[: len(voxels)]]
    return along_ray


def first_at_least(read: Read, voxels: np.ndarray, least: float) -> Zyx | None:
    """Return the first of the voxels that is at least so high, None if none is.

    Parameters
    ----------
    read
        Returns the values of a box, zyx.
    """
    for part, values in _values(read, voxels):
        high = np.flatnonzero(values >= least)
        if len(high):
            return zyx(part[high[0]])
    return None


def highest(read: Read, voxels: np.ndarray) -> Zyx | None:
    """Return the first of the highest of the voxels, None if there are none."""
    best: tuple[float, Zyx | None] = (-np.inf, None)
    for part, values in _values(read, voxels):
        at = int(values.argmax())
        if values[at] > best[0]:
            best = float(values[at]), zyx(part[at])
    return best[1]


def _values(read: Read, voxels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pieces of the ray and their values."""
    for start in range(0, len(voxels), _AT_ONCE):
        part = voxels[start : start + _AT_ONCE]
        box = Box(zyx(part.min(axis=0)), zyx(part.max(axis=0) + 1))
        inside = part - np.array(box.start)
        yield part, read(box)[tuple(inside.T)]
