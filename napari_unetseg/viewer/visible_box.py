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
    voxel_size: Sequence[float] | np.ndarray,
    *,
    origin: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
    depth: int = DEPTH,
) -> Box:
    """Return the box of the volume that the canvas shows; empty if none of it.

    ::

        2D   the rectangle of the canvas × the current slice ± depth
        3D   a cube around the centre of the camera, as wide as the canvas

    The volume lies along the last three axes of the viewer.

    Parameters
    ----------
    shape, voxel_size
        Of the finest level, zyx.
    origin
        World position of the first voxel.
    depth
        Slices before and after the current one, along the axis that is not shown.
    """
    size = np.asarray(voxel_size, dtype=float)
    low, high = _world_range(viewer, depth * size)
    # A voxel reaches half its size to either side of its world position.
    start = np.floor((low - origin) / size + 0.5).astype(int)
    stop = np.maximum(
        np.ceil((high - origin) / size + 0.5 - 1e-9).astype(int), start + 1
    )
    return Box(zyx(start), zyx(stop)).clipped(shape)


def hidden_axis(viewer: ViewerModel) -> int | None:
    """Return which axis of the volume (0 to 2) a 2D view does not show."""
    displayed = {axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed}
    hidden = {0, 1, 2} - displayed
    return hidden.pop() if len(hidden) == 1 else None


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
