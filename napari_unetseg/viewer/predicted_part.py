"""Where a version has predicted, and a veil over the rest: there it says nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.viewer.pyramids import LazyArray

VEIL = 255
"""Value of voxels that nobody predicted; no class has it."""


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
        return "grey is not predicted" if done.any() else "not predicted here"


class VeiledLevel:
    """One level of predicted labels, and a veil where none are; uint8, zyx.

    Parameters
    ----------
    part
        Where there are some.
    is_veiled
        Whether the veil is drawn now: in 3D nobody would look through it.
    """

    def __init__(
        self,
        labels: LazyArray,
        factor: Zyx,
        *,
        part: Callable[[], PredictedPart],
        is_veiled: Callable[[], bool],
    ) -> None:
        self.shape, self.dtype = labels.shape, np.dtype(np.uint8)
        self._labels, self._factor = labels, factor
        self._part, self._is_veiled = part, is_veiled

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        labels = np.asarray(self._labels[key])
        if not self._is_veiled():
            return labels
        bounds = [k.indices(n)[:2] for k, n in zip(key, self.shape, strict=True)]
        box = Box(zyx(a for a, _ in bounds), zyx(b for _, b in bounds))
        return np.where(self._part().mask(box, self._factor), labels, VEIL)
