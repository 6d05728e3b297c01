"""What rater heads learn: each from its rater, or all of them from the set of raters.

Where it is known who drew what, a head has its rater's labels. Where it is not, K masks
S have to be to M raters' masks Y as one set to the other: the energy distance
(Székely and Rizzo; the "Hausdorff" loss of PULASki, Medical Image Analysis 2025), less
the part that no weight changes::

    E ‖S − Y‖ − ½ E ‖S − S'‖

A strictly proper score: the first term draws the masks to the raters, the second
keeps them from becoming one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unetseg.config import RaterKind
from napari_unetseg.training.losses import IGNORE, masked_loss, one_hot

ENERGY = 2.0
BY_NAME = 3.0  # with less, the features serve the consensus and styles come late
_TINY = 1e-6


def rater_loss(
    kind: RaterKind,
    logits: Tensor,
    *,
    everybody: Tensor,
    said: Tensor,
    silent: tuple[bool, ...],
    target: Tensor,
    weight: Tensor | None = None,
    said_weight: Tensor | None = None,
    is_new: bool = True,
) -> Tensor:
    """Return the loss of the rater heads.

    Parameters
    ----------
    logits
        (batch, head, class, z, y, x).
    everybody, said
        Class ids (batch, z, y, x) of all, and (batch, rater, z, y, x) of each.
    silent
        Raters without labels of their own.
    target
        Shares of the classes (batch, class, z, y, x).
    weight, said_weight
        What each voxel counts of what all and each of them said.
    is_new
        Whether the network learns its first styles. One that has them is held by what
        its parent said, which a larger weight of few corrections would overrule.
    """
    if kind == "named":
        factor = BY_NAME if is_new else 1.0
        own = [
            (everybody, weight)
            if is_silent  # who never labelled here at least sees what others corrected
            else (said[:, n], None if said_weight is None else said_weight[:, n])
            for n, is_silent in enumerate(silent)
        ]
        return factor * _by_name(logits, own)
    share = logits.float().softmax(2)
    mean = masked_loss(share.mean(1).clamp_min(_TINY).log(), target, weight)
    if said_weight is not None:  # to a set of masks belongs what was drawn
        said = torch.where(said_weight < 1, IGNORE, said)
    return mean + ENERGY * _as_a_set(share, said, drawn=kind == "latent")


def _by_name(logits: Tensor, own: list[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Return the mean over the heads, each with its rater's ids and their weights."""
    n_classes = logits.shape[2]
    total = logits.new_zeros((), dtype=torch.float32)
    for head, (ids, weight) in zip(logits.unbind(1), own, strict=True):
        total = total + masked_loss(head, one_hot(ids, n_classes), weight)
    return total / len(own)


def _as_a_set(share: Tensor, said: Tensor, *, drawn: bool) -> Tensor:
    """Return the mean over the patches of how far the heads are from the raters.

    Of a patch count the raters who labelled there, on the voxels that all of them did.
    """
    parts = []
    for heads, ids in zip(share, said, strict=True):
        known = ids != IGNORE
        raters = known.flatten(1).any(1)
        voxels = known[raters].all(0)
        if not bool(raters.any()) or not bool(voxels.any()):
            continue
        drawn_by = one_hot(ids[raters], heads.shape[1])[:, 1:]
        samples = heads[:, 1:][..., voxels].flatten(1)
        masks = drawn_by[..., voxels].flatten(1)
        parts.append(energy_loss(samples, masks, drawn=drawn))
    return torch.stack(parts).mean() if parts else share.sum() * 0.0


def energy_loss(samples: Tensor, raters: Tensor, *, drawn: bool) -> Tensor:
    """Return the energy distance of two sets, but for a constant of the raters.

    Parameters
    ----------
    samples, raters
        Probabilities (k, v) and masks (m, v).
    drawn
        Whether the samples were drawn at random: then pairs of different ones count
        only (U-statistic). Fixed heads are all there is (V-statistic); with the other
        form they would be driven too far apart.
    """
    k = len(samples)
    between = distances(samples, raters).mean()
    apart = distances(samples, samples).sum() / (k * (k - 1) if drawn else k * k)
    return between - 0.5 * apart


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Return root mean squared differences (k, m) of rows (k, v) and (m, v).

    The slope of a root is infinite at 0; there, the distance is taken to have none.
    """
    square = (first[:, None] - second[None]).square().mean(-1)
    same = square == 0
    return torch.where(same, 0.0, torch.where(same, 1.0, square).sqrt())
