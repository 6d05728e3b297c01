"""One object becomes several: by a click on each part, or along a line in a slice.

::

    clicks   ( ×  )(  × )       the cut is at the weakest neck between the clicks, or
                                half way where there is none
    line          ╱             a knife through the slice and those before and after it;
             (   ╱ )            where the object holds together around the knife, at the
                ╱               weakest neck around what it has cut

A neck is weak where it is narrow or where the network doubts the class. The parts end
in different objects with as little background between them as keeps them apart, and
where they do not touch nothing is taken away, whatever the knife went through.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_unetseg.data.split_objects import TOUCHING, smooth_distance
from napari_unetseg.data.tile_objects import ReadLabels
from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.keep_apart import kept_apart
from napari_unetseg.interactive.knife import knife_through, sides_of_line, voxels_of
from napari_unetseg.interactive.objects import (
    Edit,
    LabelledObject,
    ObjectConfig,
    ReadProbability,
    VoxelSize,
    probability_of,
    whole_object_at,
)
from napari_unetseg.interactive.weakest_neck import parts_at

_PAINTED = 0.3  # what is less probable is the person's word, and no barrier
_KNIFE = 1e-3  # what is left of the strength of a voxel that the knife went through


def split_at_points(
    read_labels: ReadLabels,
    shape: Zyx,
    points: Sequence[Zyx],
    *,
    voxel_size: VoxelSize,
    read_probability: ReadProbability | None = None,
    config: ObjectConfig | None = None,
) -> Edit:
    """Return what cuts one object into as many as there are points.

    Parameters
    ----------
    read_labels, shape
        Gives class ids, zyx, of a box of a volume of this shape.
    points
        A voxel of each part; two or more of one object.
    voxel_size
        zyx, in any unit.
    read_probability
        Gives foreground probabilities × 255 of a box, uint8 czyx.

    Raises
    ------
    NothingHereError
        If there is no object at the first point.
    EditError
        If the points are not two or more of one object with a voxel between them, or
        the object is too large.
    """
    if len(points) < 2:
        raise EditError("One click splits nothing", do="Click on each of the parts.")
    found = whole_object_at(read_labels, shape, points[0], config=config)
    if not all(found.holds(point) for point in points):
        raise EditError(
            "The clicks are not on one object", do="Click on parts of the same one."
        )
    places = np.array([found.box.local(point) for point in points])
    apart = np.abs(places[:, None] - places).max(axis=-1)
    if (apart + 2 * np.eye(len(places), dtype=int)).min() < 2:
        raise EditError(
            "Two clicks are on one place",
            do="Click farther from each other.",
        )
    strength = _strength(found, shape, voxel_size, read_probability)
    parts = parts_at(places, strength, found.mask, voxel_size)
    protected = np.zeros(found.mask.shape, bool)
    protected[tuple(places.T)] = True
    return _cut(found, kept_apart(parts, protected))


def split_along_line(
    read_labels: ReadLabels,
    shape: Zyx,
    line: Sequence[Zyx],
    *,
    axis: int = 0,
    voxel_size: VoxelSize,
    read_probability: ReadProbability | None = None,
    config: ObjectConfig | None = None,
) -> Edit:
    """Return what cuts the object under a line in two, or in more if it crosses often.

    Parameters
    ----------
    line
        Corners of the line, zyx, all in one slice; the object is the one that most
        of the line lies in.
    axis
        Which axis the slice is perpendicular to.
    read_labels, shape, voxel_size, read_probability
        As of :func:`split_at_points`.

    Raises
    ------
    NothingHereError
        If the line runs through no object.
    EditError
        If it does not cross the object in this slice, or that is too large.
    """
    if len(line) < 2 or len({point[axis] for point in line}) > 1:
        raise EditError(
            "This is no line in one slice", do="Draw it in the slice that is shown."
        )
    crossed = voxels_of(line, axis)
    under = _most_crossed(read_labels, shape, crossed)
    found = whole_object_at(read_labels, shape, under, config=config)
    knife = knife_through(found, crossed, axis)
    sides = sides_of_line(found, knife, line[0][axis], axis)
    pieces, _ = ndimage.label(found.mask & ~knife, TOUCHING)
    numbers = [int(pieces[place]) for place in sides.places]
    if _went_through(numbers, sides.regions):
        height, seeds = np.zeros(knife.shape, np.float32), _numbered(pieces, numbers)
    else:
        strength = _strength(found, shape, voxel_size, read_probability)
        height, seeds = np.where(knife, -_KNIFE * strength, -strength), sides.labels
    parts = watershed(height, seeds, mask=found.mask, connectivity=3)
    parts = _opened(parts, knife & found.mask)
    protected = np.zeros(knife.shape, bool)
    protected[tuple(np.transpose(sides.places))] = True
    return _cut(found, kept_apart(parts, protected))


def _cut(found: LabelledObject, parts: np.ndarray) -> Edit:
    """Return the edit that leaves only these parts of an object."""
    edit = Edit.of(found.box, found.mask & (parts == 0), 0)
    if edit is None:
        raise EditError("The object cannot be cut here", do="Use the eraser.")
    return edit


def _strength(
    found: LabelledObject,
    shape: Zyx,
    voxel_size: VoxelSize,
    read_probability: ReadProbability | None,
) -> np.ndarray:
    """Return how strongly each voxel holds the object together, float32, 0 outside.

    The distance to the border times the probability; the end of the volume is no
    border.
    """
    around = found.box.grown(1).clipped(shape)
    distance = smooth_distance(found.inside(around), voxel_size)
    strength = distance[found.box.relative_to(around).slices]
    probability = probability_of(read_probability, found.box, found.class_id)
    if probability is not None:
        strength = strength * np.where(probability < _PAINTED, 1, probability)
    return strength


def _went_through(pieces: Sequence[int], regions: Sequence[int]) -> bool:
    """Whether the two largest sides of each region are in different pieces now."""
    largest: dict[int, list[int]] = {}
    for piece, region in zip(pieces, regions, strict=True):
        largest.setdefault(region, []).append(piece)
    return all(found[0] != found[1] for found in largest.values())


def _opened(parts: np.ndarray, knife: np.ndarray) -> np.ndarray:
    """Return parts without what the knife went through between two of them."""
    beside = np.where(knife, 0, parts)
    highest = ndimage.maximum_filter(beside, 3, mode="constant")
    none = np.iinfo(beside.dtype).max
    lowest = ndimage.minimum_filter(
        np.where(beside, beside, none), 3, mode="constant", cval=none
    )
    left = np.where(lowest == highest, highest, 0)
    opened: np.ndarray = np.where(knife, left, parts)
    return opened


def _numbered(pieces: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Return pieces as 1, 2, … in the order of their numbers, all others as 0."""
    new = np.zeros(int(pieces.max()) + 1, np.int32)
    for index, number in enumerate(dict.fromkeys(numbers), start=1):
        new[number] = index
    renamed: np.ndarray = new[pieces]
    return renamed


def _most_crossed(read_labels: ReadLabels, shape: Zyx, crossed: np.ndarray) -> Zyx:
    """Return the middle of the longest way that a line goes through one class."""
    inside = crossed[((crossed >= 0) & (crossed < shape)).all(axis=1)]
    if len(inside):
        box = Box(zyx(inside.min(axis=0)), zyx(inside.max(axis=0) + 1))
        labels = read_labels(box)[tuple((inside - box.start).T)]
        turns = np.flatnonzero(np.diff(labels)) + 1
        starts, stops = np.r_[0, turns], np.r_[turns, len(labels)]
        lengths = np.where(labels[starts] > 0, stops - starts, 0)
        longest = lengths.argmax()
        if lengths[longest]:
            return zyx(inside[(starts[longest] + stops[longest]) // 2])
    raise NothingHereError("The line runs through no object", do="Draw it across one.")
