"""How much raters and passes differ, voxel by voxel, in sums that never grow.

With p(e, r) the probabilities of member e (a mirrored pass) and rater r, H the entropy
divided by log C, and bars for means::

    total     = H(mean over e and r)                  predictive entropy
    softness  = mean_{e,r} H(p(e, r))                 of each answer alone
    rater     = total − mean_r H(p̄_r) + ½ softness    who draws, and how this time
    model     = mean_r H(p̄_r) − softness              what knowing the member tells
    residual  = ½ softness                            what all would see alike

    total = rater + model + residual, and no term is negative.

The first part of ``rater`` is what knowing the rater tells, the mutual information of
label and rater. It alone finds no disagreement where the heads are equally unsure, and
that is what they are of raters with few labels each. How much of such softness two
raters resolve differently was fitted to what raters drew, see :data:`APART`. Of a
single rater nothing is known of others: ``rater`` is 0, and all softness is residual.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Least squares on validation images of four sets of raters gave 0.47 to 0.66.
APART = 0.5
_TINY = 1e-30  # its logarithm is a number, and it adds nothing


class Uncertainty(NamedTuple):
    """The four maps (z, y, x), each from 0 to 1, and the mean probabilities.

    Attributes
    ----------
    total, rater, model, residual
        See the top of the file.
    by_rater
        Mean over the members (rater, class, z, y, x).
    """

    total: Tensor
    rater: Tensor
    model: Tensor
    residual: Tensor
    by_rater: Tensor


class MemberSums:
    """Running sums over members; memory does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._probability: Tensor | None = None
        self._entropy: Tensor | None = None

    def add(self, probability: Tensor) -> None:
        """Take one member's probabilities (rater, class, z, y, x)."""
        entropy = entropy_of(probability).mean(dim=0)
        if self._probability is None or self._entropy is None:
            self._probability, self._entropy = probability.clone(), entropy
        else:
            self._probability += probability
            self._entropy += entropy
        self.count += 1

    @property
    def is_finite(self) -> bool:
        """Whether all probabilities are numbers; a class is one only if all are."""
        assert self._probability is not None
        return bool(torch.isfinite(self._probability[:, 0].sum()))

    def result(self) -> Uncertainty:
        """Return the maps of all members so far.

        Raises
        ------
        ValueError
            If no member was added.
        """
        if self._probability is None or self._entropy is None:
            raise ValueError("No member was added.")
        by_rater = self._probability / self.count
        softness = self._entropy / self.count
        total = entropy_of(by_rater.mean(dim=0, keepdim=True))[0]
        # Of a single member, both are the same.
        within = softness if self.count == 1 else entropy_of(by_rater).mean(dim=0)
        apart = softness * (APART if len(by_rater) > 1 else 0)
        # Rounding can leave differences of equal numbers just below zero.
        return Uncertainty(
            total=total.clamp(0, 1),
            rater=(total - within + apart).clamp(0, 1),
            model=(within - softness).clamp(0, 1),
            residual=(softness - apart).clamp(0, 1),
            by_rater=by_rater,
        )


def entropy_of(probability: Tensor) -> Tensor:
    """Return the entropy over axis 1, divided by its largest possible value."""
    n_classes = probability.shape[1]
    # Unlike torch.special.entr, the logarithm is computed for many numbers at once.
    terms = probability.clamp_min(_TINY).log_().mul_(probability)
    return terms.sum(dim=1).mul_(-1 / math.log(n_classes))


def quantised(values: Tensor, steps: int = 255) -> Tensor:
    """Return values between 0 and 1 as 0 to 255, in so many steps."""
    return ((values * steps).round().clamp(0, steps) * (255 // steps)).to(torch.uint8)


def labels_of(probability: Tensor) -> Tensor:
    """Return the class of the largest probability (class, ...), uint8 (...).

    The first of equals. Many times as fast as ``argmax`` along a far axis.
    """
    best = probability[0]
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for number in range(1, len(probability)):
        is_better = (probability[number] > best).view(torch.uint8)
        labels = torch.maximum(labels, is_better * number)
        best = torch.maximum(best, probability[number])
    return labels
