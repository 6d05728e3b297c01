"""How far raters agree, from the table of their vote patterns.

For voxel i, class j and R raters let n_ij be how many raters chose j, and n_i how many
chose at all. The measures of all raters together:

percent agreement, the share of pairs of raters that said the same::

    P = Σ_i Σ_j n_ij (n_ij - 1) / (N R (R - 1))          voxels that all labelled

Fleiss' kappa (1971), that beyond what chance would give::

    E = Σ_j (Σ_i n_ij / (N R))²     kappa = (P - E) / (1 - E)

Krippendorff's alpha for names (2004), which takes voxels that two raters or more
labelled, whoever they are; o_cc is how often class c met itself, m_c how often c was
said there, m = Σ m_c::

    o_cc = Σ_i n_ic (n_ic - 1) / (n_i - 1)
    alpha = 1 - (m - 1) (m - Σ_c o_cc) / (m² - Σ_c m_c²)

And of two: Dice, percent agreement, Cohen's kappa (1960), each over the voxels that
both labelled. What cannot be computed is None: the Dice of a class that nobody used,
kappa where all is of one class. A class against the rest is the same measure of
:meth:`PatternTable.against_rest`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.vote_patterns import PatternTable


def percent_agreement(table: PatternTable) -> float | None:
    """Return the share of pairs of raters that said the same; all labelled."""
    n, r, counts = _complete(table)
    if n == 0:
        return None
    votes = _votes(table.complete)
    return float(_agreeing(votes, counts) / (n * r * (r - 1)))


def fleiss_kappa(table: PatternTable) -> float | None:
    """Return Fleiss' kappa over the voxels that all raters labelled."""
    n, r, counts = _complete(table)
    votes = _votes(table.complete)
    said = counts @ votes
    if n == 0 or np.count_nonzero(said) < 2:
        return None
    observed = _agreeing(votes, counts) / (n * r * (r - 1))
    expected = float(((said / (n * r)) ** 2).sum())
    return float((observed - expected) / (1 - expected))


def krippendorff_alpha(table: PatternTable) -> float | None:
    """Return Krippendorff's alpha for nominal data with missing votes."""
    votes = _votes(table)
    n_said = votes.sum(axis=1)
    usable = n_said > 1
    votes, n_said, counts = votes[usable], n_said[usable], table.counts[usable]
    said = (counts @ votes).astype(np.float64)
    if np.count_nonzero(said) < 2:
        return None
    same = ((votes * (votes - 1)).sum(axis=1) / (n_said - 1)) @ counts
    total = said.sum()
    return float(1 - (total - 1) * (total - same) / (total**2 - (said**2).sum()))


def confusion(table: PatternTable, a: int, b: int) -> np.ndarray:
    """Return how many voxels rater ``a`` gave to class i and ``b`` to class j.

    Only voxels that both labelled count; index 0 is background, then the classes that
    anybody used, in order.
    """
    place = np.zeros(256, np.intp)
    place[list(table.classes)] = np.arange(1, len(table.classes) + 1)
    pairs = table.patterns[:, [a, b]]
    both = (pairs != UNSET).all(axis=1)
    found = np.zeros((len(table.classes) + 1,) * 2, np.int64)
    np.add.at(found, tuple(place[pairs[both]].T), table.counts[both])
    return found


def dice(table: PatternTable, a: int, b: int, class_id: int) -> float | None:
    """Return the Dice of a class between two raters."""
    if class_id not in table.classes:
        return None
    counts = confusion(table, a, b)
    at = 1 + table.classes.index(class_id)
    total = int(counts[at].sum() + counts[:, at].sum())
    return 2 * int(counts[at, at]) / total if total else None


def pair_agreement(table: PatternTable, a: int, b: int) -> float | None:
    """Return the share of voxels of which two raters said the same."""
    counts = confusion(table, a, b)
    return float(np.trace(counts) / counts.sum()) if counts.any() else None


def cohen_kappa(table: PatternTable, a: int, b: int) -> float | None:
    """Return Cohen's kappa of two raters."""
    counts = confusion(table, a, b)
    n = counts.sum()
    if n == 0:
        return None
    expected = float((counts.sum(axis=0) / n) @ (counts.sum(axis=1) / n))
    if expected == 1:
        return None
    return float((np.trace(counts) / n - expected) / (1 - expected))


def mean_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that could be computed, None if none could."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def disagreement(patterns: np.ndarray) -> np.ndarray:
    """Return how likely two raters of a pattern differ, 0 to 1, for each pattern.

    D = N / (N - 1) (1 - Σ_c q_c²) with q_c the share of the N votes for class c; 0
    where fewer than two voted.
    """
    known = patterns != UNSET
    n = known.sum(axis=1)
    same = np.zeros(len(patterns))
    for value in np.unique(patterns[known]):
        same += (patterns == value).sum(axis=1) ** 2
    pairs = np.maximum(n * (n - 1), 1)
    return np.where(n > 1, (n**2 - same) / pairs, 0.0)


def _complete(table: PatternTable) -> tuple[int, int, np.ndarray]:
    """Return voxels that all labelled, raters, and the voxels by pattern."""
    complete = table.complete
    return complete.n_voxels, len(table.names), complete.counts


def _votes(table: PatternTable) -> np.ndarray:
    """Return the votes for background and each class, (pattern, value)."""
    values = [0, *table.classes]
    votes = np.stack([(table.patterns == v).sum(axis=1) for v in values], axis=1)
    return votes.astype(np.int64)


def _agreeing(votes: np.ndarray, counts: np.ndarray) -> float:
    return float(counts @ (votes * (votes - 1)).sum(axis=1))
