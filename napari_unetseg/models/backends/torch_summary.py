"""What follows the network, by torch: on any device, for any number of passes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
)
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.rater_probability import RATER_STEPS
from napari_unetseg.geometry import Box
from napari_unetseg.models.summary import SLAB_VOXELS, Outputs, blank, fill
from napari_unetseg.models.uncertainty import MemberSums, labels_of, quantised

_LARGE_SLAB = 2**24  # where there is no cache to stay in


class TorchSummary:
    """Sums up with torch, on the device where the logits are.

    Parameters
    ----------
    outputs, inner
        As :meth:`napari_unetseg.models.backends.runner.Runner.summary` takes them.
    """

    def __init__(self, outputs: Outputs, inner: Box) -> None:
        self._outputs, self._inner = outputs, inner
        self._slabs: dict[Box, _Slab] = {}
        self._sheet = blank(outputs, inner)
        self._n_added, self._is_finite = 0, True

    def add(self, logits: Tensor) -> None:
        """Take the logits (1, heads x classes, z, y, x) of a pass."""
        self._n_added += 1
        heads = logits.reshape(-1, self._outputs.n_classes, *logits.shape[2:])
        size = SLAB_VOXELS if logits.device.type == "cpu" else _LARGE_SLAB
        for box in slabs_of(self._inner, size):
            slab = self._slabs.pop(box, None) or _Slab(self._outputs)
            slab.add(heads[(..., *box.slices)])
            if self._n_added < self._outputs.n_passes:
                self._slabs[box] = slab
                continue
            self._is_finite &= slab.is_finite
            fill(self._sheet, box.relative_to(self._inner), slab.result())

    def result(self) -> BlockPrediction | None:
        """Return the mean over the passes, and the maps; None if there were NaN."""
        return self._sheet if self._is_finite else None


class _Slab:
    """Part of a block, small enough for the cache."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._consensus: Tensor | None = None
        self._sums = MemberSums()

    def add(self, heads: Tensor) -> None:
        """Take the logits (head, class, z, y, x) of a pass over the slab."""
        probability = torch.softmax(heads.float(), dim=1)
        first = probability[0]
        self._consensus = first if self._consensus is None else self._consensus + first
        self._sums.add(probability[1:] if self._outputs.n_raters else probability)

    @property
    def is_finite(self) -> bool:
        """Whether the answers are numbers; a sum of many is one only if all are."""
        assert self._consensus is not None
        return self._sums.is_finite and bool(torch.isfinite(self._consensus[0].sum()))

    def result(self) -> BlockPrediction:
        """Return the mean over the passes, and the maps."""
        assert self._consensus is not None
        consensus = self._consensus / self._sums.count
        doubt = self._sums.result()
        maps = {
            RATER_DISAGREEMENT: doubt.rater,
            MODEL_DISAGREEMENT: doubt.model,
            TOTAL_UNCERTAINTY: doubt.total,
        }
        raters = None
        if self._outputs.n_raters:
            raters = _bytes(doubt.by_rater[:, 1:], RATER_STEPS)
        return BlockPrediction(
            labels=labels_of(consensus).cpu().numpy(),
            probability=_bytes(consensus[1:]),
            maps={name: _bytes(maps[name]) for name in self._outputs.map_names},
            rater_probability=raters,
        )


def slabs_of(box: Box, n_voxels: int) -> list[Box]:
    """Cut a box along z, and along y where planes are large, into slabs of this size.

    Only the last slabs along an axis are smaller; one row is the least.
    """
    _, height, width = box.shape
    rows = max(1, n_voxels // width)
    depth, rows = max(1, rows // height), min(rows, height)
    whole = Box((0, 0, 0), box.shape)
    return [
        cell.clipped(box.shape).shifted(box.start)
        for cell in whole.cells((depth, rows, width))
    ]


def _bytes(values: Tensor, steps: int = 255) -> np.ndarray:
    array: np.ndarray = quantised(values, steps).cpu().numpy()
    return array
