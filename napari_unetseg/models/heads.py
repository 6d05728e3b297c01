"""From features to logits: one consensus head, and a light head per rater.

The rater heads share what costs time. The features of the last two decoder scales are
mixed to a few channels once; a rater is then a scale and a shift of those channels
(FiLM), a ReLU and a 1×1×1 convolution::

    fine   ── mix_fine ──────────────┐
                                     ├─ γ·fine + γ'·coarse + β ─ ReLU ─ 1×1×1 ─ logits
    coarse ── mix_coarse ─ repeat ───┘        (γ, γ', β: one row per rater)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.blocks import conv
from napari_unetseg.models.planning import RATER_WIDTH


class RaterHeads(nn.Module):
    """One head per rater on the features of two decoder scales."""

    def __init__(
        self, fine: int, coarse: int, stride: Zyx, n_raters: int, n_out: int
    ) -> None:
        super().__init__()
        hidden = min(RATER_WIDTH, max(fine, 4))
        self.stride = stride
        self.mix_fine = conv(fine, hidden, (1, 1, 1), bias=False)
        self.mix_coarse = conv(coarse, hidden, (1, 1, 1), bias=False)
        self.gamma_fine = nn.Parameter(torch.ones(n_raters, hidden))
        self.gamma_coarse = nn.Parameter(torch.ones(n_raters, hidden))
        self.beta = nn.Parameter(torch.zeros(n_raters, hidden))
        self.out = nn.ModuleList(
            conv(hidden, n_out, (1, 1, 1), bias=True) for _ in range(n_raters)
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return logits (batch, rater, class, z, y, x)."""
        near = self.mix_fine(fine)
        factors = [float(step) for step in self.stride]
        far = F.interpolate(
            self.mix_coarse(coarse), scale_factor=factors, mode="nearest"
        )
        return torch.stack([self._rate(r, near, far) for r in range(len(self.out))], 1)

    def _rate(self, rater: int, near: Tensor, far: Tensor) -> Tensor:
        shape = (1, -1, 1, 1, 1)
        features = near * self.gamma_fine[rater].view(shape)
        features = features + far * self.gamma_coarse[rater].view(shape)
        features = features + self.beta[rater].view(shape)
        logits: Tensor = self.out[rater](F.relu(features))
        return logits


class FilmHead(nn.Module):
    """The consensus head, the rater heads, and the helpers of training.

    Parameters
    ----------
    fine, coarse
        Channels of the last two decoder scales.
    stride
        Stride between the two.
    n_out
        Channels of logits.
    n_raters
        Rater heads; fewer than two: none.
    aux
        Channels of the coarser decoder scales that get logits while training.
    """

    def __init__(
        self,
        fine: int,
        coarse: int,
        stride: Zyx,
        *,
        n_out: int,
        n_raters: int,
        aux: list[int],
    ) -> None:
        super().__init__()
        self.consensus = conv(fine, n_out, (1, 1, 1), bias=True)
        self.raters = (
            RaterHeads(fine, coarse, stride, n_raters, n_out) if n_raters >= 2 else None
        )
        self.aux = nn.ModuleList(conv(c, n_out, (1, 1, 1), bias=True) for c in aux)

    def forward(
        self, fine: Tensor, coarse: Tensor, scales: list[Tensor]
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Return consensus logits, rater logits, and logits of ``scales``."""
        raters = None if self.raters is None else self.raters(fine, coarse)
        aux = [head(x) for head, x in zip(self.aux, scales, strict=False)]
        return self.consensus(fine), raters, aux


HEADS: dict[str, Callable[..., nn.Module]] = {"film": FilmHead}
