"""From features to logits: one consensus head, and a light head per rater."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.blocks import conv, lookup
from napari_unetseg.models.rater_heads import RATER_HEADS, LatentHeads, LinearHeads
from napari_unetseg.models.spec import NetworkSpec


class Heads(nn.Module):
    """The consensus head, the rater heads, and the helpers of training.

    Parameters
    ----------
    fine, coarse
        Channels of the last two decoder scales.
    stride
        Stride between the two.
    spec
        Of the network; fewer than two raters: no rater heads.
    aux
        Channels of the coarser decoder scales that get logits while training.
    """

    def __init__(
        self, fine: int, coarse: int, stride: Zyx, spec: NetworkSpec, aux: list[int]
    ) -> None:
        super().__init__()
        n_out = spec.n_channels_out
        self.consensus = conv(fine, n_out, (1, 1, 1), bias=True)
        make = lookup(RATER_HEADS, "head", spec.head)
        self.raters = make(fine, coarse, stride, spec) if spec.has_raters else None
        self.aux = nn.ModuleList(conv(c, n_out, (1, 1, 1), bias=True) for c in aux)

    def forward(
        self, fine: Tensor, coarse: Tensor, *styles: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return consensus logits and rater logits.

        Parameters
        ----------
        fine, coarse
            Features of the last two decoder scales.
        styles
            What :meth:`styles` returned, where several calls make up one pass.
        """
        raters = None if self.raters is None else self.raters(fine, coarse, *styles)
        return self.consensus(fine), raters

    def styles(self) -> list[Tensor]:
        """Return the hidden styles of one pass, if there are any."""
        return [self.raters.styles()] if isinstance(self.raters, LatentHeads) else []

    def deep(self, scales: list[Tensor]) -> list[Tensor]:
        """Return logits of coarser scales."""
        return [head(x) for head, x in zip(self.aux, scales, strict=False)]

    def stacked(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the logits of consensus and raters as channels of one tensor."""
        if self.raters is None:
            alone: Tensor = self.consensus(fine)
            return alone
        if isinstance(self.raters, LinearHeads):  # all at once: nothing is copied
            layers = self.consensus, self.raters.out
            weight, bias = (
                torch.cat([getattr(layer, name) for layer in layers])
                for name in ("weight", "bias")
            )
            return conv3d(fine, weight, bias)
        raters = self.raters(fine, coarse).flatten(1, 2)
        return torch.cat([self.consensus(fine), raters], dim=1)

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Divide all logits of predictions by a temperature, at no cost later."""
        raters: list[nn.Conv3d] = [] if self.raters is None else self.raters.last_layers  # type: ignore[assignment]
        for layer in (self.consensus, *raters):
            layer.weight /= temperature
            if layer.bias is not None:
                layer.bias /= temperature
