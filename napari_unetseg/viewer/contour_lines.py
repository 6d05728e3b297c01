"""Lines where a plane of values crosses a level.

Marching squares on whole arrays, one cell per 2 × 2 voxels, each corner either inside
(1) or outside (0)::

    a ──top── b        a case is a·1 + b·2 + c·4 + d·8; the table says which
    │         │        edges of the cell its lines join
   left     right
    │         │
    d ─bottom─ c
"""

from __future__ import annotations

import numpy as np

_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_LINES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((_LEFT, _TOP),),
    2: ((_TOP, _RIGHT),),
    3: ((_LEFT, _RIGHT),),
    4: ((_RIGHT, _BOTTOM),),
    5: ((_LEFT, _TOP), (_RIGHT, _BOTTOM)),
    6: ((_TOP, _BOTTOM),),
    7: ((_LEFT, _BOTTOM),),
    8: ((_BOTTOM, _LEFT),),
    9: ((_TOP, _BOTTOM),),
    10: ((_TOP, _RIGHT), (_BOTTOM, _LEFT)),
    11: ((_RIGHT, _BOTTOM),),
    12: ((_LEFT, _RIGHT),),
    13: ((_TOP, _RIGHT),),
    14: ((_LEFT, _TOP),),
}


def rater_fractions(rater_labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return which fraction of raters says each class.

    Parameters
    ----------
    rater_labels
        Labels, one plane per rater: r y x.

    Returns
    -------
    array
        float32 c y x, foreground classes only.
    """
    ids = range(1, n_classes + 1)
    fractions = [(rater_labels == i).mean(axis=0, dtype=np.float32) for i in ids]
    return np.stack(fractions)


def contour_lines(plane: np.ndarray, level: float) -> np.ndarray:
    """Return the lines where a plane crosses a level.

    Parameters
    ----------
    plane
        Values, y x.
    level
        Voxels with at least this value are inside.

    Returns
    -------
    array
        float32 (n, 2, 2): start and end of each line as (y, x) of voxel centres.
    """
    # A hair below, so that a value of exactly the level is inside.
    level = level - 1e-4
    inside = plane >= level
    case = (
        inside[:-1, :-1] * 1
        + inside[:-1, 1:] * 2
        + inside[1:, 1:] * 4
        + inside[1:, :-1] * 8
    )
    rows, columns = np.nonzero((case > 0) & (case < 15))
    if not len(rows):
        return np.empty((0, 2, 2), dtype=np.float32)
    crossings = _crossings(plane, rows, columns, level)
    case = case[rows, columns]
    found = []
    for number, lines in _LINES.items():
        cells = np.flatnonzero(case == number)
        found += [crossings[cells][:, list(line)] for line in lines]
    return np.concatenate(found).astype(np.float32)


def _crossings(
    plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, level: float
) -> np.ndarray:
    """Return where the four edges of each cell cross the level: (n, 4, 2) as (y, x)."""
    values = np.asarray(plane, dtype=np.float32)
    a, b = values[rows, columns], values[rows, columns + 1]
    d, c = values[rows + 1, columns], values[rows + 1, columns + 1]
    crossings = np.empty((len(rows), 4, 2), dtype=np.float32)
    crossings[:, _TOP] = np.stack([rows, columns + _part(a, b, level)], axis=1)
    crossings[:, _BOTTOM] = np.stack([rows + 1, columns + _part(d, c, level)], axis=1)
    crossings[:, _LEFT] = np.stack([rows + _part(a, d, level), columns], axis=1)
    crossings[:, _RIGHT] = np.stack([rows + _part(b, c, level), columns + 1], axis=1)
    return crossings


def _part(first: np.ndarray, second: np.ndarray, level: float) -> np.ndarray:
    """Return where between two values the level lies, 0 to 1; any edge may ask."""
    difference = second - first
    safe = np.where(difference == 0, 1, difference)
    return np.asarray(np.clip((level - first) / safe, 0, 1))
