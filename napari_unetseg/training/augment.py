"""Random changes of a patch that do not change what is in it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_unetseg.data.corrections import UNSET

BENDS = 0.3  # share of patches that are bent
ANGLE = math.radians(20)
BEND = 0.04  # of half the patch
BEND_CELLS = 5


def augment(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    *,
    mirror: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mirrored, turned, bent and differently lit patch.

    Parameters
    ----------
    image
        Normalised float32 czyx.
    labels
        Class ids per rater, uint8 rzyx; they are moved with the image.
    mirror
        Whether to mirror, and to turn by right angles.
    """
    if mirror:
        image, labels = _mirrored(image, labels, rng)
    if rng.random() < BENDS:
        image, labels = bend(image, labels, rng)
    return _relit(np.ascontiguousarray(image), rng), np.ascontiguousarray(labels)


def _mirrored(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    for axis in (-3, -2, -1):
        if rng.random() < 0.5:
            image, labels = np.flip(image, axis), np.flip(labels, axis)
    if image.shape[-1] == image.shape[-2]:  # in the plane only: sections are thicker
        turns = int(rng.integers(4))
        image = np.rot90(image, turns, (-2, -1))
        labels = np.rot90(labels, turns, (-2, -1))
    return image, labels


def bend(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn and bend a patch in the plane, all sections alike.

    Sections are channels of one plane to the sampler: much cheaper than in space.
    What comes from outside the patch is mirrored, and has no labels.
    """
    grid = _bent_grid(image.shape[-2], image.shape[-1], rng)
    bent = _sample(image, grid, "bilinear", "reflection").astype(np.float32)
    # Outside becomes 0, so labels are shifted to make that mean "nothing is known".
    shifted = labels.astype(np.float32) - UNSET
    moved = _sample(shifted, grid, "nearest", "zeros") + UNSET
    return bent, np.rint(moved).astype(np.uint8)


def _bent_grid(height: int, width: int, rng: np.random.Generator) -> Tensor:
    angle = rng.uniform(-ANGLE, ANGLE)
    ratio = width / height
    turn = torch.tensor(
        [
            [math.cos(angle), -math.sin(angle) / ratio, 0.0],
            [math.sin(angle) * ratio, math.cos(angle), 0.0],
        ]
    )
    grid = functional.affine_grid(turn[None], [1, 1, height, width], False)
    coarse = torch.from_numpy(
        rng.normal(0, BEND, (1, 2, BEND_CELLS, BEND_CELLS)).astype(np.float32)
    )
    smooth = functional.interpolate(coarse, (height, width), mode="bicubic")
    return grid + smooth.movedim(1, -1)


def _sample(planes: np.ndarray, grid: Tensor, mode: str, outside: str) -> np.ndarray:
    flat = torch.from_numpy(
        np.ascontiguousarray(planes).reshape(1, -1, *planes.shape[-2:])
    )
    sampled = functional.grid_sample(flat, grid, mode, outside, align_corners=False)
    moved: np.ndarray = sampled.numpy().reshape(planes.shape)
    return moved


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
