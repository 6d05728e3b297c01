"""What regions are ranked by: columns of scores, and whose turn it is.

::

    column         score of a region                               strategy
    a class        most doubtful tenth of doubt × probability      unsure first
    doubt          most doubtful tenth of doubt                    unsure first
    disagreement   most disputed tenth of the map                  raters, models first
    a class        part of its voxels                              random near objects
    its border     part that lies beside another label             random near objects

"Unsure first" is ClaSP PE in small (class-stratified predictive entropy with power
noise): two regions for the classes in turn, and one by doubt alone. The frequent class
does not fill the list so, and what looks like no class is found too. "Random near
objects" draws voxels of a class, or of its border, in turn: what nnActive found hard to
beat. ``log(score) + noise`` with noise after Gumbel draws regions in proportion to
their score; the share of chance in "unsure first" shrinks from round to round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy import ndimage

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
    WorklistStrategy,
)
from napari_unetseg.data.predictions import LABELS
from napari_unetseg.training.worklist_maps import Seen

TOP = 0.1
"""The part of a region, the most doubtful one, that its score is the mean of."""
LEAST_SCORE = 0.005
LAST_BETA, LAST_ROUND = 100.0, 4
Turns: TypeAlias = tuple[tuple[int, ...], ...]
_CROSS = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True)
class Found:
    """The voxel that a region is listed for.

    Attributes
    ----------
    at
        Its place among the coarse voxels that were looked at, zyx.
    class_id
        The class that it is about.
    reason
        Why, for a person.
    """

    at: tuple[int, ...]
    class_id: int
    reason: str


class Strategy(Protocol):
    """A way to rank regions.

    Attributes
    ----------
    image
        What it looks at besides the probability: a map, or the labels.
    map_name
        The map that its regions are found in, "" if none.
    turns
        Groups of columns of :meth:`scores`. Each group gives a region in turn, and does
        so by each of its columns in turn, as long as there is a region left.
    beta
        How little chance there is, see :func:`noise`; None for no chance at all.
    least
        The score above which a region is worth a look.
    """

    image: str
    map_name: str
    turns: Turns
    beta: float | None
    least: float

    def scores(self, seen: Seen) -> np.ndarray:
        """Return the scores of a region, 0 to 1, one per column."""
        ...

    def find(self, seen: Seen, column: int, rng: np.random.Generator) -> Found:
        """Return what a region is listed for that was best in a column."""
        ...


def strategy_of(
    name: WorklistStrategy, class_names: Sequence[str], round_: int
) -> Strategy:
    """Return a strategy by its name.

    Parameters
    ----------
    round_
        How many versions were corrected before this one.
    """
    if name == "uncertainty":
        return UnsureFirst(class_names, round_)
    if name == "random":
        return RandomNearObjects(class_names)
    if name == "scan":
        return ScanOrder(class_names)
    image, words = _DISPUTED[name]
    return DisputedFirst(class_names, image, words)


_DISPUTED = {
    "raters": (RATER_DISAGREEMENT, "raters would disagree on"),
    "models": (MODEL_DISAGREEMENT, "the model contradicts itself on"),
}


class UnsureFirst:
    """Where the model doubts: two turns for the classes, then one for doubt alone."""

    image = map_name = TOTAL_UNCERTAINTY
    least = LEAST_SCORE

    def __init__(self, class_names: Sequence[str], round_: int) -> None:
        self._names, n = class_names, len(class_names)
        classes = tuple(range(n))
        self.turns: Turns = (classes, classes, (n,))
        self.beta: float | None = beta_of(round_)

    def scores(self, seen: Seen) -> np.ndarray:
        """Return the doubt about each class, and doubt alone."""
        doubt = _open_values(seen)
        by_class = [top_mean(doubt * p) / 255**2 for p in seen.probability]
        return np.array([*by_class, top_mean(doubt) / 255])

    def find(self, seen: Seen, column: int, rng: np.random.Generator) -> Found:
        """Return the voxel with most doubt about the class, or with most doubt."""
        scores = self.scores(seen)
        class_id = int(scores[:-1].argmax() if column == len(self._names) else column)
        name, doubt = self._names[class_id], _open_values(seen)
        if column == class_id:
            doubt = doubt * seen.probability[class_id]
            reason = f"unsure about {name}"
        else:
            reason = f"unsure of all, most of {name}"
        return Found(_highest(doubt), class_id + 1, reason)


class DisputedFirst:
    """Where a map says that answers differ: those of raters, or of mirrored passes."""

    turns: Turns = ((0,),)
    beta: float | None = None
    least = LEAST_SCORE

    def __init__(self, class_names: Sequence[str], image: str, words: str) -> None:
        self._names, self._words = class_names, words
        self.image = self.map_name = image

    def scores(self, seen: Seen) -> np.ndarray:
        """Return how much the answers differ."""
        return np.array([top_mean(_open_values(seen)) / 255])

    def find(self, seen: Seen, column: int, rng: np.random.Generator) -> Found:
        """Return the voxel on which they differ most, and the class they differ on."""
        values = _open_values(seen)
        class_id = int(np.argmax([top_mean(values * p) for p in seen.probability]))
        reason = f"{self._words} {self._names[class_id]}"
        return Found(_highest(values), class_id + 1, reason)


class RandomNearObjects:
    """Voxels of the classes and of their borders, drawn at random."""

    image, map_name = LABELS, ""
    beta: float | None = 1.0
    least = 0.0

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = class_names
        self.turns: Turns = (tuple(range(2 * len(class_names))),)

    def scores(self, seen: Seen) -> np.ndarray:
        """Return which part of the region is each class, and each class' border."""
        return np.array([self._is(seen, column).mean() for column in self.turns[0]])

    def find(self, seen: Seen, column: int, rng: np.random.Generator) -> Found:
        """Return one of the voxels, whichever."""
        places = np.argwhere(self._is(seen, column))
        number, is_border = divmod(column, 2)
        where = "border of" if is_border else "inside"
        reason = f"at random, {where} {self._names[number]}"
        place = places[rng.integers(len(places))]
        return Found(tuple(int(i) for i in place), number + 1, reason)

    def _is(self, seen: Seen, column: int) -> np.ndarray:
        number, is_border = divmod(column, 2)
        mask = seen.values == number + 1
        if is_border:
            inner = ndimage.binary_erosion(mask, _CROSS, border_value=1)
            mask = mask & ~inner
        found: np.ndarray = mask & seen.is_open
        return found


