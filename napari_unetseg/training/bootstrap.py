"""Is one model better than another on a few regions? A paired bootstrap says so.

Regions are drawn with replacement, the same for both models; of each draw the voxels
are pooled and give one Dice per class and model. Pairing takes away that some regions
are harder than others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """What a model got right in one region, per class.

    Attributes
    ----------
    right, size
        float64 (class,): twice the voxels that both have, and the sum of what either
        has, so that Dice is their quotient. Scores of regions can be added.
    """

    right: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion on the same regions.

    Attributes
    ----------
    champion, challenger
        Mean Dice over the classes, all regions pooled.
    n, n_better
        Regions, and those on which the challenger has the higher Dice.
    probability, needed
        Share of the draws in which the challenger is better, and what it must exceed.
    """

    champion: float
    challenger: float
    n: int
    n_better: int
    probability: float
    needed: float

    @property
    def gain(self) -> float:
        """How much higher the Dice of the challenger is."""
        return self.challenger - self.champion

    @property
    def is_clear(self) -> bool:
        """Whether the challenger is better, and not by chance."""
        return self.probability >= self.needed


def compare(
    champion: Sequence[Score],
    challenger: Sequence[Score],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their scores on the same regions.

    Parameters
    ----------
    champion, challenger
        One score per region, in the same order; at least two.
    """
    n = len(champion)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    whole = _mean_dice(champion, challenger, np.ones((1, n)))
    each, gains = (
        new - old
        for old, new in (
            _mean_dice(champion, challenger, np.eye(n)),
            _mean_dice(champion, challenger, drawn),
        )
    )
    return Comparison(
        champion=float(whole[0][0]),
        challenger=float(whole[1][0]),
        n=n,
        n_better=int((each > 0).sum()),
        probability=float((gains > 0).mean()),
        needed=needed_share(n),
    )


def needed_share(n: int, level: float = LEVEL) -> float:
    """Return in which share of the draws a mean of ``n`` must be above 0.

    Draws of few regions scatter too little. What makes up for it is the expanded
    percentile of Hesterberg, "What teachers should know about the bootstrap", The
    American Statistician 69 (2015): Φ(√(n / (n − 1)) · t), with t of n − 1 degrees of
    freedom. Of three or four regions all must be better.
    """
    t = stats.t.ppf(level, n - 1)
    return float(stats.norm.cdf(math.sqrt(n / (n - 1)) * t))


def _mean_dice(
    champion: Sequence[Score], challenger: Sequence[Score], weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean Dice of both models per row of weights (draw, region).

    A class counts where one of the two models or the labels have it; who then has none
    of it, as the labels, is right.
    """
    right, size = (
        np.stack([[getattr(score, name) for score in scores]
                  for scores in (champion, challenger)])
        for name in ("right", "size")
    )  # fmt: skip
    right, size = weights @ right, weights @ size  # (model, draw, class)
    each = np.divide(right, size, out=np.ones_like(right), where=size > 0)
    counted = (size > 0).any(axis=0)
    mean = np.where(counted, each, 0.0).sum(axis=2) / np.maximum(counted.sum(axis=1), 1)
    return mean[0], mean[1]
