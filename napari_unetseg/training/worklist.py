"""Which regions to look at next, and why.

What regions are ranked by is :mod:`napari_unetseg.training.worklist_strategies`. Here
they are picked: one column after the other gives its best region, no two of them nearer
than a tile, and nothing that somebody has settled. The same predictions, corrections
and seed give the same list.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
    WorklistStrategy,
)
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.errors import MissingMapError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.worklist_item import WorkItem, tile_for
from napari_unetseg.training.worklist_maps import CoarseMaps, Seen
from napari_unetseg.training.worklist_settled import SettledRegions
from napari_unetseg.training.worklist_strategies import Strategy, noise, strategy_of

_NEEDS: dict[WorklistStrategy, tuple[str, str]] = {
    "uncertainty": (TOTAL_UNCERTAINTY, "Predict again."),
    "raters": (
        RATER_DISAGREEMENT,
        "Train a model from the labels of several raters and predict with it.",
    ),
    "models": (
        MODEL_DISAGREEMENT,
        "Let the next version predict with two mirrored passes or more.",
    ),
}


def rank_regions(
    predictions: PredictionStore,
    corrections: CorrectionStore,
    *,
    volume_shape: Zyx,
    n: int = 12,
    tile: Zyx | None = None,
    strategy: WorklistStrategy = "random",
    seed: int = 0,
) -> tuple[WorkItem, ...]:
    """Return the regions to look at next, in their order.

    Parameters
    ----------
    n
        How many at most.
    tile
        Size of a region in level-0 voxels; chosen from the voxel size if None.
    strategy
        What they are ranked by.
    seed
        Of the choices that are left to chance.

    Raises
    ------
    MissingMapError
        If the prediction has no map that the strategy ranks by.
    """
    check_has_map(predictions, strategy)
    tile = tile or tile_for(predictions.voxel_size)
    settled = SettledRegions(corrections, predictions.path.stem)
    ranked_by = strategy_of(strategy, predictions.class_names, settled.rounds)
    by_tile = strategy == "scan"
    maps = CoarseMaps(predictions, volume_shape, tile, ranked_by.image, by_tile=by_tile)
    search = _Search(maps, settled, ranked_by, seed)
    return tuple(search.in_order(n) if by_tile else search.best(n))


def check_has_map(predictions: PredictionStore, strategy: WorklistStrategy) -> None:
    """Make sure that a prediction has the map that a strategy ranks by.

    Raises
    ------
    MissingMapError
        If it has not; the message says what to do.
    """
    name, do = _NEEDS.get(strategy, ("", ""))
    if name and name not in predictions.map_names:
        words = name.replace("_", " ")
        raise MissingMapError(f"This prediction has no map of {words}", do=do)


class _Search:
    """Looks through the cells of a prediction by one strategy."""

    def __init__(
        self,
        maps: CoarseMaps,
        settled: SettledRegions,
        strategy: Strategy,
        seed: int,
    ) -> None:
        self._maps, self._settled = maps, settled
        self._strategy, self._seed = strategy, seed

    def in_order(self, n: int) -> list[WorkItem]:
        """Return the first regions that are worth a look, in C order."""
        items: list[WorkItem] = []
        for number, cell, seen in self._maps.cells():
            if len(items) >= n:
                break
            if self._is_worth(seen):
                rest = self._without_settled(cell, seen)
                if self._is_worth(rest):
                    items.append(self._item(number, cell, rest, 0))
        return items

    def best(self, n: int) -> list[WorkItem]:
        """Return the best regions of each group of columns in turn, apart enough."""
        ranking = _Ranking(self._maps, self._strategy, self._seed, self._settled.rounds)
        items: list[WorkItem] = []
        # Groups that are the same share what is waiting: the classes go on in turn.
        waiting = {group: list(group) for group in self._strategy.turns}
        for group in itertools.cycle(self._strategy.turns):
            if len(items) >= n or not any(waiting.values()):
                break
            found = None
            while found is None and waiting[group]:
                column = waiting[group].pop(0)
                found = self._best_of(column, ranking, items)
                if found is not None:
                    items.append(found)
                    waiting[group].append(column)
        return items

    def _best_of(
        self, column: int, ranking: _Ranking, others: Sequence[WorkItem]
    ) -> WorkItem | None:
        """Return the best region of a column that is left, None if there is none."""
        while (row := ranking.best(column)) is not None:
            number, cell = ranking.cells[row]
            seen = self._without_settled(cell, self._maps.read(cell))
            if not ranking.is_checked[row]:
                # Labels are read for promising regions only: that is what costs time.
                ranking.rescore(row, self._strategy.scores(seen))
                continue
            item = self._item(number, cell, seen, column)
            if all(_are_apart(item, other, self._maps.tile) for other in others):
                ranking.drop(row)
                return item
            ranking.drop(row, column)
        return None

    def _is_worth(self, seen: Seen) -> bool:
        return bool(self._strategy.scores(seen).max() > self._strategy.least)

    def _without_settled(self, cell: Box, seen: Seen) -> Seen:
        voxels = self._maps.voxels(cell)
        is_open = self._settled.open_voxels(cell, self._maps.tile, voxels)
        return replace(seen, is_open=is_open)

    def _item(self, number: int, cell: Box, seen: Seen, column: int) -> WorkItem:
        rng = np.random.default_rng([self._seed, number, column])
        found = self._strategy.find(seen, column, rng)
        axes = self._maps.voxels(cell)
        centre = zyx(int(axis[i]) for axis, i in zip(axes, found.at, strict=True))
        box = Box(centre, zyx(c + 1 for c in centre)).aligned(self._maps.tile)
        return WorkItem(
            box.clipped(self._maps.shape),
            centre,
            found.class_id,
            float(self._strategy.scores(seen)[column]),
            found.reason,
            self._strategy.map_name,
        )


class _Ranking:
    """The cells of a prediction and how high each stands in every column."""

    def __init__(
        self, maps: CoarseMaps, strategy: Strategy, seed: int, round_: int
    ) -> None:
        self._least = strategy.least
        n_columns = len({column for group in strategy.turns for column in group})
        chance = noise((maps.n_cells, n_columns), strategy.beta, (seed, round_))
        self.cells: list[tuple[int, Box]] = []
        scores = []
        for number, cell, seen in maps.cells():
            self.cells.append((number, cell))
            scores.append(strategy.scores(seen))
        self._chance = chance[[number for number, _ in self.cells]]
        self._rank = self._ranked(
            np.array(scores).reshape(len(self.cells), n_columns), self._chance
        )
        self.is_checked = np.zeros(len(self.cells), bool)

    def best(self, column: int) -> int | None:
        """Return the cell that stands highest in a column, None if none is left."""
        if not self.cells:
            return None
        row = int(self._rank[:, column].argmax())
        return row if self._rank[row, column] > -np.inf else None

    def rescore(self, row: int, scores: np.ndarray) -> None:
        """Note the scores of a cell without what is settled."""
        self.is_checked[row] = True
        self._rank[row] = self._ranked(scores, self._chance[row])

    def drop(self, row: int, column: int | None = None) -> None:
        """Leave a cell out of a column, or out of all."""
        self._rank[row, slice(None) if column is None else column] = -np.inf

    def _ranked(self, scores: np.ndarray, chance: np.ndarray) -> np.ndarray:
        is_worth = scores > self._least
        logs = np.log(scores, out=np.full(scores.shape, -np.inf), where=is_worth)
        ranked: np.ndarray = logs + chance
        return ranked


def _are_apart(one: WorkItem, other: WorkItem, tile: Zyx) -> bool:
    """Whether two regions are listed for voxels that are a tile apart or more."""
    return any(
        abs(a - b) >= t for a, b, t in zip(one.centre, other.centre, tile, strict=True)
    )
