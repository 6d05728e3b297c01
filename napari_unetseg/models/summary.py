"""What follows the network: from logits to what is written of a block.

As much work as the network, if it is done badly: it goes through a slab of the block at
a time, all steps of it, so that the numbers in between stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.geometry import Box

if TYPE_CHECKING:
    from torch import Tensor


SLAB_VOXELS = 2**16
_NUMBERS_PER_LOGIT = 6  # in between, of a slab


@dataclass(frozen=True)
class Outputs:
    """What the logits of a network mean, and what is wanted of them.

    Attributes
    ----------
    n_classes
        With the background.
    n_raters
        Heads after that of the consensus; 0 for none.
    n_passes
        Passes over the image that are averaged.
    map_names
        Maps that are wanted.
    """

    n_classes: int
    n_raters: int
    n_passes: int
    map_names: tuple[str, ...]

    @property
    def slab_bytes(self) -> int:
        """An upper estimate of the memory that a slab takes meanwhile."""
        n_logits = self.n_classes * (1 + self.n_raters)
        return 4 * SLAB_VOXELS * n_logits * _NUMBERS_PER_LOGIT


class Summary(Protocol):
    """Takes the logits of all passes over one image and sums them up."""

    def add(self, logits: Tensor) -> None:
        """Take the logits (1, heads x classes, z, y, x) of a pass."""
        ...

    def result(self) -> BlockPrediction | None:
        """Return the mean over the passes, and the maps; None if there were NaN."""
        ...


def blank(outputs: Outputs, inner: Box) -> BlockPrediction:
    """Return a prediction of a box whose values are still to come."""

    def layer(*lead: int) -> np.ndarray:
        return np.empty((*lead, *inner.shape), np.uint8)

    return BlockPrediction(
        labels=layer(),
        probability=layer(outputs.n_classes - 1),
        maps={name: layer() for name in outputs.map_names},
        rater_probability=layer(outputs.n_raters, outputs.n_classes - 1)
        if outputs.n_raters
        else None,
    )


def fill(sheet: BlockPrediction, box: Box, part: BlockPrediction) -> None:
    """Write the prediction of a box, as seen from the sheet, to its place."""
    place = (..., *box.slices)
    sheet.labels[place] = part.labels
    sheet.probability[place] = part.probability
    for name, values in part.maps.items():
        sheet.maps[name][place] = values
    if sheet.rater_probability is not None and part.rater_probability is not None:
        sheet.rater_probability[place] = part.rater_probability
