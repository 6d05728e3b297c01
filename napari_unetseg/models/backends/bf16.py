"""Making up for what bfloat16 rounds away."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from napari_unetseg.models.unet import UNet

_CONVOLUTIONS = (nn.Conv3d, nn.ConvTranspose3d)


def compensated(network: UNet, image: Tensor) -> UNet:
    """Return a copy whose biases make up for the rounding of weights and inputs.

    With eight bits, a weight is off by up to 0.4 %. Much of that shifts a channel as a
    whole: its mean moves, and everything after it. Layer by layer, from the first on,
    the bias takes that shift back, as in bias correction of quantised networks (Nagel
    et al., "Data-free quantization through weight equalization and bias correction",
    ICCV 2019, section 4.2). Biases are rounded too; what that leaves, the next layer
    takes back.

    Parameters
    ----------
    network
        In evaluation mode, on the processor.
    image
        Voxels (1, channel, z, y, x) like those that will be predicted.
    """
    means: dict[str, Tensor] = {}
    with torch.no_grad():
        _watched(network, image, means)
        rounded = deepcopy(network)
        hooks = []
        for name, layer in _layers(rounded).items():
            layer.weight.data = layer.weight.bfloat16().float()
            hooks.append(layer.register_forward_pre_hook(_round_input))
            if layer.bias is not None and name in means:
                shift = partial(_shift_bias, means[name])
                hooks.append(layer.register_forward_hook(shift))
        rounded(image)
        for hook in hooks:
            hook.remove()
        for name, layer in _layers(network).items():  # whoever runs it rounds them
            rounded.get_submodule(name).weight.data = layer.weight.detach().clone()
    return rounded


def _watched(network: UNet, image: Tensor, means: dict[str, Tensor]) -> None:
    """Note the mean of every channel of every layer."""

    def note(name: str, _layer: nn.Module, _input: Any, output: Tensor) -> None:
        means[name] = _channel_means(output)

    hooks = [
        layer.register_forward_hook(partial(note, name))
        for name, layer in _layers(network).items()
    ]
    network(image)
    for hook in hooks:
        hook.remove()


def _layers(network: UNet) -> dict[str, Any]:
    return {n: m for n, m in network.named_modules() if isinstance(m, _CONVOLUTIONS)}


def _round_input(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.bfloat16().float() for value in inputs)


def _shift_bias(wanted: Tensor, layer: Any, _input: Any, output: Tensor) -> Tensor:
    bias = layer.bias.data
    layer.bias.data = (bias + wanted - _channel_means(output)).bfloat16().float()
    shift = layer.bias.data - bias
    shifted: Tensor = output + shift.view(1, -1, 1, 1, 1)
    return shifted


def _channel_means(output: Tensor) -> Tensor:
    return output.mean((0, 2, 3, 4))
