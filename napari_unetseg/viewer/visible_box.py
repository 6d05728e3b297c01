"""What part of the volume the canvas shows, in voxels of the finest level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_unetseg.geometry import Box, zyx

if TYPE_CHECKING:
    from napari.components import ViewerModel

DEPTH = 16


def visible_box(
    viewer: ViewerModel,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    *,
    depth: int = DEPTH,
) -> Box:
    """Return the box of the volume that the canvas shows; empty if none of it.

    ::

        2D   the rectangle of the canvas × the current slice ± depth
        3D   a cube around the centre of the camera, as wide as the canvas

    The volume lies along the last three axes of the viewer, its first voxel at the
    origin.

    Parameters
    ----------
    shape, voxel_size
        Of the finest level, zyx.
    depth
        Slices before and after the current one, along the axis that is not shown.
    """
    low, high = _world_range(viewer, depth * np.asarray(voxel_size, dtype=float))
    size = np.asarray(voxel_size, dtype=float)
    # A voxel reaches half its size to either side of its world position.
    start = np.floor(low / size + 0.5).astype(int)
    stop = np.ceil(high / size + 0.5).astype(int)
    return Box(zyx(start), zyx(stop)).clipped(shape)


def current_voxel(viewer: ViewerModel, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the voxel (zyx) that the sliders of the viewer stand on."""
    point = np.asarray(viewer.dims.point[-3:], dtype=float)
    return np.asarray(np.rint(point / np.asarray(voxel_size)), dtype=int)


def _world_range(
    viewer: ViewerModel, thickness: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest world position (zyx) that is shown."""
    half = np.asarray(viewer.canvas.size, dtype=float) / viewer.scene.camera.zoom / 2
    point = np.asarray(viewer.dims.point[-3:], dtype=float)
    low, high = point - thickness, point + thickness
    displayed = viewer.dims.displayed
    if len(displayed) == 3:
        half = np.full(3, half.max())
    centre = np.asarray(viewer.scene.camera.center, dtype=float)[-len(displayed) :]
    first = viewer.dims.ndim - 3
    for axis, middle, reach in zip(displayed, centre, half, strict=True):
        if axis >= first:
            low[axis - first] = middle - reach
            high[axis - first] = middle + reach
    return low, high
