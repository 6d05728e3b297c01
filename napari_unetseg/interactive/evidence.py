"""How much each voxel looks like the object: by the network, else by the image.

::

    prediction ≥ least where the first prompt is ──▶ its probability
    no prediction, or none here ─────────────────▶ what the prompts teach of the image,
                                                   see :mod:`.appearance`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box

Read: TypeAlias = Callable[[Box], np.ndarray]
FoundBy = Literal["prediction", "image"]


@dataclass(frozen=True)
class Evidence:
    """A map that is high inside of the object.

    Attributes
    ----------
    read
        Returns it × 255 for a box, uint8 zyx.
    top
        Its value at the first prompt, 0 to 1.
    """

    read: Read
    top: float
    class_id: int
    found_by: FoundBy


def by_prediction(read_probability: Read, start: Box, class_id: int | None) -> Evidence:
    """Return the probability of the asked class, or of the most probable at the start.

    Parameters
    ----------
    read_probability
        Returns foreground probabilities × 255 of a box, uint8 czyx.
    start
        Where the object is, if it is anywhere.

    Raises
    ------
    NothingHereError
        If the model does not know the class.
    """
    tops = read_probability(start).max(axis=(1, 2, 3))
    if class_id is None:
        class_id = int(tops.argmax()) + 1
    if not 1 <= class_id <= len(tops):
        raise NothingHereError(
            "The model does not know this class",
            do="Paint it with the brush, then fine-tune the model.",
        )
    channel = class_id - 1
    return Evidence(
        read=lambda box: read_probability(box)[channel],
        top=float(tops[channel]) / 255,
        class_id=class_id,
        found_by="prediction",
    )
