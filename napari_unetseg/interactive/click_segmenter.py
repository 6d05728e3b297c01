"""From prompts to an object: flood, keep its own lobe, put right what prompts say.

The threshold is half the evidence at the first prompt (half maximum), so that objects
the network is only half sure of are found whole. The box that is looked at grows on the
sides that the object touches, so the cost follows the object and not the volume::

    ┌────────┐          ┌────────────┐
    │    ┌───┼─         │    ┌────┐  │
    │ ×  │obj│    ──▶   │ ×  │obj │  │
    │    └───┼─         │    └────┘  │
    └────────┘          └────────────┘

Every further prompt moves the log odds around it, see :mod:`.log_odds`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from napari_unetseg.config import Config
from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.appearance import by_appearance
from napari_unetseg.interactive.evidence import (
    Evidence,
    FoundBy,
    Read,
    by_prediction,
)
from napari_unetseg.interactive.growing import goes_on, grown_where_touched
from napari_unetseg.interactive.image_features import ImageFeatures
from napari_unetseg.interactive.lobes import own_lobes
from napari_unetseg.interactive.log_odds import put_right
from napari_unetseg.interactive.masks import (
    connected,
    filled,
    tight_box,
)
from napari_unetseg.interactive.prompts import (
    BoxPrompt,
    Prompt,
    limits_of,
    marked,
    thinned,
)

VoxelSize = tuple[float, float, float]
_MOST_POINTS = 64  # those beside them say the same


class ClickConfig(Config):
    """How prompts become an object.

    Attributes
    ----------
    first_box
        Looked at first, voxels zyx.
    growth, max_growths, max_voxels
        A touched side moves out by this share of the length, so often, while the box
        stays below this size: a click is answered at once or not at all.
    least
        Probability at the first prompt below which the network knows no object.
    lowest, highest
        Limits of the threshold.
    neck
        The object ends where it is narrower than this part of itself; 0: nowhere.
    """

    first_box: Zyx = (32, 96, 96)
    growth: float = 0.5
    max_growths: int = 8
    max_voxels: int = 2**21
    least: float = 0.20
    lowest: float = 0.20
    highest: float = 0.50
    neck: float = 0.7


@dataclass(frozen=True)
class Seen:
    """What was looked at, for another threshold.

    Attributes
    ----------
    evidence
        × 255, uint8 zyx; covers ``around``.
    shape
        Of the volume, zyx.
    features
        Of the image, for the next prompt; None where the network knew the object.
    """

    evidence: np.ndarray
    around: Box
    shape: Zyx
    prompts: tuple[Prompt, ...]
    voxel_size: VoxelSize
    neck: float
    features: ImageFeatures | None = field(default=None, repr=False, compare=False)

    @property
    def is_boxed(self) -> bool:
        """Whether a box was drawn around the object."""
        return any(isinstance(prompt, BoxPrompt) for prompt in self.prompts)

    @property
    def marked(self) -> tuple[list[Zyx], list[Zyx]]:
        """Voxels marked as inside and as outside, from the corner of ``around``."""
        inside, outside = (
            [
                zyx(p - a for p, a in zip(point, self.around.start, strict=True))
                for point in points
                if self.around.holds(point)
            ]
            for points in marked(self.prompts)
        )
        return inside, outside


@dataclass(frozen=True)
class ClickResult:
    """The object that was found.

    Attributes
    ----------
    box, mask
        Where; the mask has the shape of the box.
    class_id
        What the network takes it for.
    found_by
        Whether it was found in the prediction or in the image alone.
    threshold
        Evidence from which voxels belong to it, 0 to 1.
    is_cut
        Whether the object goes on beyond what was looked at.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    found_by: FoundBy
    threshold: float
    n_voxels: int
    is_cut: bool
    seen: Seen = field(repr=False)


def segment(
    prompts: Iterable[Prompt],
    shape: Zyx,
    *,
    read_probability: Read | None = None,
    read_image: Read | None = None,
    voxel_size: Sequence[float] = (1.0, 1.0, 1.0),
    config: ClickConfig | None = None,
    class_id: int | None = None,
    image_class: int = 1,
    thin: Collection[int] = (),
    before: ClickResult | None = None,
) -> ClickResult:
    """Return the object that prompts mark.

    Parameters
    ----------
    prompts
        The first is a box, or a positive click or scribble.
    shape, voxel_size
        Of the volume, zyx.
    read_probability
        Returns foreground probabilities × 255 of a box, uint8 czyx.
    read_image
        Returns the voxels of a box, zyx: for where the network knows nothing.
    class_id, image_class
        Class to look for in the prediction, the most probable at the first prompt if
        None; class of what is found in the image alone.
    thin
        Ids of classes whose objects do not end at necks: sheets and fibres.
    before
        What was found with fewer prompts: what it computed of the image is used again.

    Raises
    ------
    NothingHereError
        If there is no object at the first prompt.
    """
    config, prompts = config or ClickConfig(), tuple(prompts)
    limits = limits_of(prompts, shape)
    inside = [point for point in marked(prompts)[0] if limits.holds(point)]
    start = _start(prompts, inside, limits, shape)
    around = _first_look(prompts, inside, limits, shape, config)
    evidence, features = _predicted(read_probability, start, class_id, config), None
    if evidence is None:  # the image is all there is
        features = _image_features(read_image, shape, voxel_size, before)
        evidence = by_appearance(features, prompts, around, image_class)
    threshold = float(np.clip(0.5 * evidence.top, config.lowest, config.highest))
    neck = 0.0 if evidence.class_id in thin else config.neck
    z, y, x = voxel_size
    for _ in range(config.max_growths + 1):
        values = evidence.read(around)
        seen = Seen(values, around, shape, prompts, (z, y, x), neck, features)
        own = _own(seen, threshold)
        found = tight_box(own).shifted(around.start)
        larger = grown_where_touched(around, found, limits, config.growth)
        if larger == around or larger.n_voxels > config.max_voxels:
            break
        around = larger
    return _result(seen, own, evidence.class_id, evidence.found_by, threshold)


