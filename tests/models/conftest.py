from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.unet import UNet

MakeSpec = Callable[..., NetworkSpec]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def make_spec() -> MakeSpec:
    """Return a maker of tiny networks: two levels, widths 4 and 6."""

    def make(**changes: Any) -> NetworkSpec:
        fields: dict[str, Any] = {
            "in_channels": 1,
            "n_classes": 2,
            "widths": (4, 6),
            "strides": ((1, 1, 1), (2, 2, 2)),
            "kernels": ((3, 3, 3), (3, 3, 3)),
            "depths": (1, 1),
            "head_width": 4,
            "detail_width": 2,
        }
        if changes.get("stem") == "patch":
            fields["strides"] = ((2, 2, 2), (2, 2, 2))
        return NetworkSpec.model_validate(fields | changes)

    return make


@pytest.fixture
def make_network(make_spec: MakeSpec) -> Callable[..., UNet]:
    """Return a maker of tiny networks whose statistics are not the trivial ones."""

    def make(**changes: Any) -> UNet:
        network = UNet(make_spec(**changes))
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.1, 0.1)
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
        return network.eval()

    return make
