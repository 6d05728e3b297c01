"""What an image looks like around each voxel, at several scales.

A pyramid (Burt and Adelson, 1983) that is halved only along axes that are not thick, so
that it smooths equally far in all physical directions. What a scale knows stays on its
own grid, which is what makes it cheap; between grid points it is read linearly::

    scale 0   grey                        o─o─o─o─o─o─o─o─o
    scale 2   grey, noise, edges          o───────o───────o
    scale 3   grey, edges                 o───────────────o
    scale 4   grey                        o────────────────
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from scipy import ndimage

from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.evidence import Read

_N_SCALES = 5
_MARGIN = 16  # finest voxels beyond a box that its coarse scales see
_THIN = 1.5  # axes with voxels longer than so many finest ones are thick
_KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_FLAT = 1e-6  # what varies less, relatively, is rounding
_MOST = 4.0  # standard deviations: one hot voxel does not decide


class ImageFeatures:
    """Standardised features of an image; those of the last box are kept.

    Parameters
    ----------
    read_image
        Returns the voxels of a box, zyx.
    shape, voxel_size
        Of the volume, zyx.
    """

    def __init__(
        self, read_image: Read, shape: Zyx, voxel_size: Sequence[float]
    ) -> None:
        self._read_image, self.shape = read_image, shape
        self.size = np.asarray(voxel_size, float) / min(voxel_size)
        """Of a voxel, in finest ones, zyx."""
        self._steps = _steps_of(self.size)
        self._box = Box((0, 0, 0), (0, 0, 0))
        self._scales: list[np.ndarray] = []
        self._light: tuple[np.float32, np.float32] | None = None
        self._moments: list[tuple[np.ndarray, np.ndarray]] = []

    def look_around(self, box: Box) -> Box:
        """Look at a box, unless that was done, and at a margin, and return both."""
        margin = zyx(np.ceil(_MARGIN / self.size))
        wide = box.grown(margin).clipped(self.shape)
        if not self._box.contains(wide):
            whole = wide.aligned(self._steps[-1]).clipped(self.shape)
            grey = self._read_image(whole).astype(np.float32)
            # What was learnt in the first box has to hold for the next ones too.
            self._light = self._light or _light(grey)
            grey -= self._light[0]
            grey /= self._light[1]
            scales = _scales_of(grey, self._steps)
            self._moments = self._moments or [_moments(scale) for scale in scales]
            for scale, (mean, spread) in zip(scales, self._moments, strict=True):
                scale -= mean
                scale /= spread
                np.clip(scale, -_MOST, _MOST, out=scale)
            self._box, self._scales = whole, scales
        return wide

    def at(self, voxels: np.ndarray) -> np.ndarray:
        """Return each feature and its square at voxels that were looked at.

        Parameters
        ----------
        voxels
            int (n, zyx).

        Returns
        -------
        np.ndarray
            float64 (n, 2 × features).
        """
        columns = []
        for scale, step in zip(self._scales, self._steps, strict=True):
            grid = (voxels - np.array(self._box.start)) / np.array(step)
            corners, shares = _cells(grid)
            corners = np.minimum(corners, np.array(scale.shape[1:]) - 1)
            known = scale[(slice(None), *np.moveaxis(corners, -1, 0))].astype(float)
            for feature in known:
                columns += [(shares * feature).sum(0), (shares * feature**2).sum(0)]
        return np.stack(columns, axis=1)

    def weighted(self, box: Box, weights: np.ndarray) -> np.ndarray:
        """Return the weighted sum of features and squares in a box, float32 zyx.

        Parameters
        ----------
        weights
            One for each column of :meth:`at`.
        """
        if not self._box.contains(box):
            self.look_around(box)
        inner = box.relative_to(self._box)
        pairs = weights.astype(np.float32).reshape(-1, 2)
        ends = np.cumsum([len(scale) for scale in self._scales])
        of_scale = np.split(pairs, ends[:-1])
        total, begun, coarser = np.zeros((1, 1, 1), np.float32), None, self._steps[-1]
        for scale, step, own in reversed(
            list(zip(self._scales, self._steps, of_scale, strict=True))
        ):
            part = _on_grid(inner, step).clipped(scale.shape[1:])
            known = _quadratic(scale[(slice(None), *part.slices)], own)
            if begun is not None:
                times = zyx(b // a for a, b in zip(step, coarser, strict=True))
                corner = zyx(b * t for b, t in zip(begun, times, strict=True))
                finer = _refined(total, times)
                known += finer[part.relative_to(Box(corner, corner)).slices]
            total, begun, coarser = known, part.start, step
        return total


# --- the pyramid -------------------------------------------------------------------


def _steps_of(size: np.ndarray) -> list[Zyx]:
    """Return the step of each scale's grid, zyx."""
    steps: list[Zyx] = [(1, 1, 1)]
    while len(steps) < _N_SCALES:
        spacing = size * steps[-1]
        is_thin = spacing < _THIN * spacing.min()
        steps.append(zyx(np.array(steps[-1]) * (1 + is_thin)))
    return steps


