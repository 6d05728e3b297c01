"""The seam between the engine and a network: one block in, one prediction out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
)
from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.geometry import Block, Zyx

if TYPE_CHECKING:
    import numpy as np

    from napari_unetseg.data.predictions import BlockPrediction


class Predictor(Protocol):
    """Whatever turns the voxels of a block into probabilities.

    Attributes
    ----------
    halo
        Voxels that must be read beyond what is kept, on every side.
    stride
        Read boxes start on multiples of it.
    n_channels
        Channels of the image that it was made for.
    class_names, rater_names
        Names of the foreground classes, and of the raters (fewer than two: none).
    map_names
        Maps that every prediction holds.
    mvoxel_per_s
        Of one pass of the network, 0 if nobody measured it.
    """

    halo: Zyx
    stride: Zyx
    n_channels: int
    class_names: tuple[str, ...]
    rater_names: tuple[str, ...]
    map_names: tuple[str, ...]
    mvoxel_per_s: float

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        """Predict a block from normalised float32 czyx voxels of its read box."""
        ...

    def bytes_for(self, read_shape: Zyx) -> int:
        """Return the peak memory of predicting one read box of this shape."""
        ...


def map_names(*, n_raters: int, n_members: int) -> tuple[str, ...]:
    """Return the maps that so many raters and members (flips) allow.

    Disagreement needs two sides: one rater says nothing about raters, one pass
    nothing about the model.
    """
    names = []
    if n_raters >= 2:
        names.append(RATER_DISAGREEMENT)
    if n_members >= 2:
        names.append(MODEL_DISAGREEMENT)
    return (*names, TOTAL_UNCERTAINTY)


def check_channels(model: str, *, expected: int, got: int) -> None:
    """Refuse a volume whose number of channels is not the model's.

    Raises
    ------
    ModelMismatchError
        With both numbers.
    """
    if got != expected:
        noun = "channel" if expected == 1 else "channels"
        raise ModelMismatchError(
            f"Model {model} was trained on images with {expected} {noun} and cannot "
            f"read this volume",
            got=f"{got} channel{'' if got == 1 else 's'}",
            expected=expected,
            do="Choose another model, or train a new one on this volume.",
        )
