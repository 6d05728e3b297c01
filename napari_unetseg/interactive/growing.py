"""A box that grows on the sides that an object touches, and on no other.

What is looked at follows the object and not the volume::

    ┌────────┐          ┌────────────┐
    │    ┌───┼─         │    ┌────┐  │
    │    │obj│    ──▶   │    │obj │  │
    │    └───┼─         │    └────┘  │
    └────────┘          └────────────┘
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from napari_unetseg.geometry import Box, Zyx, zyx


def goes_on(around: Box, found: Box, shape: Zyx) -> bool:
    """Whether an object may go on beyond what was looked at.

    Parameters
    ----------
    around, found
        What was looked at, and the box of the object inside it.
    shape
        Of the volume, zyx: its own sides cut nothing.
    """
    return any(low or high for low, high in _touched(around, found, shape))


def grown_where_touched(around: Box, found: Box, shape: Zyx, share: float) -> Box:
    """Return the box with the touched sides moved out by a share of its length."""
    touched = _touched(around, found, shape)
    steps = [math.ceil(n * share) for n in around.shape]
    start = zyx(
        a - step * low
        for a, step, (low, _) in zip(around.start, steps, touched, strict=True)
    )
    stop = zyx(
        b + step * high
        for b, step, (_, high) in zip(around.stop, steps, touched, strict=True)
    )
    return Box(start, stop).clipped(shape)


def bounds(region: np.ndarray) -> Box | None:
    """Return the smallest box that holds all set voxels, bool zyx; None if none is."""
    if not region.size:
        return None
    found = ndimage.find_objects(region.view(np.uint8), max_label=1)[0]
    return None if found is None else Box.from_slices(found)


def _touched(around: Box, found: Box, shape: Zyx) -> list[tuple[bool, bool]]:
    """Return per axis which sides the object touches that are not the volume's."""
    return [
        (f == a and a > 0, g == b and b < n)
        for f, g, a, b, n in zip(
            found.start, found.stop, around.start, around.stop, shape, strict=True
        )
    ]
