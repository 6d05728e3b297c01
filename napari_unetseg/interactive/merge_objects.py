"""Two objects become one: of one class, with a bridge where they do not touch.

The bridge follows the cheapest way from one to the other: a voxel costs what the
network doubts of the class, so the way runs along what is faintly there, and straight
on where nothing is predicted. It passes no third object and touches none of the class::

    ┌─────┐             ┌─────┐            cost = length · (1 − probability)
    │  1  │   ░░░       │  1  │
    │     ├─────────────┤     │
    └─────┘        ░░   └─────┘

Where the two run along each other with a slit between them, as after a cut, the slit is
filled all along.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.graph import MCP_Geometric

from napari_unetseg.data.tile_objects import ReadLabels
from napari_unetseg.errors import EditError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.objects import (
    Edit,
    LabelledObject,
    ObjectConfig,
    ReadProbability,
    VoxelSize,
    free_voxels,
    margin_of,
    probability_of,
    touched_by,
    whole_object_at,
)

_RADIUS = 1.5  # of a bridge, in finest voxels: what is so near to the way touches it
_LEAST_COST = 0.05  # of a sure voxel: the way stays short
_DETOURS = (0.5, 0.2, 0.0)  # how far the way may leave the gap, by its length
_ROOM = 4  # voxels: at least so much room for a detour
_ALIKE = 0.5  # finest voxels: gaps that differ by less are as narrow
_STRAIGHT = 1e-3  # cost of a voxel off the straight line: of ways alike the middle one
_SLIT = 2.0  # finest voxels: what is so near to both lies in a slit between them
_MOST_VOXELS = 2**22


def merge_objects(
    read_labels: ReadLabels,
    shape: Zyx,
    first: Zyx,
    second: Zyx,
    *,
    voxel_size: VoxelSize,
    read_probability: ReadProbability | None = None,
    config: ObjectConfig | None = None,
) -> Edit | None:
    """Return what makes two objects one; None if they are one already.

    Parameters
    ----------
    read_labels, shape
        Gives class ids, zyx, of a box of a volume of this shape.
    first, second
        A voxel of each; the second object becomes of the first one's class.
    voxel_size
        zyx, in any unit.
    read_probability
        Gives foreground probabilities × 255 of a box, uint8 czyx.

    Raises
    ------
    NothingHereError
        If there is no object at one of the voxels.
    EditError
        If one is too large, they are too far apart, or others are between them.
    """
    one = whole_object_at(read_labels, shape, first, config=config)
    if one.holds(second):
        return None
    other = whole_object_at(read_labels, shape, second, config=config)
    if _touch(one, other):  # then they are of two classes
        return Edit.of(other.box, other.mask, one.class_id)
    bridge_box, bridge = _joined(
        _bridge(read_labels, shape, one, other, voxel_size, read_probability),
        _slit(read_labels, shape, one, other, voxel_size),
    )
    if other.class_id == one.class_id:
        return Edit.of(bridge_box, bridge, one.class_id)
    box = bridge_box.hull(other.box)
    mask = other.inside(box)
    mask[bridge_box.relative_to(box).slices] |= bridge
    return Edit.of(box, mask, one.class_id)


def _touch(one: LabelledObject, other: LabelledObject) -> bool:
    """Whether two objects share a face, an edge or a corner."""
    seam = one.box.grown(1).intersection(other.box.grown(1))
    return bool((touched_by(one.inside(seam)) & other.inside(seam)).any())


def _bridge(
    read_labels: ReadLabels,
    shape: Zyx,
    one: LabelledObject,
    other: LabelledObject,
    voxel_size: VoxelSize,
    read_probability: ReadProbability | None,
) -> tuple[Box, np.ndarray]:
    """Return the voxels of a bridge between two objects, in a box."""
    ends, width = _gap(one, other, voxel_size)
    box = _around_gap(ends, width, voxel_size).clipped(shape)
    ours, theirs = one.inside(box), other.inside(box)
    if box.n_voxels > _MOST_VOXELS:
        raise EditError(
            "The objects are too far apart for a bridge",
            do="Paint between them with the brush.",
        )
    both = ours | theirs
    free = free_voxels(read_labels(box), both, one.class_id)
    probability = probability_of(read_probability, box, one.class_id)
    doubt = 1 if probability is None else 1 - probability
    off_line = _STRAIGHT * _off_line(box, ends, voxel_size) / min(voxel_size)
    cost = np.where(free | both, _LEAST_COST + doubt + off_line, np.inf)
    way = _cheapest_way(cost, ours, theirs, voxel_size)
    distance = ndimage.distance_transform_edt(~way, sampling=voxel_size)
    bridge: np.ndarray = free & (way | (distance <= _RADIUS * min(voxel_size)))
    return box, bridge


def _slit(
    read_labels: ReadLabels,
    shape: Zyx,
    one: LabelledObject,
    other: LabelledObject,
    voxel_size: VoxelSize,
) -> tuple[Box, np.ndarray]:
    """Return the free voxels that are near to both objects, in a box."""
    reach = _SLIT * min(voxel_size)
    margin = margin_of(reach, voxel_size)
    seam = one.box.grown(margin).intersection(other.box.grown(margin)).clipped(shape)
    if seam.is_empty or seam.n_voxels > _MOST_VOXELS:
        return seam, np.zeros(seam.shape, bool)
    # What lies just outside of the box is as near as what lies in it.
    box = seam.grown(margin).clipped(shape)
    near = np.ones(box.shape, bool)
    for found in (one, other):
        away = ndimage.distance_transform_edt(~found.inside(box), sampling=voxel_size)
        near &= away <= reach
    both = one.inside(box) | other.inside(box)
    return box, near & free_voxels(read_labels(box), both, one.class_id)


def _joined(
    first: tuple[Box, np.ndarray], second: tuple[Box, np.ndarray]
) -> tuple[Box, np.ndarray]:
    """Return two masks as one, in the box that holds both."""
    if not second[1].any():
        return first
    hull = first[0].hull(second[0])
    mask = np.zeros(hull.shape, bool)
    for box, part in (first, second):
        mask[box.relative_to(hull).slices] |= part
    return hull, mask


def _gap(
    one: LabelledObject, other: LabelledObject, voxel_size: VoxelSize
) -> tuple[np.ndarray, float]:
    """Return the voxels on both sides of the narrowest gap, and how wide it is.

    Where it is as narrow in many places, those in their middle.
    """
    ours, theirs = (_border(found) for found in (one, other))
    gaps, nearest = KDTree(theirs * voxel_size).query(ours * voxel_size)
    width = float(gaps.min())
    narrow = np.flatnonzero(gaps <= width + _ALIKE * min(voxel_size))
    off_middle = ((ours[narrow] - ours[narrow].mean(axis=0)) * voxel_size) ** 2
    here = narrow[off_middle.sum(axis=1).argmin()]
    return np.array([ours[here], theirs[nearest[here]]]), width


def _around_gap(ends: np.ndarray, width: float, voxel_size: VoxelSize) -> Box:
    """Return a box around a gap with room for a detour, with less for a wide gap."""
    hull = Box(zyx(ends.min(axis=0)), zyx(ends.max(axis=0) + 1))
    for share in _DETOURS:
        box = hull.grown(margin_of(share * width, voxel_size)).grown(_ROOM)
        if box.n_voxels <= _MOST_VOXELS:
            break
    return box


def _off_line(box: Box, ends: np.ndarray, voxel_size: VoxelSize) -> np.ndarray:
    """Return the distance of each voxel of a box to a straight line, float zyx."""
    size = np.asarray(voxel_size)
    grid = np.ogrid[box.slices]
    start, along = ends[0] * size, (ends[1] - ends[0]) * size
    away = [g * v - a for g, v, a in zip(grid, size, start, strict=True)]
    share = sum(d * a for d, a in zip(away, along, strict=True)) / (along @ along)
    share = np.clip(share, 0, 1)
    squares = [(d - share * a) ** 2 for d, a in zip(away, along, strict=True)]
    distance: np.ndarray = np.sqrt(sum(squares))
    return distance


def _border(found: LabelledObject) -> np.ndarray:
    """Return the voxels of an object that have a face to the outside, int n × zyx."""
    inner = ndimage.binary_erosion(found.mask)
    border: np.ndarray = np.argwhere(found.mask & ~inner) + found.box.start
    return border


def _cheapest_way(
    cost: np.ndarray, ours: np.ndarray, theirs: np.ndarray, voxel_size: VoxelSize
) -> np.ndarray:
    """Return the voxels of the cheapest way between two sets of voxels, bool zyx."""
    search = MCP_Geometric(cost, sampling=tuple(voxel_size))
    starts, ends = (np.argwhere(m & touched_by(~m)) for m in (ours, theirs))
    costs, _ = search.find_costs(starts, ends, find_all_ends=False)
    reached = costs[tuple(ends.T)]
    if not np.isfinite(reached).any():
        raise EditError(
            "Other objects are between these two",
            do="Paint the bridge with the brush, or merge with the nearest one first.",
        )
    way = np.zeros(cost.shape, bool)
    way[tuple(np.transpose(search.traceback(ends[int(reached.argmin())])))] = True
    return way
