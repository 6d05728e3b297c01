"""How much each voxel looks like the object: by the network, else by its brightness.

::

    prediction ≥ least where the first prompt is ──▶ its probability
    no prediction, or none here ─────────────────▶ brightness between the background
                                                   (0) and the prompt (255)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy import ndimage

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx

Read: TypeAlias = Callable[[Box], np.ndarray]
FoundBy = Literal["prediction", "brightness"]

_DENOISE = 1.0  # finest voxels: standard deviation of the Gaussian
_LOOKED_AT: Zyx = (32, 64, 64)  # voxels from which the background is taken
_LEAST_STEP = 0.5  # standard deviations of what is around


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


def by_brightness(
    read_image: Read,
    shape: Zyx,
    points: Sequence[Zyx],
    voxel_size: Sequence[float],
    class_id: int,
) -> Evidence:
    """Return how far voxels are from the background towards the marked ones.

    The background is the median around them: of most objects a box around holds less
    than half. So half way is the half maximum, as of probabilities.

    Parameters
    ----------
    read_image
        Returns the voxels of a box, zyx.
    points
        Voxels inside of the object.

    Raises
    ------
    NothingHereError
        If the object is as bright as what is around it.
    """
    grey = _denoised(read_image, shape, voxel_size)
    middle = points[len(points) // 2]
    around = Box.around(middle, _LOOKED_AT).clipped(shape)
    seen = grey(around)
    inside = [p for p in points if around.holds(p)]
    own = float(np.median([seen[_at(p, around)] for p in inside]))
    background = float(np.median(seen))
    step = own - background
    if abs(step) <= _LEAST_STEP * _spread(seen, background):
        raise NothingHereError(
            "This is as bright as what is around it",
            do="Click on something brighter or darker, or paint it with the brush.",
        )

    def read(box: Box) -> np.ndarray:
        share = (grey(box) - background) / step
        return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)

    return Evidence(read, 1.0, class_id, "brightness")


def _denoised(read_image: Read, shape: Zyx, voxel_size: Sequence[float]) -> Read:
    """Return a reader of the image without its finest noise, float32."""
    sigma = [_DENOISE * min(voxel_size) / size for size in voxel_size]
    margin = zyx(np.ceil(3 * np.array(sigma)))

    def read(box: Box) -> np.ndarray:
        wide = box.grown(margin).clipped(shape)
        smooth = ndimage.gaussian_filter(
            read_image(wide).astype(np.float32), sigma, truncate=3.0
        )
        inner: np.ndarray = smooth[box.relative_to(wide).slices]
        return inner

    return read


def _at(point: Zyx, around: Box) -> Zyx:
    return Box.around(point, (1, 1, 1)).relative_to(around).start


def _spread(values: np.ndarray, middle: float) -> float:
    """Return the standard deviation around the middle, whatever a few voxels are."""
    return 1.4826 * float(np.median(np.abs(values - middle)))
