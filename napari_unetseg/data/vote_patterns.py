"""Vote patterns: what all raters said about a voxel together, and how often.

::

    Ana  0 1 1 2        pattern  (0, 0)  1 voxel
    Bo   0 1 1 1   ──▶           (1, 1)  2 voxels
                                 (2, 1)  1 voxel

Volumes have millions of voxels and few patterns. All measures of agreement, and what
raters agree on, follow from this table; 255 (UNSET) stands for a vote that is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeAlias

import numpy as np

from napari_unetseg.data.corrections import UNSET

Pattern: TypeAlias = tuple[int, ...]
_MANY = 4096


@dataclass(frozen=True)
class PatternTable:
    """How many voxels have which pattern.

    Attributes
    ----------
    names
        Of the raters, in the order of a pattern.
    votes
        Pattern → number of voxels.
    """

    names: tuple[str, ...]
    votes: Mapping[Pattern, int]

    @classmethod
    def of(cls, names: Sequence[str], values: Sequence[np.ndarray]) -> Self:
        """Count the voxels of arrays in memory, one per rater."""
        codes, patterns = encoded(values)
        return cls(tuple(names), counted(codes, patterns))

    @cached_property
    def patterns(self) -> np.ndarray:
        """The patterns in order, uint8 (pattern, rater)."""
        rows = np.array(sorted(self.votes), np.uint8)
        return rows.reshape(-1, len(self.names))

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of voxels of each of the ``patterns``, int64."""
        return np.array([self.votes[p] for p in sorted(self.votes)], np.int64)

    @property
    def n_voxels(self) -> int:
        """All voxels."""
        return int(self.counts.sum())

    @property
    def n_labelled(self) -> int:
        """Voxels that at least one rater labelled."""
        return int(self.counts[(self.patterns != UNSET).any(axis=1)].sum())

    @cached_property
    def classes(self) -> tuple[int, ...]:
        """Foreground classes that anybody used."""
        used = (int(value) for value in np.unique(self.patterns))
        return tuple(value for value in used if value not in (0, UNSET))

    @cached_property
    def complete(self) -> PatternTable:
        """The table of the voxels that all raters labelled."""
        kept = {p: n for p, n in self.votes.items() if UNSET not in p}
        return PatternTable(self.names, kept)

    def n_of(self, rater: int, class_id: int) -> int:
        """Return how many voxels a rater gave to a class."""
        return int(self.counts[self.patterns[:, rater] == class_id].sum())

    def against_rest(self, class_id: int) -> PatternTable:
        """Return the table in which a class is 1 and whatever else was said is 0."""
        votes: Counter[Pattern] = Counter()
        for pattern, n in self.votes.items():
            votes[tuple(v if v == UNSET else int(v == class_id) for v in pattern)] += n
        return PatternTable(self.names, dict(votes))


def encoded(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the pattern of every voxel, and the patterns.

    Parameters
    ----------
    values
        Per rater, uint8 arrays of one shape.

    Returns
    -------
    codes, patterns
        Integers of that shape; uint8 (pattern, rater), each of which occurs.
    """
    codes = np.zeros(values[0].shape, np.uint16)
    patterns = np.zeros((1, 0), np.uint8)
    for value in values:
        used = np.flatnonzero(np.bincount(value.ravel(), minlength=256))
        n_codes = len(patterns) * len(used)
        codes = codes.astype(np.min_scalar_type(n_codes), copy=False)
        if len(used) > 1:
            place = np.zeros(256, codes.dtype)
            place[used] = np.arange(len(used))
            codes *= codes.dtype.type(len(used))
            codes += place[value]
        before, last = np.divmod(np.arange(n_codes), len(used))
        patterns = np.column_stack([patterns[before], used[last].astype(np.uint8)])
        if n_codes > _MANY or value is values[-1]:
            codes, patterns = _without_unused(codes, patterns)
    return codes, patterns


def _without_unused(
    codes: np.ndarray, patterns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n_seen = np.bincount(codes.ravel(), minlength=len(patterns))
    kept = np.flatnonzero(n_seen)
    renumbered = np.zeros(len(patterns), np.min_scalar_type(len(kept)))
    renumbered[kept] = np.arange(len(kept))
    return renumbered[codes], patterns[kept]


def is_object(patterns: np.ndarray) -> np.ndarray:
    """Return in which patterns, (…, rater), somebody named a foreground class."""
    found: np.ndarray = ((patterns != 0) & (patterns != UNSET)).any(axis=-1)
    return found


def counted(codes: np.ndarray, patterns: np.ndarray) -> dict[Pattern, int]:
    """Return how often each pattern occurs among codes; none that does not."""
    counts = np.bincount(codes.ravel(), minlength=len(patterns))
    return {
        tuple(int(v) for v in pattern): int(n)
        for pattern, n in zip(patterns, counts, strict=True)
        if n
    }
