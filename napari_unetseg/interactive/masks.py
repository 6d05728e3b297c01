"""Masks in a box: what hangs together, holes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.growing import bounds


def connected(mask: np.ndarray, points: Sequence[Zyx] | None) -> np.ndarray:
    """Return what is connected with marked voxels, and these; the largest part if None.

    A voxel that was marked beside a part means the part: thin objects are missed by
    one voxel easily.
    """
    parts, n_parts = ndimage.label(mask)
    if points is None:
        if n_parts == 0:
            raise NothingHereError(
                "There is nothing in this box", do="Draw it around an object."
            )
        sizes = np.bincount(parts.ravel())
        largest: np.ndarray = parts == sizes[1:].argmax() + 1
        return largest
    numbers = {_part_at(parts, point) for point in points} - {0}
    own: np.ndarray = np.isin(parts, list(numbers))
    for point in points:  # a marked voxel is the person's word
        own[point] = True
    return own


def filled(region: np.ndarray, stay_open: Sequence[Zyx]) -> np.ndarray:
    """Close the holes, but those that hold one of these voxels.

    A hole is background from which no way leads out of the box.
    """
    tight = tight_box(region)
    parts, n_parts = ndimage.label(~np.pad(region[tight.slices], 1))
    if n_parts < 2:
        return region
    around, parts = parts[0, 0, 0], parts[1:-1, 1:-1, 1:-1]
    closed: np.ndarray = parts != around
    for point in stay_open:
        if tight.holds(point) and not region[point]:
            at = tuple(p - a for p, a in zip(point, tight.start, strict=True))
            closed &= parts != parts[at]
    whole = region.copy()
    whole[tight.slices] = closed
    return whole


def tight_box(region: np.ndarray) -> Box:
    """Return the smallest box that holds all of a region.

    Raises
    ------
    NothingHereError
        If the region is empty.
    """
    found = bounds(region)
    if found is None:
        raise NothingHereError(
            "The clicks leave nothing of the object", do="Begin with a new click."
        )
    return found


def _part_at(parts: np.ndarray, point: Zyx) -> int:
    """Return the part under a voxel, else the largest beside it, 0 for none."""
    if parts[point]:
        return int(parts[point])
    near = Box.around(point, (3, 3, 3)).clipped(parts.shape)
    counts = np.bincount(parts[near.slices].ravel())
    counts[0] = 0
    return int(counts.argmax())
