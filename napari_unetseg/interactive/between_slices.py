"""Slices that nobody labelled, filled from those that somebody did.

Between two slices the signed distances to the borders of what is there are mixed, and
the shape in between is where the mixture is positive (shape-based interpolation, Raya
and Udupa, 1990)::

    slice 4   (■■■■■■)      d₄ > 0
          5    (■■■■)       ⅔ d₄ + ⅓ d₇ > 0
          6     (■■)        ⅓ d₄ + ⅔ d₇ > 0
          7     (■■)        d₇ > 0

A shape that does not go on in the next slice is joined with the next one that it
overlaps, however much of the class is elsewhere in the slices between. Of what is left
in two labelled slices that follow each other, those that are each other's nearest are
moved onto each other first. A shape without a partner ends in its slice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unetseg.data.tile_objects import ReadLabels
from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.growing import bounds
from napari_unetseg.interactive.objects import (
    Edit,
    ObjectConfig,
    VoxelSize,
    check_region,
)

_CORNERS = np.ones((3, 3), bool)


def interpolate_slices(
    read_said: ReadLabels,
    box: Box,
    class_id: int,
    *,
    unset: int,
    voxel_size: VoxelSize,
    axis: int = 0,
    config: ObjectConfig | None = None,
) -> Edit | None:
    """Return what fills the slices of a box between those that hold a class.

    What the annotator said stays, whatever it is. None if there is nothing to fill.

    Parameters
    ----------
    read_said
        Gives what the annotator said about a box, zyx; ``unset`` where nothing.
    voxel_size
        zyx, in any unit.
    axis
        Which axis the slices are perpendicular to.

    Raises
    ------
    NothingHereError
        If fewer than two slices hold the class.
    EditError
        If the box is too large.
    """
    check_region(box, config or ObjectConfig())
    said = read_said(box)
    tight = bounds(said == class_id) or Box.whole((0, 0, 0))
    said = said[tight.slices]
    slices = np.moveaxis(said == class_id, axis, 0)
    if slices.any(axis=(1, 2)).sum() < 2:
        raise NothingHereError(
            "Fewer than two slices in view are labelled with this class",
            do="Label it in one more, with some slices in between.",
        )
    pixel = tuple(np.delete(np.asarray(voxel_size, float), axis))
    filled = np.zeros(slices.shape, bool)
    for first, ours, last, theirs in _ends(slices, pixel):
        part = _hull(ours, theirs)
        shapes = _shapes_between(ours[part], theirs[part], last - first, pixel)
        for number, inside in enumerate(shapes, start=first + 1):
            filled[number][part] |= inside
    mask = np.moveaxis(filled, 0, axis) & (said == unset)
    return Edit.of(tight.shifted(box.start), mask, class_id)


def copy_slice(
    read_said: ReadLabels,
    shape: Zyx,
    box: Box,
    class_id: int,
    *,
    unset: int,
    index: int,
    step: int = 1,
    axis: int = 0,
) -> Edit | None:
    """Return what copies the labels of a class in a slice to the next one.

    What the annotator said there stays. None if there is nothing to copy to.

    Parameters
    ----------
    box
        What is copied of the slice; its extent along ``axis`` does not matter.
    index, step
        Number of the slice in the volume, and how far the other one is.
    read_said, unset, axis
        As of :func:`interpolate_slices`.

    Raises
    ------
    NothingHereError
        If the slice holds nothing of the class.
    EditError
        If there is no next slice.
    """
    source, target = (_slice_of(box, axis, n) for n in (index, index + step))
    source, target = source.clipped(shape), target.clipped(shape)
    if source.is_empty or target.is_empty:
        raise EditError("There is no next slice", do="Copy in the other direction.")
    here = read_said(source) == class_id
    if not here.any():
        raise NothingHereError(
            "Nothing of this class is labelled in this slice in view",
            do="Paint it here first: what is only predicted is not copied.",
        )
    return Edit.of(target, here & (read_said(target) == unset), class_id)


def _slice_of(box: Box, axis: int, number: int) -> Box:
    start, stop = list(box.start), list(box.stop)
    start[axis], stop[axis] = number, number + 1
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _ends(
    slices: np.ndarray, pixel: tuple[float, ...]
) -> Iterator[tuple[int, np.ndarray, int, np.ndarray]]:
    """Yield both ends of each gap: numbers of slices, and shapes, bool yx."""
    waiting: dict[int, np.ndarray] = {}  # shapes of earlier slices that nothing goes on
    labelled = 0
    for last in np.flatnonzero(slices.any(axis=(1, 2))).tolist():
        plane = slices[last]
        if last - 1 in waiting:
            waiting[last - 1] = _apart(waiting[last - 1], plane)
        begun = _apart(plane, slices[last - 1]) if last else plane.copy()
        for first in sorted(waiting, reverse=True):  # the nearest end first
            if first == last - 1:
                continue
            followed = first == labelled
            pairs = _partners(waiting[first], begun, pixel, nearest=followed)
            for ours, theirs in list(pairs):
                yield first, ours, last, theirs
                waiting[first] &= ~ours
                begun &= ~theirs
        waiting = {first: left for first, left in waiting.items() if left.any()}
        waiting[last], labelled = plane.copy(), last


def _apart(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the shapes of a slice that overlap none of another one."""
    numbers, _ = ndimage.label(shapes, _CORNERS)
    overlapping = np.unique(numbers[others])
    apart: np.ndarray = shapes & ~np.isin(numbers, overlapping)
    return apart


