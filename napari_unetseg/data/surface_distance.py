"""How far the surfaces of two raters are apart: mean, 95 % and largest, in µm.

A voxel of a class is on its surface if one of its six neighbours, as both raters see
them, is not of the class or is outside the volume. For every surface voxel of one rater
the nearest one of the other is searched for, and the other way round::

    1  A's surface in a block ──▶ B's surface in the block and a margin: right for all
                                  that is nearer than the margin, which most is
    2  the few that are left  ──▶ B's surface block by block, the nearest block first,
                                  until the next one is farther than what was found

That is exact at any distance and any block size. A block's surface is a tree of points;
only the latest trees are held, others are made anew from the volume when needed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from scipy.spatial import cKDTree

from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.surfaces import ReadBox, Side
from napari_unetseg.data.vote_count import BLOCK, in_threads
from napari_unetseg.data.vote_patterns import is_object
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

MOST_POINTS = 2_000_000
"""What is held at a time, some 100 bytes each."""
_SHARE = 0.95
_DECIMALS = 9
_REACH = 6
"""The margin, in the shortest edge of a voxel."""
_ROUNDING = 1e-6
_Counted: TypeAlias = tuple[np.ndarray, np.ndarray]
_NOTHING: _Counted = (np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class SurfaceDistance:
    """Of a class between raters number ``a`` and ``b``, in µm.

    Attributes
    ----------
    mean
        Over the surface voxels of both (average symmetric surface distance).
    percentile_95
        The larger one of the two directions (robust Hausdorff distance).
    largest
        Hausdorff distance. All None if one of them has no surface.
    """

    a: int
    b: int
    class_id: int
    mean: float | None
    percentile_95: float | None
    largest: float | None


def surface_distances(
    ratings: Ratings,
    classes: Sequence[int],
    *,
    block: Zyx = BLOCK,
    threads: int = 0,
    steps: Steps | None = None,
) -> list[SurfaceDistance]:
    """Measure all pairs of raters, class by class.

    Parameters
    ----------
    block
        What is read at a time, zyx.
    steps
        Takes a step per block.
    """
    surfaces = _Surfaces(ratings, classes, block)
    surfaces.find(threads, steps)
    found = []
    for pair in combinations(range(len(ratings.names)), 2):
        for class_id in classes:
            there, back = (
                surfaces.distances(Side(pair, n, class_id), threads) for n in (0, 1)
            )
            found.append(_summary(*pair, class_id, there, back))
    return found


@dataclass(frozen=True)
class _Piece:
    """The surface inside a block; ``low`` and ``high`` hold all its points, in µm."""

    box: Box
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class _Local:
    """The surface points inside a block, in µm, and how far the other's are, if near.

    What is beyond the margin may be nearer than it says.
    """

    points: np.ndarray
    far: np.ndarray


class _Surfaces:
    """The surfaces of all raters; any thread may ask for points."""

    def __init__(self, ratings: Ratings, classes: Sequence[int], block: Zyx) -> None:
        self._ratings = ratings
        pairs = list(combinations(range(len(ratings.names)), 2))
        self._sides = [
            Side(pair, n, c) for pair in pairs for n in (0, 1) for c in classes
        ]
        self._size = np.array(ratings.voxel_size_um)
        self._reach = _REACH * float(self._size.min())
        self._halo = zyx(int(self._reach / size + _ROUNDING) for size in self._size)
        self._blocks = BlockGrid(ratings.shape, block)
        self._pieces: dict[Side, list[_Piece]] = {}
        self._left: dict[Side, list[_Piece]] = {}
        self._found: dict[Side, _Counted] = {}
        self._trees: OrderedDict[tuple[Side, Box], cKDTree] = OrderedDict()
        self._n_points = 0
        self._lock = threading.Lock()

    def find(self, threads: int, steps: Steps | None) -> None:
        """Look through the volume for surfaces, and measure what is near."""
        boxes = ((b.write_box, b.write_box) for b in self._blocks)
        for box, found in in_threads(self._look_at, boxes, threads):
            for side, local in found.items():
                low, high = local.points.min(axis=0), local.points.max(axis=0)
                piece = _Piece(box, low, high)
                self._pieces.setdefault(side, []).append(piece)
                is_near = local.far <= self._reach
                self._count(side, local.far[is_near])
                if not is_near.all():
                    self._left.setdefault(side, []).append(piece)
            if steps is not None:
                steps.check()
                steps.done("surfaces")

    def distances(self, side: Side, threads: int) -> _Counted:
        """Return the distances from a surface to the other's, and how many of each."""
        others = self._pieces.get(side.other, [])
        if not others:
            return _NOTHING
        by_box = {piece.box: piece for piece in self._left.get(side, [])}

        def measured(boxes: tuple[Box, Box]) -> np.ndarray:
            local = self._local(boxes[0], (side,))[side]
            is_left = local.far > self._reach
            left = _Local(local.points[is_left], local.far[is_left])
            return self._nearest(left, by_box[boxes[0]], side, others)

        for far in in_threads(measured, ((box, box) for box in by_box), threads):
            self._count(side, far)
        return self._found.get(side, _NOTHING)

    def _count(self, side: Side, far: np.ndarray) -> None:
        more, n = np.unique(np.round(far, _DECIMALS), return_counts=True)
        values, counts = self._found.get(side, _NOTHING)
        values, place = np.unique(np.r_[values, more], return_inverse=True)
        counts = np.bincount(place, np.r_[counts, n], len(values)).astype(np.int64)
        self._found[side] = values, counts

    def _nearest(
        self, local: _Local, piece: _Piece, side: Side, others: Sequence[_Piece]
    ) -> np.ndarray:
        """Return how far points are from the other's surface, which is ``others``.

        That of their own block is known already.
        """
        points, best = local.points, local.far.copy()
        low = np.array([o.low for o in others])
        high = np.array([o.high for o in others])
        at_least = _gap(low, high, piece.low, piece.high)
        for number in np.argsort(at_least, kind="stable"):
            if at_least[number] > best.max():
                break
            other = others[number]
            if other.box == piece.box:
                continue
            open_ = _gap(other.low, other.high, points, points) < best
            if open_.any():
                found, _ = self._tree(side.other, other.box).query(points[open_])
                best[open_] = np.minimum(best[open_], found)
        return best

    def _look_at(self, boxes: tuple[Box, Box]) -> tuple[Box, dict[Side, _Local]]:
        return boxes[0], self._local(boxes[0], self._sides)

    def _local(self, box: Box, sides: Sequence[Side]) -> dict[Side, _Local]:
        """Return what surfaces there are in a block, and how far if near."""
        shape = self._ratings.shape
        search = box.grown(self._halo).clipped(shape)
        around = search.grown(1).clipped(shape)
        same = self._ratings.values_all_over(around)
        if same is not None and not is_object(np.array(same)):
            return {}
        read = ReadBox.of(self._ratings, around, search)
        needed = {*sides, *(side.other for side in sides)}
        points = {side: read.surface(side) for side in needed}
        found = {}
        for side in sides:
            at = points[side]
            own = at[((at >= box.start) & (at < box.stop)).all(axis=1)] * self._size
            if not len(own):
                continue
            far = np.full(len(own), np.inf)
            if len(points[side.other]):
                far, _ = cKDTree(points[side.other] * self._size).query(own)
            found[side] = _Local(own, far)
        return found

    def _tree(self, side: Side, box: Box) -> cKDTree:
        with self._lock:
            if (side, box) in self._trees:
                self._trees.move_to_end((side, box))
                return self._trees[side, box]
        around = box.grown(1).clipped(self._ratings.shape)
        read = ReadBox.of(self._ratings, around, box)
        tree = cKDTree(read.surface(side) * self._size)
        with self._lock:
            if (side, box) not in self._trees:
                self._trees[side, box] = tree
                self._n_points += tree.n
            while self._n_points > MOST_POINTS and len(self._trees) > 1:
                _, dropped = self._trees.popitem(last=False)
                self._n_points -= dropped.n
        return tree


def _gap(
    low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray
) -> np.ndarray:
    """Return how far boxes, or points, are apart at least."""
    gap = np.maximum(0, np.maximum(low - other_high, other_low - high))
    far: np.ndarray = np.sqrt((gap**2).sum(axis=-1))
    return far


def _summary(
    a: int,
    b: int,
    class_id: int,
    there: _Counted,
    back: _Counted,
) -> SurfaceDistance:
    if not len(there[0]) or not len(back[0]):
        return SurfaceDistance(a, b, class_id, None, None, None)
    total = there[0] @ there[1] + back[0] @ back[1]
    return SurfaceDistance(
        a,
        b,
        class_id,
        mean=float(total / (there[1].sum() + back[1].sum())),
        percentile_95=max(_quantile(*there), _quantile(*back)),
        largest=float(max(there[0][-1], back[0][-1])),
    )


def _quantile(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the 95th percentile of values that occur so often, interpolated."""
    until = np.cumsum(counts)
    place = _SHARE * (int(until[-1]) - 1)
    low = int(place)
    first, second = np.searchsorted(until, [low, min(low + 1, until[-1] - 1)], "right")
    part = place - low
    return float(values[first] * (1 - part) + values[second] * part)
