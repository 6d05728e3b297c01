"""One block from voxels to prediction: pure, so that any executor may run it."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import VolumeError
from napari_unetseg.geometry import Block, Box
from napari_unetseg.models.predictor import Predictor

_SAMPLE = (32, 64, 64)
_LOG = logging.getLogger(__name__)


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


def sample_of(volume: Volume, normalisation: Normalisation) -> np.ndarray | None:
    """Return normalised voxels czyx of the middle of a volume, None if it is empty."""
    corner = [max(0, (n - m) // 2) for n, m in zip(volume.shape, _SAMPLE, strict=True)]
    box = Box((0, 0, 0), _SAMPLE).shifted(corner).clipped(volume.shape)
    try:
        voxels = volume.read(box, missing="fill")
    except VolumeError as error:
        _LOG.info("no sample of the volume: %s", error)
        return None
    return normalisation.apply(voxels) if voxels.min() < voxels.max() else None


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
