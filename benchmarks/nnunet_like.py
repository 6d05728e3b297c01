"""A network as nnU-Net plans them: wide, at full resolution, half overlapping patches.

Not nnU-Net itself: its shape of network (32 to 320 channels, two convolutions a level,
instance norm) in this project's own code, run as it runs its networks.
"""

from __future__ import annotations

import math
import time

import torch

from benchmarks.architectures import Run, as_predictor, dice, train
from benchmarks.dense_tasks import TASKS, Task
from napari_unetseg.errors import CorruptModelError
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.models.planning import plan_network, plan_patch
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.unet import UNet

WIDTHS = (32, 64, 128, 256, 320)
OVERLAP = 0.5


def nnunet_like_spec(reference: NetworkSpec) -> NetworkSpec:
    """Return the wide network for the voxels that another network was planned for."""
    strides: list[Zyx] = [(1, 1, 1)]
    kernels: list[Zyx] = []
    for level in range(len(WIDTHS)):
        known = min(level, reference.n_levels - 1)
        kernels.append(reference.kernels[known])
        if level > 0:
            strides.append(reference.strides[min(level - 1, reference.n_levels - 1)])
    return NetworkSpec(
        in_channels=reference.in_channels,
        n_classes=reference.n_classes,
        widths=WIDTHS,
        strides=tuple(strides),
        kernels=tuple(kernels),
        depths=(1,) * len(WIDTHS),
        stem="conv",
        norm="instance",
    )


def mvox_per_s(spec: NetworkSpec, shape: Zyx, patch: Zyx) -> dict[str, float]:
    """Return the speed over a volume, from the time of one patch in torch fp32."""
    network = UNet(spec).eval()
    image = torch.randn(1, spec.in_channels, *patch)
    with torch.inference_mode():
        network(image[..., :32, :32, :32])
        started = time.perf_counter()
        network(image)
        seconds = time.perf_counter() - started
    steps = [max(1, int(p * (1 - OVERLAP))) for p in patch]
    n_patches = math.prod(
        1 + max(0, math.ceil((n - p) / s))
        for n, p, s in zip(shape, patch, steps, strict=True)
    )
    return {
        "nnunet_like_patches": n_patches,
        "nnunet_like_s_per_patch": seconds,
        "nnunet_like_parameters": sum(p.numel() for p in network.parameters()),
        "nnunet_like_mvox_per_s": math.prod(shape) / 1e6 / (n_patches * seconds),
    }


def dice_after_the_same_time(seconds: float) -> dict[str, dict[str, float]]:
    """Train both networks for the same processor time; return Dice per task.

    On the small versions of the tasks: the wide network would take hours to predict
    the large ones.
    """
    scores: dict[str, dict[str, float]] = {}
    for name, make in TASKS.items():
        task: Task | None = make(quick=True)
        if task is None:
            continue
        default = plan_network(
            voxel_size=task.voxel_size,
            shape=task.shape,
            n_classes=len(task.class_names),
            preset="M",
        )
        scores[name] = {}
        specs = {"default": default, "nnunet_like": nnunet_like_spec(default)}
        for kind, spec in specs.items():
            found = trained_dice(task, kind, spec, seconds)
            scores[name][kind] = sum(found.values()) / len(found)
            print(f"{name}, {kind}: Dice {scores[name][kind]:.3f}", flush=True)
    return scores


def trained_dice(
    task: Task, kind: str, spec: NetworkSpec, seconds: float
) -> dict[str, float]:
    """Return Dice per class of a new network; another seed if training blows up."""
    patch = plan_patch(spec, task.shape, "M")
    for seed in range(3):
        torch.manual_seed(seed)
        network = UNet(spec)
        run = Run(task.name, "plain", kind, spec.norm, seed, "M", seconds, quick=True)
        train(network, task, patch, run)
        try:
            return dice(as_predictor(network, task, patch), task)
        except CorruptModelError as error:
            print(f"{task.name}, {kind}, seed {seed}: {error}", flush=True)
    return dict.fromkeys(task.class_names, 0.0)


def patch_of(shape: Zyx, *, quick: bool) -> Zyx:
    """Return the patch: 128³ as usual, less in a hurry."""
    edge = 96 if quick else 128
    return zyx(min(edge, n // 16 * 16) for n in shape)
