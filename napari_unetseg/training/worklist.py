"""Which regions to look at next: where the model doubts, for every class in turn.

A region's score for a class is the mean, over the most doubtful tenth of its voxels, of
doubt times probability of the class. Taking the classes in turn keeps the frequent one
from filling the list (class-stratified scheduling, as in ClaSP). What is labelled
already is not in doubt. The same predictions and corrections give the same list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import PROBABILITY, PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx

TILE_VOXELS = 2**17  # 32 × 64 × 64 if voxels are cubes
MAX_VOXELS = 2**22
CELL_EDGE = 8  # coarse voxels along the edge of what is scored at once, at least
LABELLED_ENOUGH = 0.5
RATERS_DIFFER = 0.15
LEAST_SCORE = 0.005
DOUBTFUL_TENTH = 0.1


@dataclass(frozen=True)
class WorkItem:
    """A region worth a look.

    Attributes
    ----------
    box, centre
        Where, and its most doubtful voxel; level-0 voxels, zyx.
    class_id
        The class in doubt.
    score
        0 to 1.
    reason
        Why it is listed, for a person.
    """

    box: Box
    centre: Zyx
    class_id: int
    score: float
    reason: str
    state: str = "open"


def rank_regions(
    predictions: PredictionStore,
    corrections: CorrectionStore,
    *,
    volume_shape: Zyx,
    n: int = 12,
    tile: Zyx | None = None,
) -> tuple[WorkItem, ...]:
    """Return the regions that are most worth a look, the best first.

    Where raters would disagree comes before where the model is merely unsure.

    Parameters
    ----------
    n
        How many at most.
    tile
        Size of a region in level-0 voxels; chosen from the voxel size if None.
    """
    doubts = _Doubts(
        predictions, volume_shape, tile or tile_for(predictions.voxel_size)
    )
    settled = _Settled(corrections, predictions.path.stem)
    cells, scores = doubts.scored_cells()
    is_checked = np.zeros(len(cells), bool)
    items: list[WorkItem] = []
    open_classes = list(range(len(predictions.class_names)))
    while open_classes and len(items) < n and cells:
        number = open_classes.pop(0)
        best = int(scores[:, number].argmax())
        while scores[best, number] > LEAST_SCORE and not is_checked[best]:
            # Labels are read for promising regions only: that is what costs time.
            is_checked[best] = True
            known = settled.mask(cells[best])
            scores[best] = 0 if known is None else doubts.scores(cells[best], known)
            best = int(scores[:, number].argmax())
        if scores[best, number] > LEAST_SCORE:
            score = float(scores[best, number])
            known = settled.mask(cells[best])
            items.append(doubts.item(cells[best], number, score, known))
            scores[best] = 0
            open_classes.append(number)
    return tuple(sorted(items, key=lambda item: (_rank(item), -item.score)))


def tile_for(voxel_size: Sequence[float]) -> Zyx:
    """Return a region of powers of two, flat where sections are thick."""
    z, y, x = voxel_size
    thickness = max(z / min(y, x), 1.0)
    depth = 2 ** max(0, round(5 - math.log2(thickness) * 2 / 3))
    edge: int = 2 ** round(math.log2(TILE_VOXELS / depth) / 2)
    return depth, edge, edge


class _Doubts:
    """The maps of a prediction at a level that is small enough to look through."""

    def __init__(self, predictions: PredictionStore, shape: Zyx, tile: Zyx) -> None:
        self._names = predictions.class_names
        self._shape, self._tile = shape, tile
        arrays = predictions.levels(TOTAL_UNCERTAINTY)
        sizes = [math.prod(array.shape) for array in arrays]
        level = next(
            (k for k, size in enumerate(sizes) if size <= MAX_VOXELS), len(sizes) - 1
        )
        self._factor = predictions.factors(TOTAL_UNCERTAINTY)[level]
        self._doubt = arrays[level]
        self._probability = predictions.levels(PROBABILITY)[level]
        has_raters = RATER_DISAGREEMENT in predictions.map_names
        self._differ = (
            predictions.levels(RATER_DISAGREEMENT)[level] if has_raters else None
        )

    def scored_cells(self) -> tuple[list[Box], np.ndarray]:
        """Return all cells with some doubt and their scores, (cell, class)."""
        cells, scores = [], []
        for slab in self._slabs():
            doubt, probability = self._read(slab)
            if not doubt.any():
                continue
            for box in slab.cells(self._cell):
                part = box.clipped(self._shape)
                inside = _coarse(part.relative_to(slab), self._factor)
                if doubt[inside].any():
                    cells.append(part)
                    scores.append(_scores(doubt[inside], probability[:, *inside]))
        return cells, np.array(scores).reshape(len(cells), len(self._names))

    def scores(self, cell: Box, known: np.ndarray) -> np.ndarray:
        """Return the scores of a cell where only unlabelled voxels count."""
        doubt, probability = self._read(cell)
        return _scores(self._open(doubt, known), probability)

    def item(
        self, cell: Box, number: int, score: float, known: np.ndarray | None
    ) -> WorkItem:
        """Return the region of a cell in which most is in doubt."""
        doubt, probability = self._read(cell)
        if known is not None:
            doubt = self._open(doubt, known)
        both = doubt.astype(np.float32) * probability[number]
        at = np.unravel_index(int(both.argmax()), both.shape)
        centre = zyx(
            min(a + int(i) * f + f // 2, b - 1)
            for i, a, b, f in zip(at, cell.start, cell.stop, self._factor, strict=True)
        )
        box = Box(centre, zyx(c + 1 for c in centre)).aligned(self._tile)
        name = self._names[number]
        reason = f"unsure about {name}"
        if self._differ is not None:
            differ = np.asarray(self._differ[_coarse(cell, self._factor)])
            if _of_top_tenth(differ) / 255 > RATERS_DIFFER:
                reason = f"raters would disagree on {name}"
        return WorkItem(box.clipped(self._shape), centre, number + 1, score, reason)

    @property
    def _cell(self) -> Zyx:
        """What is scored at once: a region, or more of them in a huge volume."""
        return zyx(
            t * max(1, math.ceil(CELL_EDGE * f / t)) if f > 1 else t
            for t, f in zip(self._tile, self._factor, strict=True)
        )

    def _slabs(self) -> Iterator[Box]:
        _, height, width = self._shape
        for slab in Box.whole(self._shape).cells((self._cell[0], height, width)):
            yield slab.clipped(self._shape)

    def _read(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        here = _coarse(box, self._factor)
        return np.asarray(self._doubt[here]), np.asarray(self._probability[:, *here])

    def _open(self, doubt: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return doubt without what is labelled."""
        z, y, x = self._factor
        coarse = known[z // 2 :: z, y // 2 :: y, x // 2 :: x]
        common = tuple(
            slice(0, min(a, b)) for a, b in zip(doubt.shape, coarse.shape, strict=True)
        )
        rest = doubt.copy()
        rest[common][coarse[common]] = 0
        return rest


class _Settled:
    """What people have looked at already."""

    def __init__(self, corrections: CorrectionStore, version: str) -> None:
        self._corrections = corrections
        self._reviewed = [reviewed.box for reviewed in corrections.reviewed()]
        self._labelled = {
            box
            for name in corrections.annotators()
            for box in corrections.labelled_boxes(name)
        }
        counting = set(corrections.stroke_ids())
        self._corrected = [
            stroke.box.centre
            for stroke in corrections.strokes()
            if stroke.model_version == version and stroke.uuid in counting
        ]

    def mask(self, box: Box) -> np.ndarray | None:
        """Return which voxels of a box are labelled; None if it is settled.

        It is if somebody reviewed it, corrected this very prediction in it, or
        labelled most of it.
        """
        half = box.n_voxels / 2
        if any(r.intersection(box).n_voxels > half for r in self._reviewed):
            return None
        if any(box.holds(centre) for centre in self._corrected):
            return None
        if not any(labelled.overlaps(box) for labelled in self._labelled):
            return np.zeros(box.shape, bool)
        labelled = self._corrections.read_all(box) != self._corrections.unset
        known: np.ndarray = labelled
        return None if known.mean() > LABELLED_ENOUGH else known


def _scores(doubt: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the score of every class, 0 to 1."""
    weighted = doubt.astype(np.float32) * probability
    return np.array([_of_top_tenth(both) / 255**2 for both in weighted])


def _of_top_tenth(values: np.ndarray) -> float:
    top = max(1, round(DOUBTFUL_TENTH * values.size))
    return float(np.partition(values, -top, axis=None)[-top:].mean())


def _coarse(box: Box, factor: Sequence[int]) -> tuple[slice, slice, slice]:
    """Return a level-0 box as an index into a level ``factor`` times coarser."""
    z, y, x = (
        slice(a // f, -(-b // f))
        for a, b, f in zip(box.start, box.stop, factor, strict=True)
    )
    return z, y, x


def _rank(item: WorkItem) -> bool:
    return not item.reason.startswith("raters")
