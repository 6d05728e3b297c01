"""Getting a model used to another volume without labels.

Only what batch normalisations remember is changed, and, if the images then fit what
the network learned clearly better, dark and bright of a channel are exchanged. The
intensity range needs no change: every project measures that of its own volume, so a
contrast that is only stretched or shifted is taken care of before.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.config import AdaptConfig, VoxelSize
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, ModelMismatchError, TrainingError
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    Progress,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.models.backends.torch import choose_device, use_threads
from napari_unetseg.models.planning import plan_patch
from napari_unetseg.models.registration import register_version
from napari_unetseg.models.statistics import (
    batch_norms,
    distance_to_learned,
    exchange_dark_and_bright,
    take_statistics,
)
from napari_unetseg.models.store import ModelCard, ModelStore, read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.verdict import NOT_COMPARED
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.probes import places

INHERITED = ("strokes", "labels", "voxels", "volume", "volume_identity",
             "learned_boxes", "imported_from", "imported_version")  # fmt: skip
BATCH = 2  # as in training
CLEARLY = 0.75  # of the distance: so much nearer, and dark and bright are exchanged
KEPT = 0.3  # of what was learned: a few places do not say everything
CANDIDATES = 4  # times as many places as are wanted
LEAST_CONTRAST = 0.5  # of the places with the most: others are empty


@dataclass(frozen=True)
class AdaptJob:
    """All that getting used to a volume needs.

    Attributes
    ----------
    parent_dir
        Folder of the version that gets used to the volume.
    predictions
        What it found so far: places are chosen there first.
    """

    volume_uri: str
    time_point: int
    parent_dir: Path
    models_dir: Path
    version: str
    normalisation: Normalisation
    predictions: PredictionStore | None = None
    config: AdaptConfig = field(default_factory=AdaptConfig)
    scale: VoxelSize | None = None


def adapt(
    job: AdaptJob,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> ModelCard:
    """Register a version that is used to how a volume looks.

    Raises
    ------
    TrainingError
        If the volume is empty wherever one looks.
    Cancelled
        If somebody asked to stop; nothing is registered.
    """
    use_threads(job.config.threads)
    volume = Volume.open(job.volume_uri, time_point=job.time_point, scale=job.scale)
    card = read_card(job.parent_dir)
    network = UNet(card.spec)
    load_weights(network, weights_path(job.parent_dir, card))
    network.to(choose_device(job.config.device))
    seen = _Seen(_images(job, volume, card), on_event, is_cancelled)
    on_event(RunStarted("adapt", seen.total, subject=job.version))
    found = _fitted(network, seen)
    return register_version(
        ModelStore(job.models_dir),
        network.cpu(),
        version=job.version,
        classes=card.classes,
        raters=card.raters,
        name=card.name,
        description=found["said"],
        parent=card.version,
        normalisation=job.normalisation,
        voxel_size=volume.voxel_size,
        patch=card.patch,
        training=_inherited(card) | {"adapted": found},
        temperature=card.temperature,
        gate=NOT_COMPARED,
        sample=seen.images[0],
    )


def _inherited(card: ModelCard) -> dict[str, Any]:
    """Return what a parent learned from; how it was trained is its own affair."""
    return {name: card.training[name] for name in INHERITED if name in card.training}


def _fitted(network: UNet, seen: _Seen) -> dict[str, Any]:
    """Change the network so that it fits what was seen, and say what was done."""
    best = before = distance_to_learned(network, seen.batches(network))
    inverted = []
    for channel in range(network.spec.in_channels):
        distance = _distance_if_inverted(network, channel, seen)
        if distance < CLEARLY * best:
            exchange_dark_and_bright(network, channel)
            inverted.append(channel)
            best = distance
    take_statistics(network, seen.batches(network), kept=KEPT)
    said = (
        f"{len(batch_norms(network))} normalisation layers got used to this volume at "
        f"{len(seen.images)} places, without labels"
    )
    said += "; dark and bright were exchanged." if inverted else "."
    return {
        "said": said,
        "places": len(seen.images),
        "inverted_channels": inverted,
        "distance_to_learned": [round(before, 4), round(best, 4)],
    }


def _distance_if_inverted(network: UNet, channel: int, seen: _Seen) -> float:
    trial = copy.deepcopy(network)
    try:
        exchange_dark_and_bright(trial, channel)
    except ModelMismatchError:
        return float("inf")
    return distance_to_learned(trial, seen.batches(network))


class _Seen:
    """Images of some places, and how far the work on them is.

    Attributes
    ----------
    images
        Normalised float32 czyx, all of one shape.
    """

    def __init__(
        self, images: list[np.ndarray], on_event: OnEvent, is_cancelled: IsCancelled
    ) -> None:
        self.images = images
        self._on_event, self._is_cancelled = on_event, is_cancelled
        # As they are, with each channel inverted, and once more to take them over.
        self.total = len(images) * (2 + len(images[0]))
        self._done = 0

    def batches(self, network: UNet) -> Iterator[Tensor]:
        """Yield all images, a few at a time, on the device of the network."""
        device = next(network.parameters()).device
        for first in range(0, len(self.images), BATCH):
            if self._is_cancelled():
                raise Cancelled("The adaptation was stopped", do="No model was added.")
            batch = np.stack(self.images[first : first + BATCH])
            yield torch.from_numpy(batch).to(device)
            self._done += len(batch)
            self._on_event(Progress(self._done, self.total, "looking at the volume"))


def _images(job: AdaptJob, volume: Volume, card: ModelCard) -> list[np.ndarray]:
    """Return normalised voxels czyx, in whole strides, where there is most to see.

    What a network remembers comes from patches around objects. Empty space among the
    places would replace that by what nobody looks for: with seven empty places of
    eight, the Dice on a phantom fell from 0.83 to 0.29.
    """
    patch = card.patch or plan_patch(card.spec, volume.shape)
    shape = zyx(min(p, n) for p, n in zip(patch, volume.shape, strict=True))
    boxes = _boxes(job, volume.shape, shape)
    read = [job.normalisation.apply(volume.read(b, missing="fill")) for b in boxes]
    contrast = np.array([voxels.std() for voxels in read])
    enough = LEAST_CONTRAST * np.quantile(contrast, 0.95)
    if enough == 0:
        raise TrainingError(
            "The volume is empty at all places that were looked at",
            do="Look at more places.",
        )
    chosen = np.flatnonzero(contrast >= enough)[: job.config.places]
    padded = card.spec.padded(shape)
    extra = [(0, p - n) for p, n in zip(padded, shape, strict=True)]
    return [np.pad(read[i], [(0, 0), *extra], "symmetric") for i in chosen]


def _boxes(job: AdaptJob, shape: Zyx, size: Zyx) -> list[Box]:
    """Return boxes inside the volume: where something was found, then anywhere."""
    n = CANDIDATES * job.config.places // 2
    centres = [*places(job.predictions, shape, n)[:n], *places(None, shape, n)]
    corners = np.clip(
        np.array(centres) - np.array(size) // 2, 0, np.subtract(shape, size)
    )
    boxes = (Box((0, 0, 0), size).shifted(corner) for corner in corners.tolist())
    return list(dict.fromkeys(boxes))
