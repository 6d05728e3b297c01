"""Voxels per second of a network in torch and OpenVINO, on one thread."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.backends.torch import fold_batch_norm, has_fast_bf16
from napari_unetseg.models.unet import UNet


def speed(network: UNet, patch: Zyx) -> dict[str, Any]:
    """Return Mvoxel per second of processor time, in torch and OpenVINO."""
    twin = UNet(network.spec)
    twin.load_state_dict(network.state_dict())
    fold_batch_norm(twin.eval())
    image = torch.randn(1, network.spec.in_channels, *patch)
    n = image[0, 0].numel() / 1e6

    def in_torch(dtype: torch.dtype) -> float:
        enabled = dtype != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=enabled):
            return n / best_time(lambda: twin(image))

    figures: dict[str, Any] = {"torch_fp32": in_torch(torch.float32)}
    if has_fast_bf16(torch.device("cpu")):
        figures["torch_bf16"] = in_torch(torch.bfloat16)
    return {"mvoxel_per_s": figures | openvino_speed(twin, image)}


class Consensus(nn.Module):
    """The network with one output, as an export has it."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return consensus logits."""
        logits: Tensor = self.network(image).consensus
        return logits


def openvino_speed(network: UNet, image: Tensor) -> dict[str, float]:
    """Return Mvoxel per second in OpenVINO; nothing if it is not installed."""
    try:
        import openvino
    except ImportError:
        return {}
    module = Consensus(network).eval()
    with torch.inference_mode():
        expected = module(image).numpy()
    with torch.no_grad(), warnings.catch_warnings():
        # The checks of the image's size are traced as constants, as they should be.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(module, example_input=image)
    model.reshape(list(image.shape))
    figures = {}
    for name, hint in (("fp32", "f32"), ("bf16", "bf16")):
        options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(model, "CPU", options)
        answer = compiled([image.numpy()])[0]
        seconds = best_time(partial(compiled, [image.numpy()]))
        figures[f"openvino_{name}"] = image[0, 0].numel() / 1e6 / seconds
        difference = np.abs(answer - expected).max() / expected.std()
        figures[f"openvino_{name}_difference"] = float(difference)
    return figures


def best_time(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest processor time of a few calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return max(min(times), 1e-9)
