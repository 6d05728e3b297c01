"""The object under a voxel, and what a tool wants written instead.

An object is what hangs together of one class: its voxels share a face, an edge or a
corner. Every tool ends in one :class:`Edit`, which is one stroke of the journal::

    click ──▶ object_at ──▶ LabelledObject ──▶ tool ──▶ Edit ──▶ one row, one undo
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage

from napari_unetseg.config import Config
from napari_unetseg.data.split_objects import TOUCHING
from napari_unetseg.data.tile_objects import ReadLabels
from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.growing import bounds, goes_on, grown_where_touched

ReadProbability = Callable[[Box], np.ndarray]
VoxelSize = Sequence[float]


class ObjectConfig(Config):
    """How much of a volume an object may cost.

    Attributes
    ----------
    first_box
        Looked at first, voxels zyx.
    growth
        A touched side moves out by this share of the length.
    max_voxels
        Largest box that is looked at for an object.
    max_region
        Largest box that a person may name.
    """

    first_box: Zyx = (32, 96, 96)
    growth: float = 0.5
    max_voxels: int = 2**25
    max_region: int = 2**26


@dataclass(frozen=True)
class LabelledObject:
    """An object as it is labelled now.

    Attributes
    ----------
    box, mask
        Where; the mask has the shape of the box, which fits tightly.
    class_id
        What it is.
    is_cut
        Whether it goes on beyond the largest box that may be looked at.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    is_cut: bool

    def holds(self, point: Zyx) -> bool:
        """Whether a voxel of the volume belongs to it."""
        return self.box.holds(point) and bool(self.mask[self.box.local(point)])

    def inside(self, around: Box) -> np.ndarray:
        """Return its voxels in another box, bool zyx of that box's shape."""
        placed = np.zeros(around.shape, bool)
        shared = self.box.intersection(around)
        if not shared.is_empty:
            part = self.mask[shared.relative_to(self.box).slices]
            placed[shared.relative_to(around).slices] = part
        return placed


@dataclass(frozen=True)
class Edit:
    """What a tool wants written.

    Attributes
    ----------
    box, mask
        Where; the mask has the shape of the box.
    values
        Class id, or class ids of the shape of the box.
    """

    box: Box
    mask: np.ndarray
    values: np.ndarray | int

    @classmethod
    def of(cls, box: Box, mask: np.ndarray, values: np.ndarray | int) -> Self | None:
        """Return an edit in the smallest box; None if it changes nothing."""
        tight = bounds(mask)
        if tight is None:
            return None
        if isinstance(values, np.ndarray):
            values = values[tight.slices]
        return cls(tight.shifted(box.start), mask[tight.slices], values)


def object_at(
    read_labels: ReadLabels,
    shape: Zyx,
    point: Zyx,
    *,
    config: ObjectConfig | None = None,
) -> LabelledObject:
    """Return the object under a voxel, or as much of it as may be looked at.

    Parameters
    ----------
    read_labels
        Gives class ids, zyx, of a box.
    shape
        Of the volume, zyx.

    Raises
    ------
    NothingHereError
        If the voxel is background, or outside of the volume.
    """
    config = config or ObjectConfig()
    if not Box.whole(shape).holds(point):
        raise NothingHereError(
            "The click is outside of the volume", do="Click inside of it."
        )
    around = Box.around(point, config.first_box).clipped(shape)
    while True:
        labels = read_labels(around)
        place = around.local(point)
        class_id = int(labels[place])
        if class_id == 0:
            raise NothingHereError(
                "There is no object under the click", do="Click on a labelled one."
            )
        pieces, _ = ndimage.label(labels == class_id, TOUCHING)
        number = int(pieces[place])
        tight = Box.from_slices(ndimage.find_objects(pieces, number)[number - 1])
        found = tight.shifted(around.start)
        is_cut = goes_on(around, found, Box.whole(shape))
        larger = _larger(around, found, shape, config)
        if not is_cut or larger.n_voxels > config.max_voxels:
            mask = pieces[tight.slices] == number
            return LabelledObject(found, mask, class_id, is_cut)
        around = larger


def _larger(around: Box, found: Box, shape: Zyx, config: ObjectConfig) -> Box:
    """Return the next box: one without room to spare if that would be too large."""
    close = found.grown(1).intersection(around)
    for box, share in ((around, 1.0), (close, 1.0), (close, 0.25)):
        larger = grown_where_touched(
            box, found, Box.whole(shape), share * config.growth
        )
        if larger.n_voxels <= config.max_voxels:
            break
    return larger


def whole_object_at(
    read_labels: ReadLabels,
    shape: Zyx,
    point: Zyx,
    *,
    config: ObjectConfig | None = None,
) -> LabelledObject:
    """Return the object under a voxel; parameters as of :func:`object_at`.

    Raises
    ------
    NothingHereError
        If there is none.
    EditError
        If it is larger than may be looked at: half an object is never changed.
    """
    config = config or ObjectConfig()
    found = object_at(read_labels, shape, point, config=config)
    if found.is_cut:
        raise EditError(
            "The object is too large to be changed as a whole",
            expected=f"one in a box of {config.max_voxels / 1e6:.0f} million voxels",
            do="Cut it with the eraser, or change it with the brush.",
        )
    return found


def check_region(box: Box, config: ObjectConfig) -> None:
    """Make sure that a region is small enough to be looked at as a whole.

    Raises
    ------
    EditError
        If it is not.
    """
    if box.n_voxels > config.max_region:
        raise EditError(
            "The region is too large",
            got=f"{box.n_voxels / 1e6:.0f} million voxels",
            expected=f"at most {config.max_region / 1e6:.0f} million",
            do="Zoom in, or draw a smaller box.",
        )


def probability_of(
    read_probability: ReadProbability | None, box: Box, class_id: int
) -> np.ndarray | None:
    """Return the probability of a class, float32 zyx in 0 to 1.

    None where the model does not know the class, or where nothing is predicted.

    Parameters
    ----------
    read_probability
        Gives foreground probabilities × 255 of a box, uint8 czyx; None for none.
    """
    if read_probability is None:
        return None
    probability = read_probability(box)
    if class_id > len(probability) or not probability[class_id - 1].any():
        return None
    known: np.ndarray = probability[class_id - 1].astype(np.float32) / 255
    return known


def free_voxels(labels: np.ndarray, own: np.ndarray, class_id: int) -> np.ndarray:
    """Return where an object may grow, bool zyx: background that keeps it apart.

    Parameters
    ----------
    labels
        Class ids, zyx.
    own
        Voxels of the object itself, or of those that may join it, bool zyx.
    class_id
        What it is: another object of this class that it touched would join it.
    """
    same = (labels == class_id) & ~own
    free: np.ndarray = (labels == 0) & ~touched_by(same)
    return free


def touched_by(mask: np.ndarray) -> np.ndarray:
    """Return the set voxels and all that touch one of them, bool zyx."""
    near: np.ndarray = ndimage.maximum_filter(mask.view(np.uint8), 3, mode="constant")
    return near.view(bool)


def margin_of(distance: float, voxel_size: VoxelSize) -> Zyx:
    """Return how many voxels hold a physical distance and one more, zyx.

    Raises
    ------
    EditError
        If it is no length.
    """
    if not 0 <= distance < np.inf:
        raise EditError("This is no length", got=distance, expected="0 or more")
    return zyx(int(np.ceil(distance / v)) + 1 for v in voxel_size)
