"""Losses that look at labelled voxels only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = 255


def masked_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return cross-entropy plus soft Dice over labelled voxels.

    Classes that no labelled voxel has are left out of the Dice term: that nothing of
    them is seen here says nothing about them. Cross-entropy weighs classes by the
    inverse square root of their frequency among the labelled voxels.

    Parameters
    ----------
    logits
        (batch, class, z, y, x); class 0 is background.
    target
        Class ids (batch, z, y, x), int64; ``IGNORE`` where nothing is known.

    Returns
    -------
    Tensor
        A scalar; 0 if nothing is labelled.
    """
    known = target != IGNORE
    if not bool(known.any()):
        return logits.sum() * 0.0
    logits = logits.float()
    n_classes = logits.shape[1]
    ids = target[known]
    counts = torch.bincount(ids, minlength=n_classes).float()
    weight = torch.where(counts > 0, counts.clamp(min=1.0).rsqrt(), 0.0)
    weight = weight * (counts > 0).sum() / weight.sum()
    flat = logits.movedim(1, -1)[known]
    entropy = functional.cross_entropy(flat, ids, weight=weight)
    return entropy + _soft_dice_loss(flat, ids, counts > 0)


def deep_loss(aux: list[Tensor], target: Tensor) -> Tensor:
    """Return the loss of coarser scales, each half the weight of the one before."""
    total = target.new_zeros((), dtype=torch.float32)
    for number, logits in enumerate(aux, start=1):
        total = total + 0.5**number * masked_loss(logits, _coarser(target, logits))
    return total


def _soft_dice_loss(flat: Tensor, ids: Tensor, present: Tensor) -> Tensor:
    """Return 1 − mean Dice of the classes that are present (Milletari et al. 2016)."""
    probability = torch.softmax(flat, dim=1)
    one_hot = functional.one_hot(ids, flat.shape[1]).float()
    both = (probability * one_hot).sum(0)
    size = probability.sum(0) + one_hot.sum(0)
    dice = (2 * both + 1) / (size + 1)
    return 1 - dice[present].mean()


def _coarser(target: Tensor, logits: Tensor) -> Tensor:
    """Return the target on a coarser grid: the voxel nearest to each cell's middle."""
    resized = functional.interpolate(
        target[:, None].float(), size=logits.shape[2:], mode="nearest-exact"
    )
    return resized[:, 0].long()
