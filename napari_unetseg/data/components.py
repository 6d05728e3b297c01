"""Connected objects of a volume that is larger than memory.

Three passes over tiles; only lists of objects stay in memory::

    1  label each tile by itself     ids 1 2 3 │ 1 2 │ …   by any number of processes
    2  look at the seams             2 ~ 4  (touching voxels of one class)      "
    3  join, drop the small, number  2, 4 → 1              applied while reading

Voxels touch if they share a face, an edge or a corner (26 neighbours), and belong
together only within a class. Where objects that touch are told apart, a tile looks
into its neighbours, and 2 ~ 4 means that both cover the same voxels there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unetseg.data.engine import Engine, OpenWork, one_by_one
from napari_unetseg.data.split_objects import MARGIN, Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.tile_log import AllIds, TileLog, TileObjects
from napari_unetseg.data.tile_objects import JoinTiles, LabelTiles, ReadLabels
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

_MOST = 2**32 - 2


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
    _provisional: AllIds
    _final: np.ndarray

    def read(self, box: Box) -> np.ndarray:
        """Return object ids, uint32 zyx."""
        ids: np.ndarray = self._final[self._provisional.read(box)]
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
    engine: Engine = one_by_one,
) -> Components:
    """Find the objects of a volume of class ids.

    Parameters
    ----------
    read
        Gives class ids, uint8 zyx, of a box; without splitting asked once for every
        voxel, so that labels that change meanwhile do no harm. Can be pickled if the
        engine has other processes.
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
    engine
        Takes the tiles.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    ExportError
        If there are more objects than 32 bits can number.
    """
    halo = zyx((0, 0, 0)) if splitting is None else MARGIN
    grid = BlockGrid(shape, tile, halo)
    how = None if splitting is None else asdict(splitting)
    log = TileLog.open(scratch, grid, {"labels": fingerprint, "splitting": how})
    labelling = partial(LabelTiles, read, log, splitting)
    _pass(engine, grid, labelling, log.has_tile, steps, "finding objects")
    tiles = [log.load_tile(number) for number in range(len(grid))]
    _check_numbers(tiles)
    ids = log.save_objects(tiles)
    joining = partial(JoinTiles, log, splitting is None)
    _pass(engine, grid, joining, log.has_seam, steps, "joining objects")
    pairs = np.concatenate([log.load_seam(number) for number in range(len(grid))])
    sizes = np.concatenate([[0], *(found.sizes for found in tiles)])
    return _joined(ids, sizes, pairs, min_voxels)


def _pass(
    engine: Engine,
    grid: BlockGrid,
    open_work: OpenWork,
    is_done: Callable[[int], bool],
    steps: Steps,
    text: str,
) -> None:
    """Take all tiles through one kind of work, but for those that are done."""
    todo = []
    for block in grid:
        if is_done(block.index):
            steps.done(text)
        else:
            todo.append(block)
    steps.check()
    for _ in engine(todo, open_work):
        steps.done(text)
        steps.check()
    steps.check()  # an engine that is told to stop ends early


def _check_numbers(tiles: Sequence[TileObjects]) -> None:
    n = sum(len(found.classes) for found in tiles)
    if n > _MOST:
        raise ExportError(
            "There are more objects than can be numbered",
            got=f"{n:,}",
            expected=f"at most {_MOST:,}",
            do="Export classes, or a part of the volume.",
        )


def _joined(
    ids: AllIds, sizes: np.ndarray, pairs: np.ndarray, min_voxels: int
) -> Components:
    n = len(sizes)
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
    kept_classes = ids.classes[representative][kept]
    return Components(
        n_objects=int(kept.sum()),
        class_of=np.insert(kept_classes, 0, 0),
        sizes=np.insert(total[kept], 0, 0),
        _provisional=ids,
        _final=new_id[rank],
    )
