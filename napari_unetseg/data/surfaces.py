"""The surfaces of raters in a box, as both raters of a pair see them.

A voxel of a class is on its surface if it shares a face with a voxel that both have
labelled and that is not of the class, or with the outside of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.geometry import Box


class Side(NamedTuple):
    """One rater of a pair, number 0 or 1, and a class."""

    pair: tuple[int, int]
    number: int
    class_id: int

    @property
    def other(self) -> Side:
        """The other rater of the pair."""
        return self._replace(number=1 - self.number)


@dataclass(frozen=True)
class ReadBox:
    """What all raters said about a box, with one voxel more on every side.

    Attributes
    ----------
    outside
        Which of these voxels are not in the volume: labelled, as no class.
    """

    box: Box
    values: list[np.ndarray]
    outside: np.ndarray

    @classmethod
    def of(cls, ratings: Ratings, around: Box, box: Box) -> ReadBox:
        """Read a box; ``around`` is it with its margin, as far as the volume goes."""
        values = [_padded(v, around, box) for v in ratings.read(around)]
        inside = np.zeros(around.shape, bool)
        return cls(box, values, _padded(inside, around, box, fill=True))

    def surface(self, side: Side) -> np.ndarray:
        """Return the voxels of a surface inside the box, (point, zyx)."""
        is_class = self.values[side.pair[side.number]] == side.class_id
        if not is_class.any():
            return np.zeros((0, 3), np.intp)
        (held,) = ndimage.find_objects(is_class.view(np.uint8))
        part = Box.from_slices(held).grown(1).clipped(is_class.shape)
        left, right = (self.values[n][part.slices] for n in side.pair)
        known = (left != UNSET) & (right != UNSET)
        mask = is_class[part.slices] & known
        rest = (known & ~mask) | self.outside[part.slices]
        at = np.argwhere(surface_of(mask, rest))
        points: np.ndarray = at + self.box.start + part.start
        return points


def surface_of(mask: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return which voxels of a mask have a face in common with a voxel of the rest.

    Parameters
    ----------
    mask, rest
        zyx; both with one voxel more on every side than what is returned.
    """
    inner = mask[1:-1, 1:-1, 1:-1]
    is_beside = np.zeros(inner.shape, bool)
    for axis in range(3):
        for shift in (0, 2):
            cut = [slice(1, -1)] * 3
            cut[axis] = slice(shift, shift + inner.shape[axis])
            is_beside |= rest[tuple(cut)]
    return inner & is_beside


def _padded(
    values: np.ndarray, around: Box, box: Box, *, fill: bool = False
) -> np.ndarray:
    """Return values with the voxel that is missing where the volume ends."""
    wanted = box.grown(1)
    pad = [
        (a - m, n - b)
        for a, b, m, n in zip(
            around.start, around.stop, wanted.start, wanted.stop, strict=True
        )
    ]
    return np.pad(values, pad, constant_values=fill)
