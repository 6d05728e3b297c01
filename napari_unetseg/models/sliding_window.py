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
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    patch: Zyx,
    stride: Zyx,
    *,
    batch: int = 1,
) -> Tensor:
    """Return the weighted mean of the network's answers on overlapping patches.

    Parameters
    ----------
    network
        From (patches, channel, z, y, x) to (patches, any, z, y, x) on the same grid.
    image
        Voxels (1, channel, z, y, x) whose sizes are whole strides.
    patch, stride
        Patch that the network learned from, and its total stride, zyx.
    batch
        Patches that the network gets at a time.
    """
    shape = zyx(image.shape[2:])
    total = image.new_zeros(())
    weights = torch.zeros(shape, device=image.device)
    boxes = patch_boxes(shape, patch, stride)
    weight = gaussian_weight(boxes[0].shape).to(image.device)  # all have one size
    for first in range(0, len(boxes), batch):
        group = boxes[first : first + batch]
        answers = network(torch.cat([image[(..., *box.slices)] for box in group]))
        if total.ndim == 0:  # how many channels come back is known only now
            total = answers.new_zeros((1, answers.shape[1], *shape))
        for box, answer in zip(group, answers, strict=True):
            total[(0, ..., *box.slices)] += answer * weight
            weights[box.slices] += weight
    return total / weights
