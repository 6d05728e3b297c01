"""What batch normalisations remember of the images that a network learned from.

Each remembers mean and variance per channel. Images that look different are seen by how
far theirs are from these, and the network gets used to them by taking theirs instead
(AdaBN: Li et al., *Revisiting batch normalization for practical domain adaptation*,
2016). No label is needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.models.unet import UNet


def batch_norms(network: nn.Module) -> list[nn.BatchNorm3d]:
    """Return all batch normalisations of a network."""
    return [part for part in network.modules() if isinstance(part, nn.BatchNorm3d)]


def keep_statistics(network: nn.Module) -> None:
    """Let batch normalisations use what they remember, also while others learn.

    A few patches around a few labels are no fair sample: a fine-tuning that normalises
    by them learns what does not hold by the statistics that the network answers with.
    """
    for norm in batch_norms(network):
        norm.eval()


@torch.no_grad()
def take_statistics(
    network: UNet, batches: Iterable[Tensor], *, kept: float = 0.0
) -> None:
    """Replace what batch normalisations remember by the mean over some images.

    Parameters
    ----------
    batches
        Normalised images (batch, channel, z, y, x), at least one; sizes are whole
        strides.
    kept
        Share of what they remembered before that stays: 0 to 1.
    """
    norms = batch_norms(network)
    before = [(norm.momentum, copy.deepcopy(norm.state_dict())) for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for image in batches:
        network(image)
    network.eval()
    for norm, (momentum, old) in zip(norms, before, strict=True):
        norm.momentum = momentum
        for name in ("running_mean", "running_var"):
            getattr(norm, name).lerp_(old[name], kept)


@torch.no_grad()
def distance_to_learned(network: UNet, batches: Iterable[Tensor]) -> float:
    """Return how far images are from what batch normalisations remember.

    The Kullback-Leibler divergence from the normal distribution that is remembered to
    that of the images, mean over channels, layers and batches::

        ½ (s²/σ² + (m − μ)²/σ² − 1 − ln s²/σ²)

    Parameters
    ----------
    batches
        As for :func:`take_statistics`.
    """
    network.eval()
    found: list[Tensor] = []
    with _watched(batch_norms(network), partial(_divergence, found)):
        for image in batches:
            network(image)
    return float(torch.stack(found).mean())


@torch.no_grad()
def exchange_dark_and_bright(network: UNet, channel: int) -> None:
    """Change a network so that it sees a channel as it saw its negative before.

    Normalised intensities are symmetric about 0, and images are padded with 0: the
    weights that read the channel change their sign, and nothing else does.

    Raises
    ------
    ModelMismatchError
        If something other than a convolution reads the image; the network stays as it
        was.
    """
    generator = torch.Generator().manual_seed(0)
    size = [2 * step for step in network.spec.stride]
    image = torch.randn((1, network.spec.in_channels, *size), generator=generator)
    image = image.to(next(network.parameters()).device)
    negative = image.clone()
    negative[:, channel] *= -1
    network.eval()
    expected = network(negative).consensus
    readers = _readers(network, image)
    _negate(readers, channel)
    if not torch.allclose(network(image).consensus, expected, atol=1e-4):
        _negate(readers, channel)
        raise ModelMismatchError(
            "Dark and bright cannot be exchanged in this network, something other than "
            "a convolution reads the image",
            do="Label a few slices and fine-tune.",
        )


def _negate(readers: Iterable[nn.Conv3d], channel: int) -> None:
    for reader in readers:
        reader.weight[:, channel].neg_()


def _readers(network: UNet, image: Tensor) -> list[nn.Conv3d]:
    """Return the convolutions that read the image itself."""
    found: list[nn.Conv3d] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        is_whole = isinstance(module, nn.Conv3d) and module.groups == 1
        if is_whole and inputs[0].data_ptr() == image.data_ptr():
            found.append(module)  # type: ignore[arg-type]

    with _watched(network.modules(), look):
        network(image)
    return list(dict.fromkeys(found))


def _divergence(
    found: list[Tensor], norm: nn.Module, inputs: tuple[Tensor, ...], _: Any
) -> None:
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3, 4), correction=0)
    learned = norm.running_var + norm.eps
    ratio = (variance + norm.eps) / learned
    away = (mean - norm.running_mean).square() / learned
    found.append((0.5 * (ratio + away - 1 - ratio.log())).mean())


@contextmanager
def _watched(modules: Iterable[nn.Module], look: Callable[..., None]) -> Iterator[None]:
    hooks = [module.register_forward_hook(look) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
