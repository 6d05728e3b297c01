"""Which regions to decide on: where raters disagree most, the worst first.

A voxel on which the N votes are shared as q_c is worth D = N / (N - 1) (1 - Σ q_c²):
how likely two raters differ on it. Tiles with disagreement that touch are one region,
as long as it stays small enough to look at; a region's score is its share of all
disagreement that is left.

Whoever decides is none of the raters. What they have labelled is decided, and a region
that they have closed does not come back, unless a rater has changed labels since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_unetseg.data.agreement_measures import disagreement
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.vote_count import in_threads
from napari_unetseg.data.vote_patterns import encoded
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.worklist_item import WorkItem, tile_for

REASON = "raters disagree: adjudicate"
MOST_TILES = 8
"""Tiles in the box of a region; what is larger falls apart into its tiles."""
_BLOCK_VOXELS = 2**20
_TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class _Tile:
    """The disagreement in a tile, by class, and its middle voxel of the worst."""

    box: Box
    total: float
    by_class: dict[int, float]
    centre: Zyx


def disputed_regions(
    ratings: Ratings,
    corrections: CorrectionStore,
    *,
    adjudicator: str,
    n: int = 12,
    tile: Zyx | None = None,
    threads: int = 0,
) -> tuple[WorkItem, ...]:
    """Return the regions on which raters disagree most, the worst first.

    Parameters
    ----------
    adjudicator
        Who decides.
    n
        How many at most.
    tile
        Size of a tile in voxels; chosen from the voxel size if None.
    """
    search = _Search(
        ratings, corrections, adjudicator, tile or tile_for(ratings.voxel_size)
    )
    tiles = search.tiles(threads)
    total = sum(one.total for one in tiles)
    closed = _Closed(corrections, adjudicator, ratings.names)
    items = sorted(
        (_item(group, total) for group in _groups(tiles, search.tile)),
        key=lambda item: (-item.score, item.box.start),
    )
    still_open = (item for item in items if not closed.holds(item.box))
    return tuple(item for item, _ in zip(still_open, range(n), strict=False))


class _Search:
    """Looks for disagreement, block by block; any thread may look at a block."""

    def __init__(
        self, ratings: Ratings, corrections: CorrectionStore, decider: str, tile: Zyx
    ) -> None:
        self._ratings, self._corrections = ratings, corrections
        self._decider, self.tile = decider, tile

    def tiles(self, threads: int) -> list[_Tile]:
        """Return all tiles in which raters disagree, in C order."""
        shape = self._ratings.shape
        n_deep = max(1, _BLOCK_VOXELS // int(np.prod(self.tile)))
        block = zyx((self.tile[0] * n_deep, *self.tile[1:]))
        boxes = (cell.clipped(shape) for cell in Box.whole(shape).cells(block))
        work = ((box, box) for box in boxes)
        found = [t for part in in_threads(self._look_at, work, threads) for t in part]
        return sorted(found, key=lambda one: one.box.start)

    def _look_at(self, boxes: tuple[Box, Box]) -> list[_Tile]:
        box = boxes[0]
        same = self._ratings.values_all_over(box)
        if same is not None and not disagreement(np.array([same], np.uint8)).any():
            return []
        codes, patterns = encoded(self._ratings.read(box))
        worth = disagreement(patterns)
        if not worth.any():
            return []
        said = self._corrections.read(self._decider, box)
        values = np.where(said == UNSET, worth[codes], 0.0)
        found = []
        for cell in box.cells(self.tile):
            part = cell.intersection(box)
            inside = part.relative_to(box).slices
            if values[inside].any():
                found.append(_tile(part, values[inside], codes[inside], patterns))
        return found


def _tile(
    box: Box, values: np.ndarray, codes: np.ndarray, patterns: np.ndarray
) -> _Tile:
    # Per class, the disagreement of the class against the rest.
    by_class = {}
    for class_id in np.unique(patterns):
        if class_id not in (0, UNSET):
            said = np.where(patterns == UNSET, UNSET, patterns == class_id)
            share = disagreement(said.astype(np.uint8))[codes]
            by_class[int(class_id)] = float(share[values > 0].sum())
    worst = np.argwhere(values == values.max())
    middle = np.average(np.argwhere(values > 0), axis=0, weights=values[values > 0])
    nearest = worst[((worst - middle) ** 2).sum(axis=1).argmin()]
    centre = zyx(int(a + i) for a, i in zip(box.start, nearest, strict=True))
    return _Tile(box, float(values.sum()), by_class, centre)


def _groups(tiles: Sequence[_Tile], tile: Zyx) -> Iterator[list[_Tile]]:
    """Yield tiles that touch together, large webs of them one by one."""
    if not tiles:
        return
    places = np.array([one.box.start for one in tiles]) // tile
    places -= places.min(axis=0)
    grid = np.zeros(places.max(axis=0) + 1, bool)
    grid[tuple(places.T)] = True
    labels, _ = ndimage.label(grid, _TOUCHING)
    boxes = ndimage.find_objects(labels)
    by_label: dict[int, list[_Tile]] = {}
    for one, label in zip(tiles, labels[tuple(places.T)], strict=True):
        by_label.setdefault(int(label), []).append(one)
    for label, group in by_label.items():
        n_tiles = Box.from_slices(boxes[label - 1]).n_voxels
        if n_tiles <= MOST_TILES:
            yield group
        else:
            yield from ([one] for one in group)


def _item(group: Sequence[_Tile], total: float) -> WorkItem:
    worst = max(group, key=lambda one: one.total)
    box, by_class = worst.box, dict.fromkeys(worst.by_class, 0.0)
    for one in group:
        box = box.hull(one.box)
        for class_id, value in one.by_class.items():
            by_class[class_id] = by_class.get(class_id, 0.0) + value
    class_id = max(by_class, key=lambda c: (by_class[c], -c))
    score = sum(one.total for one in group) / total
    return WorkItem(box, worst.centre, class_id, score, REASON)


class _Closed:
    """The regions that the adjudicator has closed."""

    def __init__(
        self, corrections: CorrectionStore, adjudicator: str, raters: Sequence[str]
    ) -> None:
        self._notes = corrections.reviewed(adjudicator)
        self._corrections, self._raters = corrections, raters

    def holds(self, box: Box) -> bool:
        """Whether a region was closed after the raters' last stroke in it."""
        half = box.n_voxels / 2
        times = [n.time for n in self._notes if n.box.intersection(box).n_voxels > half]
        if not times:
            return False
        rows = (
            row.time
            for name in self._raters
            for row in self._corrections.strokes(name, within=box)
        )
        return max(times) >= max(rows, default="")
