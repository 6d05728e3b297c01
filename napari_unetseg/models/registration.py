"""From a trained network to a registered version: measure the halo, save, add."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.models.exemplars import EXEMPLARS, write_exemplars
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import WEIGHTS, ModelCard, ModelStore
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import save_weights

TOLERANCE = 1e-3
ACROSS = 96  # voxels across the measured axis: fewer, and the border hides the seam
NEAR = 64  # voxels along it at first; most networks forget sooner
FURTHER = 1.5  # times as far, as long as they do not


def measure_halo(
    network: UNet,
    spec: NetworkSpec,
    *,
    sample: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    expected: Zyx = (0, 0, 0),
) -> Zyx:
    """Return the smallest halo of whole strides that leaves no seam.

    Along each axis the network sees a long image once, and once more cut in the
    middle; the halo is the distance from the cut beyond which no probability differs
    by more than ``tolerance``::

        image   ├──────────────────────┼──────────────────────┤   single pass
        cut                            ├──────────────────────┤   second pass
        halo                           ├─ differs ─┤

    Parameters
    ----------
    network, spec
        The network; its mode is left as it was.
    sample
        Normalised voxels czyx of the kind that will be predicted; noise if missing.
    tolerance
        Largest difference of a probability that does not count.
    expected
        Halo of a network much like it: to look a little further at once saves time.
    """
    limit = receptive_radius(spec)
    if not spec.is_tile_invariant:
        # No halo makes such a network seam-free: patches are blended instead.
        return zyx(min(n, 2 * s) for n, s in zip(limit, spec.stride, strict=True))
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            cut = _Cut(network, spec, sample, tolerance)
            return zyx(
                cut.halo_along(axis, limit[axis], expected[axis]) for axis in range(3)
            )
    finally:
        network.train(was_training)


def calibrated(network: UNet, temperature: float) -> UNet:
    """Return the network as it predicts: with its logits divided by a temperature."""
    if temperature == 1.0:
        return network
    copied = copy.deepcopy(network)
    copied.heads.divide_logits(temperature)
    return copied


def receptive_radius(spec: NetworkSpec) -> Zyx:
    """Return, in whole strides, how far a voxel's logits can depend on others."""
    radius = []
    for axis in range(3):
        reach = spec.fine_reach[axis] if spec.stem == "patch" else 0
        for level in range(spec.n_levels):
            step = spec.stride_at(level)[axis]
            passes = 2 if level < spec.n_levels - 1 else 1
            convs = 2 * spec.depths[level] * passes + (spec.stem == "conv")
            # Interpolating and pooling reach one cell further.
            reach += step * (convs * (spec.kernels[level][axis] // 2)) + step - 1
        stride = spec.stride[axis]
        radius.append(-(-reach // stride) * stride)
    return zyx(radius)


def register_version(
    store: ModelStore,
    network: UNet,
    *,
    classes: Sequence[ClassInfo],
    raters: Sequence[str] = (),
    version: str | None = None,
    temperature: float = 1.0,
    sample: np.ndarray | None = None,
    exemplars: np.ndarray | None = None,
    expected_halo: Zyx = (0, 0, 0),
    half: bool = False,
    **about: Any,
) -> ModelCard:
    """Measure the halo of a network and add it to the store as a version.

    Parameters
    ----------
    store, network
        Where to, and what; the network lies on any device.
    classes, raters
        What its logits mean.
    version
        Name of the version; the next number if missing.
    temperature
        Divides all logits when it predicts; the halo is measured so.
    sample, exemplars
        Normalised voxels for measuring the halo, czyx; pieces of what it learned from,
        float32 (piece, c, z, y, x).
    expected_halo
        Halo of a network much like it.
    half
        Store weights with 16 bits.
    about
        Any other fields of the :class:`~napari_unetseg.models.store.ModelCard`, which
        refuses what it does not know.
    """
    halo = measure_halo(
        calibrated(network, temperature),
        network.spec,
        sample=sample,
        expected=expected_halo,
    )
    card = ModelCard(
        version=version or store.next_version(),
        spec=network.spec,
        classes=tuple(classes),
        raters=tuple(raters) if network.spec.has_raters else (),
        halo=halo,
        temperature=temperature,
        **about,
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS
        save_weights(network, weights, half=half)
        _write_beside(weights, exemplars)
        return store.register(card, weights)


def _write_beside(weights: Path, exemplars: np.ndarray | None) -> None:
    """Write exemplars, if there are any, where the store looks for them."""
    if exemplars is not None:
        write_exemplars(weights.with_name(EXEMPLARS), exemplars)


@dataclass(frozen=True)
class _Cut:
    """A long image, seen whole and cut in the middle."""

    network: UNet
    spec: NetworkSpec
    sample: np.ndarray | None
    tolerance: float

    def halo_along(self, axis: int, limit: int, expected: int) -> int:
        """Look near the cut first, and further only if the difference reaches."""
        stride = self.spec.stride[axis]
        near = min(limit, _whole(max(NEAR, expected + 1), stride))
        while near < limit:
            halo = self._halo_within(axis, near)
            if halo < near:
                return halo
            near = min(limit, _whole(FURTHER * near, stride))
        return self._halo_within(axis, limit) if limit else 0

    def _halo_within(self, axis: int, limit: int) -> int:
        stride = self.spec.stride[axis]
        shape = [max(ACROSS // s, 2) * s if s > 1 else 8 for s in self.spec.stride]
        shape[axis] = 2 * limit
        device = next(self.network.parameters()).device
        reach = max(
            self._reach(image, axis, limit)
            for image in self._images(zyx(shape), device)
        )
        return _whole(reach, stride)

    def _images(self, shape: Zyx, device: torch.device) -> Iterator[Tensor]:
        """Yield images from both ends of the sample, if it is larger than one.

        How far a cut is seen depends on what is there.
        """
        yield trial_image(self.spec, shape, self.sample).to(device)
        if self.sample is None:
            return
        corner = [
            max(0, n - m) for n, m in zip(self.sample.shape[1:], shape, strict=True)
        ]
        if any(corner):
            rest = self.sample[(slice(None), *(slice(a, None) for a in corner))]
            yield trial_image(self.spec, shape, rest).to(device)

    def _reach(self, image: Tensor, axis: int, limit: int) -> int:
        """Return how far from a cut in the middle of an image it is seen."""
        whole = probabilities(self.network, image)
        right = probabilities(self.network, image.narrow(axis + 2, limit, limit))
        left = probabilities(self.network, image.narrow(axis + 2, 0, limit))
        from_right = _profile(whole.narrow(axis + 2, limit, limit) - right, axis)
        from_left = _profile(whole.narrow(axis + 2, 0, limit) - left, axis).flip(0)
        differs = torch.maximum(from_left, from_right) > self.tolerance
        places = torch.nonzero(differs)
        return int(places.max()) + 1 if len(places) else 0


def _whole(voxels: float, stride: int) -> int:
    return math.ceil(voxels / stride) * stride


def probabilities(network: UNet, image: Tensor) -> Tensor:
    """Return all probabilities as channels (batch, any, z, y, x)."""
    output = network(image)
    probability = torch.softmax(output.consensus.float(), dim=1)
    if output.raters is None:
        return probability
    raters = torch.softmax(output.raters.float(), dim=2).flatten(1, 2)
    return torch.cat([probability, raters], dim=1)


def _profile(difference: Tensor, axis: int) -> Tensor:
    """Return the largest difference at each place along an axis."""
    others = [d for d in range(5) if d != axis + 2]
    return difference.abs().amax(dim=others)


def trial_image(spec: NetworkSpec, shape: Zyx, sample: np.ndarray | None) -> Tensor:
    """Return a sample of this shape, repeated until it is large enough, or noise.

    Repeated, not mirrored: a cut where the image is mirrored is hardly seen.
    """
    if sample is None:
        return smooth_noise(spec.in_channels, shape)
    extra = [(0, max(0, n - m)) for n, m in zip(shape, sample.shape[1:], strict=True)]
    large = np.pad(sample, [(0, 0), *extra], mode="wrap")
    part = large[(slice(None), *(slice(0, n) for n in shape))]
    return torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))[None]


def smooth_noise(n_channels: int, shape: Zyx) -> Tensor:
    """Return fine and coarse noise, always the same, as two images of a batch."""
    generator = torch.Generator().manual_seed(0)
    fine = torch.randn((1, n_channels, *shape), generator=generator)
    coarse = torch.nn.functional.avg_pool3d(fine, 3, 1, 1) * 4
    return torch.cat([fine, coarse]).clamp(-3, 3)
