"""Where a version has predicted, and hatching over the rest: it says nothing there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.viewer.pyramids import LazyArray

DARK, LIGHT = 254, 255
"""Values of voxels that nobody predicted: stripes that are seen on any image."""
HATCHED, IN_PART, NOT_HERE = (
    "hatched is not predicted",
    "predicted in part",
    "not predicted here",
)
_STRIPE = 4  # voxels


class PredictedPart:
    """The blocks that are done.

    Parameters
    ----------
    blocks
        What is known of them; None if nothing is: then everything counts.
    """

    def __init__(self, blocks: BlocksPlanned | None) -> None:
        self._block: Zyx | None = None
        self._done = np.ones((1, 1, 1), bool)
        if blocks is not None:
            self._block = blocks.block
            self._done = np.zeros(blocks.counts, bool)
            done = (BlockState.DONE, BlockState.EMPTY)
            for index, state in blocks.states.items():
                self._done.flat[index] = state in done

    def mask(self, box: Box, factor: Zyx = (1, 1, 1)) -> np.ndarray:
        """Return which voxels of a box were predicted, bool zyx.

        Parameters
        ----------
        box
            In voxels of a level.
        factor
            How many finest voxels one of them stands for.
        """
        if self._block is None:
            return np.ones(box.shape, bool)
        places = [
            np.minimum(np.arange(a, b) * f // n, count - 1)
            for a, b, f, n, count in zip(
                box.start, box.stop, factor, self._block, self._done.shape, strict=True
            )
        ]
        mask: np.ndarray = self._done[np.ix_(*places)]
        return mask

    def said(self, box: Box) -> str:
        """Say how much of a box of finest voxels was predicted; "" if all of it."""
        if box.is_empty or self._block is None:
            return ""
        touched = tuple(
            slice(a // n, -(-b // n))
            for a, b, n in zip(box.start, box.stop, self._block, strict=True)
        )
        done = self._done[touched]
        if done.all():
            return ""
        return HATCHED if done.any() else NOT_HERE


class HatchedLevel:
    """One level of predicted labels, and hatching where none are; uint8, zyx.

    Parameters
    ----------
    part
        Where there are some.
    is_hatched
        Whether hatching is drawn now: in 3D nobody would look through it.
    """

    def __init__(
        self,
        labels: LazyArray,
        factor: Zyx,
        *,
        part: Callable[[], PredictedPart],
        is_hatched: Callable[[], bool],
    ) -> None:
        self.shape, self.dtype = labels.shape, np.dtype(np.uint8)
        self._labels, self._factor = labels, factor
        self._part, self._is_hatched = part, is_hatched

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        labels = np.asarray(self._labels[key])
        if not self._is_hatched():
            return labels
        bounds = [k.indices(n)[:2] for k, n in zip(key, self.shape, strict=True)]
        box = Box(zyx(a for a, _ in bounds), zyx(b for _, b in bounds))
        known = self._part().mask(box, self._factor)
        return labels if known.all() else np.where(known, labels, _stripes(box))


def _stripes(box: Box) -> np.ndarray:
    """Return stripes that run slanted through any slice, uint8 zyx."""
    z, y, x = (np.arange(a, b) for a, b in zip(box.start, box.stop, strict=True))
    place = np.add.outer(np.add.outer(z, y), x)
    return np.where(place // _STRIPE % 2, DARK, LIGHT).astype(np.uint8)
