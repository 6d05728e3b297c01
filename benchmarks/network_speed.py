"""Voxels per second of a network in torch and OpenVINO, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.backends import openvino
from napari_unetseg.models.backends.runner import Runner
from napari_unetseg.models.backends.torch import (
    TorchRunner,
    fold_batch_norm,
    has_fast_bf16,
)
from napari_unetseg.models.unet import UNet


def speed(network: UNet, patch: Zyx) -> dict[str, Any]:
    """Return Mvoxel per second of processor time, by backend, and how far they differ.

    The difference of logits counts in standard deviations of those of torch in float32.
    """
    twin = UNet(network.spec)
    twin.load_state_dict(network.state_dict())
    fold_batch_norm(twin.eval())
    image = torch.randn(1, network.spec.in_channels, *patch)
    with torch.inference_mode():
        expected = TorchRunner(twin)(image)
        figures: dict[str, float] = {}
        for runner in runners(twin):
            name = runner.name.replace("-", "_")
            difference = (runner(image).float() - expected).abs().max()
            seconds = best_time(partial(runner, image))
            figures[name] = image[0, 0].numel() / 1e6 / seconds
            figures[f"{name}_difference"] = float(difference / expected.std())
    return {"mvoxel_per_s": figures}


def runners(network: UNet) -> list[Runner]:
    """Return what runs a network on this processor, with one thread."""
    found: list[Runner] = [TorchRunner(network)]
    if has_fast_bf16(torch.device("cpu")):
        found.append(TorchRunner(network, dtype=torch.bfloat16))
    if openvino.is_available():
        model = openvino.converted(lambda: network, network.spec)
        precisions = ("fp32", "bf16") if openvino.has_bf16() else ("fp32",)
        found += [
            openvino.OpenVinoRunner(model, network.spec, precision=p, threads=1)
            for p in precisions
        ]
    return found


def best_time(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest processor time of a few calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return max(min(times), 1e-9)
