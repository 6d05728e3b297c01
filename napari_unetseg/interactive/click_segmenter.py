"""Click on an object: flood the probability around the click.

The threshold is half the probability at the click (half maximum), so that objects the
network is only half sure of are found whole. The box that is looked at grows on the
sides that the object touches (:mod:`napari_unetseg.interactive.growing`), so the cost
follows the object and not the volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_unetseg.config import Config
from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.growing import bounds, goes_on, grown_where_touched
from napari_unetseg.interactive.prompts import Click

ReadProbability = Callable[[Box], np.ndarray]


class ClickConfig(Config):
    """How a click becomes an object.

    Attributes
    ----------
    first_box
        Looked at first, voxels zyx.
    growth, max_growths, max_voxels
        A touched side moves out by this share of the length, so often, while the box
        stays below this size: a click is answered at once or not at all.
    least
        Probability at the click below which there is no object.
    lowest, highest
        Limits of the threshold.
    """

    first_box: Zyx = (32, 96, 96)
    growth: float = 0.5
    max_growths: int = 8
    max_voxels: int = 2**23
    least: float = 0.10
    lowest: float = 0.20
    highest: float = 0.50


@dataclass(frozen=True)
class ClickResult:
    """The object that was found.

    Attributes
    ----------
    box, mask
        Where; the mask has the shape of the box.
    class_id
        What the network takes it for.
    threshold
        Probability from which voxels belong to it, 0 to 1.
    is_cut
        Whether the object goes on beyond what was looked at.
    probability, around, shape, clicks
        What it was found in, for another threshold.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    threshold: float
    n_voxels: int
    is_cut: bool
    probability: np.ndarray = field(repr=False)
    around: Box = field(repr=False)
    shape: Zyx = field(repr=False)
    clicks: tuple[Click, ...] = field(repr=False)


def segment_click(
    read_probability: ReadProbability,
    shape: Zyx,
    clicks: Click | Sequence[Click],
    *,
    config: ClickConfig | None = None,
    class_id: int | None = None,
) -> ClickResult:
    """Return the object under the positive clicks, without what negative ones cut off.

    Parameters
    ----------
    read_probability
        Returns foreground probabilities × 255 of a box, uint8 czyx.
    shape
        Of the volume, zyx.
    clicks
        One or several; the first is positive.
    class_id
        Class to look for; the most probable at the first click if None.

    Raises
    ------
    NothingHereError
        If there is no object at the first click.
    """
    config = config or ClickConfig()
    clicks = (clicks,) if isinstance(clicks, Click) else tuple(clicks)
    whole = Box.whole(shape)
    positive = [c.point for c in clicks if c.positive and whole.holds(c.point)]
    if not positive:
        raise NothingHereError(
            "The click is outside of the volume", do="Click inside of it."
        )
    class_id = _class_at(read_probability, shape, positive[0], class_id)
    boxes = (Box.around(point, config.first_box).clipped(shape) for point in positive)
    around = reduce(Box.hull, boxes)
    if around.n_voxels > config.max_voxels:
        raise NothingHereError(
            "The clicks are too far apart for one object",
            do="Accept what was found, then click on the next object.",
        )
    for _ in range(config.max_growths + 1):
        probability = read_probability(around)[class_id - 1]
        threshold = _half_maximum(probability, positive, around, config)
        result = _flood(probability, around, clicks, class_id, threshold, shape)
        larger = grown_where_touched(around, result.box, shape, config.growth)
        if not result.is_cut or larger.n_voxels > config.max_voxels:
            break
        around = larger
    return result


def rethreshold(result: ClickResult, factor: float) -> ClickResult:
    """Return the same object with another threshold; below 1 it grows.

    Nothing is read again: the object never grows beyond what was looked at.
    """
    threshold = float(np.clip(result.threshold * factor, 0.02, 0.98))
    return _flood(
        result.probability,
        result.around,
        result.clicks,
        result.class_id,
        threshold,
        result.shape,
    )


def _class_at(
    read_probability: ReadProbability, shape: Zyx, seed: Zyx, class_id: int | None
) -> int:
    near = read_probability(Box.around(seed, (3, 3, 3)).clipped(shape))
    if class_id is None:
        return int(near.max(axis=(1, 2, 3)).argmax()) + 1
    if not 1 <= class_id <= len(near):
        raise NothingHereError(
            "The model does not know this class",
            do="Paint it with the brush, then fine-tune the model.",
        )
    return class_id


