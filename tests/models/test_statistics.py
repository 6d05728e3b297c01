from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.models.planning import Block, Trunk, plan_network
from napari_unetseg.models.statistics import (
    batch_norms,
    distance_to_learned,
    exchange_dark_and_bright,
    take_statistics,
)
from napari_unetseg.models.unet import UNet


def network(
    *, channels: int = 1, block: Block = "plain", trunk: Trunk = "half"
) -> UNet:
    torch.manual_seed(0)
    spec = plan_network(
        voxel_size=(1, 1, 1), shape=(8, 16, 16), in_channels=channels, preset="S",
        block=block, trunk=trunk,
    )  # fmt: skip
    return UNet(spec).eval()


def images(n: int = 4, *, scale: float = 1.0, channels: int = 1) -> list[Tensor]:
    torch.manual_seed(1)
    return [scale * torch.randn(2, channels, 8, 16, 16) for _ in range(n)]


@pytest.fixture
def one_norm(monkeypatch: pytest.MonkeyPatch) -> UNet:
    """A network of which only one batch normalisation is looked at: the first one."""
    made = network()
    first = batch_norms(made)[:1]
    monkeypatch.setattr(
        "napari_unetseg.models.statistics.batch_norms", lambda _network: first
    )
    return made


def test_the_first_layer_takes_the_mean_over_all_batches(one_norm: UNet) -> None:
    assert one_norm.detail is not None
    convolution, norm = one_norm.detail[0], batch_norms(one_norm)[0]
    batches = images()
    take_statistics(one_norm, batches)
    seen = [convolution(image) for image in batches]
    means = torch.stack([y.mean((0, 2, 3, 4)) for y in seen]).mean(0)
    variances = torch.stack([y.var((0, 2, 3, 4)) for y in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    assert norm.momentum == nn.BatchNorm3d(1).momentum


def test_a_share_of_what_was_remembered_stays() -> None:
    whole, partly = network(), network()
    take_statistics(whole, images())
    take_statistics(partly, images(), kept=0.25)
    # New networks remember mean 0 and variance 1.
    for all_new, mixed in zip(batch_norms(whole), batch_norms(partly), strict=True):
        torch.testing.assert_close(mixed.running_mean, 0.75 * all_new.running_mean)
        torch.testing.assert_close(mixed.running_var, 0.75 * all_new.running_var + 0.25)


def test_nothing_but_what_is_remembered_changes() -> None:
    before = network()
    after = copy.deepcopy(before)
    take_statistics(after, images(scale=2.0))
    changed = {
        name.rsplit(".", 1)[-1]
        for name, value in after.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert not any(part.training for part in after.modules())


def test_the_distance_is_that_of_two_normal_distributions(one_norm: UNet) -> None:
    assert one_norm.detail is not None
    image = images(1)[0]
    seen = one_norm.detail[0](image)
    norm = batch_norms(one_norm)[0]
    mean, variance = seen.mean((0, 2, 3, 4)), seen.var((0, 2, 3, 4), correction=0)
    # As remembered, then half a standard deviation away, then twice as wide.
    norm.running_mean, norm.running_var = mean.clone(), variance.clone()
    assert distance_to_learned(one_norm, [image]) == pytest.approx(0, abs=1e-6)
    norm.running_mean = mean + 0.5 * variance.sqrt()
    assert distance_to_learned(one_norm, [image]) == pytest.approx(0.125, rel=0.01)
    norm.running_mean, norm.running_var = mean.clone(), variance / 4
    expected = 0.5 * (4 - 1 - math.log(4))
    assert distance_to_learned(one_norm, [image]) == pytest.approx(expected, rel=0.01)


def test_images_are_near_once_the_network_is_used_to_them() -> None:
    made, batches = network(), images(scale=2.0)
    before = distance_to_learned(made, batches)
    take_statistics(made, batches)
    assert distance_to_learned(made, batches) < 0.1 * before


@pytest.mark.parametrize(
    ("block", "trunk"),
    [("plain", "half"), ("residual", "full"), ("reversible", "half"),
     ("convnext", "full")],
)  # fmt: skip
def test_the_negative_is_seen_as_the_image_was(block: Block, trunk: Trunk) -> None:
    made = network(channels=2, block=block, trunk=trunk)
    image = images(1, channels=2)[0]
    negative = torch.stack([image[:, 0], -image[:, 1]], dim=1)
    with torch.no_grad():
        expected = made(image).consensus
        assert not torch.allclose(made(negative).consensus, expected, atol=1e-3)
        exchange_dark_and_bright(made, 1)
        found = made(negative).consensus
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_network_that_reads_the_image_otherwise_is_left_as_it_was() -> None:
    made = network()
    assert made.detail is not None

    class Offset(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image + 1

    made.detail = nn.Sequential(Offset(), *made.detail)
    before = copy.deepcopy(made.state_dict())
    with pytest.raises(ModelMismatchError, match="cannot be exchanged"):
        exchange_dark_and_bright(made, 0)
    after: Iterator[tuple[str, Tensor]] = iter(made.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in after)
