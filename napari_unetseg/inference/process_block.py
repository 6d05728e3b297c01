"""One block from voxels to prediction, in three steps that any executor may take."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.volume import Volume, is_constant
from napari_unetseg.errors import VolumeError
from napari_unetseg.geometry import Block, Box
from napari_unetseg.inference.executors import Steps

_SAMPLE = (64, 128, 128)
_LOG = logging.getLogger(__name__)


def read_block(
    volume: Volume,
    normalisation: Normalisation,
    block: Block,
    *,
    missing: Literal["fail", "fill"] = "fail",
    skip_flat: bool = False,
) -> np.ndarray | None:
    """Return the normalised voxels of a block's read box, float32 czyx.

    None stands for a block whose voxels are all the same: there is nothing to see.

    Parameters
    ----------
    skip_flat
        Whether a coarse level is asked first, and trusted.

    Raises
    ------
    MissingChunkError, VoxelValueError
        If the voxels are not all there, or no numbers.
    """
    if skip_flat and volume.looks_flat(block.read_box):
        return None
    voxels = volume.read(block.read_box, missing=missing)
    if is_constant(voxels[:, :1]) and is_constant(voxels):
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


def predict_steps(
    volume: Volume,
    normalisation: Normalisation,
    predict: Callable[[np.ndarray, Block], BlockPrediction],
    store: PredictionStore,
    *,
    missing: Literal["fail", "fill"] = "fail",
    skip_flat: bool = False,
    all_levels: bool = True,
) -> Steps:
    """Return the steps of a prediction.

    Parameters
    ----------
    predict
        Makes a prediction of a block's normalised voxels, float32 czyx.
    all_levels
        Whether coarse levels are written with each block; only by a single writer.
    """
    return Steps(
        read=partial(
            read_block, volume, normalisation, missing=missing, skip_flat=skip_flat
        ),
        predict=predict,
        write=store.write if all_levels else store.write_finest,
        remark=_where_from,
    )


def _where_from(prediction: BlockPrediction) -> str:
    return f"as {prediction.taken_from} said" if prediction.taken_from else ""
