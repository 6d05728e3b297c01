"""A light head per rater, on the features of the last two decoder scales.

What costs time is shared. ``film`` mixes the features to a few channels once; a rater
is then a scale and a shift of those channels (FiLM: Perez et al., AAAI 2018), a ReLU
and a 1×1×1 convolution::

    fine   ── mix_fine ──────────────┐
                                     ├─ γ·fine + γ'·coarse + β ─ ReLU ─ 1×1×1 ─ logits
    coarse ── mix_coarse ─ repeat ───┘        (γ, γ', β: one row per rater)

``latent`` has the same rows made from a few random numbers, a hidden style. While
training they are drawn anew at every step; what a prediction shows was drawn once, when
the network was made, and lies in the weights: all tiles, passes and engines show the
same styles. ``linear`` reads the fine features alone, nearly free of cost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.blocks import conv
from napari_unetseg.models.planning import RATER_WIDTH
from napari_unetseg.models.spec import NetworkSpec


class LinearHeads(nn.Module):
    """One 1×1×1 convolution per rater, all of them done as one."""

    def __init__(self, fine: int, coarse: int, stride: Zyx, spec: NetworkSpec) -> None:
        super().__init__()
        self.n_raters = spec.n_raters
        self.out = conv(fine, spec.n_raters * spec.n_channels_out, (1, 1, 1), bias=True)

    @property
    def last_layers(self) -> list[nn.Conv3d]:
        """What makes logits; scaling it scales them."""
        return [self.out]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return logits (batch, rater, class, z, y, x)."""
        logits: Tensor = self.out(fine).unflatten(1, (self.n_raters, -1))
        return logits


class _Mixed(nn.Module):
    """Features of both scales on the fine grid, a few channels that heads share."""

    def __init__(self, fine: int, coarse: int, stride: Zyx) -> None:
        super().__init__()
        self.hidden = min(RATER_WIDTH, max(fine, 4))
        self.stride = stride
        self.mix_fine = conv(fine, self.hidden, (1, 1, 1), bias=False)
        self.mix_coarse = conv(coarse, self.hidden, (1, 1, 1), bias=False)

    def mixed(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Return near and far features."""
        factors = [float(step) for step in self.stride]
        far = F.interpolate(
            self.mix_coarse(coarse), scale_factor=factors, mode="nearest"
        )
        return self.mix_fine(fine), far


class FilmHeads(_Mixed):
    """A scale and a shift of the shared channels per rater, and a last layer each."""

    def __init__(self, fine: int, coarse: int, stride: Zyx, spec: NetworkSpec) -> None:
        super().__init__(fine, coarse, stride)
        rows = spec.n_raters, self.hidden
        self.gamma_fine = nn.Parameter(torch.ones(rows))
        self.gamma_coarse = nn.Parameter(torch.ones(rows))
        self.beta = nn.Parameter(torch.zeros(rows))
        self.out = nn.ModuleList(
            conv(self.hidden, spec.n_channels_out, (1, 1, 1), bias=True)
            for _ in range(spec.n_raters)
        )

    @property
    def last_layers(self) -> list[nn.Conv3d]:
        """What makes logits; scaling it scales them."""
        return [layer for layer in self.out if isinstance(layer, nn.Conv3d)]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return logits (batch, rater, class, z, y, x)."""
        near, far = self.mixed(fine, coarse)
        rows = zip(self.gamma_fine, self.gamma_coarse, self.beta, self.out, strict=True)
        return torch.stack([out(_film(near, far, *row)) for *row, out in rows], 1)


class LatentHeads(_Mixed):
    """The rows of :class:`FilmHeads` made from a hidden style; one last layer."""

    draws: Tensor

    def __init__(self, fine: int, coarse: int, stride: Zyx, spec: NetworkSpec) -> None:
        super().__init__(fine, coarse, stride)
        self.rows = nn.Linear(spec.latent_width, 3 * self.hidden)
        self.out = conv(self.hidden, spec.n_channels_out, (1, 1, 1), bias=True)
        rng = np.random.default_rng(spec.latent_seed)
        styles = rng.standard_normal((spec.n_raters, spec.latent_width), np.float32)
        self.register_buffer("draws", torch.from_numpy(styles))

    @property
    def last_layers(self) -> list[nn.Conv3d]:
        """What makes logits; scaling it scales them."""
        return [self.out]

    def styles(self) -> Tensor:
        """Return the hidden styles of one pass (draw, number)."""
        return torch.randn_like(self.draws) if self.training else self.draws

    def forward(
        self, fine: Tensor, coarse: Tensor, styles: Tensor | None = None
    ) -> Tensor:
        """Return logits (batch, draw, class, z, y, x)."""
        near, far = self.mixed(fine, coarse)
        styles = self.styles() if styles is None else styles
        by_draw = self.rows(styles).unflatten(1, (3, self.hidden))
        logits = [
            self.out(_film(near, far, 1 + row[0], 1 + row[1], row[2]))
            for row in by_draw
        ]
        return torch.stack(logits, 1)


def _film(near: Tensor, far: Tensor, *rows: Tensor) -> Tensor:
    scale_near, scale_far, shift = (row.view(1, -1, 1, 1, 1) for row in rows)
    return F.relu(near * scale_near + far * scale_far + shift)


RATER_HEADS: dict[str, Callable[[int, int, Zyx, NetworkSpec], nn.Module]] = {
    "film": FilmHeads,
    "latent": LatentHeads,
    "linear": LinearHeads,
}
