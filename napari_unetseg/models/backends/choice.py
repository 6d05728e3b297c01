"""Which engine runs a network: measured once per model and machine.

::

    named in the config ──────────────────────────────▶ that one
    "auto" ── known from an earlier run? ──────────────▶ that one
           └─ all that this machine has, on a piece of the volume:
              close enough to torch in float32? ── the fastest ──▶ kept for next time

What is kept makes a resumed run go on as it began.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.config import Backend, PredictConfig
from napari_unetseg.errors import BackendError
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.models.backends import openvino
from napari_unetseg.models.backends.bf16 import compensated
from napari_unetseg.models.backends.kept import cache_folder, keep_json, read_json
from napari_unetseg.models.backends.runner import Runner
from napari_unetseg.models.backends.torch import (
    TorchRunner,
    choose_device,
    fold_batch_norm,
    has_fast_bf16,
    use_threads,
)
from napari_unetseg.models.registration import calibrated, trial_image
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import ModelCard, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights

EXACT: Backend = "torch-fp32"
LEAST_DICE = 0.999
MOST_CHANGED = 0.02  # of a probability, for all but one voxel in a thousand
_EDGE, _DEPTH = 128, 64
_REPEATS = 2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """How a backend did on a piece of the volume.

    Attributes
    ----------
    mvoxel_per_s
        Of one pass.
    labels_dice
        Overlap of its labels with those of torch in float32.
    changed_p999
        Change of a probability that one voxel in a thousand exceeds.
    """

    mvoxel_per_s: float
    labels_dice: float = 1.0
    changed_p999: float = 0.0

    @property
    def is_equal(self) -> bool:
        """Whether the answers are as good as those of torch in float32."""
        return self.labels_dice >= LEAST_DICE and self.changed_p999 <= MOST_CHANGED


def choose_runner(
    model_dir: Path,
    card: ModelCard,
    *,
    config: PredictConfig,
    sample: np.ndarray | None = None,
) -> tuple[Runner, float]:
    """Return what runs a model fastest here, or what the config names; its Mvoxel/s.

    The speed is 0 where nothing was measured.

    Parameters
    ----------
    model_dir, card
        The model.
    config
        Backend, device and threads.
    sample
        Normalised voxels czyx on which backends are compared; noise if missing.

    Raises
    ------
    BackendError
        If the backend that was chosen is not there.
    """
    network = UNet(card.spec)
    load_weights(network, weights_path(model_dir, card))
    network = calibrated(network, card.temperature)
    fold_batch_norm(network.eval())
    use_threads(config.threads)
    image = trial_image(card.spec, _shape(card.spec), sample)[:1]
    identity = card.weights_sha256
    if identity and card.temperature != 1.0:
        identity += f"/{card.temperature}"
    runners = Runners(network, choose_device(config.device), image, identity)
    if config.backend != "auto":
        return runners.make(config.backend), 0.0
    key = runners.key
    known = read_json(_choices(), key)
    if known.get("backend") in runners.available:
        return runners.make(known["backend"]), float(known["mvoxel_per_s"])
    trials = compare(runners, image)
    equal = {name: trial for name, trial in trials.items() if trial.is_equal}
    # A network whose answers are no numbers equals nothing, not even itself.
    best = max(equal, key=lambda name: equal[name].mvoxel_per_s, default=EXACT)
    figures = {name: asdict(trial) for name, trial in trials.items()}
    _LOG.info("model %s runs with %s: %s", card.version, best, figures)
    speed = trials[best].mvoxel_per_s
    found = {"backend": best, "mvoxel_per_s": speed, "trials": figures}
    keep_json(_choices(), key, found)
    return runners.make(best), speed


class Runners:
    """What can run one network on one device; each is made when it is asked for.

    Parameters
    ----------
    network
        In evaluation mode, on the processor.
    device
        A torch device, not ``"auto"``.
    image
        Voxels (1, channel, z, y, x) like those that will be predicted, for networks
        that have to be adapted to what runs them.
    identity
        Of weights and temperature, by which converted networks are kept; they are not
        if it is empty.

    Attributes
    ----------
    spec
        Of the network.
    """

    def __init__(
        self, network: UNet, device: str, image: Tensor, identity: str = ""
    ) -> None:
        self.spec = network.spec
        self._network, self._device = network, torch.device(device)
        self._image, self._identity = image, identity
        self._makers: dict[Backend, Callable[[], Runner]] = {
            EXACT: lambda: TorchRunner(deepcopy(network), device=device)
        }
        if has_fast_bf16(self._device):
            self._makers["torch-bf16"] = lambda: TorchRunner(
                deepcopy(self._compensated), device=device, dtype=torch.bfloat16
            )
        if self._device.type == "cpu" and openvino.is_available():
            self._makers["openvino-fp32"] = lambda: self._openvino("fp32")
            if openvino.has_bf16():
                self._makers["openvino-bf16"] = lambda: self._openvino("bf16")

    @property
    def available(self) -> tuple[Backend, ...]:
        """Names of what this machine has."""
        return tuple(self._makers)

    @property
    def key(self) -> str:
        """What tells this model on this machine from all others."""
        size = "x".join(map(str, self._image.shape))
        return "|".join((self._identity, *self.available, _machine(self._device), size))

    def make(self, name: Backend) -> Runner:
        """Return a runner.

        Raises
        ------
        BackendError
            If this machine does not have it.
        """
        if name not in self._makers:
            raise BackendError(
                f"The backend {name} is not there on {self._device.type}",
                expected=", ".join(self._makers),
                do="Choose one of these, or install OpenVINO with "
                "pip install napari-unetseg[openvino].",
            )
        return self._makers[name]()

    @cached_property
    def _compensated(self) -> UNet:
        return compensated(self._network, self._image)

    def _openvino(self, precision: str) -> Runner:
        kept, network = None, lambda: self._network
        parts = [self._identity, openvino.version()]
        if precision == "bf16":
            network = lambda: self._compensated  # noqa: E731
            parts.append(sha256(self._image.numpy().tobytes()).hexdigest())
        if self._identity:
            name = sha256(" ".join(parts).encode()).hexdigest()
            kept = cache_folder() / "openvino" / f"{name[:32]}.xml"
        model = openvino.converted(network, self.spec, kept)
        threads = torch.get_num_threads()
        return openvino.OpenVinoRunner(
            model, self.spec, precision=precision, threads=threads
        )


def compare(runners: Runners, image: Tensor) -> dict[Backend, Trial]:
    """Try all backends on an image (1, channel, z, y, x)."""
    n_classes = runners.spec.n_channels_out
    trials: dict[Backend, Trial] = {}
    exact: Tensor | None = None
    for name in runners.available:
        runner = runners.make(name)
        probability, speed = _timed(runner, image, n_classes)
        if exact is None:  # torch in float32 comes first
            exact = probability
        trials[name] = Trial(speed, *likeness(exact, probability))
    return trials


def likeness(exact: Tensor, other: Tensor) -> tuple[float, float]:
    """Return Dice of the labels, and the 99.9th percentile of changes.

    Parameters
    ----------
    exact, other
        Probabilities (head, class, z, y, x).
    """
    first, second = exact.argmax(dim=1), other.argmax(dim=1)
    both = ((first == second) & (first > 0)).sum()
    size = (first > 0).sum() + (second > 0).sum()
    dice = 1.0 if size == 0 else float(2 * both / size)
    changes = (exact - other).abs().flatten().numpy()
    return dice, float(np.quantile(changes, 0.999))


def _timed(runner: Runner, image: Tensor, n_classes: int) -> tuple[Tensor, float]:
    """Return probabilities and Mvoxel/s, after one pass to warm up."""
    image = image.to(runner.device)
    with torch.inference_mode():
        logits = runner(image).float().cpu().clone()
        seconds = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            runner(image).sum().item()  # waits for the device
            seconds.append(time.perf_counter() - start)
    heads = logits.reshape(-1, n_classes, *logits.shape[2:])
    return heads.softmax(dim=1), image[0, 0].numel() / 1e6 / min(seconds)


def _shape(spec: NetworkSpec) -> Zyx:
    return zyx(
        max(1, most // s) * s
        for most, s in zip((_DEPTH, _EDGE, _EDGE), spec.stride, strict=True)
    )


def _machine(device: torch.device) -> str:
    """Return what the speed depends on besides the model."""
    parts = [platform.machine(), platform.processor(), torch.__version__,
             openvino.version(), str(torch.get_num_threads())]  # fmt: skip
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return " ".join(parts)


def _choices() -> Path:
    return cache_folder() / "backends.json"
