"""Which parts of a volume a model and its ancestors learned from.

What is measured on a part that a grandparent learned from says nothing, so every card
keeps the boxes of all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetseg.geometry import Box, zyx
from napari_unetseg.models.store import read_card

if TYPE_CHECKING:
    from napari_unetseg.training.dataset import Patches
    from napari_unetseg.training.finetune import TrainJob

MOST_BOXES = 2000  # of more, the box around them all is kept
EVERYWHERE = Box((0, 0, 0), (2**40, 2**40, 2**40))


def learned_boxes(parent_dir: Path | None, volume_uri: str) -> tuple[Box, ...]:
    """Return where a parent and its ancestors learned in a volume.

    Everywhere, if its card does not say so and it was not made elsewhere.
    """
    if parent_dir is None:
        return ()
    training = read_card(parent_dir).training
    if "learned_boxes" not in training:
        return () if "imported_from" in training else (EVERYWHERE,)
    if training.get("volume") != volume_uri:
        return ()
    return tuple(
        Box(zyx(numbers[:3]), zyx(numbers[3:])) for numbers in training["learned_boxes"]
    )


def learned_so_far(job: TrainJob, patches: Patches) -> dict[str, Any]:
    """Return what a card keeps for :func:`learned_boxes`."""
    boxes = list(dict.fromkeys((*patches.learned, *patches.learned_before)))
    if len(boxes) > MOST_BOXES:
        around = boxes[0]
        for box in boxes[1:]:
            around = around.hull(box)
        boxes = [around]
    numbers = [[*box.start, *box.stop] for box in boxes]
    return {"volume": job.volume_uri, "learned_boxes": numbers}
