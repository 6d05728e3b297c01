from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_unetseg.models.backends.bf16 import compensated
from napari_unetseg.models.unet import UNet


def rounded(network: UNet, image: Tensor) -> Tensor:
    """Return what a network answers that computes with eight bits."""
    hooks = []
    kept = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            kept[name] = layer.weight.data.clone()
            layer.weight.data = layer.weight.data.bfloat16().float()
            hooks.append(
                layer.register_forward_pre_hook(lambda _, x: (x[0].bfloat16().float(),))
            )
    with torch.inference_mode():
        answer: Tensor = network(image).consensus
    for hook in hooks:
        hook.remove()
    for name, weight in kept.items():
        network.get_submodule(name).weight.data = weight
    return answer


@pytest.mark.parametrize("stem", ["identity", "patch"])
def test_the_mean_of_every_answer_comes_back(
    make_network: Callable[..., UNet], stem: str
) -> None:
    network = make_network(stem=stem, norm="none", n_raters=2).eval()
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            layer.weight.data = layer.weight.data.abs()  # errors do not cancel
    image = torch.rand(1, 1, *(4 * s for s in network.spec.stride))
    other = compensated(network, image)
    with torch.inference_mode():
        exact = network(image).consensus.mean((0, 2, 3, 4))
    before = rounded(network, image).mean((0, 2, 3, 4)) - exact
    after = rounded(other, image).mean((0, 2, 3, 4)) - exact
    assert after.abs().max() < 0.1 * before.abs().max()


def test_the_network_itself_stays_as_it_was(make_network: Callable[..., UNet]) -> None:
    network = make_network().eval()
    image = torch.randn(1, 1, *(2 * s for s in network.spec.stride))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    other = compensated(network, image)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        if name.endswith("weight"):
            assert torch.equal(value, other.state_dict()[name])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in other.modules())
