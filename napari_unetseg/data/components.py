"""Connected objects of a volume that is larger than memory.

Three passes over tiles; only lists of objects stay in memory::

    1  label each tile by itself     ids 1 2 3 │ 4 5 │ …   provisional, on disk
    2  look at the seams             2 ~ 4  (touching voxels of one class)
    3  join, drop the small, number  2, 4 → 1              applied while reading

Voxels touch if they share a face, an edge or a corner (26 neighbours), and belong
together only within a class. Where objects that touch are told apart, a tile looks
into its neighbours, and 2 ~ 4 means that both cover the same voxels there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from napari_unetseg.data.split_objects import MARGIN, Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.tile_log import FoundObjects, TileLog
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import Box, Zyx

_MOST = 2**32 - 2

_NO_PAIRS = np.empty((0, 2), np.uint32)

ReadLabels = Callable[[Box], np.ndarray]


@dataclass(frozen=True)
class Components:
    """The objects of a volume, numbered 1, 2, … in reading order at first.

    Attributes
    ----------
    n_objects
        How many there are.
    class_of
        Object id → class id, uint8; 0 where there is no object of this id.
    sizes
        Object id → number of voxels.
    """

    n_objects: int
    class_of: np.ndarray
    sizes: np.ndarray
    _provisional: zarr.Array[Any]
    _final: np.ndarray

    def read(self, box: Box) -> np.ndarray:
        """Return object ids, uint32 zyx."""
        ids: np.ndarray = self._final[np.asarray(self._provisional[box.slices])]
        return ids

    def renumbered(self, ids: np.ndarray) -> Components:
        """Return the same objects with other ids.

        Parameters
        ----------
        ids
            The new id of each object, all different; 0 → 0.
        """
        class_of = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
        sizes = np.zeros(len(class_of), np.int64)
        class_of[ids], sizes[ids] = self.class_of, self.sizes
        return replace(self, class_of=class_of, sizes=sizes, _final=ids[self._final])

    def read_classes(self, box: Box) -> np.ndarray:
        """Return the classes of the objects, uint8 zyx; those dropped are gone."""
        classes: np.ndarray = self.class_of[self.read(box)]
        return classes


def find_components(
    read: ReadLabels,
    shape: Zyx,
    scratch: Path,
    steps: Steps,
    *,
    tile: Zyx,
    min_voxels: int = 0,
    splitting: Splitting | None = None,
    fingerprint: str = "",
) -> Components:
    """Find the objects of a volume of class ids.

    Parameters
    ----------
    read
        Gives class ids, uint8 zyx, of a box; without splitting asked once for every
        voxel, so that labels that change meanwhile do no harm.
    scratch
        Folder for provisional ids; the caller removes it when the objects are read.
        What a killed run has left there of the same labels is not done again.
    steps
        Takes two steps per tile.
    tile
        What is labelled at a time, zyx.
    min_voxels
        Smaller objects are dropped.
    splitting
        How objects that touch are told apart; None for not at all.
    fingerprint
        Changes with the labels.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    ExportError
        If there are more objects than 32 bits can number.
    """
    about: dict[str, Any] = {"labels": fingerprint, "shape": shape, "tile": tile}
    about["splitting"] = None if splitting is None else asdict(splitting)
    log = TileLog.open(scratch, about, shape)
    tiles = [cell.clipped(shape) for cell in Box.whole(shape).cells(tile)]
    labeller = _Labeller(read, log.ids, splitting)
    for number, box in enumerate(tiles):
        steps.check()
        found = log.load(number)
        if found is None:
            found = labeller.take(box)
            log.save(number, found)
        labeller.add(found)
        steps.done("finding objects")
    classes = np.concatenate(labeller.classes)
    seams = _seams(log.ids, tiles, classes, steps, by_touch=splitting is None)
    pairs = np.concatenate([_NO_PAIRS, *labeller.pairs, *seams])
    sizes = np.concatenate(labeller.sizes)
    return _joined(log.ids, classes, sizes, pairs, min_voxels)


class _Labeller:
    """Numbers the objects of one tile after the other.

    Attributes
    ----------
    classes, sizes
        Of the objects by provisional id, in parts.
    pairs
        Provisional ids that are one object, found in the margins of tiles.
    """

    def __init__(
        self,
        read: ReadLabels,
        provisional: zarr.Array[Any],
        splitting: Splitting | None,
    ) -> None:
        self._read, self._provisional = read, provisional
        self._splitting = splitting
        self.classes, self.sizes = [np.zeros(1, np.uint8)], [np.zeros(1, np.int64)]
        self.pairs: list[np.ndarray] = []
        self._n = 0

    def add(self, found: FoundObjects) -> None:
        """Count the objects of a tile; the next one's ids follow theirs."""
        self.classes.append(found.classes)
        self.sizes.append(found.sizes)
        self.pairs.append(found.pairs)
        self._n += len(found.classes)

    def take(self, box: Box) -> FoundObjects:
        """Label a tile and write its provisional ids."""
        if self._splitting is None:
            values = self._read(box)
            ids, n_found = label(values, background=0, connectivity=3, return_num=True)
            return self._written(box, ids, values, n_found, _NO_PAIRS)
        grown = box.grown(MARGIN).clipped(self._provisional.shape)
        around = self._read(grown)
        ids, n_found = self._splitting.label(around)
        return self._take_split(box, grown, ids, around, n_found)

    def _take_split(
        self, box: Box, grown: Box, ids: np.ndarray, values: np.ndarray, n_found: int
    ) -> FoundObjects:
        """Write those objects that reach the tile, and find what they were before.

        Tiles before this one have labelled parts of the margin: an object there and
        one here are the same if more than half of what either has is common.
        """
        inner = box.relative_to(grown).slices
        here = np.bincount(ids[inner].ravel(), minlength=n_found + 1) > 0
        here[0] = False
        number = np.where(here, np.cumsum(here), 0).astype(np.int32)
        known = np.asarray(self._provisional[grown.slices])
        # Of the tile itself, a killed run may have left some.
        known[inner] = 0
        pairs = _overlapping(known, ids, here)
        pairs[:, 1] = number[pairs[:, 1]] + self._n
        return self._written(
            box,
            number[ids[inner]],
            values[inner],
            int(here.sum()),
            pairs.astype(np.uint32),
        )

    def _written(
        self,
        box: Box,
        ids: np.ndarray,
        values: np.ndarray,
        n_found: int,
        pairs: np.ndarray,
    ) -> FoundObjects:
        if self._n + n_found > _MOST:
            raise ExportError(
                "There are more objects than can be numbered",
                expected=f"at most {_MOST:,}",
                do="Export classes, or a part of the volume.",
            )
        class_of = np.zeros(n_found + 1, np.uint8)
        class_of[ids] = values
        shifted = ids.astype(np.uint32)
        shifted[shifted > 0] += np.uint32(self._n)
        self._provisional[box.slices] = shifted
        sizes = np.bincount(ids.ravel(), minlength=n_found + 1)
        return FoundObjects(class_of[1:], sizes[1:], pairs)


