"""Which parts of a volume a model and its ancestors learned from, and who these are.

What is measured on a part that a grandparent learned from says nothing, so every card
keeps the boxes of all of them, and by what the volume is known wherever it moves.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import VoxelValueError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.models.store import ModelCard, ModelStore, read_card

if TYPE_CHECKING:
    from napari_unetseg.training.dataset import Patches
    from napari_unetseg.training.finetune import TrainJob
    from napari_unetseg.training.training_set import TrainingSet

MOST_BOXES = 2000  # of more, the box around them all is kept
EVERYWHERE = Box((0, 0, 0), (2**40, 2**40, 2**40))
LOOKED_AT: Zyx = (1, 64, 64)  # voxels at each of some places, to know a volume by
_PLACES = 5  # along the diagonal


def origin_of(store: ModelStore, version: str) -> str:
    """Return the version that the fine-tunings up to a version began with."""
    known = set(store.versions())
    card = store.card(version)
    while is_finetuned(card) and card.parent in known:
        card = store.card(str(card.parent))
    return card.version


def is_finetuned(card: ModelCard) -> bool:
    """Whether a version was made from its parent by learning from labels.

    One that was adapted to a volume keeps what its parent says of its training.
    """
    about = card.training
    learned = (about.get("config") or {}).get("parent") is not None
    return card.parent is not None and learned and "adapted" not in about


def was_made_of(folder: Path | None, labels: TrainingSet) -> bool:
    """Whether the family of a version began with a new network from these labels.

    What it was made for is then what it is put right on, and nothing is forgotten that
    is not learned again. So it is if most edits that the network learned from still
    count; one that was imported learned from edits of another project.
    """
    if folder is None:
        return False
    store = ModelStore(folder.parent)
    edits = set(store.card(origin_of(store, folder.name)).training.get("strokes", ()))
    return 2 * len(edits & set(labels.stroke_ids)) > len(edits)


def identity_of(volume: Volume) -> str:
    """Return what a volume is known by, wherever it lies: a hash of some voxels."""
    about = (volume.shape, volume.n_channels, str(volume.dtype))
    digest = hashlib.sha256(repr(about).encode())
    for number in range(_PLACES):
        share = (number + 1) / (_PLACES + 1)
        centre = zyx(int(share * n) for n in volume.shape)
        box = Box.around(centre, LOOKED_AT).clipped(volume.shape)
        with suppress(VoxelValueError):  # what is no number tells nothing
            voxels = volume.read(box, missing="fill")
            digest.update(np.ascontiguousarray(voxels).tobytes())
    return digest.hexdigest()


def learned_boxes(folder: Path | None, volume: Volume) -> tuple[Box, ...]:
    """Return where a version and its ancestors learned in a volume.

    Everywhere, if its card does not say so and it was not made elsewhere.
    """
    if folder is None:
        return ()
    training = read_card(folder).training
    if "learned_boxes" not in training:
        return () if "imported_from" in training else (EVERYWHERE,)
    if not _is_about(training, volume):
        return ()
    return tuple(
        Box(zyx(numbers[:3]), zyx(numbers[3:])) for numbers in training["learned_boxes"]
    )


def learned_so_far(job: TrainJob, patches: Patches, volume: Volume) -> dict[str, Any]:
    """Return what a card keeps for :func:`learned_boxes`."""
    before = learned_boxes(job.begins_with, volume)
    boxes = list(dict.fromkeys((*patches.learned, *before)))
    if len(boxes) > MOST_BOXES:
        around = boxes[0]
        for box in boxes[1:]:
            around = around.hull(box)
        boxes = [around]
    numbers = [[*box.start, *box.stop] for box in boxes]
    return {
        "volume": job.volume_uri,
        "volume_identity": identity_of(volume),
        "learned_boxes": numbers,
    }


def _is_about(training: dict[str, Any], volume: Volume) -> bool:
    """Whether a version learned in this volume; old cards know its address alone."""
    if "volume_identity" in training:
        return bool(training["volume_identity"] == identity_of(volume))
    return bool(training.get("volume") == volume.uri)
