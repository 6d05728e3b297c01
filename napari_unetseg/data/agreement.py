"""How far raters agree: Dice per class and pair, percent agreement, Fleiss' kappa.

For voxel i, class j and R raters let n_ij be how many raters chose j. Then

    P = Σ_i Σ_j n_ij (n_ij - 1) / (N R (R - 1))     observed agreement
    E = Σ_j (Σ_i n_ij / (N R))²                      agreement expected by chance
    kappa = (P - E) / (1 - E)

All are sums over voxels, so that volumes are read tile by tile. Background takes part
as a class of its own; it makes percent agreement look good where objects are rare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from napari_unetseg.data.steps import Steps
from napari_unetseg.errors import LabelsError
from napari_unetseg.events import IsCancelled, OnEvent, ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx, zyx

UNSET = 255
"""Value of voxels that nobody labelled: they are left out."""
BACKGROUND = "background"
_TILE = (64, 256, 256)
_MOST_CLASSES = 250


def agreement(
    labels: Mapping[str, Any],
    class_names: Sequence[str] = (),
    *,
    tile: Zyx = _TILE,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Compare label images of one shape.

    Parameters
    ----------
    labels
        Rater → array-like of class ids, zyx (or with leading axes of length 1).
    class_names
        Names of classes 1, 2, …; "class 1" and so on where they end.
    tile
        What is read at a time, zyx.

    Returns
    -------
    dict
        Plain values: ``names``, ``classes``, ``n_voxels`` that all raters labelled,
        ``percent_agreement``, ``fleiss_kappa``, ``mean_dice``, ``per_class`` and
        ``pairs``. What cannot be computed is None: the Dice of a class that neither of
        two raters used, kappa where all voxels are of one class.

    Raises
    ------
    LabelsError
        If there are fewer than two, or they cannot be compared voxel by voxel.
    Cancelled
        If somebody asked to stop.
    """
    names = tuple(labels)
    shape = _shared_shape(labels)
    tiles = [cell.clipped(shape) for cell in Box.whole(shape).cells(tile)]
    steps = Steps("agreement", len(tiles), on_event, is_cancelled,
                  subject=", ".join(names), noun="The comparison")  # fmt: skip
    sums = _Sums(len(names))
    for box in tiles:
        steps.check()
        sums.add([_read(name, array, box) for name, array in labels.items()])
        steps.done()
    return _report(names, class_names, sums)


class _Sums:
    """Counts of voxels, from which all measures follow; index 0 is background."""

    def __init__(self, n_raters: int) -> None:
        n = _MOST_CLASSES + 1
        self.n_raters = n_raters
        self.pairs = list(combinations(range(n_raters), 2))
        self.n_voxels = 0
        self.votes = np.zeros(n, np.int64)
        self.squared_votes = np.zeros(n, np.int64)
        self.chosen = np.zeros((n_raters, n), np.int64)
        self.both = np.zeros((len(self.pairs), n), np.int64)
        self.one = np.zeros((len(self.pairs), 2, n), np.int64)

    def add(self, values: Sequence[np.ndarray]) -> None:
        """Count a tile of every rater."""
        known = [v != UNSET for v in values]
        for number, value in enumerate(values):
            self.chosen[number] += _counts(value[known[number]])
        for number, (a, b) in enumerate(self.pairs):
            shared = known[a] & known[b]
            left, right = values[a][shared], values[b][shared]
            self.both[number] += _counts(left[left == right])
            self.one[number, 0] += _counts(left)
            self.one[number, 1] += _counts(right)
        shared = np.logical_and.reduce(known)
        self.n_voxels += int(shared.sum())
        stack = np.stack([v[shared] for v in values])
        for class_id in np.flatnonzero(_counts(stack)):
            votes = (stack == class_id).sum(axis=0, dtype=np.int64)
            self.votes[class_id] += votes.sum()
            self.squared_votes[class_id] += (votes * votes).sum()

    @property
    def used(self) -> list[int]:
        """Foreground classes that anybody used."""
        return [int(c) for c in np.flatnonzero(self.chosen.sum(axis=0)) if c > 0]

    def dice(self, pair: int, class_id: int) -> float | None:
        """Return the Dice of a class between two raters."""
        total = int(self.one[pair, :, class_id].sum())
        return _ratio(2 * int(self.both[pair, class_id]), total)

    def kappa(self) -> float | None:
        """Return Fleiss' kappa over all classes and the background."""
        squares = int(self.squared_votes.sum())
        return self._kappa(squares, [int(v) for v in self.votes])

    def kappa_of(self, class_id: int) -> float | None:
        """Return Fleiss' kappa of a class against everything else."""
        n, r = self.n_voxels, self.n_raters
        votes, squares = int(self.votes[class_id]), int(self.squared_votes[class_id])
        others = n * r * r - 2 * r * votes + squares
        return self._kappa(squares + others, [votes, n * r - votes])

    def percent(self) -> float | None:
        """Return the share of pairs of raters that agree, over all voxels."""
        n, r = self.n_voxels, self.n_raters
        return _ratio(int(self.squared_votes.sum()) - n * r, n * r * (r - 1))

    def _kappa(self, squares: int, votes: Sequence[int]) -> float | None:
        n, r = self.n_voxels, self.n_raters
        if n == 0 or sum(v > 0 for v in votes) < 2:
            return None
        observed = (squares - n * r) / (n * r * (r - 1))
        expected = sum((v / (n * r)) ** 2 for v in votes)
        return (observed - expected) / (1 - expected)


