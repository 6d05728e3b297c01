"""Networks run by OpenVINO on the processor: two to six times as fast as torch.

::

    torch network ── trace of a small image ──▶ model with open sizes ──▶ kept on disk
                                                   │
                     largest read box so far ◀── compiled for one size
                     border blocks           ◀── compiled for any size
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.backends.openvino_summary import (
    OpenVinoSummary,
    summary_model,
)
from napari_unetseg.models.backends.torch import Stacked
from napari_unetseg.models.backends.torch_summary import TorchSummary
from napari_unetseg.models.planning import activation_bytes
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.summary import SLAB_VOXELS, Outputs, Summary
from napari_unetseg.models.unet import UNet

_HINTS = {"fp32": "f32", "bf16": "bf16"}
# Of the memory that torch takes: buffers are used again as soon as they are free.
_SHARES = {"fp32": 0.8, "bf16": 0.52}
_LOG = logging.getLogger(__name__)


class OpenVinoRunner:
    """A network run by OpenVINO.

    Parameters
    ----------
    model
        From :func:`converted`.
    spec
        Of the network that it was made from.
    precision
        ``"fp32"`` or ``"bf16"``; the answer is float32 in any case.
    threads
        Processor threads.
    """

    def __init__(
        self, model: Any, spec: NetworkSpec, *, precision: str, threads: int
    ) -> None:
        self.name = f"openvino-{precision}"
        self.device = torch.device("cpu")
        self.patches_at_a_time = 1
        self._model, self._spec, self._precision = model, spec, precision
        self._options = {
            # Unset, some processors round to bfloat16 without being asked.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._largest: Zyx = (0, 0, 0)
        self._static: Any = None
        self._dynamic: Any = None
        self._summaries: dict[Outputs, Any] = {}

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (b, heads x classes, z, y, x) of images (b, c, z, y, x)."""
        voxels = np.ascontiguousarray(image.numpy())
        run = self._compiled(image.shape)
        answer = run([voxels], share_inputs=True, share_outputs=True)
        return torch.from_numpy(answer[0])

    def summary(self, outputs: Outputs, inner: Box) -> Summary:
        """Return what sums up the logits of all passes over an image."""
        if outputs.n_passes > 1 or inner.shape[2] > SLAB_VOXELS:
            return TorchSummary(outputs, inner)
        if outputs not in self._summaries:
            model = summary_model(_imported(), outputs)
            exact = {**self._options, "INFERENCE_PRECISION_HINT": "f32"}
            self._summaries[outputs] = _core().compile_model(model, "CPU", exact)
        return OpenVinoSummary(self._summaries[outputs], outputs, inner)

    def activation_bytes(self, shape: Zyx) -> int:
        """Return an upper estimate of the memory of one pass."""
        return int(_SHARES[self._precision] * activation_bytes(self._spec, shape))

    def _compiled(self, shape: torch.Size) -> Callable[..., Any]:
        """Return the model for this size.

        Nearly all blocks have one size, the largest: only for that one the model is
        compiled as if there were no other, a fifth faster. Each compiled model keeps
        its memory, so there are never more than two.
        """
        size = (shape[2], shape[3], shape[4])
        if size == self._largest:
            return self._static  # type: ignore[no-any-return]
        if np.prod(size) >= np.prod(self._largest):
            self._static = None  # its memory goes before more is taken
            fixed = self._model.clone()
            fixed.reshape(list(shape))
            self._static = _core().compile_model(fixed, "CPU", self._options)
            self._largest = size
            return self._static  # type: ignore[no-any-return]
        if self._dynamic is None:
            self._dynamic = _core().compile_model(self._model, "CPU", self._options)
        return self._dynamic  # type: ignore[no-any-return]


def _imported() -> Any:
    """Return OpenVINO without its telemetry.

    It would tell its maker of every conversion, and without a network the process
    would not end for minutes. Nobody who opens a volume has agreed to that.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@cache
def _core() -> Any:
    """Return the engine, the same for ever.

    It lends the thread that makes it a stack for signals, and takes the memory back
    when it goes, on whatever thread that is: the next Ctrl-C would crash.
    """
    return _imported().Core()


def is_available() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def has_bf16() -> bool:
    """Whether OpenVINO computes bfloat16 on this processor."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def version() -> str:
    """Return the version of OpenVINO, "" without it."""
    return str(_imported().__version__) if is_available() else ""


def converted(
    network: Callable[[], UNet], spec: NetworkSpec, kept: Path | None = None
) -> Any:
    """Return a network as an OpenVINO model whose sizes are open.

    Parameters
    ----------
    network
        Gives it, in evaluation mode and on the processor; asked if it is not kept.
    spec
        Of the network.
    kept
        File (.xml) where the model is kept: read if it is there, else written.
    """
    openvino = _imported()
    if kept is not None and kept.exists():
        try:
            return _core().read_model(kept)
        except RuntimeError as error:
            _LOG.warning("%s is no OpenVINO model, made anew: %s", kept.name, error)
    # Small: tracing takes as long as a pass. Not too small: every level sees two cells.
    example = torch.zeros(1, spec.in_channels, *(2 * s for s in spec.stride))
    with torch.no_grad(), warnings.catch_warnings():
        # Checks of the size are traced as constants, as they should be.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(Stacked(network()).eval(), example_input=example)
    model.reshape([1, spec.in_channels, -1, -1, -1])
    if kept is not None:
        _keep(model, kept)
    return model


def _keep(model: Any, path: Path) -> None:
    """Save a model as a whole or not at all; without it the next start is slower."""
    partial = path.with_name(f"partial-{path.stem}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _imported().save_model(model, partial, compress_to_fp16=False)
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        _LOG.info("the converted model is not kept: %s", error)
