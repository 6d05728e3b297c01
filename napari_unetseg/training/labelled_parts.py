"""Where in a chunk somebody worked: boxes around labels that lie near each other.

What a version has learned from is kept as boxes, and it is judged outside of them. A
whole chunk for one click in it would leave nothing to judge on in a small volume::

    chunk ┌────────────────┐
          │ ┌──┐           │     two places of work, and most of the chunk
          │ │▓▓│    ┌────┐ │     has never been seen
          │ └──┘    │▓ ▓ │ │
          │         └────┘ │
          └────────────────┘
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_unetseg.geometry import Box, Zyx

NEAR: Zyx = (1, 8, 8)  # voxels around labels that belong to the same place


def labelled_parts(known: np.ndarray, box: Box) -> tuple[Box, ...]:
    """Return boxes around places of work; they may touch, and never overlap.

    Parameters
    ----------
    known
        Which voxels are labelled, bool zyx.
    box
        Where these voxels lie.
    """
    if known.all():
        return (box,)
    around: np.ndarray = ndimage.maximum_filter(
        known, size=[2 * n + 1 for n in NEAR], mode="constant"
    )
    places, _ = ndimage.label(around)
    found = ndimage.find_objects(np.where(known, places, 0))
    parts = (Box.from_slices(slices).shifted(box.start) for slices in found)
    return _joined(list(parts))


def _joined(parts: list[Box]) -> tuple[Box, ...]:
    """Join boxes until none overlaps another."""
    joined: list[Box] = []
    while parts:
        part = parts.pop()
        other = next((each for each in joined if each.overlaps(part)), None)
        if other is None:
            joined.append(part)
        else:
            joined.remove(other)
            parts.append(part.hull(other))
    return tuple(sorted(joined, key=lambda each: each.start))
