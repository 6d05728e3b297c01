"""Networks run by torch: on the processor, CUDA or Apple's GPU."""

from __future__ import annotations

import ctypes
import os
import sys

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unetseg.config import Device
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.backends.torch_summary import TorchSummary
from napari_unetseg.models.blocks import Shift
from napari_unetseg.models.planning import activation_bytes
from napari_unetseg.models.summary import Outputs, Summary
from napari_unetseg.models.unet import UNet

BF16_SHARE = 0.7
"""Of the memory of a pass in float32: what rearranges numbers keeps its width."""

GPU_PATCHES = 8

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_OWN_BLOCK_BYTES = 2**20

_BF16_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


class TorchRunner:
    """A network run by torch.

    Parameters
    ----------
    network
        Is put into evaluation mode and moved to the device.
    device
        A torch device, not ``"auto"``.
    dtype
        What to compute in; the answer is what comes out of the network.
    """

    def __init__(
        self,
        network: UNet,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = torch.device(device)
        self.name = "torch-bf16" if dtype == torch.bfloat16 else "torch-fp32"
        self._dtype = dtype
        self.patches_at_a_time = 1
        self._network = Stacked(network).eval().to(self.device)
        if self.device.type == "cuda":
            self.patches_at_a_time = GPU_PATCHES
            # What tensor cores want; a processor is slower with it.
            self._network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (b, heads x classes, z, y, x) of images (b, c, z, y, x)."""
        if self.device.type == "cuda":
            image = image.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(
            self.device.type, self._dtype, enabled=self._dtype != torch.float32
        ):
            logits: Tensor = self._network(image)
        return logits

    def summary(self, outputs: Outputs, inner: Box) -> Summary:
        """Return what sums up the logits of all passes over an image."""
        return TorchSummary(outputs, inner)

    def activation_bytes(self, shape: Zyx) -> int:
        """Return an upper estimate of the memory of one pass."""
        share = 1.0 if self._dtype == torch.float32 else BF16_SHARE
        return int(share * activation_bytes(self._network.network.spec, shape))


class Stacked(nn.Module):
    """A network whose consensus and rater logits are channels of one tensor."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, the consensus first, then one rater after the other."""
        logits: Tensor = self.network.stacked(image)
        return logits


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # Without these instructions the conversion costs what the arithmetic gains.
    probes = (getattr(torch.cpu, name, None) for name in _BF16_PROBES)
    return any(probe() for probe in probes if probe is not None)


def fold_batch_norm(network: nn.Module) -> None:
    """Fold what follows a convolution into it, norm or shift: one pass less each.

    The network must be in evaluation mode, and cannot be trained afterwards.
    """
    for part in network.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for i in range(len(part) - 1):
            first, second = part[i], part[i + 1]
            if isinstance(first, nn.Conv3d) and isinstance(second, nn.BatchNorm3d):
                part[i] = fuse_conv_bn_eval(first, second)
                part[i + 1] = nn.Identity()
            elif isinstance(first, nn.Conv3d) and isinstance(second, Shift):
                first.bias = second.bias
                part[i + 1] = nn.Identity()


def choose_device(device: Device) -> str:
    """Return the device to use; ``"auto"`` is CUDA, else Apple's GPU, else the CPU."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def give_back_at_once() -> None:
    """Let the system have tensors back when they are freed, where glibc would not.

    Its allocator learns from the first large blocks that are freed to keep all up to
    32 MB, and grows around holes that are too small for the next: a training takes
    twice the memory that it uses. To ask the system each time costs a fifth of a step.
    """
    if sys.platform == "linux" and hasattr(allocator := ctypes.CDLL(None), "mallopt"):
        allocator.mallopt(_MMAP_THRESHOLD, _OWN_BLOCK_BYTES)


def use_threads(threads: int) -> None:
    """Limit torch to so many threads.

    0 leaves one core to everything else, but takes two where there are no more: long
    work runs at a lower priority than the window, which gets a core when it needs one.
    """
    if hasattr(os, "sched_getaffinity"):  # what a container or scheduler allows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    torch.set_num_threads(threads or max(min(2, cores), cores - 1))
