"""One U-Net, built from a specification."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from napari_unetseg.models.blocks import (
    BLOCKS,
    DOWNS,
    NORMS,
    SKIPS,
    UPS,
    Norm,
    conv_norm_relu,
    lookup,
    out_channels,
)
from napari_unetseg.models.heads import Heads
from napari_unetseg.models.spec import NetworkSpec


class Output(NamedTuple):
    """What the network says.

    Attributes
    ----------
    consensus
        Logits (batch, class, z, y, x); class 0 is background.
    raters
        Logits (batch, rater, class, z, y, x), or nothing if there are no raters.
    aux
        Logits of coarser scales, the finest first; empty unless asked for.
    """

    consensus: Tensor
    raters: Tensor | None
    aux: list[Tensor]


class ThinHead(nn.Module):
    """From the half-resolution trunk back to the voxels of the image."""

    def __init__(self, spec: NetworkSpec, norm: Norm) -> None:
        super().__init__()
        up = lookup(UPS, "up", spec.up)
        self.out_channels = spec.head_width
        self.up = up(spec.widths[0], spec.head_width, spec.strides[0])
        both = spec.head_width + spec.detail_width
        self.mix = conv_norm_relu(both, spec.head_width, spec.head_kernel, norm)

    def forward(self, features: Tensor, detail: Tensor) -> Tensor:
        """Return features on the grid of the image."""
        y: Tensor = self.mix(torch.cat([detail, self.up(features)], dim=1))
        return y


class UNet(nn.Module):
    """Encoder, decoder, and heads; sizes must be whole strides of ``spec``.

    The submodules say what may be trained: ``detail``, ``stem``, ``down`` and ``enc``
    (encoder), ``up``, ``skip``, ``dec`` and ``thin`` (decoder), ``heads``.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        norm = lookup(NORMS, "norm", spec.norm)
        self.detail, self.stem, entry = _stem(spec, norm)
        self.down, self.enc = _encoder(spec, norm, entry)
        self.up, self.skip, self.dec = _decoder(spec, norm)
        widths = list(spec.widths)
        strides = list(spec.strides[1:])
        self.thin: ThinHead | None = None
        if spec.stem == "patch":
            self.thin = ThinHead(spec, norm)
            widths.insert(0, spec.head_width)
            strides.insert(0, spec.strides[0])
        # A network of one level has no second scale; its only one is read twice.
        coarse = min(1, len(widths) - 1)
        self.heads = Heads(
            widths[0],
            widths[coarse],
            strides[0] if coarse else (1, 1, 1),
            spec,
            aux=widths[1:-1] if spec.deep_supervision else [],
        )

    def forward(self, image: Tensor, *, deep: bool = False) -> Output:
        """Return logits for an image (batch, channel, z, y, x).

        Parameters
        ----------
        image
            Normalised voxels; the shape is a multiple of the total stride.
        deep
            Also return logits of the coarser scales (for training).

        Raises
        ------
        ValueError
            If the image has other channels, or is no multiple of the stride.
        """
        fine, coarse, scales = self._decoded(image)
        return Output(*self.heads(fine, coarse, scales if deep else []))

    def stacked(self, image: Tensor) -> Tensor:
        """Return all logits of predictions as channels (batch, any, z, y, x).

        The consensus comes first, then one rater after the other.
        """
        fine, coarse, _ = self._decoded(image)
        return self.heads.stacked(fine, coarse)

    def _decoded(self, image: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the features of the last two scales, and of those before them."""
        self._check(tuple(image.shape))
        detail = None if self.detail is None else self.detail(image)
        x = self.stem(image if detail is None else detail)
        skips: list[Tensor] = []
        for down, blocks in zip(self.down, self.enc, strict=True):
            x = blocks(down(x))
            skips.append(x)
        skips.pop()
        scales = [x]
        steps = zip(self.up, self.skip, self.dec, strict=True)
        for up, skip, blocks in reversed(list(steps)):
            x = blocks(skip(skips.pop(), up(x)))
            scales.insert(0, x)
        if self.thin is not None:
            scales.insert(0, self.thin(x, detail))
        return scales[0], scales[min(1, len(scales) - 1)], scales[1:-1]

    def _check(self, shape: tuple[int, ...]) -> None:
        spec = self.spec
        if len(shape) != 5 or shape[1] != spec.in_channels:
            raise ValueError(
                f"The network reads (batch, {spec.in_channels}, z, y, x): got {shape}."
            )
        if any(n % s for n, s in zip(shape[2:], spec.stride, strict=True)):
            raise ValueError(
                f"Sizes must be multiples of {spec.stride}: got {shape[2:]}."
            )


def _stem(spec: NetworkSpec, norm: Norm) -> tuple[nn.Module | None, nn.Module, int]:
    """Return the full-resolution detail (or nothing), the stem and its channels."""
    first = spec.widths[0]
    if spec.stem == "identity":
        return None, nn.Identity(), spec.in_channels
    if spec.stem == "conv":
        stem = conv_norm_relu(spec.in_channels, first, spec.kernels[0], norm)
        return None, stem, first
    width = spec.detail_width
    detail = conv_norm_relu(spec.in_channels, width, spec.head_kernel, norm)
    return detail, DOWNS["conv"](width, first, spec.strides[0], norm), first


def _encoder(
    spec: NetworkSpec, norm: Norm, entry: int
) -> tuple[nn.ModuleList, nn.ModuleList]:
    downs: list[nn.Module] = []
    encoders: list[nn.Module] = []
    make_down = lookup(DOWNS, "down", spec.down)
    width = entry
    for level in range(spec.n_levels):
        down: nn.Module = nn.Identity()
        if level > 0:
            down = make_down(width, spec.widths[level], spec.strides[level], norm)
            width = out_channels(down)
        is_last = level == spec.n_levels - 1
        name = spec.bottleneck if is_last else spec.enc
        downs.append(down)
        encoders.append(_blocks(spec, norm, "enc", name, level, width))
        width = spec.widths[level]
    return nn.ModuleList(downs), nn.ModuleList(encoders)


def _decoder(
    spec: NetworkSpec, norm: Norm
) -> tuple[nn.ModuleList, nn.ModuleList, nn.ModuleList]:
    ups: list[nn.Module] = []
    skips: list[nn.Module] = []
    decoders: list[nn.Module] = []
    make_up, make_skip = lookup(UPS, "up", spec.up), lookup(SKIPS, "skip", spec.skip)
    for level in range(spec.n_levels - 1):
        width = spec.widths[level]
        skip = make_skip(width)
        ups.append(make_up(spec.widths[level + 1], width, spec.strides[level + 1]))
        skips.append(skip)
        merged = out_channels(skip)
        decoders.append(_blocks(spec, norm, "dec", spec.dec, level, merged))
    return nn.ModuleList(ups), nn.ModuleList(skips), nn.ModuleList(decoders)


def _blocks(
    spec: NetworkSpec, norm: Norm, slot: str, name: str, level: int, cin: int
) -> nn.Sequential:
    make = lookup(BLOCKS, slot, name)
    width, kernel = spec.widths[level], spec.kernels[level]
    widths_in = [cin] + [width] * (spec.depths[level] - 1)
    return nn.Sequential(*(make(c, width, kernel, norm) for c in widths_in))