class ScanOrder:
    """Wherever the model sees a chance of a class, in the order of the volume."""

    image = map_name = ""
    turns: Turns = ((0,),)
    beta: float | None = None
    least = 0.02

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = class_names

    def scores(self, seen: Seen) -> np.ndarray:
        """Return how likely the likeliest class is anywhere in the region."""
        return np.array([_open_values(seen).max() / 255])

    def find(self, seen: Seen, column: int, rng: np.random.Generator) -> Found:
        """Return the voxel that is most likely of a class, and that class."""
        at = _highest(_open_values(seen))
        z, y, x = at
        class_id = int(seen.probability[:, z, y, x].argmax()) + 1
        return Found(at, class_id, "next in scan order")


def beta_of(round_: int) -> float:
    """Return how little chance there is in a round: from 1 to 100 in four rounds."""
    return float(LAST_BETA ** min(round_ / LAST_ROUND, 1.0))


def noise(
    shape: tuple[int, int], beta: float | None, seed: Sequence[int]
) -> np.ndarray:
    """Return what is added to log scores: Gumbel(0, 1 / beta), (region, column).

    It belongs to the place: what is settled meanwhile does not change it elsewhere.
    """
    if beta is None:
        return np.zeros(shape)
    return np.random.default_rng(list(seed)).gumbel(0.0, 1.0 / beta, shape)


def top_mean(values: np.ndarray) -> float:
    """Return the mean of the highest tenth of values, of one at least."""
    top = max(1, round(TOP * values.size))
    return float(np.partition(values, -top, axis=None)[-top:].mean())


def _open_values(seen: Seen) -> np.ndarray:
    """Return the values, as float32, with 0 where they are settled."""
    values: np.ndarray = np.where(seen.is_open, seen.values, 0).astype(np.float32)
    return values


def _highest(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
