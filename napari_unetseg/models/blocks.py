"""The parts that fill the slots of a network, by name.

Every part keeps the contract of its slot: ``enc`` and ``dec`` blocks keep the grid and
take any number of channels, ``down`` divides the grid exactly by its stride, ``up``
multiplies it, ``skip`` merges two tensors of one grid. A part says in
``out_channels`` what it returns. All tensors are (batch, channel, z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.recomputation import Coupling, coupled

Norm = Callable[[int], nn.Module]
T = TypeVar("T")

EXPANSION = 2  # of the ConvNeXt-like block; more costs time and gained little


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each voxel: the same on any tile."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with mean 0 and variance 1 over the channels, then affine."""
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        scale = self.weight.view(1, -1, 1, 1, 1) * torch.rsqrt(variance + self.eps)
        return (x - mean) * scale + self.bias.view(1, -1, 1, 1, 1)


class Shift(nn.Module):
    """No normalisation: a number is added to each channel, as a bias is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with the shift of its channel."""
        return x + self.bias.view(1, -1, 1, 1, 1)


def _group_norm(width: int) -> nn.Module:
    groups = next(n for n in (8, 4, 2, 1) if width % n == 0)
    return nn.GroupNorm(groups, width)


def _instance_norm(width: int) -> nn.Module:
    # One group per channel is the same thing and also takes a grid of one voxel.
    return nn.GroupNorm(width, width)


def same_padding(kernel: Zyx) -> Zyx:
    """Return the padding that keeps the grid for an odd kernel."""
    z, y, x = kernel
    return z // 2, y // 2, x // 2


def conv(
    cin: int, cout: int, kernel: Zyx, *, bias: bool = False, groups: int = 1
) -> nn.Conv3d:
    """Return a convolution that keeps the grid."""
    padding = same_padding(kernel)
    return nn.Conv3d(cin, cout, kernel, padding=padding, bias=bias, groups=groups)


def conv_norm_relu(cin: int, cout: int, kernel: Zyx, norm: Norm) -> nn.Sequential:
    """Return convolution, normalisation and ReLU."""
    layers = conv(cin, cout, kernel), norm(cout), nn.ReLU(inplace=True)
    return nn.Sequential(*layers)


