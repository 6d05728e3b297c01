"""Examples of an object and of what is not it, and what tells them apart.

Ridge regression on what voxels look like to 1 and -1, each side weighing as much as its
examples are to be trusted, however many they are. A classifier is the weights: one of a
constant, then one of each look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

GREY, ALL = slice(0, 1), slice(None)
"""Of the looks of a voxel, those that a classifier looks at."""

_RIDGE, _RIDGE_OF_SQUARES = 0.2, 2.0
_RIDGE_OF_GREY = 0.01  # alone it cannot follow chance


@dataclass(frozen=True)
class Examples:
    """Voxels that are taken for the object (side 1), or for anything else (-1).

    Attributes
    ----------
    looks
        What they look like: features and their squares, (n, m).
    weight
        Of all of them together.
    """

    looks: np.ndarray
    side: float
    weight: float = 1.0

    def only(self, those: np.ndarray) -> Examples:
        """Return some of them, which weigh as much as all."""
        return replace(self, looks=self.looks[those])


def learnt(groups: Sequence[Examples], columns: slice) -> np.ndarray:
    """Return the classifier that tells both sides apart.

    Parameters
    ----------
    columns
        Of the looks, those that are looked at; the others weigh nothing.
    """
    told = [group for group in groups if len(group.looks)]
    counts = [len(group.looks) for group in told]
    looks = np.concatenate([group.looks[:, columns] for group in told])
    looks = np.concatenate([np.ones((len(looks), 1)), looks], axis=1)
    sides = np.repeat([float(group.side) for group in told], counts)
    weight = np.repeat(
        [g.weight / n for g, n in zip(told, counts, strict=True)], counts
    )
    ridge = np.full(looks.shape[1], _RIDGE)
    ridge[2::2] = _RIDGE_OF_SQUARES
    if columns == GREY:
        ridge[:] = _RIDGE_OF_GREY
    ridge[0] = 0
    weighted = looks.T * weight
    found = np.linalg.solve(weighted @ looks + np.diag(ridge), weighted @ sides)
    classifier = np.zeros(1 + told[0].looks.shape[1])
    classifier[0], classifier[1:][columns] = found[0], found[1:]
    return classifier


def scores(group: Examples, classifier: np.ndarray) -> np.ndarray:
    """Return how much each example looks like the object: 1, or like the rest: -1."""
    found: np.ndarray = group.looks @ classifier[1:] + classifier[0]
    return found


def error(classifier: np.ndarray, groups: Sequence[Examples]) -> float:
    """Return the mean square of what scores lack to the sides, both sides alike.

    It is 0 where all is told apart, and 1 where nothing is.
    """
    of_sides = []
    for side in (1, -1):
        own = [group for group in groups if group.side == side and len(group.looks)]
        if not own:
            return 1.0
        lacking = [np.clip(scores(group, classifier), -1, 1) - side for group in own]
        squares = [float(np.mean(rest**2)) for rest in lacking]
        of_sides.append(np.average(squares, weights=[group.weight for group in own]))
    return float(np.mean(of_sides))
