"""Replay: what the labels are after some rows of the journal.

Rows hold values and not differences, so what a voxel was follows from the last row that
holds it; rows are read from the newest to the oldest, until all voxels are known::

    row 7    . . 2 2      ◀── first
    row 5    1 1 1 .
    row 2    0 0 0 0      ◀── not read any more
    labels   1 1 2 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from napari_unetseg.data.journal import UNSET_OF, Stroke, StrokeVoxels
from napari_unetseg.geometry import Box


def said_last(
    rows: Iterable[Stroke],
    box: Box,
    voxels_of: Callable[[Stroke], StrokeVoxels],
    *,
    dtype: Any,
    among: np.ndarray | None = None,
) -> np.ndarray:
    """Return what rows say about a box, zyx; UNSET where none says anything.

    Parameters
    ----------
    rows
        The newest first; those beside the box say nothing.
    among
        Mask of the voxels that are asked for, all by default.
    """
    values = np.full(box.shape, UNSET_OF[np.dtype(dtype)], dtype)
    is_open = np.ones(box.shape, bool) if among is None else among.copy()
    for row in rows:
        part = row.box.intersection(box)
        if part.is_empty or not is_open[part.relative_to(box).slices].any():
            continue
        here, there = part.relative_to(box).slices, part.relative_to(row.box).slices
        voxels = voxels_of(row)
        says = voxels.mask[there] & is_open[here]
        np.copyto(values[here], voxels.dense()[there], where=says)
        is_open[here] &= ~says
        if not is_open.any():
            break
    return values
