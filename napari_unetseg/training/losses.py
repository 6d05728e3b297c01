"""Losses that look at labelled voxels only, and the parent's voice where none are.

A target says how sure each class is: (batch, class, z, y, x), 1 for one class where
everybody agrees, shares where raters differ, 0 for all classes where nothing is known.
A weight (batch, z, y, x) says what each voxel counts, 1 if there is none.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unetseg.models.unet import Output, UNet

IGNORE = 255
CONFIDENT = 0.9  # of the parent, for its word to count
TEMPERATURE = 2.0
DISTILLATION = 0.5
REHEARSAL = 2.0  # what lets a fine-tuning learn fast and forget little
PULL = 1e-3
_TINY = 1e-6


def one_hot(ids: Tensor, n_classes: int) -> Tensor:
    """Return class ids (batch, z, y, x) as a target; ``IGNORE`` becomes nothing."""
    known = ids != IGNORE
    hot = functional.one_hot(torch.where(known, ids, 0), n_classes)
    return (hot * known[..., None]).movedim(-1, 1).float()


def consensus_target(
    everybody: Tensor,
    raters: Tensor,
    n_classes: int,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean of the raters, and everybody's word where no rater said anything.

    Parameters
    ----------
    everybody, raters
        Class ids (batch, z, y, x) and (batch, rater, z, y, x).
    weights
        What each rater's word counts, (batch, rater, z, y, x).
    """
    if raters.shape[1] == 0:
        return one_hot(everybody, n_classes)
    votes = torch.stack([one_hot(ids, n_classes) for ids in raters.unbind(1)], 1)
    if weights is not None:
        votes = votes * weights[:, :, None]
    votes = votes.sum(1)
    n_votes = votes.sum(1, keepdim=True)
    return torch.where(
        n_votes > 0, votes / n_votes.clamp(min=_TINY), one_hot(everybody, n_classes)
    )


def masked_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return cross-entropy plus soft Dice over labelled voxels.

    Classes that no labelled voxel has are left out of the Dice term: that nothing of
    them is seen here says nothing about them. Cross-entropy weighs classes by the
    inverse square root of their frequency among the labelled voxels.

    Parameters
    ----------
    logits
        (batch, class, z, y, x); class 0 is background.
    target
        Shares of the classes, of the same shape; 0 where nothing is known.
    weight
        What each voxel counts, (batch, z, y, x).

    Returns
    -------
    Tensor
        A scalar; 0 if nothing is labelled.
    """
    known = target.sum(1) > 0
    if weight is not None:
        known = known & (weight > 0)
    if not bool(known.any()):
        return logits.sum() * 0.0
    said = target.movedim(1, -1)[known]
    share_worth = said if weight is None else said * weight[known][:, None]
    log_share = logits.float().movedim(1, -1)[known].log_softmax(1)
    counts = share_worth.sum(0)
    present = counts > 0
    rarity = torch.where(present, counts.clamp(min=1.0).rsqrt(), 0.0)
    weighted = share_worth * rarity
    entropy = -(weighted * log_share).sum() / weighted.sum()
    worth = None if weight is None else weight[known][:, None]
    return entropy + _soft_dice_loss(log_share.exp(), said, worth)[present].mean()


def _soft_dice_loss(share: Tensor, said: Tensor, worth: Tensor | None) -> Tensor:
    """Return 1 − Dice per class.

    With shares of raters the product of the usual soft Dice would be largest for a
    hard answer; the minimum is largest for the same shares, and equal for hard labels.
    """
    both, size = torch.minimum(share, said), share + said
    if worth is not None:
        both, size = both * worth, size * worth
    return 1 - (2 * both.sum(0) + 1) / (size.sum(0) + 1)


def deep_loss(
    aux: list[Tensor], target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return the loss of coarser scales, each half the weight of the one before."""
    total = target.new_zeros(())
    for number, logits in enumerate(aux, start=1):
        coarser = _coarser(target, weight, logits)
        total = total + 0.5**number * masked_loss(logits, *coarser)
    return total


