"""One block from voxels to prediction: pure, so that any executor may run it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block
from napari_unetseg.models.predictor import Predictor


def read_block(
    volume: Volume,
    normalisation: Normalisation,
    block: Block,
    *,
    missing: Literal["fail", "fill"] = "fail",
) -> np.ndarray | None:
    """Return the normalised voxels of a block's read box, float32 czyx.

    None stands for a block whose voxels are all the same: there is nothing to see.

    Raises
    ------
    MissingChunkError, VoxelValueError
        If the voxels are not all there, or no numbers.
    """
    voxels = volume.read(block.read_box, missing=missing)
    if (voxels == voxels[:, :1, :1, :1]).all():
        return None
    return normalisation.apply(voxels)


def process_block(
    volume: Volume,
    normalisation: Normalisation,
    predictor: Predictor,
    block: Block,
    *,
    missing: Literal["fail", "fill"] = "fail",
) -> BlockPrediction | None:
    """Return the prediction of a block, None for an empty one."""
    voxels = read_block(volume, normalisation, block, missing=missing)
    return None if voxels is None else predictor.predict(voxels, block)
