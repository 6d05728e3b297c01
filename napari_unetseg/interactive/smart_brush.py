"""A stroke that is wider than the object, narrowed down to it.

The voxels under the brush that the prediction takes for the class stay, from half the
probability on that it has at its best there (half maximum, as for clicks)::

    brush  ░░░░░░░░░░        painted   ··████████··
    object  ▒▒▒▒▒▒▒▒
"""

from __future__ import annotations

import numpy as np

LEAST = 0.10
"""Below, the network does not know the object, and the stroke is the person's word."""

_LOWEST, _HIGHEST = 0.20, 0.50
_BEST = 90  # percentile: single voxels do not decide


def snapped(
    painted: np.ndarray, probability: np.ndarray, *, erasing: bool = False
) -> np.ndarray:
    """Return which of the painted voxels stay painted.

    Parameters
    ----------
    painted
        Mask, zyx.
    probability
        Of the class that is painted × 255, uint8 zyx; when erasing, of any class.
    erasing
        Whether background is painted: then what the network takes for an object stays.
    """
    if not painted.any():
        return painted
    under = probability[painted]
    if erasing:
        kept = painted & (probability < 255 * _HIGHEST)
        return kept if kept.any() else painted
    best = float(np.percentile(under, _BEST)) / 255
    if best < LEAST:
        return painted
    threshold = float(np.clip(0.5 * best, _LOWEST, _HIGHEST))
    return painted & (probability >= 255 * threshold)
