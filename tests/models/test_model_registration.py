from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unetseg.data.classes import default_classes
from napari_unetseg.models import registration
from napari_unetseg.models.registration import (
    TOLERANCE,
    measure_halo,
    probabilities,
    receptive_radius,
    register_version,
)
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import WEIGHTS, ModelStore
from napari_unetseg.models.unet import UNet

Make = Callable[..., UNet]


@pytest.fixture(params=["plain", "residual", "convnext", "reversible"])
def network(request: pytest.FixtureRequest, make_network: Make) -> UNet:
    stem = "patch" if request.param == "plain" else "conv"
    parts = dict.fromkeys(("enc", "dec", "bottleneck"), request.param)
    return make_network(**parts, stem=stem, n_raters=2)


def test_nothing_depends_on_voxels_beyond_the_radius(network: UNet) -> None:
    radius = receptive_radius(network.spec)[2]
    stride = network.spec.stride[2]
    image = torch.randn(1, 1, 4, 4, 2 * radius + 2 * stride)
    image.requires_grad_()
    network(image).consensus[..., radius].sum().backward()
    assert image.grad is not None
    reached = torch.nonzero(image.grad.abs().amax((0, 1, 2, 3)))
    assert reached.max() <= 2 * radius
    assert reached.max() > radius


def test_tiles_with_the_measured_halo_have_no_seam(network: UNet) -> None:
    halo = measure_halo(network, network.spec)
    radius = receptive_radius(network.spec)
    assert all(h % s == 0 for h, s in zip(halo, network.spec.stride, strict=True))
    assert all(0 < h <= r for h, r in zip(halo, radius, strict=True))
    step = network.spec.stride[1]
    image = torch.randn(1, 1, 4 * step, 16 * step, 4 * step)
    cut = 8 * step
    with torch.inference_mode():
        whole = torch.softmax(network(image).consensus, 1)[:, :, :, cut:]
        start = cut - halo[1]
        tile = torch.softmax(network(image[:, :, :, start:]).consensus, 1)
    # Measured on other noise, so a little more than the tolerance may remain.
    assert (whole - tile[:, :, :, halo[1] :]).abs().max() < 3 * TOLERANCE


def test_a_network_of_single_voxels_needs_no_halo(make_network: Make) -> None:
    ones = ((1, 1, 1),) * 2
    network = make_network(kernels=ones, strides=ones)
    assert receptive_radius(network.spec) == (0, 0, 0)
    assert measure_halo(network, network.spec) == (0, 0, 0)


def test_the_halo_is_measured_on_the_sample_and_the_mode_is_kept(
    make_network: Make,
) -> None:
    network = make_network(stem="patch").train()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    sample = np.random.default_rng(0).normal(size=(1, 7, 30, 30)).astype(np.float32)
    halo = measure_halo(network, network.spec, sample=sample)
    blank = measure_halo(network, network.spec, sample=np.zeros_like(sample))
    assert max(halo) > 0
    assert max(blank) <= max(receptive_radius(network.spec))
    assert network.training
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


def test_both_ends_of_the_sample_are_looked_at(
    network: UNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def noted(network: UNet, image: torch.Tensor) -> torch.Tensor:
        seen.append(float(image.max()))
        return probabilities(network, image)

    monkeypatch.setattr(registration, "probabilities", noted)
    small, large = np.zeros((1, 8, 8, 8)), np.zeros((1, 8, 300, 300))
    large[..., 200:, 200:] = 3
    measure_halo(network, network.spec, sample=small.astype(np.float32))
    assert set(seen) == {0}
    measure_halo(network, network.spec, sample=large.astype(np.float32))
    assert set(seen) == {0, 3}


def test_an_expected_halo_saves_passes_and_changes_nothing(
    make_network: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(stem="patch", depths=(2, 2))
    monkeypatch.setattr(registration, "NEAR", 4)
    n_passes = []

    def counted(network: UNet, image: torch.Tensor) -> torch.Tensor:
        n_passes[-1] += 1
        return probabilities(network, image)

    monkeypatch.setattr(registration, "probabilities", counted)
    n_passes.append(0)
    halo = measure_halo(network, network.spec)
    n_passes.append(0)
    assert measure_halo(network, network.spec, expected=halo) == halo
    assert n_passes[1] == 9  # of each axis a whole and two halves
    assert n_passes[0] > 9


def test_a_network_that_is_blended_gets_a_halo_without_measuring(
    make_spec: Callable[..., NetworkSpec],
) -> None:
    network = UNet(make_spec(norm="instance"))
    assert measure_halo(network, network.spec) == (4, 4, 4)


def test_a_registered_version_has_halo_hash_and_weights(
    make_network: Make, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path)
    network = make_network(n_raters=2)
    card = register_version(
        store,
        network,
        classes=default_classes(["cell", "fibre"]),
        raters=["Ana", "Bo"],
        voxel_size=(2.0, 1.0, 1.0),
        metrics={"dice": {"cell": 0.5}},
    )
    assert store.versions() == ["v1"]
    assert store.card("v1") == card
    assert card.raters == ("Ana", "Bo")
    assert card.halo == measure_halo(network, network.spec)
    assert len(card.weights_sha256) == 64
    assert (tmp_path / "v1" / WEIGHTS).is_file()