def _half_maximum(
    probability: np.ndarray, positive: Sequence[Zyx], around: Box, config: ClickConfig
) -> float:
    """Return the threshold at which the weakest of the clicked objects is whole."""
    tops = [_near(probability, point, around).max() / 255 for point in positive]
    if tops[0] < config.least:
        raise NothingHereError(
            "The prediction sees no object here",
            do="Click on one that it shows, or paint it with the brush.",
        )
    weakest = min(top for top in tops if top >= config.least)
    return float(np.clip(0.5 * weakest, config.lowest, config.highest))


def _flood(
    probability: np.ndarray,
    around: Box,
    clicks: Sequence[Click],
    class_id: int,
    threshold: float,
    shape: Zyx,
) -> ClickResult:
    """Return what is connected with the positive clicks above a threshold."""
    seeds = [(around.local(c.point), c.positive) for c in clicks
             if around.holds(c.point)]  # fmt: skip
    components, _ = ndimage.label(probability >= math.ceil(255 * threshold))
    numbers = {_component(components, probability, p) for p, good in seeds if good}
    region = np.zeros(probability.shape, bool)
    for number in numbers - {0}:
        region |= components == number
    positive = [p for p, good in seeds if good]
    for point in positive:  # a clicked voxel is the person's word
        region[point] = True
    tight = _bounds(region)
    inside = [(tight.local(p), good) for p, good in seeds if tight.holds(p)]
    mask = _filled(region[tight.slices], [p for p, good in inside if not good])
    if any(mask[p] for p, good in inside if not good):
        mask = _cut(mask, probability[tight.slices], inside)
        inner = _bounds(mask)
        mask, tight = mask[inner.slices], inner.shifted(tight.start)
    box = tight.shifted(around.start)
    return ClickResult(
        box=box,
        mask=mask,
        class_id=class_id,
        threshold=threshold,
        n_voxels=int(mask.sum()),
        is_cut=goes_on(around, box, shape),
        probability=probability,
        around=around,
        shape=shape,
        clicks=tuple(clicks),
    )


def _cut(
    mask: np.ndarray, probability: np.ndarray, seeds: Sequence[tuple[Zyx, bool]]
) -> np.ndarray:
    """Give each voxel to the click it is reached from first, downhill; keep ours.

    Two objects part along the valley of probability between their clicks, and where
    there is none, half way.
    """
    markers = np.zeros(mask.shape, np.int32)
    for number, (point, _) in enumerate(seeds, start=1):
        markers[point] = number
    ours = np.array([False, *(good for _, good in seeds)])
    owners = watershed(-probability.astype(np.int16), markers, mask=mask)
    kept: np.ndarray = ours[owners]
    return kept


def _filled(region: np.ndarray, stay_open: Sequence[Zyx]) -> np.ndarray:
    """Close the holes, but those that hold one of these voxels.

    A hole is background from which no way leads out of the box.
    """
    parts, n_parts = ndimage.label(~np.pad(region, 1))
    if n_parts < 2:
        return region
    around, parts = parts[0, 0, 0], parts[1:-1, 1:-1, 1:-1]
    filled: np.ndarray = parts != around
    for point in stay_open:
        if not region[point]:
            filled &= parts != parts[point]
    return filled


def _component(components: np.ndarray, probability: np.ndarray, point: Zyx) -> int:
    """Return the component of the most probable voxel next to a click."""
    whole = Box.whole(probability.shape)
    near = Box.around(point, (3, 3, 3)).intersection(whole).slices
    part = components[near]
    if components[point] or not part.any():
        return int(components[point])
    best = np.where(part > 0, probability[near].astype(int), -1)
    return int(part.flat[int(best.argmax())])


def _near(probability: np.ndarray, point: Zyx, around: Box) -> np.ndarray:
    """Return the probabilities next to a click."""
    near = Box.around(point, (3, 3, 3)).intersection(around).relative_to(around)
    return probability[near.slices]


def _bounds(region: np.ndarray) -> Box:
    found = bounds(region)
    if found is None:
        raise NothingHereError(
            "The clicks leave nothing of the object", do="Begin with a new click."
        )
    return found
