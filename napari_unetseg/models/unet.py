"""One U-Net, built from a specification."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from napari_unetseg.geometry import Block, BlockGrid, zyx
from napari_unetseg.models.blocks import (
    BLOCKS,
    CHAINS,
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
from napari_unetseg.models.recomputation import checkpointed
from napari_unetseg.models.spec import NetworkSpec

T = TypeVar("T")

PIECE = 16  # voxels along the longest axis that gradients are computed of at a time


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

    Attributes
    ----------
    recomputes
        While training, keep what enters a level and compute the rest of it again.
    """

    recomputes = False

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
            self.thin = ThinHead(spec, lookup(NORMS, "fine_norm", spec.finest_norm))
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
        detail, scales = self._decoded(image, keep_detail=not self._is_in_pieces)
        consensus, raters = self._finished(image, detail, scales)
        coarser = scales[(self.thin is None) : -1] if deep else []
        return Output(consensus, raters, self.heads.deep(coarser))

    def stacked(self, image: Tensor) -> Tensor:
        """Return all logits of predictions as channels (batch, any, z, y, x).

        The consensus comes first, then one rater after the other.
        """
        detail, scales = self._decoded(image)
        return self.heads.stacked(*self._last_two(detail, *scales[:2]))

    def _decoded(
        self, image: Tensor, *, keep_detail: bool = True
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Return the detail, if it is kept, and the trunk's scales, finest first."""
        self._check(tuple(image.shape))
        detail = None
        if keep_detail:
            detail = None if self.detail is None else self._run(self.detail, image)
            x = self.stem(image if detail is None else detail)
        else:
            x = checkpointed(self, self._entered, image)
        skips: list[Tensor] = []
        for level in range(len(self.enc)):
            x = self._run(partial(self._encoded, level), x)
            skips.append(x)
        scales = [skips.pop()]
        for level in reversed(range(len(self.dec))):
            x = self._run(partial(self._joined, level), skips.pop(), scales[0])
            scales.insert(0, x)
        return detail, scales

    def _entered(self, image: Tensor) -> Tensor:
        x: Tensor = self.stem(image if self.detail is None else self.detail(image))
        return x

    def _encoded(self, level: int, x: Tensor) -> Tensor:
        y: Tensor = self.enc[level](self.down[level](x))
        return y

    def _joined(self, level: int, skip: Tensor, x: Tensor) -> Tensor:
        y: Tensor = self.dec[level](self.skip[level](skip, self.up[level](x)))
        return y

    def _last_two(
        self, detail: Tensor | None, *scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the features that logits are made of, fine and coarse."""
        if self.thin is None:
            return scales[0], scales[-1]
        return self.thin(scales[0], detail), scales[0]

    def _finished(
        self, image: Tensor, detail: Tensor | None, scales: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return consensus logits and rater logits."""
        styles = self.heads.styles()
        if detail is None and self.detail is not None:
            return self._in_pieces(self.detail, image, scales[0], styles)

        def finish(*features: Tensor) -> tuple[Tensor, Tensor | None]:
            logits: tuple[Tensor, Tensor | None]
            logits = self.heads(*self._last_two(*features), *styles)
            return logits

        return self._run(finish, detail, *scales[:2])

    def _in_pieces(
        self, detail: nn.Module, image: Tensor, x: Tensor, styles: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits piece by piece, so that gradients need one at a time.

        A piece is read with what its outermost voxels see, as a block is.
        """
        shape = zyx(image.shape[2:])
        axis = shape.index(max(shape))
        cut = zyx(PIECE if i == axis else n for i, n in enumerate(shape))
        stride = self.spec.strides[0]
        grid = BlockGrid(shape, cut, self.spec.fine_reach, stride)

        def piece(block: Block, image: Tensor, x: Tensor) -> list[Tensor]:
            part = image[(..., *block.read_box.slices)]
            features = x[(..., *block.read_box.coarser(stride).slices)]
            logits = self.heads(*self._last_two(detail(part), features), *styles)
            return [t[(..., *block.inner.slices)] for t in logits if t is not None]

        pieces = [checkpointed(self, partial(piece, block), image, x) for block in grid]
        joined = [torch.cat(parts, axis - 3) for parts in zip(*pieces, strict=True)]
        return joined[0], joined[1] if len(joined) > 1 else None

    @property
    def _is_learning(self) -> bool:
        return self.training and torch.is_grad_enabled()

    @property
    def _is_in_pieces(self) -> bool:
        return self._is_learning and self.spec.is_fine_local

    def _run(self, part: Callable[..., T], *inputs: Tensor | None) -> T:
        """Return what a part says; computed again for the gradient, if so asked."""
        if self.recomputes and self._is_learning:
            return checkpointed(self, part, *inputs)
        return part(*inputs)

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
    fine_norm = lookup(NORMS, "fine_norm", spec.finest_norm)
    detail = conv_norm_relu(spec.in_channels, width, spec.head_kernel, fine_norm)
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
    chain = CHAINS.get(name, nn.Sequential)
    return chain(*(make(c, width, kernel, norm) for c in widths_in))
