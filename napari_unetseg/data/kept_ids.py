"""Ids that objects keep when they are found again after something has changed.

::

    before   7 7 7 . 5 5        now   1 1 . . 2 2 3        kept   7 7 . . 5 5 8

Pairs of an earlier and a new object that share most voxels come first, and every id is
given once: of two that came out of one, the larger keeps its id. All others get ids
above those of the earlier labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from napari_unetseg.data.nodes import attributes_of, is_zarr, open_node
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import Box

ReadIds = Callable[[Box], np.ndarray]


def kept_ids(
    before: ReadIds, now: ReadIds, tiles: Iterable[Box], n_objects: int
) -> np.ndarray:
    """Return the id of each object that was found, uint32; 0 stays 0.

    Parameters
    ----------
    before, now
        Give object ids, zyx, of a box: the earlier ones, and 1 to ``n_objects``.
    tiles
        Boxes that cover both once.
    """
    shared: dict[int, int] = {}
    largest, width = 0, n_objects + 1
    for box in tiles:
        old, new = before(box), now(box)
        largest = max(largest, int(old.max(initial=0)))
        both = (old > 0) & (new > 0)
        keys, counts = np.unique(
            old[both].astype(np.int64) * width + new[both], return_counts=True
        )
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            shared[key] = shared.get(key, 0) + count
    ids = np.zeros(width, np.uint32)
    taken: set[int] = set()
    for key in sorted(shared, key=lambda k: (-shared[k], k)):
        old_id, new_id = divmod(key, width)
        if old_id not in taken and ids[new_id] == 0:
            ids[new_id] = old_id
            taken.add(old_id)
    fresh = np.flatnonzero(ids == 0)[1:]
    ids[fresh] = largest + 1 + np.arange(len(fresh))
    return ids


def earlier_objects(path: Path, box: Box) -> ReadIds:
    """Return what gives the ids of labels that were exported before.

    Raises
    ------
    ExportError
        If they are no objects of this part of the volume.
    """
    if not holds_objects(path, box):
        raise ExportError(
            "These labels have no ids that could be kept",
            got=path,
            expected=f"objects that were exported as OME-Zarr from {box}",
        )
    labels = Volume.open(path)
    return lambda part: labels.read(part, missing="fill")[0]


def holds_objects(path: Path, box: Box) -> bool:
    """Whether objects of this part of the volume were exported to a path."""
    if not path.is_dir() or not is_zarr(path):
        return False
    about = attributes_of(open_node(path)).get("unetseg", {})
    where = {"start": list(box.start), "stop": list(box.stop)}
    return bool(about.get("kind") == "objects" and about.get("box") == where)