def rethreshold(result: ClickResult, factor: float) -> ClickResult:
    """Return the same object with another threshold; below 1 it grows.

    Nothing is read again: the object never grows beyond what was looked at.
    """
    threshold = float(np.clip(result.threshold * factor, 0.02, 0.98))
    own = _own(result.seen, threshold)
    return _result(result.seen, own, result.class_id, result.found_by, threshold)


# --- what the prompts say ----------------------------------------------------------


def _start(
    prompts: Sequence[Prompt], inside: Sequence[Zyx], limits: Box, shape: Zyx
) -> Box:
    """Return where the object must be: at the first voxel, or amid a box."""
    if inside:
        return Box.around(inside[0], (3, 3, 3)).clipped(shape)
    if any(isinstance(prompt, BoxPrompt) for prompt in prompts) and limits.n_voxels:
        return limits.grown([-(n // 4) for n in limits.shape])
    if any(limits.holds(point) for point in marked(prompts)[1]):
        raise NothingHereError(
            "The clicks leave nothing of the object", do="Begin with a new click."
        )
    raise NothingHereError(
        "The click is outside of the volume", do="Click inside of it."
    )


def _first_look(
    prompts: Sequence[Prompt],
    inside: Sequence[Zyx],
    limits: Box,
    shape: Zyx,
    config: ClickConfig,
) -> Box:
    """Return the box that is read first."""
    if any(isinstance(prompt, BoxPrompt) for prompt in prompts):
        around = limits
    else:
        boxes = (Box.around(p, config.first_box).clipped(shape) for p in inside)
        around = reduce(Box.hull, boxes)
    if around.n_voxels > config.max_voxels:
        raise NothingHereError(
            "The clicks are too far apart for one object",
            do="Accept what was found, then click on the next object.",
        )
    return around


def _predicted(
    read_probability: Read | None, start: Box, class_id: int | None, config: ClickConfig
) -> Evidence | None:
    """Return what the network says, None where it knows no object."""
    if read_probability is None:
        return None
    found = by_prediction(read_probability, start, class_id)
    return found if found.top >= config.least else None


def _image_features(
    read_image: Read | None,
    shape: Zyx,
    voxel_size: Sequence[float],
    before: ClickResult | None,
) -> ImageFeatures:
    """Return what is known of the image, or begin to know it."""
    if read_image is None:
        raise NothingHereError(
            "The prediction sees no object here",
            do="Click on one that it shows, or paint it with the brush.",
        )
    known = before.seen.features if before is not None else None
    return known or ImageFeatures(read_image, shape, voxel_size)


# --- the object --------------------------------------------------------------------


def _own(seen: Seen, threshold: float) -> np.ndarray:
    """Return the object, bool zyx, as all prompts want it."""
    inside, outside = seen.marked
    above = seen.evidence >= math.ceil(255 * threshold)
    if seen.is_boxed:
        own = connected(above, None)
        if not inside and not outside:
            return own
        inside = [*_amid(own, outside), *inside]
        own = connected(above, inside)
    else:
        region = connected(above, inside)
        own = own_lobes(region, inside, seen.voxel_size, seen.neck)
    if len(inside) + len(outside) == 1:
        return filled(own, outside)
    return put_right(
        seen.evidence,
        own,
        threshold,
        thinned(inside, _MOST_POINTS),
        thinned(outside, _MOST_POINTS),
        seen.voxel_size,
    )


def _amid(own: np.ndarray, outside: Sequence[Zyx]) -> list[Zyx]:
    """Return the voxel of what a box holds that is nearest to its middle.

    It stands for the box among clicks that put right what is in it.
    """
    allowed = own.copy()
    for point in outside:
        allowed[point] = False
    voxels = np.argwhere(allowed)
    if not len(voxels):
        return []
    middle = (np.array(own.shape) - 1) / 2
    apart = (((voxels - middle) / own.shape) ** 2).sum(axis=1)
    return [zyx(voxels[apart.argmin()])]


def _result(
    seen: Seen, own: np.ndarray, class_id: int, found_by: FoundBy, threshold: float
) -> ClickResult:
    tight = tight_box(own)
    box = tight.shifted(seen.around.start)
    mask = own[tight.slices]
    limits = limits_of(seen.prompts, seen.shape)
    return ClickResult(
        box=box,
        mask=mask,
        class_id=class_id,
        found_by=found_by,
        threshold=threshold,
        n_voxels=int(mask.sum()),
        is_cut=goes_on(seen.around, box, limits),
        seen=seen,
    )
