"""The objects of one tile, and which of them go on in the tiles before it.

Both are work that any number of processes may do at the same time: a tile is labelled
without its neighbours, and its seams are looked at when all are labelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from skimage.measure import label

from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.data.tile_log import AllIds, TileLog, TileObjects
from napari_unetseg.geometry import Block, Box

ReadLabels = Callable[[Box], np.ndarray]


class _Labelled(NamedTuple):
    """A tile: its ids, zyx, those with its margin if it has one, and its objects."""

    ids: np.ndarray
    around: np.ndarray | None
    found: TileObjects


@dataclass(frozen=True)
class LabelTiles:
    """Numbers the objects of each tile 1, 2, … and keeps them.

    Attributes
    ----------
    labels
        Gives class ids, uint8 zyx, of a box.
    splitting
        How objects that touch are told apart; None for not at all.
    """

    labels: ReadLabels
    log: TileLog
    splitting: Splitting | None

    def read(self, block: Block) -> np.ndarray:
        """Return the classes of a tile and its margin."""
        return self.labels(block.read_box)

    def take(self, values: np.ndarray, block: Block) -> _Labelled:
        """Label a tile."""
        if self.splitting is None:
            ids, n = label(values, background=0, connectivity=3, return_num=True)
            return _Labelled(ids.astype(np.uint32), None, _objects(ids, values, n))
        inner = block.inner.slices
        around, n = self.splitting.label(values)
        reach = np.bincount(around[inner].ravel(), minlength=n + 1) > 0
        reach[0] = False
        # Those that lie in the margin alone are the neighbours'.
        around = np.where(reach, np.cumsum(reach), 0).astype(np.uint32)[around]
        ids = around[inner]
        return _Labelled(ids, around, _objects(ids, values[inner], int(reach.sum())))

    def write(self, block: Block, labelled: _Labelled) -> None:
        """Write the ids, then the line that says so."""
        self.log.ids[block.write_box.slices] = labelled.ids
        if labelled.around is not None:
            self.log.save_margin(block.index, labelled.around)
        self.log.save_tile(block.index, labelled.found)


@dataclass(frozen=True)
class JoinTiles:
    """Finds which objects of a tile are one with those of tiles before it.

    Voxels of one class that touch belong together. Where objects that touch are told
    apart, two tiles have both labelled the same margin instead, and two ids are one
    object if they have more than half of their voxels there in common.
    """

    log: TileLog
    by_touch: bool

    @cached_property
    def ids(self) -> AllIds:
        """The ids of all tiles."""
        return self.log.all_ids()

    def read(self, block: Block) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return pairs of images of ids: of this tile, and of those before it."""
        if self.by_touch:
            axes = [axis for axis in range(3) if block.write_box.start[axis] > 0]
            return [_face(self.ids, block.write_box, axis) for axis in axes]
        mine = self.log.load_margin(block.index)
        mine[mine > 0] += np.uint32(self.ids.offsets[block.index])
        return [(mine, self.ids.read(block.read_box, before=block.index))]

    def take(
        self, images: list[tuple[np.ndarray, np.ndarray]], block: Block
    ) -> np.ndarray:
        """Return pairs of ids, uint32 (n, 2)."""
        found = [np.empty((0, 2), np.uint32)]
        for mine, others in images:
            if self.by_touch:
                found.append(_touching(mine, others, self.ids.classes))
            else:
                found.append(_overlapping(mine, others))
        return np.concatenate(found)

    def write(self, block: Block, pairs: np.ndarray) -> None:
        """Keep the pairs."""
        self.log.save_seam(block.index, pairs)


def _objects(ids: np.ndarray, values: np.ndarray, n: int) -> TileObjects:
    class_of = np.zeros(n + 1, np.uint8)
    class_of[ids] = values
    sizes = np.bincount(ids.ravel(), minlength=n + 1)
    return TileObjects(class_of[1:], sizes[1:])


def _face(ids: AllIds, tile: Box, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest plane of a tile along an axis, and what lies behind it.

    The second is wider by a voxel on each side, as corners touch too.
    """
    along = [int(number == axis) for number in range(3)]
    last = [(n - 1) * a for n, a in zip(tile.shape, along, strict=True)]
    face = tile.intersection(tile.shifted([-n for n in last]))
    behind = face.shifted([-a for a in along]).grown([1 - a for a in along])
    inside = behind.clipped(ids.grid.shape)
    there = np.zeros(behind.shape, np.uint32)
    there[inside.relative_to(behind).slices] = ids.read(inside)
    return ids.read(face).squeeze(axis), there.squeeze(axis)


def _touching(here: np.ndarray, there: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return pairs of ids of one class that touch across a face."""
    n, m = here.shape
    found = [np.empty(0, np.uint64)]
    for i, j in product(range(3), repeat=2):
        other = there[i : i + n, j : j + m]
        touch = (here > 0) & (other > 0)
        a, b = here[touch], other[touch]
        same = classes[a] == classes[b]
        found.append(np.unique(a[same].astype(np.uint64) << np.uint64(32) | b[same]))
    pairs = np.unique(np.concatenate(found))
    low = pairs & np.uint64(2**32 - 1)
    return np.stack([pairs >> np.uint64(32), low], axis=1).astype(np.uint32)


def _overlapping(mine: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return pairs of ids that share more than half of their union.

    Counted where there are others, as there both had a say.
    """
    known = others > 0
    before, now = others[known].astype(np.int64), mine[known].astype(np.int64)
    old_ids, old = np.unique(before, return_inverse=True)
    new_ids, new = np.unique(now, return_inverse=True)
    key = old * len(new_ids) + new
    both, common = np.unique(key, return_counts=True)
    old_of, new_of = both // max(1, len(new_ids)), both % max(1, len(new_ids))
    union = np.bincount(old)[old_of] + np.bincount(new)[new_of] - common
    same = (new_ids[new_of] > 0) & (2 * common > union)
    pairs = np.stack([old_ids[old_of[same]], new_ids[new_of[same]]], axis=1)
    return pairs.astype(np.uint32)
