"""Random changes of a patch that do not change what is in it."""

from __future__ import annotations

import numpy as np


def augment(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mirrored, turned and differently lit patch.

    Parameters
    ----------
    image
        Normalised float32 czyx.
    labels
        Class ids per rater, uint8 rzyx; they are moved with the image.
    """
    for axis in (-3, -2, -1):
        if rng.random() < 0.5:
            image, labels = np.flip(image, axis), np.flip(labels, axis)
    if image.shape[-1] == image.shape[-2]:  # in the plane only: sections are thicker
        turns = int(rng.integers(4))
        image = np.rot90(image, turns, (-2, -1))
        labels = np.rot90(labels, turns, (-2, -1))
    return _relit(np.ascontiguousarray(image), rng), np.ascontiguousarray(labels)


def _relit(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change contrast, brightness, gamma and noise, each channel on its own."""
    lit = np.empty_like(image)
    for number, channel in enumerate(image):
        gain, shift = rng.uniform(0.8, 1.25), rng.uniform(-0.2, 0.2)
        changed = channel * gain + shift
        if rng.random() < 0.3:
            # Gamma needs values between 0 and 1; the range is [-3, 3] by agreement.
            unit = np.clip((changed + 3) / 6, 0, 1)
            changed = 6 * unit ** rng.uniform(0.8, 1.25) - 3
        if rng.random() < 0.5:
            noise = rng.standard_normal(channel.shape, dtype=np.float32)
            changed = changed + noise * rng.uniform(0, 0.15)
        lit[number] = changed
    return lit.astype(np.float32, copy=False)
