"""Volumes of numbers that are all different, to tell where a voxel came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.geometry import Box

SHAPE = (8, 12, 16)
CHUNK = (4, 6, 8)
WHOLE = Box.whole(SHAPE)


def numbers(*shape: int, dtype: str = "uint16") -> np.ndarray:
    """Voxels that are all different and none of them zero."""
    return (np.arange(np.prod(shape)) + 1).reshape(shape).astype(dtype)


def plain(path: Path, voxels: np.ndarray, chunk: tuple[int, ...], **more: Any) -> Path:
    array = zarr.create_array(
        path, shape=voxels.shape, chunks=chunk, dtype=voxels.dtype, **more
    )
    array[...] = voxels
    return path


def image_of_two_levels(path: Path) -> Path:
    """Write an OME-Zarr image of two levels."""
    group = create_image(
        path,
        shape=SHAPE,
        dtype="uint16",
        chunk=CHUNK,
        voxel_size=(1.0, 0.5, 0.5),
        unit="micrometer",
        n_levels=2,
    )
    write_pyramid_block(group, WHOLE, numbers(*SHAPE))
    return path