def _scales_of(grey: np.ndarray, steps: Sequence[Zyx]) -> list[np.ndarray]:
    """Return the features of each scale, float32 (feature, z, y, x)."""
    halved = [
        [b > a for a, b in zip(step, coarser, strict=True)]
        for step, coarser in pairwise(steps)
    ]
    greys = [grey]
    for axis in np.flatnonzero(halved[0]):
        greys[0] = ndimage.correlate1d(greys[0], _KERNEL, axis, mode="nearest")
    for axes in halved:
        greys.append(_reduced(greys[-1], axes))
    rest = (grey - greys[0]) ** 2
    noise = np.sqrt(_reduced(_reduced(rest, halved[0]), halved[1]))
    edges = _reduced(_slope(greys[1], halved[1]), halved[1])
    return [
        greys[0][None],
        np.zeros((0, *greys[1].shape), np.float32),
        np.stack([greys[2], noise, edges]),
        np.stack([greys[3], _reduced(edges, halved[2])]),
        greys[4][None],
    ]


def _slope(grey: np.ndarray, axes: Sequence[bool]) -> np.ndarray:
    """Return the length of the gradient along some axes."""
    squares = np.zeros_like(grey)
    for axis in np.flatnonzero(axes):
        if grey.shape[axis] > 1:
            squares += np.gradient(grey, axis=axis) ** 2
    slope: np.ndarray = np.sqrt(squares)
    return slope


def _light(grey: np.ndarray) -> tuple[np.float32, np.float32]:
    """Return mean and standard deviation; 1 of what is the same all over."""
    mean, spread = grey.mean(dtype=np.float64), grey.std(dtype=np.float64)
    is_flat = spread <= _FLAT * abs(mean)
    return np.float32(mean), np.float32(1 if is_flat else spread)


def _moments(scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread of each feature; one that is the same all over has none.

    What divides by an infinite spread is 0.
    """
    mean = scale.mean((1, 2, 3), np.float64, keepdims=True)
    spread = scale.std((1, 2, 3), np.float64, keepdims=True)
    spread[spread <= _FLAT] = np.inf
    return mean.astype(np.float32), spread.astype(np.float32)


def _reduced(grey: np.ndarray, axes: Sequence[bool]) -> np.ndarray:
    """Return every second voxel along some axes, smoothed."""
    for axis in np.flatnonzero(axes)[::-1]:
        n = -(-grey.shape[axis] // 2)
        pad = [(0, 0)] * 3
        pad[axis] = (2, 2)
        wide = np.moveaxis(np.pad(grey, pad, mode="edge"), axis, 0)
        taps = [wide[k : k + 2 * n - 1 : 2] for k in range(5)]
        smooth = 6 * taps[2]
        smooth += 4 * (taps[1] + taps[3])
        smooth += taps[0] + taps[4]
        smooth /= 16
        grey = np.moveaxis(smooth, 0, axis)
    return grey


# --- from scale to scale -----------------------------------------------------------


def _on_grid(box: Box, step: Zyx) -> Box:
    """Return the grid points that are needed to know a box."""
    start = zyx(a // s for a, s in zip(box.start, step, strict=True))
    stop = zyx(-(-(b - 1) // s) + 1 for b, s in zip(box.stop, step, strict=True))
    return Box(start, stop)


def _cells(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid points around places (n, 3), and their shares of each.

    Returns
    -------
    tuple
        int (8, n, 3), and float (8, n).
    """
    low = np.floor(places).astype(int)
    beyond = places - low
    sides = np.array(list(product((0, 1), repeat=3)))[:, None]
    shares = np.where(sides == 1, beyond, 1 - beyond).prod(axis=-1)
    return low + sides, shares


def _quadratic(scale: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros(scale.shape[1:], np.float32)
    for feature, (linear, square) in zip(scale, weights, strict=True):
        total += (square * feature + linear) * feature
    return total


def _refined(grid: np.ndarray, times: Zyx) -> np.ndarray:
    """Return the grid with what lies half way between its points, where times is 2."""
    for axis, n in enumerate(times):
        if n == 2:
            known = np.moveaxis(grid, axis, 0)
            fine = np.empty((2 * len(known), *known.shape[1:]), grid.dtype)
            fine[::2] = known
            fine[1:-1:2] = 0.5 * (known[:-1] + known[1:])
            fine[-1] = known[-1]
            grid = np.moveaxis(fine, 0, axis)
    return grid
