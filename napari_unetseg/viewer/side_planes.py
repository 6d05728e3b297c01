"""Planes perpendicular to the one on the canvas, as small pictures.

::

        canvas (y, x)            x ─▶                     y ─▶
      ┌──────┬───────┐      z  ┌──────┬──────┐       z  ┌──────┬──────┐
      │      │ point │      │  │  x–z at y   │       │  │  y–z at x   │
      ├──────┼───────┤      ▼  └──────┴──────┘       ▼  └──────┴──────┘
      └──────┴───────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box, Zyx, zyx

MAX_SIDE = 400  # voxels of a picture: more are not seen
MOST_LABELS = 2**21  # voxels of the finest level that labels are read of at a time
_OPACITY = 0.45


@dataclass(frozen=True)
class SidePlane:
    """A plane: ``across`` runs to the right, ``down`` to the bottom.

    Attributes
    ----------
    across, down
        Axes of the volume, 0 to 2.
    box
        One voxel thick along the third axis.
    point
        Where the planes meet, zyx.
    aspect
        Height over width, in physical units.
    """

    across: int
    down: int
    box: Box
    point: Zyx
    aspect: float

    @property
    def place(self) -> tuple[float, float]:
        """Where the point is, as shares of width and height."""
        across, down = (
            (self.point[axis] + 0.5 - self.box.start[axis]) / self.box.shape[axis]
            for axis in (self.across, self.down)
        )
        return across, down

    def voxel_at(self, across: float, down: float) -> Zyx:
        """Return the voxel at shares of width and height."""
        found = list(self.point)
        for axis, share in ((self.across, across), (self.down, down)):
            n = self.box.shape[axis]
            found[axis] = self.box.start[axis] + min(n - 1, max(0, int(share * n)))
        return zyx(found)


def side_planes(
    view: Box,
    point: Zyx,
    hidden: int,
    *,
    shape: Zyx,
    voxel_size: Sequence[float],
    height: float,
) -> tuple[SidePlane, ...]:
    """Return the two planes through a point that the canvas does not show.

    Parameters
    ----------
    view
        What the canvas shows.
    hidden
        The axis that it does not show.
    height
        Of a picture, as a share of its width, in physical units.
    """
    found = []
    first, second = (axis for axis in range(3) if axis != hidden)
    for fixed, across in ((first, second), (second, first)):
        width = view.shape[across] * voxel_size[across]
        reach = max(2, round(width * height / voxel_size[hidden] / 2))
        start, stop = list(view.start), list(view.stop)
        start[hidden], stop[hidden] = point[hidden] - reach, point[hidden] + reach + 1
        start[fixed], stop[fixed] = point[fixed], point[fixed] + 1
        box = Box(zyx(start), zyx(stop)).clipped(shape)
        if not box.is_empty:
            tall, wide = (
                box.shape[axis] * voxel_size[axis] for axis in (hidden, across)
            )
            found.append(SidePlane(across, hidden, box, point, tall / wide))
    return tuple(found)


def picture(
    plane: SidePlane,
    volume: Volume,
    corrections: CorrectionStore,
    predictions: PredictionStore | None,
    *,
    annotator: str,
    limits: tuple[float, float],
    colors: np.ndarray,
) -> np.ndarray:
    """Return a plane as red, green, blue, uint8 (down, across, 3).

    Parameters
    ----------
    limits
        Grey values that are black and white.
    colors
        Red, green, blue, alpha per label, 0 to 1.
    """
    level, step = _level_and_step(plane, volume)
    grey = _flat(plane, _image(volume, plane.box, level, step))
    low, high = limits
    share = np.clip((grey.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1)
    rgb = np.repeat(share[..., np.newaxis], 3, axis=2)
    if plane.box.n_voxels <= MOST_LABELS:
        labels = read_composite(corrections, predictions, plane.box, annotator)
        strided = labels[tuple(slice(None, None, s) for s in step)]
        flat = _flat(plane, strided)[: rgb.shape[0], : rgb.shape[1]]
        color = colors[np.minimum(flat, len(colors) - 1)]
        part = rgb[: flat.shape[0], : flat.shape[1]]
        alpha = color[..., 3:] * _OPACITY
        part[...] = part * (1 - alpha) + color[..., :3] * alpha
    return np.ascontiguousarray((255 * rgb).astype(np.uint8))


def _level_and_step(plane: SidePlane, volume: Volume) -> tuple[int, Zyx]:
    """Return the finest level that is small enough, and its voxels' size in others."""
    for level, factor in enumerate(volume.factors):
        sides = [plane.box.shape[a] / factor[a] for a in (plane.across, plane.down)]
        if max(sides) <= MAX_SIDE:
            return level, factor
    return len(volume.levels) - 1, volume.factors[-1]


def _image(volume: Volume, box: Box, level: int, step: Zyx) -> np.ndarray:
    start = (a // f for a, f in zip(box.start, step, strict=True))
    stop = (-(-b // f) for b, f in zip(box.stop, step, strict=True))
    part = Box(zyx(start), zyx(stop)).clipped(volume.levels[level].shape)
    values: np.ndarray = volume.read(part, level, missing="fill")[0]
    return values


def _flat(plane: SidePlane, values: np.ndarray) -> np.ndarray:
    """Return a plane of one voxel's thickness as (down, across)."""
    fixed = 3 - plane.across - plane.down
    flat: np.ndarray = values.take(0, axis=fixed)
    return flat if plane.down < plane.across else flat.T
