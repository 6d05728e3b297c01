"""Overlapping patches inside one block, blended with Gaussian weights.

Only for networks whose normalisation looks at the whole patch (instance, group): their
answer depends on the patch, so the block is shown to them in patches of the size that
they learned from, and neighbouring answers fade into each other.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from napari_unetseg.geometry import Box, Zyx, zyx

OVERLAP = 2  # neighbouring patches share one half
SIGMA = 0.125  # of the patch; at its border the weight is almost nothing


def patch_boxes(shape: Zyx, patch: Zyx, stride: Zyx) -> list[Box]:
    """Return overlapping boxes that cover ``shape``; starts are whole strides."""
    starts = [
        _starts(n, min(p, n), s) for n, p, s in zip(shape, patch, stride, strict=True)
    ]
    size = zyx(min(p, n) for p, n in zip(patch, shape, strict=True))
    return [Box((0, 0, 0), size).shifted(start) for start in product(*starts)]


def _starts(length: int, patch: int, stride: int) -> list[int]:
    step = max(stride, patch // OVERLAP // stride * stride)
    starts = list(range(0, max(1, length - patch + 1), step))
    last = length - patch
    return starts if starts[-1] == last else [*starts, last]


def gaussian_weight(shape: Zyx) -> Tensor:
    """Return weights (z, y, x): 1 in the middle, small but never 0 at the border."""
    weight = torch.ones(1)
    for n in shape:
        place = (torch.arange(n) - (n - 1) / 2) / max(1.0, SIGMA * n)
        weight = weight[..., None] * torch.exp(-0.5 * place**2)
    return weight[0].clamp_min(1e-3)


def blended(
    network: Callable[[Tensor], Tensor], image: Tensor, patch: Zyx, stride: Zyx
) -> Tensor:
    """Return the weighted mean of the network's answers on overlapping patches.

    Parameters
    ----------
    network
        From (1, channel, z, y, x) to (1, any, z, y, x) on the same grid.
    image
        Voxels (1, channel, z, y, x) whose sizes are whole strides.
    patch, stride
        Patch that the network learned from, and its total stride, zyx.
    """
    shape = zyx(image.shape[2:])
    total = image.new_zeros(())
    weights = torch.zeros(shape, device=image.device)
    for box in patch_boxes(shape, patch, stride):
        place = (..., *box.slices)
        weight = gaussian_weight(box.shape).to(image.device)
        answer = network(image[place]) * weight
        if total.ndim == 0:  # how many channels come back is known only now
            total = answer.new_zeros((*answer.shape[:2], *shape))
        total[place] += answer
        weights[box.slices] += weight
    return total / weights
