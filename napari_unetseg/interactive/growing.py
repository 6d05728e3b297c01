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

from napari_unetseg.geometry import Box, zyx


def goes_on(around: Box, found: Box, limits: Box) -> bool:
    """Whether an object may go on beyond what was looked at.

    Parameters
    ----------
    around, found
        What was looked at, and the box of the object inside it.
    limits
        The volume, or a part that holds the object: its own sides cut nothing.
    """
    return any(low or high for low, high in _touched(around, found, limits))


def grown_where_touched(around: Box, found: Box, limits: Box, share: float) -> Box:
    """Return the box with the touched sides moved out by a share of its length."""
    touched = _touched(around, found, limits)
    steps = [math.ceil(n * share) for n in around.shape]
    start = zyx(
        a - step * low
        for a, step, (low, _) in zip(around.start, steps, touched, strict=True)
    )
    stop = zyx(
        b + step * high
        for b, step, (_, high) in zip(around.stop, steps, touched, strict=True)
    )
    return Box(start, stop).intersection(limits)


def bounds(region: np.ndarray) -> Box | None:
    """Return the smallest box that holds all set voxels, bool zyx; None if none is."""
    from_above, from_the_side = np.any(region, axis=0), np.any(region, axis=2)
    held = [
        np.flatnonzero(np.any(shadow, axis=axis))
        for shadow, axis in ((from_the_side, 1), (from_above, 1), (from_above, 0))
    ]
    if not all(line.size for line in held):
        return None
    return Box(zyx(line[0] for line in held), zyx(line[-1] + 1 for line in held))


def _touched(around: Box, found: Box, limits: Box) -> list[tuple[bool, bool]]:
    """Return per axis which sides an object touches beyond which it could go on."""
    return [
        (f == a and a > first, g == b and b < last)
        for f, g, a, b, first, last in zip(
            found.start,
            found.stop,
            around.start,
            around.stop,
            limits.start,
            limits.stop,
            strict=True,
        )
    ]
