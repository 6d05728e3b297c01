"""How much of what heads leave open is where raters draw differently."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.rater_models import Trained
from benchmarks.rater_sets import Case
from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.models import rater_metrics as metrics
from napari_unetseg.models.uncertainty import APART, entropy_of


def drawn_apart(model: Trained, cases: Sequence[Case]) -> dict[str, float]:
    """Return the share w that fits real disagreement best, and NCC without it.

    Least squares of H(share of raters) on I(label; rater) + w · softness, in the
    raters' union, grown by 3 voxels, over all images together.

    Returns
    -------
    dict
        ``share`` is w; ``ncc_without`` is the mean correlation of I(label; rater)
        alone with the raters' disagreement, 0 if it is the same everywhere.
    """
    rows, correlations = [], []
    for case, found in zip(cases, model.predict(cases), strict=True):
        region = metrics.region_of_interest(case.masks)
        total = found.maps[TOTAL_UNCERTAINTY][region] / 255
        rater = found.maps[RATER_DISAGREEMENT][region] / 255
        softness = (total - rater) / (1 - APART)
        share = torch.from_numpy(case.masks[:, region].mean(axis=0, dtype=np.float64))
        drawn = entropy_of(torch.stack([1 - share, share])[None])[0].numpy()
        rows.append(np.stack([drawn - (total - softness), softness]))
        differ = metrics.disagreement(case.masks)[region]
        correlations.append(metrics.correlation(total - softness, differ))
    left, softness = np.concatenate(rows, axis=1)
    known = [value for value in correlations if np.isfinite(value)]
    return {
        "share": float((left * softness).sum() / np.square(softness).sum()),
        "ncc_without": float(np.mean(known)) if known else 0.0,
    }
