"""Log odds that prompts have put right: kriging of what was wrong at each of them.

What a marked voxel lacks to be on the right side is its residual. Residuals fade with
the distance, and those of several prompts are weighed so that each marked voxel comes
out as marked::

    log odds  ─────╲_______        + × at a voxel that was missed
                        ×  ╲___
    corrected ─────╲___╱▔╲_╲___    c(v) = k(v, X) (k(X, X) + λ)⁻¹ r

It is the mean of a Gaussian process whose prior is the prediction (Rasmussen and
Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.25) with a Gaussian
covariance in space. Measured beside random walkers, geodesic distances and covariances
that also look at probability and intensity, it needed fewest clicks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.masks import connected, filled, tight_box

MARGIN = 1.0
"""How far marked voxels come to lie on their side, in log odds."""

SOFT = 0.1
"""Probabilities count as at least this and at most 1 minus this."""

_LEAST_REACH = 2.0  # finest voxels: even the smallest object is more than a voxel
_TRUST = 0.1  # λ: how far a prompt may be missed where others contradict it


def put_right(
    evidence: np.ndarray,
    own: np.ndarray,
    threshold: float,
    inside: Sequence[Zyx],
    outside: Sequence[Zyx],
    voxel_size: Sequence[float],
) -> np.ndarray:
    """Return the object as marked voxels want it: tier 1.

    Parameters
    ----------
    evidence
        × 255, uint8 zyx.
    own
        What the object is without corrections, bool zyx.
    """
    finest = min(voxel_size)
    size = [v / finest for v in voxel_size]
    radius = float(own.sum() * np.prod(size) * 3 / 4 / np.pi) ** (1 / 3)
    reach = max(_LEAST_REACH, radius)
    near = tight_box(own)
    for point in (*inside, *outside):
        near = near.hull(Box.around(point, (1, 1, 1)))
    near = near.grown([int(np.ceil(reach / 2 / s)) for s in size])
    near = near.clipped(own.shape)
    odds = _log_odds(evidence[near.slices], threshold)
    odds[~own[near.slices] & (odds > 0)] = -MARGIN  # other objects
    corner = np.array(near.start)
    yes, no = (
        [tuple(np.subtract(point, corner)) for point in points]
        for points in (inside, outside)
    )
    mask = _corrected(odds, yes, no, size, reach) > 0
    for point in no:
        mask[point] = False
    found = filled(connected(mask, yes), no)
    whole = np.zeros(own.shape, bool)
    whole[near.slices] = found
    return whole


def _log_odds(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return log odds, float32, that are 0 at the threshold.

    Parameters
    ----------
    probability
        × 255, uint8.
    """
    p = np.clip(np.arange(256) / 255, SOFT, 1 - SOFT)
    at = float(np.clip(threshold, SOFT, 1 - SOFT))
    table = np.log(p / (1 - p)) - np.log(at / (1 - at))
    found: np.ndarray = table.astype(np.float32)[probability]
    return found


def _corrected(
    odds: np.ndarray,
    inside: Sequence[Zyx],
    outside: Sequence[Zyx],
    voxel_size: Sequence[float],
    reach: float,
) -> np.ndarray:
    """Return log odds (zyx) as the marked voxels want them.

    Parameters
    ----------
    inside, outside
        Voxels that belong to the object, and that do not.
    reach
        Standard deviation of the covariance, in units of ``voxel_size``.
    """
    points = np.array([*inside, *outside])
    side = np.repeat([1.0, -1.0], [len(inside), len(outside)])
    known = odds[tuple(points.T)]
    residual = np.where(side * known < MARGIN, side * MARGIN - known, 0.0)
    places = points * np.asarray(voxel_size) / reach
    between = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    covariance = np.exp(-0.5 * between) + _TRUST * np.eye(len(points))
    weights = np.linalg.solve(covariance, residual)
    # The Gaussian is a product of one per axis: three small tables, and one product.
    z, y, x = (
        np.exp(-0.5 * (np.arange(n) * v / reach - places[:, axis, None]) ** 2)
        for axis, (n, v) in enumerate(zip(odds.shape, voxel_size, strict=True))
    )
    planes = (weights[:, None] * z)[:, :, None] * y[:, None, :]
    change = np.tensordot(planes.astype(np.float32), x.astype(np.float32), (0, 0))
    put_right: np.ndarray = odds + change
    return put_right