def _partners(
    ours: np.ndarray,
    theirs: np.ndarray,
    pixel: tuple[float, ...],
    *,
    nearest: bool,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the shapes of two slices that belong together, bool yx each.

    Parameters
    ----------
    nearest
        Whether shapes that overlap none belong to the nearest one.
    """
    if not nearest and not (ours & theirs).any():
        return
    a, n_ours = ndimage.label(ours, _CORNERS)
    b, n_theirs = ndimage.label(theirs, _CORNERS)
    both = (a > 0) & (b > 0)
    rows, columns = a[both] - 1, b[both] - 1 + n_ours
    n = n_ours + n_theirs
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(n, n))
    _, group_of = connected_components(graph, directed=False)
    shared = np.intersect1d(group_of[:n_ours], group_of[n_ours:])
    for group in shared.tolist():
        yield (
            np.isin(a, 1 + np.flatnonzero(group_of[:n_ours] == group)),
            np.isin(b, 1 + np.flatnonzero(group_of[n_ours:] == group)),
        )
    if not nearest:
        return
    left_ours = 1 + np.flatnonzero(~np.isin(group_of[:n_ours], shared))
    left_theirs = 1 + np.flatnonzero(~np.isin(group_of[n_ours:], shared))
    for one, other in _nearest_pairs(a, left_ours, b, left_theirs, pixel):
        yield a == one, b == other


def _nearest_pairs(
    a: np.ndarray,
    left_ours: np.ndarray,
    b: np.ndarray,
    left_theirs: np.ndarray,
    pixel: tuple[float, ...],
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of shapes whose centres are each other's nearest."""
    if not len(left_ours) or not len(left_theirs):
        return
    here, there = (_centres(a, left_ours), _centres(b, left_theirs))
    apart = np.linalg.norm((here[:, None] - there) * np.asarray(pixel), axis=-1)
    for i, j in enumerate(apart.argmin(axis=1).tolist()):
        if apart[:, j].argmin() == i:
            yield int(left_ours[i]), int(left_theirs[j])


def _shapes_between(
    ours: np.ndarray, theirs: np.ndarray, n_steps: int, pixel: tuple[float, ...]
) -> Iterator[np.ndarray]:
    """Yield the shapes on the way from one to another, n_steps − 1, bool yx."""
    if (ours & theirs).any():
        here, there = _signed(ours, pixel), _signed(theirs, pixel)
        for step in range(1, n_steps):
            yield (n_steps - step) * here + step * there > 0
        return
    path = _centre(theirs) - _centre(ours)
    for step in range(1, n_steps):
        here = _signed(_moved(ours, step / n_steps * path), pixel)
        there = _signed(_moved(theirs, (step / n_steps - 1) * path), pixel)
        yield (n_steps - step) * here + step * there > 0


def _hull(ours: np.ndarray, theirs: np.ndarray) -> tuple[slice, slice]:
    """Return the smallest rectangle that holds both shapes: nothing leaves it."""
    both = ndimage.find_objects((ours | theirs).view(np.uint8))[0]
    return both[0], both[1]


def _signed(mask: np.ndarray, pixel: tuple[float, ...]) -> np.ndarray:
    """Return the distance to the border, positive inside, float64 yx."""
    padded = np.pad(mask, 1)
    inner = ndimage.distance_transform_edt(padded, sampling=pixel)
    outer = ndimage.distance_transform_edt(~padded, sampling=pixel)
    signed: np.ndarray = (inner - outer)[1:-1, 1:-1]
    return signed


def _moved(mask: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Return a mask moved by whole pixels; what leaves the slice is gone."""
    moved: np.ndarray = ndimage.shift(
        mask.view(np.uint8), np.round(path), order=0, mode="constant"
    ).astype(bool)
    return moved


def _centre(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.center_of_mass(mask))


def _centres(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.center_of_mass(labels > 0, labels, numbers))