def _overlapping(known: np.ndarray, ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return pairs (known, new) of which each has more than half of their union.

    Parameters
    ----------
    known, ids
        Images of ids, 0 for nothing.
    wanted
        By new id, whether it counts.
    """
    labelled = known > 0
    before, now = known[labelled], ids[labelled]
    sizes_before = dict(zip(*np.unique(before, return_counts=True), strict=True))
    sizes_now = np.bincount(now, minlength=len(wanted))
    key = before.astype(np.int64) * len(wanted) + now
    both, common = np.unique(key, return_counts=True)
    old, new = both // len(wanted), both % len(wanted)
    union = np.asarray([sizes_before[i] for i in old]) + sizes_now[new] - common
    same = wanted[new] & (2 * common > union)
    return np.stack([old[same], new[same]], axis=1)


def _seams(
    provisional: zarr.Array[Any],
    tiles: list[Box],
    classes: np.ndarray,
    steps: Steps,
    *,
    by_touch: bool,
) -> Iterator[np.ndarray]:
    """Yield pairs of provisional ids that touch across a tile's low faces."""
    for box in tiles:
        steps.check()
        for axis in range(3):
            if by_touch and box.start[axis] > 0:
                yield _touching(provisional, box, axis, classes)
        steps.done("joining objects")


def _touching(
    provisional: zarr.Array[Any], tile: Box, axis: int, classes: np.ndarray
) -> np.ndarray:
    along = [int(number == axis) for number in range(3)]
    last = [(n - 1) * a for n, a in zip(tile.shape, along, strict=True)]
    face = tile.intersection(tile.shifted([-n for n in last]))
    behind = face.shifted([-a for a in along]).grown([1 - a for a in along])
    inside = behind.clipped(provisional.shape)
    here = np.asarray(provisional[face.slices]).squeeze(axis)
    there = np.zeros(behind.shape, np.uint32)
    there[inside.relative_to(behind).slices] = provisional[inside.slices]
    there = there.squeeze(axis)
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


def _joined(
    provisional: zarr.Array[Any],
    classes: np.ndarray,
    sizes: np.ndarray,
    pairs: np.ndarray,
    min_voxels: int,
) -> Components:
    n = len(classes)
    graph = coo_array((np.ones(len(pairs), np.uint8), pairs.T.astype(np.int64)), (n, n))
    _, group = connected_components(graph, directed=False)
    # Number the groups by their first member; the background is the first of all.
    _, first = np.unique(group, return_index=True)
    rank = np.argsort(np.argsort(first))[group]
    total = np.bincount(rank, weights=sizes).astype(np.int64)
    kept = total >= max(1, min_voxels)
    kept[0] = False
    new_id = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    representative = np.sort(first)
    zero = np.zeros(1, np.int64)
    return Components(
        n_objects=int(kept.sum()),
        class_of=np.concatenate([zero, classes[representative][kept]]).astype(np.uint8),
        sizes=np.concatenate([zero, total[kept]]),
        _provisional=provisional,
        _final=new_id[rank],
    )
