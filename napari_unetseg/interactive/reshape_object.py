"""One object is deleted, named anew, filled, smoothed, grown or shrunk.

Lengths are physical, so that an object changes alike along all axes whatever the
voxels. Nothing here overwrites another object, and none is joined that was apart::

    ( 1 )( 2 )   grow 1 ──▶   (  1 )( 2 )        2 stays as it was
    ( 1 ) ( 1 )  grow   ──▶   (  1  ·( 1 )       a gap stays open
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from napari_unetseg.data.split_objects import TOUCHING
from napari_unetseg.data.tile_objects import ReadLabels
from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.objects import (
    Edit,
    LabelledObject,
    ObjectConfig,
    VoxelSize,
    check_region,
    free_voxels,
    margin_of,
)

_EXACT = 1 + 1e-6  # a distance in voxels is seldom a round number
_REACH = 3.0  # sigmas beyond which smoothing moves no border


def relabel(found: LabelledObject, class_id: int) -> Edit | None:
    """Return what makes an object one of another class, 0 for background.

    None if it is of this class already.
    """
    return Edit.of(found.box, found.mask & (found.class_id != class_id), class_id)


def fill_holes(
    read_labels: ReadLabels, found: LabelledObject, axis: Literal[0, 1, 2] | None = None
) -> Edit | None:
    """Return what fills the holes of an object; None if it has none.

    Other objects in a hole stay.

    Parameters
    ----------
    axis
        Fill what is closed in each slice perpendicular to this axis; only what is
        closed in 3D if None.
    """
    faces = ndimage.generate_binary_structure(3, 1)
    pad = [(1, 1)] * 3
    if axis is not None:
        np.moveaxis(faces, axis, 0)[[0, 2]] = False
        pad[axis] = (0, 0)
    outside = np.pad(~found.mask, pad, constant_values=True)
    parts, n_parts = ndimage.label(outside, faces)
    is_open = np.zeros(n_parts + 1, bool)
    is_open[0] = True
    for other in range(3):
        if other != axis:
            is_open[np.take(parts, [0, -1], other)] = True
    inner = tuple(slice(a, n - b) for (a, b), n in zip(pad, parts.shape, strict=True))
    holes = ~is_open[parts[inner]]
    if not holes.any():
        return None
    return Edit.of(found.box, holes & (read_labels(found.box) == 0), found.class_id)


def smooth(
    read_labels: ReadLabels,
    shape: Zyx,
    found: LabelledObject,
    sigma: float,
    *,
    voxel_size: VoxelSize,
    config: ObjectConfig | None = None,
) -> Edit | None:
    """Return what smooths the border of an object, at about its old volume.

    The mask is blurred by a Gaussian, and of what may belong to the object as many
    voxels are taken as it had, the highest first.

    Parameters
    ----------
    sigma
        Of the Gaussian, in the unit of the voxel size.

    Raises
    ------
    EditError
        If it is no length, or reaches too far.
    """
    box = found.box.grown(margin_of(_REACH * sigma, voxel_size)).clipped(shape)
    check_region(box, config or ObjectConfig())
    mask = found.inside(box)
    blurred = ndimage.gaussian_filter(
        mask.astype(np.float32), [sigma / v for v in voxel_size], mode="nearest"
    )
    # A tie with what was there stays as it was.
    blurred += np.where(mask, np.float32(1e-6), 0)
    allowed = mask | free_voxels(read_labels(box), mask, found.class_id)
    n_voxels = int(mask.sum())
    values = blurred[allowed]
    threshold = np.partition(values, len(values) - n_voxels)[len(values) - n_voxels]
    smoothed = _largest_piece(allowed & (blurred >= threshold))
    return Edit.of(box, smoothed != mask, np.where(smoothed, found.class_id, 0))


def grow(
    read_labels: ReadLabels,
    shape: Zyx,
    found: LabelledObject,
    distance: float,
    *,
    voxel_size: VoxelSize,
    config: ObjectConfig | None = None,
) -> Edit | None:
    """Return what grows an object by a distance in the unit of the voxel size.

    None if that is less than a voxel, or there is no room.

    Raises
    ------
    EditError
        If it is no length, or reaches too far.
    """
    box = found.box.grown(margin_of(distance, voxel_size)).clipped(shape)
    check_region(box, config or ObjectConfig())
    mask = found.inside(box)
    from_it = ndimage.distance_transform_edt(~mask, sampling=voxel_size)
    near = (from_it > 0) & (from_it <= distance * _EXACT)
    free = free_voxels(read_labels(box), mask, found.class_id)
    return Edit.of(box, near & free, found.class_id)


def shrink(
    shape: Zyx, found: LabelledObject, distance: float, *, voxel_size: VoxelSize
) -> Edit | None:
    """Return what shrinks an object by a distance in the unit of the voxel size.

    None if that is less than a voxel. The end of the volume is no border.

    Raises
    ------
    EditError
        If nothing would be left.
    """
    box = found.box.grown(1).clipped(shape)
    mask = found.inside(box)
    if mask.all():
        return None
    from_border = ndimage.distance_transform_edt(mask, sampling=voxel_size)
    lost = mask & (from_border <= distance * _EXACT)
    if lost.sum() == mask.sum():
        raise EditError(
            "Nothing would be left of the object", do="Shrink it by less, or delete it."
        )
    return Edit.of(box, lost, 0)


def keep_largest(
    read_labels: ReadLabels,
    shape: Zyx,
    box: Box,
    class_id: int,
    *,
    config: ObjectConfig | None = None,
) -> Edit | None:
    """Return what erases all pieces of a class in a box but the largest.

    Pieces that go on beyond the box stay: nobody sees how large they are. None if
    there is nothing to erase.

    Raises
    ------
    NothingHereError
        If there is nothing of the class in the box.
    EditError
        If the box is too large, or the class is the background.
    """
    if class_id == 0:
        raise EditError("The background has no pieces", do="Choose a class.")
    box = box.clipped(shape)
    around = box.grown(1).clipped(shape)
    check_region(box, config or ObjectConfig())
    pieces, n_pieces = ndimage.label(read_labels(around) == class_id, TOUCHING)
    sizes = np.bincount(pieces.ravel())
    inner = box.relative_to(around).slices
    sizes_inside = np.bincount(pieces[inner].ravel(), minlength=n_pieces + 1)
    if not sizes_inside[1:].any():
        raise NothingHereError(
            "There is nothing of this class in view", do="Choose another class."
        )
    is_dropped = sizes == sizes_inside
    is_dropped[[0, 1 + int(sizes[1:].argmax())]] = False
    return Edit.of(box, is_dropped[pieces[inner]], 0)


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest piece of a mask that holds something."""
    pieces, _ = ndimage.label(mask, TOUCHING)
    sizes = np.bincount(pieces.ravel())
    largest: np.ndarray = pieces == 1 + sizes[1:].argmax()
    return largest
