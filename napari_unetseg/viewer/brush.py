"""What brush, eraser and fill may change, and how they paint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Over: TypeAlias = Literal["everything", "background", "first"]
"""What is painted over: anything, nothing but background, or the label it begins on."""


@dataclass(frozen=True)
class Brush:
    """How the tools paint.

    Attributes
    ----------
    size
        Diameter in voxels of the finest axis; round in physical units.
    in_3d
        Whether neighbouring slices are painted too.
    over
        What is painted over.
    locked
        Ids of classes that nothing is painted over.
    follows
        Whether a stroke is narrowed down to the object that the prediction sees.
    """

    size: int = 10
    in_3d: bool = False
    over: Over = "everything"
    locked: frozenset[int] = frozenset()
    follows: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether there is anything that is not painted over."""
        return self.over != "everything" or bool(self.locked)

    def allowed(self, values: np.ndarray, first: int, new: int) -> np.ndarray:
        """Return which voxels may be painted.

        Parameters
        ----------
        values
            The labels they have.
        first
            The label that the stroke began on.
        new
            The label that is painted; voxels that have it stay what they are.
        """
        allowed: np.ndarray = np.ones(values.shape, bool)
        if self.over == "background":
            allowed = np.asarray(values == 0)
        elif self.over == "first":
            allowed = np.asarray(values == first)
        if self.locked:
            allowed &= ~np.isin(values, list(self.locked))
        allowed |= values == new
        return allowed
