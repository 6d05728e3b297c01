"""An annotator who knows the truth: where to draw so that a prediction becomes right.

Used where people cannot be: by the demo and by tests. It draws as people do: few lines
along the middle of the largest mistakes, and never outlines them voxel by voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

MIN_PIXELS = 6
MAX_POINTS = 40


@dataclass(frozen=True)
class DrawnPath:
    """One stroke of a round brush in one slice.

    Attributes
    ----------
    z
        The slice.
    points
        Where the middle of the brush goes, (y, x) in voxels.
    class_id
        What it paints; 0 erases.
    brush_size
        Diameter in voxels.
    n_wrong
        How many voxels of the mistake it answers.
    """

    z: int
    points: tuple[tuple[int, int], ...]
    class_id: int
    brush_size: int
    n_wrong: int


def paths_in_slice(
    predicted: np.ndarray, truth: np.ndarray, z: int, *, n_paths: int
) -> list[DrawnPath]:
    """Return strokes for the largest mistakes of a slice, largest first.

    Parameters
    ----------
    predicted, truth
        Class ids of the slice, yx.
    z
        Number of the slice, to be passed on.
    n_paths
        How many strokes at most.
    """
    found = []
    for class_id in np.union1d(np.unique(truth), np.unique(predicted)):
        wrong = (truth == class_id) & (predicted != class_id)
        components, n_components = ndimage.label(wrong)
        sizes = np.bincount(components.ravel(), minlength=n_components + 1)
        for number in np.argsort(sizes[1:])[::-1][:n_paths] + 1:
            if sizes[number] >= MIN_PIXELS:
                where = _object_around(components == number, truth == class_id)
                found.append(_path(where, int(z), int(class_id), int(sizes[number])))
    found.sort(key=lambda path: path.n_wrong, reverse=True)
    return found[:n_paths]


def worst_slices(predicted: np.ndarray, truth: np.ndarray, *, n: int) -> list[int]:
    """Return the slices with most wrong voxels, no two of them neighbours.

    Parameters
    ----------
    predicted, truth
        Class ids, zyx.
    """
    wrong = (predicted != truth).sum(axis=(1, 2))
    chosen: list[int] = []
    for z in np.argsort(wrong, kind="stable")[::-1]:
        if all(abs(int(z) - other) > 1 for other in chosen):
            chosen.append(int(z))
        if len(chosen) == n:
            break
    return chosen


def _object_around(mistake: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """Return the true object that a mistake belongs to, near the mistake.

    Nobody stops a stroke where the prediction happens to be right: the voxels confirmed
    on the way teach as much as the corrected ones. Background has no objects.
    """
    near = ndimage.binary_dilation(mistake, iterations=6)
    return of_class & near if of_class.mean() < 0.5 else mistake


def _path(where: np.ndarray, z: int, class_id: int, n_wrong: int) -> DrawnPath:
    """Follow the middle of a region with a brush that mostly stays inside."""
    depth = ndimage.distance_transform_edt(np.pad(where, 1))[1:-1, 1:-1]
    middle = skeletonize(where) & (depth >= np.percentile(depth[where], 50))
    if not middle.any():
        middle = depth == depth.max()
    points = _in_order(np.argwhere(middle))
    brush = max(1, int(2 * np.median(depth[middle])) - 1)
    return DrawnPath(z, points, class_id, brush, n_wrong)


def _in_order(points: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return points so that each is followed by the nearest one, until it jumps."""
    left = points[np.argsort(points[:, 1], kind="stable")]
    path = [left[0]]
    left = left[1:]
    while len(left) and len(path) < MAX_POINTS:
        distance = np.abs(left - path[-1]).max(axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] > 2:
            break
        path.append(left[nearest])
        left = np.delete(left, nearest, axis=0)
    return tuple((int(y), int(x)) for y, x in path)
