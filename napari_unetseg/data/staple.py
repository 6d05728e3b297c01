"""STAPLE: what raters agree on, and how good each of them is, estimated together.

Warfield, Zou & Wells, IEEE TMI 23 (2004) 903. With sensitivity p_r, specificity q_r of
rater r and the prior f, the probability that voxel i belongs to the object is::

    a_i = Π p_r^Y_ir (1 - p_r)^(1 - Y_ir)        b_i = Π q_r^(1 - Y_ir) (1 - q_r)^Y_ir
    W_i = f a_i / (f a_i + (1 - f) b_i)

and p_r, q_r follow from W: expectation and maximisation in turn. Voxels of one vote
pattern have one W, so that the sums run over the table of patterns: exact, whatever
the size of the volume. A vote that is missing is a factor that is missing.

Start (W = mean of the votes), prior (f = mean of W) and end (no p, q moves by more than
1e-7) are those of ITK. Several classes are each a STAPLE against the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.vote_patterns import PatternTable
from napari_unetseg.errors import LabelsError

LEAST_RATERS = 3
MOST_ITERATIONS = 100_000
_STILL = 1e-14
"""Square of what p and q may move in the last step."""


@dataclass(frozen=True)
class RaterQuality:
    """What STAPLE has found of one class.

    Attributes
    ----------
    sensitivity, specificity
        Per rater, 0 to 1: how much of the object they found, and of the rest they left
        out.
    prior
        Probability of the object before anybody has looked.
    """

    class_id: int
    sensitivity: np.ndarray
    specificity: np.ndarray
    prior: float
    n_iterations: int = 0

    def weights(self, patterns: np.ndarray) -> np.ndarray:
        """Return W of each pattern of class ids, (pattern, rater) → (pattern)."""
        said, known = patterns == self.class_id, patterns != UNSET
        p, q = self.sensitivity, self.specificity
        a = np.where(known, np.where(said, p, 1 - p), 1.0).prod(axis=1)
        b = np.where(known, np.where(said, 1 - q, q), 1.0).prod(axis=1)
        above = self.prior * a
        below = above + (1 - self.prior) * b
        found: np.ndarray = np.divide(
            above, below, out=np.zeros(len(patterns)), where=below > 0
        )
        return found


def staple(table: PatternTable, class_id: int) -> RaterQuality:
    """Estimate the quality of all raters for a class against the rest.

    Parameters
    ----------
    table
        Of the voxels near the objects, else the background makes all of them specific.

    Raises
    ------
    LabelsError
        If there are fewer than three raters, or one of them never says the class.
    """
    _check(table)
    is_known = (table.patterns != UNSET).any(axis=1)
    patterns, counts = table.patterns[is_known], table.counts[is_known]
    said, known = patterns == class_id, patterns != UNSET
    weights = said.sum(axis=1) / known.sum(axis=1)
    n_voxels = int(counts.sum())
    if n_voxels == 0:
        raise LabelsError("There is nothing that anybody has labelled")
    prior = float(weights @ counts / n_voxels)
    before: np.ndarray | None = None
    number = 0
    while True:
        p, q = _qualities(weights * counts, (1 - weights) * counts, said, known)
        quality = RaterQuality(class_id, p, q, prior, number)
        weights = quality.weights(patterns)
        now = np.concatenate([p, q])
        is_still = before is not None and ((now - before) ** 2 <= _STILL).all()
        if is_still or number >= MOST_ITERATIONS:
            return quality
        before, number = now, number + 1


def rater_table(
    table: PatternTable, name_of: Callable[[int], str]
) -> list[dict[str, Any]]:
    """Return how good each rater is for each class, as plain rows.

    Without three raters there is no estimate, and both columns are None.
    """
    can = len(table.names) >= LEAST_RATERS
    rows = []
    for class_id in table.classes:
        quality = staple(table, class_id) if can else None
        rows += [
            {
                "rater": name,
                "class": name_of(class_id),
                "n_voxels": table.n_of(number, class_id),
                "sensitivity": _plain(quality and quality.sensitivity[number]),
                "specificity": _plain(quality and quality.specificity[number]),
            }
            for number, name in enumerate(table.names)
        ]
    return rows


def _qualities(
    inside: np.ndarray, outside: np.ndarray, said: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return p and q of all raters: their share of the votes, weighted.

    Who was never asked about an object (or its outside) is taken as perfect there.
    """
    of_object, of_rest = inside @ known, outside @ known
    p, q = np.ones(said.shape[1]), np.ones(said.shape[1])
    np.divide(inside @ said, of_object, out=p, where=of_object > 0)
    np.divide(outside @ (known & ~said), of_rest, out=q, where=of_rest > 0)
    return p, q


def _check(table: PatternTable) -> None:
    if len(table.names) < LEAST_RATERS:
        raise LabelsError(
            "STAPLE needs at least three raters: with two, nothing tells which of them "
            "is right",
            got=len(table.names),
            do="Add a rater, or take the majority.",
        )


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)
