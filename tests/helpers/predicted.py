"""A prediction of which every voxel is known, on disk as a run would leave it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box, Zyx, zyx


def predicted(
    path: Path,
    probability: np.ndarray,
    maps: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    *,
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    chunk: Zyx = (16, 16, 16),
) -> PredictionStore:
    """Write a prediction of cells and fibres.

    Parameters
    ----------
    probability
        uint8 czyx, two classes.
    maps
        Name → uint8 zyx.
    labels
        uint8 zyx; background everywhere if None.
    """
    shape = zyx(probability.shape[1:])
    store = PredictionStore.create(
        path, shape=shape, voxel_size=voxel_size, chunk=chunk,
        class_names=("cell", "fibre"), maps=tuple(maps),
    )  # fmt: skip
    whole = Box.whole(shape)
    labels = np.zeros(shape, np.uint8) if labels is None else labels
    store.write(Block(0, whole, whole), BlockPrediction(labels, probability, maps))
    return store
