"""How far the surfaces of two raters are apart: mean, 95 % and largest, in µm.

A voxel of a class is on its surface if one of its six neighbours, as both raters see
them, is not of the class or is outside the volume. For every surface voxel of one rater
the nearest one of the other is searched for, and the other way round::

    block of A's surface ──▶ B's surface, block by block, the nearest block first,
                             until the next block is farther than all that was found

That is exact at any distance and any block size. A block's surface is a tree of points;
only the latest trees are held, others are made anew from the volume when needed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.vote_count import BLOCK, in_threads
from napari_unetseg.geometry import BlockGrid, Box, Zyx

MOST_POINTS = 2_000_000
"""What is held at a time, some 100 bytes each."""
_SHARE = 0.95
_DECIMALS = 9


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
        Takes a step per pair and block.
    """
    found = []
    for a, b in combinations(range(len(ratings.names)), 2):
        surfaces = _Surfaces(ratings, (a, b), classes, block)
        surfaces.find(threads, steps)
        for class_id in classes:
            there, back = (surfaces.distances(class_id, s, threads) for s in (0, 1))
            found.append(_summary(a, b, class_id, there, back))
    return found


def surface_of(mask: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return which voxels of a mask have a face in common with a voxel of the rest.

    Parameters
    ----------
    mask, rest
        zyx; both with one voxel more on every side than what is returned.
    """
    inner = mask[1:-1, 1:-1, 1:-1]
    is_beside = np.zeros(inner.shape, bool)
    for axis in range(3):
        for shift in (0, 2):
            cut = [slice(1, -1)] * 3
            cut[axis] = slice(shift, shift + inner.shape[axis])
            is_beside |= rest[tuple(cut)]
    return inner & is_beside


@dataclass(frozen=True)
class _Piece:
    """The surface inside a block; ``low`` and ``high`` hold all its points, in µm."""

    box: Box
    low: np.ndarray
    high: np.ndarray


class _Surfaces:
    """The surfaces of two raters; any thread may ask for points."""

    def __init__(
        self,
        ratings: Ratings,
        pair: tuple[int, int],
        classes: Sequence[int],
        block: Zyx,
    ) -> None:
        self._ratings, self._pair, self._classes = ratings, pair, classes
        self._grid = BlockGrid(ratings.shape, block, (1, 1, 1))
        self._size = np.array(ratings.voxel_size_um)
        self._pieces: dict[tuple[int, int], list[_Piece]] = {}
        self._trees: OrderedDict[tuple[int, int, Box], cKDTree] = OrderedDict()
        self._n_points = 0
        self._lock = threading.Lock()

    def find(self, threads: int, steps: Steps | None) -> None:
        """Look through the volume for surfaces."""
        boxes = ((b.write_box, b.read_box) for b in self._grid)
        for box, found in in_threads(self._look_at, boxes, threads):
            for key, points in found.items():
                piece = _Piece(box, points.min(axis=0), points.max(axis=0))
                self._pieces.setdefault(key, []).append(piece)
            if steps is not None:
                steps.check()
                steps.done("surfaces")

    def distances(
        self, class_id: int, side: int, threads: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances from one side's surface to the other, and how many."""
        own = self._pieces.get((class_id, side), [])
        other = self._pieces.get((class_id, 1 - side), [])
        if not own or not other:
            return np.zeros(0), np.zeros(0, np.int64)
        by_box = {piece.box: piece for piece in own}

        def nearest(boxes: tuple[Box, Box]) -> tuple[np.ndarray, np.ndarray]:
            piece = by_box[boxes[0]]
            points = self._tree((class_id, side, piece.box)).data
            far = self._nearest(points, piece, (class_id, 1 - side), other)
            values, counts = np.unique(np.round(far, _DECIMALS), return_counts=True)
            return values, counts

        values, counts = np.zeros(0), np.zeros(0, np.int64)
        work = ((piece.box, piece.box) for piece in own)
        for more, n in in_threads(nearest, work, threads):
            values, place = np.unique(np.r_[values, more], return_inverse=True)
            counts = np.bincount(place, np.r_[counts, n]).astype(np.int64)
        return values, counts

    def _nearest(
        self,
        points: np.ndarray,
        piece: _Piece,
        key: tuple[int, int],
        others: Sequence[_Piece],
    ) -> np.ndarray:
        low = np.array([o.low for o in others])
        high = np.array([o.high for o in others])
        gap = np.maximum(0, np.maximum(low - piece.high, piece.low - high))
        at_least = np.sqrt((gap**2).sum(axis=1))
        best = np.full(len(points), np.inf)
        for number in np.argsort(at_least, kind="stable"):
            if at_least[number] > best.max():
                break
            other = others[number]
            gaps = np.maximum(0, np.maximum(other.low - points, points - other.high))
            open_ = np.sqrt((gaps**2).sum(axis=1)) < best
            if open_.any():
                tree = self._tree((*key, other.box))
                found, _ = tree.query(points[open_])
                best[open_] = np.minimum(best[open_], found)
        return best

    def _look_at(
        self, boxes: tuple[Box, Box]
    ) -> tuple[Box, dict[tuple[int, int], np.ndarray]]:
        box, around = boxes
        same = self._ratings.values_all_over(around)
        if same is not None and not any(v not in (0, UNSET) for v in same):
            return box, {}
        values = self._read(box, around)
        found = {}
        for class_id in self._classes:
            for side in (0, 1):
                points = self._points(values, side, class_id, box)
                if len(points):
                    found[class_id, side] = points
        return box, found

    def _read(self, box: Box, around: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what both said with a margin of one voxel, and what both labelled.

        Outside the volume is labelled, as no class.
        """
        values = [self._ratings.read_one(number, around) for number in self._pair]
        known = (values[0] != UNSET) & (values[1] != UNSET)
        missing = box.grown(1)
        pad = [
            (a - m, n - b)
            for a, b, m, n in zip(
                around.start, around.stop, missing.start, missing.stop, strict=True
            )
        ]
        left, right = (np.pad(v, pad) for v in values)
        return left, right, np.pad(known, pad, constant_values=True)

    def _points(
        self,
        values: tuple[np.ndarray, np.ndarray, np.ndarray],
        side: int,
        class_id: int,
        box: Box,
    ) -> np.ndarray:
        is_class, known = values[side] == class_id, values[2]
        if not is_class.any():
            return np.zeros((0, 3))
        at = np.argwhere(surface_of(is_class & known, known & ~is_class))
        points: np.ndarray = (at + box.start) * self._size
        return points

    def _tree(self, key: tuple[int, int, Box]) -> cKDTree:
        with self._lock:
            if key in self._trees:
                self._trees.move_to_end(key)
                return self._trees[key]
        class_id, side, box = key
        around = box.grown(1).clipped(self._ratings.shape)
        tree = cKDTree(self._points(self._read(box, around), side, class_id, box))
        with self._lock:
            if key not in self._trees:
                self._trees[key] = tree
                self._n_points += tree.n
            while self._n_points > MOST_POINTS and len(self._trees) > 1:
                _, dropped = self._trees.popitem(last=False)
                self._n_points -= dropped.n
        return tree


def _summary(
    a: int,
    b: int,
    class_id: int,
    there: tuple[np.ndarray, np.ndarray],
    back: tuple[np.ndarray, np.ndarray],
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
