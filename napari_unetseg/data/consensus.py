"""What raters agree on: the majority, or STAPLE, mapped from vote patterns to labels.

::

    first pass    vote patterns ──▶ rule (STAPLE: near the objects)
    second pass   block ──▶ patterns ──▶ label of each pattern ──▶ block of labels

A class that nobody voted for at a voxel is never its label, whatever the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.staple import RaterQuality, staple
from napari_unetseg.data.vote_patterns import PatternTable, encoded
from napari_unetseg.geometry import Box, Zyx

Ties = Literal["background", "most-votes", "unlabelled"]
_HALF = 0.5


class Rule(Protocol):
    """How votes become a label."""

    def labels(self, patterns: np.ndarray) -> np.ndarray:
        """Return the label of each pattern, (pattern, rater) → uint8 (pattern).

        UNSET where nobody voted.
        """
        ...

    def probability(self, patterns: np.ndarray, class_id: int) -> np.ndarray:
        """Return how likely a class is for each pattern, 0 to 1."""
        ...


@dataclass(frozen=True)
class Majority:
    """More than half of the votes that are there.

    Attributes
    ----------
    ties
        What a voxel gets of which no class has more than half of the votes:
        background; the class with most votes, a foreground class before background and
        a lower id before a higher one; or no label.
    """

    ties: Ties = "background"

    def labels(self, patterns: np.ndarray) -> np.ndarray:
        """Return the label of each pattern."""
        n_votes = (patterns != UNSET).sum(axis=1)
        values = [int(v) for v in np.unique(patterns) if v not in (0, UNSET)]
        order = np.array([*values, 0], np.uint8)  # of equals the first one wins
        votes = np.stack([(patterns == v).sum(axis=1) for v in order], axis=1)
        best = votes.argmax(axis=1)
        found: np.ndarray = order[best]
        if self.ties != "most-votes":
            other = UNSET if self.ties == "unlabelled" else 0
            found[2 * votes.max(axis=1) <= n_votes] = other
        found[n_votes == 0] = UNSET
        return found

    def probability(self, patterns: np.ndarray, class_id: int) -> np.ndarray:
        """Return the share of the votes."""
        n_votes = (patterns != UNSET).sum(axis=1)
        said = (patterns == class_id).sum(axis=1)
        share: np.ndarray = said / np.maximum(n_votes, 1)
        return share


@dataclass(frozen=True)
class Staple:
    """The class with the largest W, if that is more than half; else background."""

    qualities: tuple[RaterQuality, ...]

    @classmethod
    def of(cls, table: PatternTable) -> Staple:
        """Estimate the raters of a table, class by class.

        Raises
        ------
        LabelsError
            If there are fewer than three.
        """
        classes = table.classes or (1,)
        return cls(tuple(staple(table, class_id) for class_id in classes))

    def labels(self, patterns: np.ndarray) -> np.ndarray:
        """Return the label of each pattern."""
        weights = np.stack(
            [self.probability(patterns, q.class_id) for q in self.qualities], axis=1
        )
        ids = np.array([q.class_id for q in self.qualities], np.uint8)
        found = np.where(
            weights.max(axis=1) > _HALF, ids[weights.argmax(axis=1)], np.uint8(0)
        )
        found[(patterns == UNSET).all(axis=1)] = UNSET
        return found

    def probability(self, patterns: np.ndarray, class_id: int) -> np.ndarray:
        """Return W, 0 where nobody voted for the class."""
        for quality in self.qualities:
            if quality.class_id == class_id:
                is_named = (patterns == class_id).any(axis=1)
                return np.where(is_named, quality.weights(patterns), 0.0)
        return np.zeros(len(patterns))


class ConsensusLabels:
    """Labels that a rule gives, read box by box; a source to export.

    Parameters
    ----------
    unlabelled
        The value of voxels that nobody labelled.
    """

    def __init__(self, ratings: Ratings, rule: Rule, unlabelled: int = 0) -> None:
        self.shape: Zyx = ratings.shape
        self._ratings, self._rule, self._unlabelled = ratings, rule, unlabelled

    @property
    def fingerprint(self) -> str:
        """Changes with the raters and the rule."""
        return f"{self._ratings.names} {self._rule}"

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx."""
        codes, patterns = self._encoded(box)
        labels = self._rule.labels(patterns)
        labels[labels == UNSET] = self._unlabelled
        found: np.ndarray = labels[codes]
        return found

    def probability(self, box: Box, class_ids: Sequence[int]) -> np.ndarray:
        """Return how likely each class is, uint8 (class, z, y, x); 255 is certain."""
        codes, patterns = self._encoded(box)
        found = [self._rule.probability(patterns, c) for c in class_ids]
        return np.stack([np.rint(255 * p).astype(np.uint8)[codes] for p in found])

    def _encoded(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        same = self._ratings.values_all_over(box)
        if same is not None:
            return np.zeros(box.shape, np.uint8), np.array([same], np.uint8)
        return encoded(self._ratings.read(box))
