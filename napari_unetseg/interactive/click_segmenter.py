"""Click on an object: flood the probability around the click.

The threshold is half the probability at the click (half maximum), so that objects the
network is only half sure of are found whole. The box that is looked at grows while the
object touches its side, so the cost follows the object and not the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from napari_unetseg.config import Config
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.prompts import Click

ReadProbability = Callable[[Box], np.ndarray]


class ClickConfig(Config):
    """How a click becomes an object.

    The numbers are fractions of certainty and voxels; they follow the half-maximum rule
    and the growing box of nnInteractive.
    """

    first_box: Zyx = (32, 96, 96)
    growth: float = 1.5
    max_growths: int = 4
    least: float = 0.10
    lowest: float = 0.20
    highest: float = 0.50


class NothingHereError(UnetsegError, ValueError):
    """The prediction knows no object at the click."""


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
    probability, around, clicks
        What it was found in, for another threshold.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    threshold: float
    n_voxels: int
    probability: np.ndarray = field(repr=False)
    around: Box = field(repr=False)
    clicks: tuple[Click, ...] = field(repr=False)


def segment_click(
    read_probability: ReadProbability,
    shape: Zyx,
    clicks: Sequence[Click],
    *,
    config: ClickConfig | None = None,
    class_id: int | None = None,
) -> ClickResult:
    """Return the object under the first click, without what negative clicks cut off.

    Parameters
    ----------
    read_probability
        Returns foreground probabilities × 255 of a box, uint8 czyx.
    shape
        Of the volume, zyx.
    clicks
        The first is positive.
    class_id
        Class to look for; the most probable at the click if None.

    Raises
    ------
    NothingHereError
        If there is no object at the click.
    """
    config = config or ClickConfig()
    seed = clicks[0].point
    class_id = class_id or _class_at(read_probability, shape, seed)
    around = Box.around(seed, config.first_box).clipped(shape)
    for _ in range(config.max_growths + 1):
        probability = read_probability(around)[class_id - 1]
        top = _peak(probability, seed, around) / 255
        if top < config.least:
            raise NothingHereError(
                "The prediction sees no object here",
                do="Click on one that it shows, or paint it with the brush.",
            )
        threshold = float(np.clip(0.5 * top, config.lowest, config.highest))
        result = _flood(probability, around, clicks, class_id, threshold, config)
        larger = _larger(around, result.box, shape, config)
        if larger == around:
            break
        around = larger
    return result


def rethreshold(result: ClickResult, factor: float) -> ClickResult:
    """Return the same object with another threshold; below 1 it grows.

    The box is not read again: an object never grows beyond what was looked at.
    """
    threshold = float(np.clip(result.threshold * factor, 0.02, 0.98))
    return _flood(
        result.probability,
        result.around,
        result.clicks,
        result.class_id,
        threshold,
        ClickConfig(),
    )


def _class_at(read_probability: ReadProbability, shape: Zyx, seed: Zyx) -> int:
    near = read_probability(Box.around(seed, (3, 3, 3)).clipped(shape))
    return int(near.max(axis=(1, 2, 3)).argmax()) + 1


def _peak(probability: np.ndarray, seed: Zyx, around: Box) -> int:
    near = Box.around(seed, (3, 3, 3)).intersection(around).relative_to(around)
    return int(probability[near.slices].max())


def _flood(
    probability: np.ndarray,
    around: Box,
    clicks: Sequence[Click],
    class_id: int,
    threshold: float,
    config: ClickConfig,
) -> ClickResult:
    """Return the connected region of the first click above a threshold."""
    inside = probability >= 255 * threshold
    seeds = [c for c in clicks if around.holds(c.point)]
    negative = [c.point for c in seeds if not c.positive]
    positive = [c.point for c in seeds if c.positive]
    if negative:
        inside &= ~_nearer_to(negative, positive, around)
    region = np.zeros_like(inside)
    components, _ = ndimage.label(inside)
    for point in positive:
        number = _component_at(components, probability, point, around)
        if number:
            region |= components == number
    if not region.any():  # the threshold left nothing: the clicked voxels themselves
        for point in positive:
            region[tuple(p - a for p, a in zip(point, around.start, strict=True))] = (
                True
            )
    tight = _bounds(region)
    grown = _bounds_grown(tight, region.shape)
    filled = ndimage.binary_fill_holes(region[grown.slices])
    mask = filled[tight.relative_to(grown).slices]
    return ClickResult(
        tight.shifted(around.start),
        mask,
        class_id,
        threshold,
        int(mask.sum()),
        probability,
        around,
        tuple(clicks),
    )


def _nearer_to(
    negative: Sequence[Zyx], positive: Sequence[Zyx], around: Box
) -> np.ndarray:
    """Return the voxels that are nearer to a negative than to any positive click."""

    def distance(points: Sequence[Zyx]) -> np.ndarray:
        grid = np.ogrid[tuple(slice(a, b) for a, b in
                              zip(around.start, around.stop, strict=True))]  # fmt: skip
        least = np.full(around.shape, np.inf)
        for z, y, x in points:
            np.minimum(
                least,
                (grid[0] - z) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2,
                least,
            )
        return least

    nearer: np.ndarray = distance(negative) < distance(positive)
    return nearer


def _component_at(
    components: np.ndarray, probability: np.ndarray, point: Zyx, around: Box
) -> int:
    """Return the component of the most probable voxel next to a click."""
    near = Box.around(point, (3, 3, 3)).intersection(around).relative_to(around)
    part = components[near.slices]
    if not part.any():
        return 0
    best = np.where(part > 0, probability[near.slices].astype(int), -1)
    return int(part.flat[int(best.argmax())])


def _larger(around: Box, found: Box, shape: Zyx, config: ClickConfig) -> Box:
    """Grow the box where the object touches a side of it that is not the volume's."""
    whole = Box.whole(shape)
    touches = any(
        (f == a and a > w) or (g == b and b < v)
        for f, g, a, b, w, v in zip(
            found.start, found.stop, around.start, around.stop, whole.start, whole.stop,
            strict=True,
        )
    )  # fmt: skip
    if not touches:
        return around
    margin = zyx(int(n * (config.growth - 1) / 2) + 1 for n in around.shape)
    return around.grown(margin).clipped(shape)


def _bounds(region: np.ndarray) -> Box:
    found = ndimage.find_objects(region.astype(np.uint8), max_label=1)[0]
    return Box.from_slices(found)


def _bounds_grown(box: Box, shape: Sequence[int]) -> Box:
    """One voxel more, so that only true holes are closed."""
    return box.grown(1).clipped(shape)