class Plain(nn.Module):
    """Two convolutions, each with normalisation and ReLU."""

    def __init__(self, cin: int, cout: int, kernel: Zyx, norm: Norm) -> None:
        super().__init__()
        self.out_channels = cout
        self.first = conv_norm_relu(cin, cout, kernel, norm)
        self.second = conv_norm_relu(cout, cout, kernel, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the same grid."""
        y: Tensor = self.second(self.first(x))
        return y


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, cin: int, cout: int, kernel: Zyx, norm: Norm) -> None:
        super().__init__()
        self.out_channels = cout
        self.first = conv_norm_relu(cin, cout, kernel, norm)
        self.second = nn.Sequential(conv(cout, cout, kernel), norm(cout))
        self.shortcut = _project(cin, cout)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the same grid."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x), inplace=True)


class ConvNext(nn.Module):
    """A convolution per channel, then two across channels, beside a shortcut."""

    def __init__(self, cin: int, cout: int, kernel: Zyx, norm: Norm) -> None:
        super().__init__()
        self.out_channels = cout
        hidden = EXPANSION * cout
        self.project = _project(cin, cout)
        self.spatial = nn.Sequential(
            conv(cout, cout, kernel, groups=cout, bias=True), norm(cout)
        )
        self.mix = nn.Sequential(
            conv(cout, hidden, (1, 1, 1), bias=True),
            nn.ReLU(inplace=True),
            conv(hidden, cout, (1, 1, 1), bias=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the same grid."""
        x = self.project(x)
        y: Tensor = x + self.mix(self.spatial(x))
        return y


class Reversible(nn.Module):
    """Half of the channels learns from the other half, and then the other way round.

    With four times the channels of a half inside, it has the parameters of ``Plain``
    and sees as far.
    """

    def __init__(self, cin: int, cout: int, kernel: Zyx, norm: Norm) -> None:
        super().__init__()
        if cout < 2:
            raise ValueError("A reversible block needs at least two channels.")
        self.out_channels = cout
        first = cout // 2
        second = cout - first
        self.project = _project(cin, cout)
        self.f = _widened(second, first, 2 * cout, kernel, norm)
        self.g = _widened(first, second, 2 * cout, kernel, norm)

    @property
    def coupling(self) -> Coupling:
        """The parts that are undone on the way back."""
        return Coupling(self.f, self.g)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the same grid."""
        return coupled(self.project(x), [self.coupling])


class ReversibleChain(nn.Sequential):
    """Blocks one after the other, of which only the last output is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the same grid."""
        blocks = [block for block in self if isinstance(block, Reversible)]
        return coupled(blocks[0].project(x), [block.coupling for block in blocks])


def _widened(
    cin: int, cout: int, hidden: int, kernel: Zyx, norm: Norm
) -> nn.Sequential:
    last = conv(hidden, cout, (1, 1, 1)), norm(cout)
    return nn.Sequential(*conv_norm_relu(cin, hidden, kernel, norm), *last)


def _project(cin: int, cout: int) -> nn.Module:
    return nn.Identity() if cin == cout else conv(cin, cout, (1, 1, 1))


class MaxPool(nn.Module):
    """The largest voxel of each cell."""

    def __init__(self, cin: int, cout: int, stride: Zyx, norm: Norm) -> None:
        super().__init__()
        self.out_channels = cin
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` on the coarser grid."""
        return F.max_pool3d(x, self.stride)


class ConvDown(nn.Module):
    """A convolution whose kernel is its stride: every voxel is read once."""

    def __init__(self, cin: int, cout: int, stride: Zyx, norm: Norm) -> None:
        super().__init__()
        self.out_channels = cout
        self.conv = nn.Conv3d(cin, cout, stride, stride=stride, bias=False)
        self.norm = norm(cout)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the coarser grid."""
        y: Tensor = self.norm(self.conv(x))
        return y


class TransposedUp(nn.Module):
    """A transposed convolution whose kernel is its stride: no voxel is read twice."""

    def __init__(self, cin: int, cout: int, stride: Zyx) -> None:
        super().__init__()
        self.out_channels = cout
        self.conv = nn.ConvTranspose3d(cin, cout, stride, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the finer grid."""
        y: Tensor = self.conv(x)
        return y


class InterpolatedUp(nn.Module):
    """Channels are mixed on the coarse grid, then interpolated."""

    mode = "trilinear"

    def __init__(self, cin: int, cout: int, stride: Zyx) -> None:
        super().__init__()
        self.out_channels = cout
        self.stride = stride
        self.conv = conv(cin, cout, (1, 1, 1), bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return features on the finer grid."""
        factors = [float(step) for step in self.stride]
        return F.interpolate(self.conv(x), scale_factor=factors, mode=self.mode)


class NearestUp(InterpolatedUp):
    """Channels are mixed on the coarse grid, then every voxel is repeated."""

    mode = "nearest"


class ConcatSkip(nn.Module):
    """Features of encoder and decoder, one after the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = 2 * width

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Return both."""
        return torch.cat([skip, up], dim=1)


class AddSkip(nn.Module):
    """The sum of the features of encoder and decoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = width

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Return the sum."""
        return skip + up


class GateSkip(nn.Module):
    """Features of the encoder, weighted per voxel by what the decoder looks for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = 2 * width
        hidden = max(1, width // 2)
        self.read = conv(2 * width, hidden, (1, 1, 1), bias=True)
        self.weigh = conv(hidden, 1, (1, 1, 1), bias=True)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Return the weighted encoder features and those of the decoder."""
        both = torch.cat([skip, up], dim=1)
        weight = torch.sigmoid(self.weigh(F.relu(self.read(both))))
        return torch.cat([skip * weight, up], dim=1)


class NoSkip(nn.Module):
    """The features of the decoder alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = width

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Return ``up``."""
        return up


NORMS: dict[str, Norm] = {
    "batch": nn.BatchNorm3d,
    "channel": ChannelNorm,
    "instance": _instance_norm,
    "group": _group_norm,
    "shift": Shift,
    "none": lambda width: nn.Identity(),
}
BLOCKS: dict[str, Callable[[int, int, Zyx, Norm], nn.Module]] = {
    "plain": Plain,
    "residual": Residual,
    "convnext": ConvNext,
    "reversible": Reversible,
}
CHAINS: dict[str, type[nn.Sequential]] = {"reversible": ReversibleChain}
DOWNS: dict[str, Callable[[int, int, Zyx, Norm], nn.Module]] = {
    "maxpool": MaxPool,
    "conv": ConvDown,
}
UPS: dict[str, Callable[[int, int, Zyx], nn.Module]] = {
    "transposed": TransposedUp,
    "linear": InterpolatedUp,
    "nearest": NearestUp,
}
SKIPS: dict[str, Callable[[int], nn.Module]] = {
    "concat": ConcatSkip,
    "add": AddSkip,
    "gate": GateSkip,
    "none": NoSkip,
}


def lookup(registry: dict[str, T], slot: str, name: str) -> T:
    """Return the part of this name.

    Raises
    ------
    ModelMismatchError
        If this version of the program has no such part.
    """
    if name not in registry:
        raise ModelMismatchError(
            f"The model was built with a part that this program does not have for "
            f"the slot {slot}",
            got=repr(name),
            expected=f"one of {', '.join(sorted(registry))}",
            do="Update the program, or choose another model.",
        )
    return registry[name]


def out_channels(part: nn.Module) -> int:
    """Return how many channels a part returns."""
    width = part.out_channels
    if not isinstance(width, int):
        raise TypeError(f"{type(part).__name__} does not say what it returns.")
    return width
