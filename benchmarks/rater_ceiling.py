"""What people know of where other people disagree: a measure for what can be learned.

Raters are split into two groups. The first group stands for a model, a perfect one in
that it drew on the very image: its share of votes, blurred, and a band around its
majority are compared with where the second group disagrees. By how much the share beats
the band is by how much real raters beat it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from benchmarks.rater_methods import band_around
from benchmarks.rater_sets import Case, RaterSet
from napari_unetseg.models import rater_metrics as metrics

SPLITS = 20
WIDTHS = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)  # of bands and of blurs, voxels


def people_for_people(data: RaterSet) -> dict[str, float]:
    """Return how well one half of the raters tells where the other half disagrees.

    Returns
    -------
    dict
        Correlation with the disagreement of others: ``ncc`` of the blurred share,
        ``ncc_of_band`` of the band (each with the width that is best on validation
        images), and ``over_band``, their difference; means of 20 splits and all test
        images.
    """
    splits = _splits(data.raters)
    best = {}
    for kind in (_blurred_share, _band):
        at = {w: _mean(kind, data.validation, splits, w) for w in WIDTHS}
        best[kind] = _mean(kind, data.test, splits, max(at, key=lambda w: at[w]))
    share, band = best[_blurred_share], best[_band]
    return {"ncc": share, "ncc_of_band": band, "over_band": share - band}


def _mean(
    kind: Callable[[np.ndarray, float], np.ndarray],
    cases: Sequence[Case],
    splits: Sequence[np.ndarray],
    width: float,
) -> float:
    found = []
    for case in cases:
        region = metrics.region_of_interest(case.masks)
        for first in splits:
            told = kind(case.masks[first].mean(0), width)
            differ = metrics.disagreement(case.masks[~first])
            found.append(metrics.correlation(told[region], differ[region]))
    return float(np.nanmean(found))


def _blurred_share(share: np.ndarray, width: float) -> np.ndarray:
    depth = width if share.shape[0] > 1 else 0.0
    q = ndimage.gaussian_filter(share, (depth, width, width))
    return np.asarray(4 * q * (1 - q))


def _band(share: np.ndarray, width: float) -> np.ndarray:
    return band_around(share > 0.5, width)


def _splits(raters: Sequence[str]) -> list[np.ndarray]:
    """Return which raters are in the first group; a person's tools stay together."""
    people = np.array([name.split("_")[0] for name in raters])
    names = np.unique(people)
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(names)[: len(names) // 2] for _ in range(SPLITS)]
    return [np.isin(people, group) for group in chosen]
