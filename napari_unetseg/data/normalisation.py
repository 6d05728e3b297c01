"""Intensities on one scale for the whole volume: never per block, or seams appear."""

from __future__ import annotations

import numpy as np

from napari_unetseg.config import Config
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box, zyx

MAX_VOXELS = 2**24
LIMIT = 3.0
PERCENTILES = (1.0, 99.0)
PADDED = 0.005  # a larger share of exactly the darkest or brightest value is no image


class Normalisation(Config):
    """The intensities per channel that become −1 and +1."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, voxels: np.ndarray) -> np.ndarray:
        """Return float32 voxels: ``low`` → −1, ``high`` → +1, clipped to [−3, 3].

        Parameters
        ----------
        voxels
            czyx, as stored.
        """
        low = np.array(self.low, np.float32)[:, None, None, None]
        high = np.array(self.high, np.float32)[:, None, None, None]
        scaled = (voxels.astype(np.float32) - low) * (2.0 / (high - low)) - 1.0
        return np.clip(scaled, -LIMIT, LIMIT, out=scaled)


def estimate_normalisation(volume: Volume) -> Normalisation:
    """Estimate the 1st and the 99th percentile per channel.

    A level of at most 2²⁴ voxels is read; of a volume without such a level, planes
    spread over its depth. Voxels that are no numbers do not count, and neither does
    padding: the darkest value, or the brightest, if many voxels have exactly that. How
    much of a volume is padded says nothing of how bright the image in it is.
    """
    voxels = _sample(volume)
    low, high = [], []
    for channel in voxels:
        numbers = channel[np.isfinite(channel)].astype(np.float32, copy=False)
        a, b = _range(_without_padding(numbers))
        low.append(a)
        high.append(b)
    return Normalisation(low=tuple(low), high=tuple(high))


def _without_padding(numbers: np.ndarray) -> np.ndarray:
    if numbers.size == 0:
        return numbers
    is_image = np.ones(numbers.shape, bool)
    for edge in (numbers.min(), numbers.max()):
        is_edge = numbers == edge
        if is_edge.mean() > PADDED:
            is_image &= ~is_edge
    image = numbers[is_image]
    return image if image.size and np.ptp(image) > 0 else numbers


def _range(numbers: np.ndarray) -> tuple[float, float]:
    if numbers.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(numbers, PERCENTILES))
    if high <= low:  # a small object in an empty volume
        low, high = float(numbers.min()), float(numbers.max())
    if high <= low:  # a constant channel carries nothing, but must not divide by zero
        low, high = low - 0.5, low + 0.5
    return low, high


def _sample(volume: Volume) -> np.ndarray:
    for number, level in enumerate(volume.levels):
        box = Box.whole(level.shape)
        if box.n_voxels * volume.n_channels <= MAX_VOXELS:
            return _read(volume, box, number)
    return _spread_bricks(volume)


def _read(volume: Volume, box: Box, level: int) -> np.ndarray:
    levels = volume.lazy_levels()
    voxels = np.asarray(levels[level][(..., *box.slices)])
    return voxels if volume.n_channels > 1 else voxels[np.newaxis]


def _spread_bricks(volume: Volume, n_bricks: int = 27) -> np.ndarray:
    """Read bricks on a regular lattice of the coarsest level."""
    number = len(volume.levels) - 1
    shape = volume.levels[number].shape
    edge = max(8, round((MAX_VOXELS / n_bricks / volume.n_channels) ** (1 / 3)))
    size = zyx(min(n, edge) for n in shape)
    bricks = []
    for where in np.ndindex(3, 3, 3):
        start = zyx(
            w * (n - s) // 2 for w, n, s in zip(where, shape, size, strict=True)
        )
        stop = zyx(a + s for a, s in zip(start, size, strict=True))
        bricks.append(_read(volume, Box(start, stop), number))
    return np.stack(bricks, axis=1)
