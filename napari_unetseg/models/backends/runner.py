"""The seam between a predictor and an engine: one image in, its logits out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_unetseg.geometry import Box, Zyx

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_unetseg.models.summary import Outputs, Summary


class Runner(Protocol):
    """Whatever runs a network.

    Attributes
    ----------
    name
        Engine and precision, e.g. ``"openvino-bf16"``.
    device
        Where images go and logits come from.
    patches_at_a_time
        How many small images keep the device busy; a processor is with one.
    """

    name: str
    device: torch.device
    patches_at_a_time: int

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (b, heads x classes, z, y, x) of images (b, c, z, y, x).

        The consensus comes first, then one rater after the other. The next call may
        write its answer to the same place.
        """
        ...

    def summary(self, outputs: Outputs, inner: Box) -> Summary:
        """Return what sums up the logits of all passes over an image.

        Parameters
        ----------
        outputs
            What the logits mean.
        inner
            Part of the image that is wanted.
        """
        ...

    def activation_bytes(self, shape: Zyx) -> int:
        """Return an upper estimate of the memory of one pass over such an image."""
        ...
