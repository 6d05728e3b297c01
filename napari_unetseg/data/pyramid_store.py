"""Filling the levels of an image block by block.

Each level follows from the one before it. Chunks of the finest level belong to one
block each; chunks of coarser levels are shared, so there are two ways::

    one writer     every block on all levels at once: far views fill while one looks
    many writers   blocks on the finest level; then level 1, 2, … by whole chunks

Both write the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import zarr

from napari_unetseg.data.nodes import attributes_of, ome_of
from napari_unetseg.data.pyramid import (
    downsample_classes,
    downsample_labels,
    downsample_mean,
)
from napari_unetseg.geometry import Box, Zyx, zyx

THIN = "unetseg_thin"
"""Attribute of a label image: the labels that a cell shows if any voxel does."""


def write_pyramid_block(group: zarr.Group, box: Box, data: np.ndarray) -> None:
    """Write voxels into the finest level and what follows from them into all others.

    Each level follows from the one before it. Images take the mean of a cell, labels
    the most frequent one, or any that is thin. One thread at a time: coarse chunks
    belong to many blocks.

    Parameters
    ----------
    group
        An image made by :func:`create_image`.
    box
        Where, in voxels of the finest level; its start is a multiple of every level's
        factor.
    data
        zyx or czyx, the shape of the box.
    """
    for step in level_steps(group):
        if any(a % f for a, f in zip(box.start, step.factor, strict=True)):
            raise ValueError(f"{box} does not start on whole cells of {step.factor}")
        data = step.reduced(data)
        start = zyx(a // f for a, f in zip(box.start, step.factor, strict=True))
        stop = zyx(a + n for a, n in zip(start, data.shape[-3:], strict=True))
        step.array[(..., *Box(start, stop).slices)] = data


def write_finest_block(group: zarr.Group, box: Box, data: np.ndarray) -> None:
    """Write voxels into the finest level only; chunks of others may be shared."""
    level_steps(group)[0].array[(..., *box.slices)] = data


def coarsen_block(group: zarr.Group, level: int, box: Box) -> None:
    """Write a box of a coarse level from the voxels of the level before it.

    Parameters
    ----------
    level
        1 or more.
    box
        Whole chunks of that level, in its voxels: then nobody else writes to them.
    """
    finer, step = level_steps(group)[level - 1 : level + 1]
    start = (a * r for a, r in zip(box.start, step.ratio, strict=True))
    stop = (b * r for b, r in zip(box.stop, step.ratio, strict=True))
    source = Box(zyx(start), zyx(stop)).clipped(finer.array.shape[-3:])
    data = np.asarray(finer.array[(..., *source.slices)])
    step.array[(..., *box.slices)] = step.reduced(data)


@dataclass(frozen=True)
class LevelStep:
    """A level, and how it follows from the one before it.

    Attributes
    ----------
    factor, ratio
        Voxels of the finest level, and of the one before, per voxel; zyx.
    thin
        Labels that a cell shows if any of its voxels does.
    """

    array: zarr.Array[Any]
    factor: Zyx
    ratio: Zyx
    is_labels: bool
    thin: tuple[int, ...] = ()

    def reduced(self, data: np.ndarray) -> np.ndarray:
        """Return this level's voxels from those of the level before."""
        if self.ratio == (1, 1, 1):
            return data
        if not self.is_labels:
            return downsample_mean(data, self.ratio)
        if data.dtype.itemsize > 1:  # ids of objects, of which there may be millions
            return downsample_labels(data, self.ratio, "mode")
        return downsample_classes(data, self.ratio, self.thin)


def level_steps(group: zarr.Group) -> list[LevelStep]:
    """Return the levels of an image, the finest first.

    Factors come from the scales: shapes are rounded up, so their quotient is no whole
    number.
    """
    ome = ome_of(group)
    datasets = ome["multiscales"][0]["datasets"]
    scales = [d["coordinateTransformations"][0]["scale"][-3:] for d in datasets]
    thin = tuple(attributes_of(group).get(THIN, ()))
    steps = []
    for number, (dataset, scale) in enumerate(zip(datasets, scales, strict=True)):
        array = cast("zarr.Array[Any]", group[dataset["path"]])
        factor = _quotient(scale, scales[0])
        ratio = _quotient(scale, scales[max(0, number - 1)])
        steps.append(LevelStep(array, factor, ratio, "image-label" in ome, thin))
    return steps


def _quotient(scale: Sequence[float], finer: Sequence[float]) -> Zyx:
    return zyx(round(b / a) for a, b in zip(finer, scale, strict=True))