def _report(
    names: tuple[str, ...], class_names: Sequence[str], sums: _Sums
) -> dict[str, Any]:
    called = {c: _class_name(c, class_names) for c in sums.used}
    pairs = [
        {
            "names": [names[a], names[b]],
            "percent_agreement": _ratio(
                int(sums.both[number].sum()), int(sums.one[number, 0].sum())
            ),
            "dice": {name: sums.dice(number, c) for c, name in called.items()},
        }
        for number, (a, b) in enumerate(sums.pairs)
    ]
    per_class: dict[str, dict[str, Any]] = {
        name: {
            "fleiss_kappa": sums.kappa_of(c),
            "mean_dice": _mean(sums.dice(p, c) for p in range(len(sums.pairs))),
            "n_voxels": {
                rater: int(sums.chosen[number, c]) for number, rater in enumerate(names)
            },
        }
        for c, name in called.items()
    }
    return {
        "names": list(names),
        "classes": list(called.values()),
        "n_voxels": sums.n_voxels,
        "percent_agreement": sums.percent(),
        "fleiss_kappa": sums.kappa(),
        "mean_dice": _mean(row["mean_dice"] for row in per_class.values()),
        "per_class": per_class,
        "pairs": pairs,
    }


def _shared_shape(labels: Mapping[str, Any]) -> Zyx:
    if len(labels) < 2:
        raise LabelsError(
            "Agreement needs at least two raters", got=len(labels),
            do="Choose another label image.",
        )  # fmt: skip
    shapes = {name: _space(array.shape) for name, array in labels.items()}
    first, shape = next(iter(shapes.items()))
    for name, array in labels.items():
        if np.dtype(array.dtype).kind not in "iub":
            raise LabelsError(
                f"The labels of {name} are no integers", got=str(array.dtype)
            )
        if any(n != 1 for n in array.shape[:-3]):
            raise LabelsError(
                f"The labels of {name} have several channels or time points",
                got=f"shape {tuple(array.shape)}",
                expected="z, y, x",
            )
        if shapes[name] != shape:
            raise LabelsError(
                f"The labels of {name} have another shape than those of {first}",
                got=shapes[name],
                expected=shape,
            )
    return shape


def _space(shape: Sequence[int]) -> Zyx:
    return zyx((1, *shape)[-3:])


def _read(name: str, array: Any, box: Box) -> np.ndarray:
    index = ((0,) * max(0, array.ndim - 3) + box.slices)[-array.ndim :]
    values = np.asarray(array[index])
    low, high = int(values.min()), int(values[values != UNSET].max(initial=0))
    if low < 0 or high > _MOST_CLASSES:
        raise LabelsError(
            f"The labels of {name} are no classes",
            got=f"the value {low if low < 0 else high}",
            expected=f"0 to {_MOST_CLASSES}",
            do="Compare class labels; the ids of objects mean nothing to others.",
        )
    return values.astype(np.uint8)


def _counts(values: np.ndarray) -> np.ndarray:
    return np.bincount(values.ravel(), minlength=_MOST_CLASSES + 1)


def _class_name(class_id: int, names: Sequence[str]) -> str:
    return names[class_id - 1] if class_id <= len(names) else f"class {class_id}"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterator[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
