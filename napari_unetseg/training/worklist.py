"""Which regions to look at next: where the model doubts, for every class in turn.

A region's score for a class is the mean, over the most doubtful tenth of its voxels, of
doubt times probability of the class. Taking the classes in turn keeps the frequent one
from filling the list (class-stratified scheduling, as in ClaSP).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import PROBABILITY, PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx

TILE: Zyx = (32, 64, 64)
MAX_VOXELS = 2**24
LABELLED_ENOUGH = 0.1
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
    tile: Zyx = TILE,
) -> tuple[WorkItem, ...]:
    """Return the regions that are most worth a look, the best first.

    Parameters
    ----------
    n
        How many at most.
    tile
        Size of a region in level-0 voxels.
    """
    settled = _settled(corrections)
    scored: dict[int, list[WorkItem]] = {}
    for box, doubt, probability, differ, factor in _tiles(predictions, tile):
        if _is_settled(box, settled, corrections):
            continue
        item = _best_of(box, doubt, probability, differ, factor, predictions)
        if item is not None and item.score > LEAST_SCORE:
            scored.setdefault(item.class_id, []).append(item)
    for items in scored.values():
        items.sort(key=lambda item: -item.score)
    chosen: list[WorkItem] = []
    while len(chosen) < n and any(scored.values()):
        for items in scored.values():
            if items and len(chosen) < n:
                chosen.append(items.pop(0))
    return tuple(sorted(chosen, key=lambda item: -item.score))


def _tiles(
    predictions: PredictionStore, tile: Zyx
) -> Iterator[tuple[Box, np.ndarray, np.ndarray, np.ndarray | None, Zyx]]:
    """Yield box, doubt, probability and rater map of each tile, at a coarse level."""
    level, factor = _coarse_enough(predictions)
    doubt = predictions.levels(TOTAL_UNCERTAINTY)[level]
    probability = predictions.levels(PROBABILITY)[level]
    has_raters = RATER_DISAGREEMENT in predictions.map_names
    differ = predictions.levels(RATER_DISAGREEMENT)[level] if has_raters else None
    for cell in Box.whole(predictions.shape).cells(tile):
        box = cell.clipped(predictions.shape)
        here = _slices(box, factor)
        values = np.asarray(doubt[here])
        if values.size and values.any():
            yield (
                box,
                values,
                np.asarray(probability[(slice(None), *here)]),
                None if differ is None else np.asarray(differ[here]),
                factor,
            )


def _slices(box: Box, factor: Zyx) -> tuple[slice, slice, slice]:
    """Return a level-0 box as an index into a level ``factor`` times coarser."""
    z, y, x = (
        slice(a // f, -(-b // f))
        for a, b, f in zip(box.start, box.stop, factor, strict=True)
    )
    return z, y, x


def _coarse_enough(predictions: PredictionStore) -> tuple[int, Zyx]:
    """Return the finest level that is small enough to look through at once."""
    arrays = predictions.levels(TOTAL_UNCERTAINTY)
    for level, array in enumerate(arrays):
        if array.size <= MAX_VOXELS or level == len(arrays) - 1:
            break
    factor = zyx(
        round(n / m) for n, m in zip(arrays[0].shape, array.shape, strict=True)
    )
    return level, factor


def _best_of(
    box: Box,
    doubt: np.ndarray,
    probability: np.ndarray,
    differ: np.ndarray | None,
    factor: Zyx,
    predictions: PredictionStore,
) -> WorkItem | None:
    """Return the tile as an item of the class that is most in doubt there."""
    top = max(1, round(DOUBTFUL_TENTH * doubt.size))
    scores = []
    for channel in probability:
        both = doubt.astype(np.float32) * channel
        most = np.partition(both, -top, axis=None)[-top:]
        scores.append(float(most.mean()) / 255**2)
    class_id = int(np.argmax(scores)) + 1
    at = np.unravel_index(int(doubt.argmax()), doubt.shape)
    centre = zyx(
        min(a // f * f + int(i) * f + f // 2, b - 1)
        for i, a, b, f in zip(at, box.start, box.stop, factor, strict=True)
    )
    name = predictions.class_names[class_id - 1]
    reason = f"unsure about {name}"
    if differ is not None:
        strongest = np.partition(differ, -top, axis=None)[-top:]
        if float(strongest.mean()) / 255 > RATERS_DIFFER:
            reason = f"raters would disagree on {name}"
    return WorkItem(box, centre, class_id, scores[class_id - 1], reason)


def _settled(corrections: CorrectionStore) -> list[Box]:
    return [reviewed.box for reviewed in corrections.reviewed()]


def _is_settled(
    box: Box, reviewed: Sequence[Box], corrections: CorrectionStore
) -> bool:
    """Whether somebody has looked at a tile, or labelled a good part of it."""
    if any(r.intersection(box).n_voxels * 2 > box.n_voxels for r in reviewed):
        return True
    touched = any(
        labelled.overlaps(box)
        for name in corrections.annotators()
        for labelled in corrections.labelled_boxes(name)
    )
    if not touched:
        return False
    said = corrections.read_all(box) != corrections.unset
    return bool(said.mean() > LABELLED_ENOUGH)
