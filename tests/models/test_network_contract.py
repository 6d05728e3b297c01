"""One contract for every combination of parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.models.blocks import BLOCKS, DOWNS, NORMS, SKIPS, UPS
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.unet import UNet

Make = Callable[..., UNet]
MakeSpec = Callable[..., NetworkSpec]

ANISOTROPIC: dict[str, Any] = {
    "kernels": ((1, 3, 3), (3, 3, 3)),
    "head_kernel": (1, 3, 3),
}
every_network = [
    pytest.param(
        {"enc": b, "dec": b, "bottleneck": b, "stem": s, "norm": n}, id=f"{b}-{s}-{n}"
    )
    for b in BLOCKS
    for s in ("identity", "conv", "patch")
    for n in NORMS
]
every_part = [
    *({"up": name} for name in UPS),
    *({"down": name} for name in DOWNS),
    *({"skip": name} for name in SKIPS),
]


def strides(stem: str, z: int) -> tuple[tuple[int, int, int], ...]:
    return ((1, 2, 2) if stem == "patch" else (1, 1, 1), (z, 2, 2))


@pytest.mark.parametrize("parts", every_network)
def test_shapes_gradients_and_state(make_spec: MakeSpec, parts: dict[str, str]) -> None:
    spec = make_spec(**parts, n_raters=2, in_channels=2)
    network = UNet(spec)
    n = spec.stride[0] * 2
    image = torch.randn(2, 2, n, n, n)
    output = network(image, deep=True)
    assert output.consensus.shape == (2, 3, n, n, n)
    assert output.raters is not None
    assert output.raters.shape == (2, 2, 3, n, n, n)
    assert len(output.aux) == (1 if spec.stem == "patch" else 0)

    parts_of_loss = [output.consensus, output.raters, *output.aux]
    torch.stack([part.square().mean() for part in parts_of_loss]).sum().backward()
    unreached = [name for name, p in network.named_parameters() if p.grad is None]
    assert unreached == []

    twin = UNet(NetworkSpec.model_validate_json(spec.model_dump_json()))
    twin.load_state_dict(network.state_dict())
    network.eval(), twin.eval()
    assert torch.equal(network(image).consensus, twin(image).consensus)
    assert network(image).aux == []


@pytest.mark.parametrize("parts", every_network)
@pytest.mark.parametrize("z", [1, 2])
def test_flat_and_anisotropic_volumes(
    make_spec: MakeSpec, parts: dict[str, str], z: int
) -> None:
    spec = make_spec(**parts, **ANISOTROPIC, strides=strides(parts["stem"], z))
    image = torch.randn(2, 1, 3 * z if z > 1 else 1, 8, 12)
    assert UNet(spec)(image).consensus.shape[2:] == image.shape[2:]


@pytest.mark.parametrize("parts", every_network)
def test_a_tile_with_enough_halo_equals_the_whole(
    make_network: Make, parts: dict[str, str]
) -> None:
    network = make_network(**parts, n_raters=2)
    step = network.spec.stride[2]
    image = torch.randn(1, 1, 2 * step, 2 * step, 20 * step)
    with torch.inference_mode():
        whole = network(image)
        tile = network(image[..., 10 * step :])
    difference = (
        (whole.consensus[..., 10 * step :] - tile.consensus).abs().amax((0, 1, 2, 3))
    )
    if network.spec.is_tile_invariant:
        assert difference[-step:].max() < 1e-5
        assert difference[0] > 1e-5  # at the cut itself there is a seam without halo
    else:
        assert difference[-step:].max() > 1e-5


@pytest.mark.parametrize("part", every_part, ids=str)
@pytest.mark.parametrize("stem", ["identity", "patch"])
def test_every_part_fits_its_slot(
    make_spec: MakeSpec, part: dict[str, str], stem: str
) -> None:
    spec = make_spec(
        **part,
        stem=stem,
        widths=(4, 6, 8),
        strides=((2, 2, 2) if stem == "patch" else (1, 1, 1), (1, 2, 2), (2, 2, 2)),
        kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        depths=(1, 2, 1),
    )
    network = UNet(spec)
    image = torch.randn(1, 1, 8, 16, 8)
    output = network(image, deep=True)
    assert output.consensus.shape == (1, 3, 8, 16, 8)
    assert output.raters is None
    sum(x.square().mean() for x in (output.consensus, *output.aux)).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_rater_heads_cost_little(make_network: Make) -> None:
    plain, rated = make_network(), make_network(n_raters=5)
    counts = [sum(p.numel() for p in net.parameters()) for net in (plain, rated)]
    assert counts[1] < 1.1 * counts[0]


def test_raters_start_different_and_share_the_trunk(make_network: Make) -> None:
    network = make_network(n_raters=3)
    raters = network(torch.randn(1, 1, 4, 4, 4)).raters
    assert not torch.allclose(raters[:, 0], raters[:, 1])
    names = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert names == {"enc", "up", "dec", "heads"}


def test_a_single_level_is_possible(make_spec: MakeSpec) -> None:
    one = {"widths": (4,), "kernels": ((3, 3, 3),), "depths": (2,)}
    for stem, stride in (("identity", (1, 1, 1)), ("patch", (2, 2, 2))):
        network = UNet(make_spec(**one, stem=stem, strides=(stride,), n_raters=2))
        assert network(torch.zeros(1, 1, 4, 4, 4)).raters.shape == (1, 2, 3, 4, 4, 4)


def test_wrong_images_are_refused_with_a_sentence(make_network: Make) -> None:
    network = make_network()
    with pytest.raises(ValueError, match="reads \\(batch, 1, z, y, x\\)"):
        network(torch.zeros(1, 2, 4, 4, 4))
    with pytest.raises(ValueError, match="multiples of \\(2, 2, 2\\)"):
        network(torch.zeros(1, 1, 4, 4, 5))


def test_an_unknown_part_is_refused_with_a_sentence(make_spec: MakeSpec) -> None:
    with pytest.raises(ModelMismatchError) as caught:
        UNet(make_spec(enc="mamba"))
    assert str(caught.value) == (
        "The model was built with a part that this program does not have for the slot "
        "enc: got 'mamba', expected one of convnext, plain, residual, "
        "reversible. Update the program, or choose another model."
    )
