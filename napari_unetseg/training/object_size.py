"""How large labelled objects are: what a plan has to know of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box
from napari_unetseg.training.training_set import Labels

WINDOWS = 8  # sections that are looked at, spread over what is labelled
MOST_BOXES = 64  # of what is labelled are read to find them
EDGE = 512  # voxels of each
LONGEST = 4.0  # times its width: what is longer is a fibre or a net, not a ball
ENOUGH = 3  # whole objects: with fewer, those that are cut count too


def object_size(
    labels: Labels,
    boxes: Sequence[Box],
    shape: Sequence[int],
    n_classes: int,
) -> float:
    """Return the diameter of typical objects in voxels of the plane; 0 if unknown.

    Objects are connected voxels of a class in one section. Each counts with its
    equivalent diameter 2√(A/π), but with no more than a few times its width. Of every
    class, half of all labelled voxels lie in smaller objects; the class with the
    largest ones decides. What is cut by the end of the labels counts if there is
    little else: its size is then a lower bound.

    Parameters
    ----------
    boxes
        Where something is labelled.
    shape
        Of the volume, zyx.
    """
    order = np.random.default_rng(0).permutation(len(boxes))[:MOST_BOXES]
    found: dict[int, list[np.ndarray]] = {}
    seen: list[Box] = []
    for number in order:
        if len(seen) == WINDOWS:
            break
        box = boxes[number]
        if any(other.contains(box) for other in seen):
            continue
        window = _window(labels, box, shape)
        if window is None:
            continue
        seen.append(window)
        values = labels.read(window)[0]
        for class_id in range(1, n_classes + 1):
            if (rows := measured(values, class_id)).size:
                found.setdefault(class_id, []).append(rows)
    return max((_typical(np.concatenate(r)) for r in found.values()), default=0.0)


def measured(values: np.ndarray, class_id: int) -> np.ndarray:
    """Return (area, diameter, is whole) of every object of a section.

    Parameters
    ----------
    values
        Class ids yx, UNSET where nothing is known.
    """
    mask = values == class_id
    objects, n = ndimage.label(mask)
    if n == 0:
        return np.zeros((0, 3))
    index = np.arange(1, n + 1)
    area = ndimage.sum_labels(mask, objects, index)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    width = 2 * np.asarray(ndimage.maximum(inside, objects, index)) - 1
    diameter = np.minimum(2 * np.sqrt(area / np.pi), LONGEST * width)
    beyond = ndimage.binary_dilation(values == UNSET)
    beyond[[0, -1]] = beyond[:, [0, -1]] = True
    is_cut = ndimage.maximum(beyond, objects, index)
    return np.stack([area, diameter, ~np.asarray(is_cut, bool)], axis=1)


def _window(labels: Labels, box: Box, shape: Sequence[int]) -> Box | None:
    """Return the section of a box with most objects, with what is around it."""
    values = labels.read(box)
    objects = np.count_nonzero((values != UNSET) & (values > 0), axis=(1, 2))
    if not objects.any():
        return None
    z = box.start[0] + int(objects.argmax())
    return Box.around((z, *box.centre[1:]), (1, EDGE, EDGE)).clipped(shape)


def _typical(rows: np.ndarray) -> float:
    """Return the diameter below which half of the labelled voxels are."""
    whole = rows[rows[:, 2] > 0]
    rows = whole if len(whole) >= ENOUGH else rows
    rows = rows[rows[:, 1].argsort()]
    half = rows[:, 0].cumsum() >= rows[:, 0].sum() / 2
    return float(rows[half.argmax(), 1])
