"""Small pictures of places in a volume, for lists."""

from __future__ import annotations

import numpy as np

from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import VolumeError
from napari_unetseg.geometry import Box, Zyx

SIDE = 64  # voxels
_DARKEST, _BRIGHTEST = 1, 99  # percentiles


def thumbnail(volume: Volume, centre: Zyx) -> np.ndarray | None:
    """Return what a slice looks like around a voxel, grey uint8 (y, x).

    None where the volume cannot be read.
    """
    box = Box.around(centre, (1, SIDE, SIDE)).clipped(volume.shape)
    try:
        values = volume.read(box, missing="fill")[0, 0].astype(np.float32)
    except VolumeError:
        return None
    low, high = np.percentile(values, [_DARKEST, _BRIGHTEST])
    share = np.clip((values - low) / max(float(high - low), 1e-9), 0, 1)
    grey: np.ndarray = (255 * share).astype(np.uint8)
    return grey
