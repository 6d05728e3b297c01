"""Class ids in a zarr array, which any process can open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from napari_unetseg.errors import VoxelValueError
from napari_unetseg.geometry import Box


def stored(values: np.ndarray, path: Path) -> Path:
    """Write class ids, zyx."""
    zarr.save_array(path, values)
    return path


def read_stored(path: Path, box: Box) -> np.ndarray:
    """Return class ids of a box."""
    return np.asarray(zarr.open_array(path, mode="r")[box.slices])


def read_all_but_one(path: Path, bad: Box, box: Box) -> np.ndarray:
    """Return class ids of a box, but for those around a bad one."""
    if box.overlaps(bad):
        raise VoxelValueError("The labels cannot be read", got=str(box))
    return read_stored(path, box)
