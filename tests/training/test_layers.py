from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from napari_unetseg.config import TrainConfig
from napari_unetseg.geometry import Box
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.unet import UNet
from napari_unetseg.training.layers import ENCODER, freeze_encoder, learns_all
from napari_unetseg.training.training_set import ArrayLabels, Region, TrainingSet


def labels_of(n_voxels: int, n_regions: int) -> TrainingSet:
    boxes = [Box((n, 0, 0), (n + 1, 8, 8)) for n in range(n_regions)]
    regions = tuple(Region(box, "corrected", "Ana") for box in (*boxes, boxes[0]))
    counts = {"background": n_voxels - 1, "cell": 1}
    return TrainingSet(regions, ArrayLabels(np.zeros((9, 8, 8))), counts)


@pytest.mark.parametrize(
    ("layers", "n_voxels", "n_regions", "every"),
    [("auto", 19_999, 9, False), ("auto", 20_000, 4, False), ("auto", 20_000, 5, True),
     ("all", 10, 1, True), ("decoder", 10**6, 9, False)],
)  # fmt: skip
def test_few_labels_leave_the_encoder_alone(
    layers: Literal["auto", "decoder", "all"],
    n_voxels: int,
    n_regions: int,
    every: bool,
) -> None:
    config = TrainConfig(layers=layers)
    assert learns_all(config, labels_of(n_voxels, n_regions)) is every


@pytest.mark.parametrize("block", ["plain", "reversible"])
def test_a_frozen_encoder_costs_no_gradient(
    block: Literal["plain", "reversible"],
) -> None:
    spec = plan_network(
        voxel_size=(1.0, 1.0, 1.0), shape=(16, 16, 16), preset="S", block=block
    )
    network = UNet(spec).train()
    freeze_encoder(network)
    kept: list[torch.Tensor] = []
    network.enc[-1].register_forward_hook(lambda *seen: kept.append(seen[2]))
    network(torch.randn(2, 1, 16, 16, 16), deep=True).consensus.sum().backward()
    assert not kept[0].requires_grad
    for name, value in network.named_parameters():
        if name.split(".")[0] in ENCODER:
            assert value.grad is None, name
    learned = {
        n.split(".")[0] for n, v in network.named_parameters() if v.requires_grad
    }
    assert learned == {"up", "dec", "thin", "heads"}
