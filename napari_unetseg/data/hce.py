"""Human correction effort: how many points and clicks would put a prediction right.

After Qin et al., "Highly accurate dichotomous image segmentation" (ECCV 2022), slice by
slice along the axis that somebody edits, for one class against the rest::

    TP, FP, FN        right, too much, missing
    core              union of prediction and labels, eroded gamma times
    FP', FN'          what of FP and FN lies in the core, grown back gamma times inside
                      it: rims that are not thicker than gamma cost nothing
    FN''              FN' and the skeleton of the labels where it is missing: what is
                      thin is not a rim
    points            corners of the outlines of FP' and FN'', holes too, that are left
                      by Ramer, Douglas and Peucker's method with tolerance epsilon
    regions           separate parts of FP' and of FN'', corners touching
    effort            points + regions, summed over the slices

The paper's program counts points only along the outline of the object itself, and a
click for each region that has no part in it: a blob that stands alone, a hole inside.
Here every outline and every region counts, which needs no look at what is beside it;
figures compare with each other, not with published ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours
from skimage.morphology import skeletonize

GAMMA, EPSILON = 1, 2.0
_CROSS = ndimage.generate_binary_structure(2, 1)
_TOUCHING = ndimage.generate_binary_structure(2, 2)


@dataclass(frozen=True)
class HumanEffort:
    """What it takes to put a prediction right.

    Attributes
    ----------
    points
        Corners of polygons to be drawn.
    regions
        Separate regions to be drawn or taken away.
    """

    points: int = 0
    regions: int = 0

    @property
    def total(self) -> int:
        """The effort, in points and clicks."""
        return self.points + self.regions

    def __add__(self, other: HumanEffort) -> HumanEffort:
        return HumanEffort(self.points + other.points, self.regions + other.regions)


def human_effort(
    predicted: np.ndarray,
    labels: np.ndarray,
    class_ids: Iterable[int],
    *,
    counted: np.ndarray | None = None,
    axis: int = 0,
    gamma: int = GAMMA,
    epsilon: float = EPSILON,
) -> dict[int, HumanEffort]:
    """Return the effort for each class of a box.

    A voxel of a wrong class costs twice: it is too much of one, and missing of the
    other. Objects go on beyond the box: its sides are no rims.

    Parameters
    ----------
    predicted, labels
        Class ids, zyx, of one shape.
    counted
        Voxels that count, bool zyx; elsewhere the prediction is taken to be right.
    axis
        Of the slices, 0 for z.
    gamma
        Voxels of a rim that nobody would correct.
    epsilon
        Tolerance of the polygons in voxels.
    """
    if counted is not None:
        predicted = np.where(counted, predicted, labels)
    ids = tuple(class_ids)
    found = dict.fromkeys(ids, HumanEffort())
    wrong = np.moveaxis(predicted != labels, axis, 0)
    slices = zip(
        np.moveaxis(predicted, axis, 0), np.moveaxis(labels, axis, 0), strict=True
    )
    for is_wrong, (said, right) in zip(wrong, slices, strict=True):
        if is_wrong.any():
            for class_id in ids:
                found[class_id] += slice_effort(
                    said == class_id, right == class_id, gamma, epsilon
                )
    return found


def slice_effort(
    predicted: np.ndarray,
    labels: np.ndarray,
    gamma: int = GAMMA,
    epsilon: float = EPSILON,
) -> HumanEffort:
    """Return the effort for one slice; masks of one class, yx."""
    too_much, missing = predicted & ~labels, labels & ~predicted
    if not (too_much.any() or missing.any()):
        return HumanEffort()
    core = _eroded(predicted | labels, gamma)
    missed_lines = skeletonize(labels) & ~predicted if missing.any() else missing
    return _polygons(_grown_back(too_much & core, too_much, gamma), epsilon) + (
        _polygons(_grown_back(missing & core, missing, gamma) | missed_lines, epsilon)
    )


def _eroded(mask: np.ndarray, gamma: int) -> np.ndarray:
    if gamma == 0:
        return mask
    return np.asarray(
        ndimage.binary_erosion(mask, _CROSS, iterations=gamma, border_value=1)
    )


def _grown_back(seed: np.ndarray, inside: np.ndarray, gamma: int) -> np.ndarray:
    if gamma == 0 or not seed.any():
        return seed
    return np.asarray(
        ndimage.binary_dilation(seed, _CROSS, iterations=gamma, mask=inside)
    )


def _polygons(mask: np.ndarray, epsilon: float) -> HumanEffort:
    """Count the corners of all outlines, and the regions."""
    if not mask.any():
        return HumanEffort()
    padded = np.pad(mask, 1).astype(np.float32)  # so that every outline is closed
    outlines = find_contours(padded, 0.5, fully_connected="high")
    points = sum(_n_corners(outline, epsilon) for outline in outlines)
    _, regions = ndimage.label(mask, _TOUCHING)
    return HumanEffort(points, int(regions))


def _n_corners(outline: np.ndarray, epsilon: float) -> int:
    """Count the corners of a closed outline (n, 2); 1 if it is smaller than epsilon.

    It is opened at the point farthest from its middle, which surely is a corner: what
    is counted does not depend on where somebody began to walk.
    """
    ring = outline[:-1]
    far = int(((ring - ring.mean(axis=0)) ** 2).sum(axis=1).argmax())
    opened = np.roll(ring, -far, axis=0)
    closed = np.concatenate([opened, opened[:1]])
    return max(1, len(approximate_polygon(closed, epsilon)) - 1)