def _coarser(
    target: Tensor, weight: Tensor | None, logits: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the shares among the labelled voxels of each coarser cell, and its weight.

    A single labelled section must not fall between the cells, as it would if one
    voxel were taken of each. A cell counts what its labelled voxels count on average.
    """
    shape = (logits.shape[2], logits.shape[3], logits.shape[4])
    if weight is None:
        pooled = functional.adaptive_avg_pool3d(target, shape)
        return pooled / pooled.sum(1, keepdim=True).clamp(min=_TINY), None
    known = functional.adaptive_avg_pool3d(target.sum(1, keepdim=True), shape)
    pooled = functional.adaptive_avg_pool3d(target * weight[:, None], shape)
    worth = pooled.sum(1, keepdim=True)
    shares = pooled / worth.clamp(min=_TINY)
    return shares, (worth / known.clamp(min=_TINY))[:, 0]


class Parent:
    """The network that a fine-tuning began with: it must not be forgotten.

    Of exemplars, patches of what it learned from, all of its answer is kept: rehearsal.
    Who has none keeps what it was sure of where nothing is labelled: distillation. Its
    convolutions hold on to those of the child (L2-SP). Norms and heads are free.
    """

    def __init__(self, network: UNet) -> None:
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        self._anchors = {
            name: value
            for name, value in self._network.named_parameters()
            if value.ndim == 5 and not name.startswith("heads")
        }

    def pull(self, child: nn.Module) -> Tensor:
        """Return half the squared distance of the convolutions, weighted."""
        parts = [
            (value - self._anchors[name]).square().sum()
            for name, value in child.named_parameters()
            if name in self._anchors and value.requires_grad
        ]
        return 0.5 * PULL * torch.stack(parts).sum()

    def rehearsal(self, image: Tensor, child: Output, target: Tensor) -> Tensor:
        """Return how far the child has left the parent in patches without any label."""
        without = (target.sum(1) == 0).flatten(1).all(1)
        if not bool(without.any()):
            return child.consensus.sum() * 0.0
        everywhere = torch.ones_like(target[without, 0], dtype=torch.bool)
        pairs = self._pairs(image[without], child, without)
        return REHEARSAL * _mean_divergence(pairs, [everywhere] * len(pairs))

    def distillation(self, image: Tensor, child: Output, target: Tensor) -> Tensor:
        """Return how far the child has left a sure parent where nothing is labelled."""
        free, each = target.sum(1) == 0, slice(None)
        pairs = self._pairs(image, child, each)
        sure = [free & (said.softmax(1).amax(1) >= CONFIDENT) for _, said in pairs]
        return DISTILLATION * _mean_divergence(pairs, sure)

    def _pairs(
        self, image: Tensor, child: Output, which: Tensor | slice
    ) -> list[tuple[Tensor, Tensor]]:
        """Return logits of child and parent: the consensus first, then each rater."""
        with torch.no_grad():
            parent = self._network(image)
        pairs = [(child.consensus[which], parent.consensus.float())]
        # Draws of a hidden style are others at every step.
        if child.raters is not None and self._network.spec.rater_kind != "latent":
            mine, yours = child.raters[which], parent.raters.float()
            pairs += zip(mine.unbind(1), yours.unbind(1), strict=True)
        return pairs


def _mean_divergence(
    pairs: Sequence[tuple[Tensor, Tensor]], where: Sequence[Tensor]
) -> Tensor:
    """Return the divergence of the consensus, and on average that of the raters."""
    consensus, *raters = (
        _divergence(child, parent, voxels)
        for (child, parent), voxels in zip(pairs, where, strict=True)
    )
    return consensus + torch.stack(raters).mean() if raters else consensus


def _divergence(child: Tensor, parent: Tensor, where: Tensor) -> Tensor:
    """Return T²·KL(parent ‖ child), the mean of some voxels; 0 if there are none."""
    if not bool(where.any()):
        return child.sum() * 0.0
    mine = (child.float().movedim(1, -1)[where] / TEMPERATURE).log_softmax(1)
    yours = (parent.movedim(1, -1)[where] / TEMPERATURE).log_softmax(1)
    divergence = functional.kl_div(mine, yours, reduction="batchmean", log_target=True)
    return TEMPERATURE**2 * divergence
