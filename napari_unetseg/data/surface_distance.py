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
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.vote_count import BLOCK, in_threads
from napari_unetseg.data.vote_patterns import is_object
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
        Takes a step per block.
    """
    surfaces = _Surfaces(ratings, classes, block)
    surfaces.find(threads, steps)
    found = []
    for pair in combinations(range(len(ratings.names)), 2):
        for class_id in classes:
            there, back = (
                surfaces.distances(_Side(pair, n, class_id), threads) for n in (0, 1)
            )
            found.append(_summary(*pair, class_id, there, back))
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


class _Side(NamedTuple):
    """One rater of a pair, number 0 or 1, and a class."""

    pair: tuple[int, int]
    number: int
    class_id: int

    @property
    def other(self) -> _Side:
        return self._replace(number=1 - self.number)


@dataclass(frozen=True)
class _Piece:
    """The surface inside a block; ``low`` and ``high`` hold all its points, in µm."""

    box: Box
    low: np.ndarray
    high: np.ndarray


class _Surfaces:
    """The surfaces of all raters; any thread may ask for points."""

    def __init__(self, ratings: Ratings, classes: Sequence[int], block: Zyx) -> None:
        self._ratings = ratings
        pairs = list(combinations(range(len(ratings.names)), 2))
        self._sides = [
            _Side(pair, n, c) for pair in pairs for n in (0, 1) for c in classes
        ]
        self._grid = BlockGrid(ratings.shape, block, (1, 1, 1))
        self._size = np.array(ratings.voxel_size_um)
        self._pieces: dict[_Side, list[_Piece]] = {}
        self._trees: OrderedDict[tuple[_Side, Box], cKDTree] = OrderedDict()
        self._n_points = 0
        self._lock = threading.Lock()

    def find(self, threads: int, steps: Steps | None) -> None:
        """Look through the volume for surfaces."""
        boxes = ((b.write_box, b.read_box) for b in self._grid)
        for box, found in in_threads(self._look_at, boxes, threads):
            for side, points in found.items():
                piece = _Piece(box, points.min(axis=0), points.max(axis=0))
                self._pieces.setdefault(side, []).append(piece)
            if steps is not None:
                steps.check()
                steps.done("surfaces")

    def distances(self, side: _Side, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances from a surface to the other's, and how many of each."""
        values, counts = np.zeros(0), np.zeros(0, np.int64)
        by_box = {piece.box: piece for piece in self._pieces.get(side, [])}
        others = self._pieces.get(side.other, [])
        if not by_box or not others:
            return values, counts

        def nearest(boxes: tuple[Box, Box]) -> tuple[np.ndarray, np.ndarray]:
            piece = by_box[boxes[0]]
            points = self._tree(side, piece.box).data
            far = self._nearest(points, piece, side.other, others)
            found, n = np.unique(np.round(far, _DECIMALS), return_counts=True)
            return found, n

        for more, n in in_threads(nearest, ((box, box) for box in by_box), threads):
            values, place = np.unique(np.r_[values, more], return_inverse=True)
            counts = np.bincount(place, np.r_[counts, n]).astype(np.int64)
        return values, counts

    def _nearest(
        self, points: np.ndarray, piece: _Piece, side: _Side, others: Sequence[_Piece]
    ) -> np.ndarray:
        """Return how far each point is from a surface, which is in ``others``."""
        low = np.array([o.low for o in others])
        high = np.array([o.high for o in others])
        at_least = _gap(low, high, piece.low, piece.high)
        best = np.full(len(points), np.inf)
        for number in np.argsort(at_least, kind="stable"):
            if at_least[number] > best.max():
                break
            other = others[number]
            open_ = _gap(other.low, other.high, points, points) < best
            if open_.any():
                found, _ = self._tree(side, other.box).query(points[open_])
                best[open_] = np.minimum(best[open_], found)
        return best

    def _look_at(self, boxes: tuple[Box, Box]) -> tuple[Box, dict[_Side, np.ndarray]]:
        box, around = boxes
        same = self._ratings.values_all_over(around)
        if same is not None and not is_object(np.array(same)):
            return box, {}
        values = [_padded(v, around, box) for v in self._ratings.read(around)]
        outside = _padded(np.zeros(around.shape, bool), around, box, fill=True)
        found = {}
        for side in self._sides:
            points = self._points(side, values, outside, box)
            if len(points):
                found[side] = points
                self._keep(side, box, cKDTree(points))
        return box, found

    def _points(
        self,
        side: _Side,
        values: Sequence[np.ndarray],
        outside: np.ndarray,
        box: Box,
    ) -> np.ndarray:
        """Return the surface inside a block, in µm.

        Parameters
        ----------
        values, outside
            With one voxel more than the block on every side. Outside of the volume is
            labelled, as no class.
        """
        is_class = values[side.pair[side.number]] == side.class_id
        if not is_class.any():
            return np.zeros((0, 3))
        (held,) = ndimage.find_objects(is_class.view(np.uint8))
        part = Box.from_slices(held).grown(1).clipped(is_class.shape)
        left, right = (values[n][part.slices] for n in side.pair)
        known = (left != UNSET) & (right != UNSET)
        mask = is_class[part.slices] & known
        rest = (known & ~mask) | outside[part.slices]
        at = np.argwhere(surface_of(mask, rest))
        start = np.array(box.start) + part.start
        points: np.ndarray = (at + start) * self._size
        return points

    def _tree(self, side: _Side, box: Box) -> cKDTree:
        with self._lock:
            if (side, box) in self._trees:
                self._trees.move_to_end((side, box))
                return self._trees[side, box]
        around = box.grown(1).clipped(self._ratings.shape)
        values = [_padded(v, around, box) for v in self._ratings.read(around)]
        outside = _padded(np.zeros(around.shape, bool), around, box, fill=True)
        return self._keep(side, box, cKDTree(self._points(side, values, outside, box)))

    def _keep(self, side: _Side, box: Box, tree: cKDTree) -> cKDTree:
        with self._lock:
            if (side, box) not in self._trees:
                self._trees[side, box] = tree
                self._n_points += tree.n
            while self._n_points > MOST_POINTS and len(self._trees) > 1:
                _, dropped = self._trees.popitem(last=False)
                self._n_points -= dropped.n
        return tree


def _padded(
    values: np.ndarray, around: Box, box: Box, *, fill: bool = False
) -> np.ndarray:
    """Return values with the voxel that is missing where the volume ends."""
    wanted = box.grown(1)
    pad = [
        (a - m, n - b)
        for a, b, m, n in zip(
            around.start, around.stop, wanted.start, wanted.stop, strict=True
        )
    ]
    return np.pad(values, pad, constant_values=fill)


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
