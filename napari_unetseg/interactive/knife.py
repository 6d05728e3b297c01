"""A line drawn in a slice, as a knife through an object.

The line blocks every way across it, over corners too, and so does what it sweeps out
through the slices::

    · · · · ■          · · · · ■ ■        a line as it is drawn, and
    · · ■ ■ ·    ──▶   · · ■ ■ ■ ·        as a knife
    ■ ■ · · ·          ■ ■ ■ · · ·
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from napari_unetseg.errors import EditError
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.interactive.objects import LabelledObject

_LONGER = 3.0  # voxels: a line that ends just inside of the border crosses it
_LEAST_SIDE = 9  # voxels: what the line shaves off beside the two largest is no part


@dataclass(frozen=True)
class Sides:
    """What a line leaves of an object in the slice it is drawn in, largest first.

    Attributes
    ----------
    labels
        1, 2, … for the sides, 0 elsewhere, int zyx in the object's box.
    places
        The voxel of each side that is farthest from the line.
    regions
        What each side was part of: sides of one region were together before.
    """

    labels: np.ndarray
    places: tuple[Zyx, ...]
    regions: tuple[int, ...]


def voxels_of(line: Sequence[Zyx], axis: int) -> np.ndarray:
    """Return the voxels of a line in order, int n × zyx, both ends a bit longer.

    Parameters
    ----------
    line
        Corners, zyx, all in one slice.
    axis
        Which axis the slice is perpendicular to.
    """
    flat = np.delete(np.asarray(line, float), axis, axis=1)
    flat[0] += _LONGER * _direction(flat[0], flat[1])
    flat[-1] += _LONGER * _direction(flat[-1], flat[-2])
    steps = [flat[:1]]
    for start, stop in pairwise(flat):
        n = int(np.ceil(2 * np.abs(stop - start).max())) + 1
        steps.append(start + np.linspace(0, 1, n)[1:, None] * (stop - start))
    voxels = np.round(np.concatenate(steps)).astype(int)
    voxels = voxels[np.r_[True, (np.diff(voxels, axis=0) != 0).any(axis=1)]]
    # Between voxels that share a corner only comes one that shares a face with both.
    corners = np.column_stack([voxels[:-1, 0], voxels[1:, 1]])
    between = np.empty((2 * len(voxels) - 1, 2), int)
    between[::2], between[1::2] = voxels, corners
    return np.insert(between, axis, line[0][axis], axis=1)


def knife_through(found: LabelledObject, line: np.ndarray, axis: int) -> np.ndarray:
    """Return what a line sweeps out along an axis, bool zyx in the object's box.

    Parameters
    ----------
    line
        Voxels, as :func:`voxels_of` returns them.
    """
    inside = line - found.box.start
    shape = np.array(found.box.shape)
    inside[:, axis] = 0
    inside = inside[((inside >= 0) & (inside < shape)).all(axis=1)]
    swept = np.zeros(found.box.shape, bool)
    index: list[np.ndarray | slice] = list(inside.T)
    index[axis] = slice(None)
    swept[tuple(index)] = True
    return swept


def sides_of_line(
    found: LabelledObject, knife: np.ndarray, where: int, axis: int
) -> Sides:
    """Return the sides of a knife in one slice.

    Parameters
    ----------
    knife
        As :func:`knife_through` returns it.
    where
        Number of the slice in the volume.

    Raises
    ------
    EditError
        If the line crosses nothing of the object there.
    """
    index = where - found.box.start[axis]
    mask, line = np.take(found.mask, index, axis), np.take(knife, index, axis)
    corners = np.ones((3, 3), bool)
    regions, _ = ndimage.label(mask, corners)
    pieces, _ = ndimage.label(mask & ~line, corners)
    beside = np.unique(pieces[ndimage.binary_dilation(line & mask, corners)])
    sizes = np.bincount(pieces.ravel())
    largest = sorted((n for n in beside.tolist() if n), key=lambda n: -sizes[n])
    region_of = {n: int(regions[pieces == n][0]) for n in largest}
    chosen: list[int] = []
    for region in dict.fromkeys(region_of.values()):
        of_it = [n for n in largest if region_of[n] == region]
        if len(of_it) > 1:
            chosen += [
                n for i, n in enumerate(of_it) if i < 2 or sizes[n] >= _LEAST_SIDE
            ]
    if not chosen:
        raise EditError(
            "The line does not cross the object in this slice",
            do="Draw it from one side of the object to the other.",
        )
    number_of = np.zeros(len(sizes), np.int32)
    number_of[chosen] = np.arange(1, len(chosen) + 1)
    labels = np.zeros(found.box.shape, np.int32)
    np.moveaxis(labels, axis, 0)[index] = number_of[pieces]
    far = ndimage.distance_transform_edt(~line)
    places = [np.where(pieces == n, far, -1).argmax() for n in chosen]
    flat = [np.unravel_index(place, mask.shape) for place in places]
    return Sides(
        labels=labels,
        places=tuple(zyx(np.insert(place, axis, index)) for place in flat),
        regions=tuple(region_of[n] for n in chosen),
    )


def _direction(end: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the direction in which a line goes on beyond its end, of length 1."""
    along = end - before
    return np.asarray(along / (np.hypot(*along) or 1.0))
