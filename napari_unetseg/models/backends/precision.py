"""Whether a network may run with 16-bit numbers: measured, not assumed.

Recent processors run a U-Net about three times as fast in bfloat16. The choice
depends on the network and the machine only, never on timing, so that a resumed run
goes on as it began.
"""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import Tensor

from napari_unetseg.geometry import zyx
from napari_unetseg.models.registration import probabilities, smooth_noise
from napari_unetseg.models.unet import UNet

Precision = Literal["auto", "fp32", "bf16"]

TOLERANCE = 0.02  # of a probability
EDGE = 48

_BF16_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")

logger = logging.getLogger(__name__)


def choose_dtype(
    network: UNet, device: torch.device, precision: Precision
) -> torch.dtype:
    """Return the type to compute in; ``"auto"`` is bfloat16 where it does no harm.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    device
        Where it will run.
    precision
        A precision, or ``"auto"``.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if not is_fast(device):
        return torch.float32
    difference = bf16_difference(network, device)
    logger.info("bfloat16 changes probabilities by at most %.4f", difference)
    return torch.bfloat16 if difference <= TOLERANCE else torch.float32


def is_fast(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # Without these instructions the conversion costs what the arithmetic gains.
    probes = (getattr(torch.cpu, name, None) for name in _BF16_PROBES)
    return any(probe() for probe in probes if probe is not None)


def bf16_difference(network: UNet, device: torch.device) -> float:
    """Return the largest change of a probability on noise of several scales."""
    spec = network.spec
    shape = zyx(s * max(1, EDGE // s) if s > 1 else 8 for s in spec.stride)
    image = smooth_noise(spec.in_channels, shape).to(device)
    with torch.inference_mode():
        exact = probabilities(network, image)
        with torch.autocast(device.type, torch.bfloat16):
            rough: Tensor = probabilities(network, image)
    return float((exact - rough.float()).abs().max())
