"""What was found in each tile, on disk: a run that was killed goes on after the last.

::

    scratch/
      about.json      of which labels, cut how
      ids/            provisional ids, written before
      tiles/0.npz     classes, sizes and pairs, which appear whole or not at all
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_unetseg.geometry import Zyx, zyx

_CHUNK = (32, 128, 128)


class FoundObjects(NamedTuple):
    """The objects of one tile, whose provisional ids follow those of the tile before.

    Attributes
    ----------
    classes, sizes
        Class and number of voxels of each object.
    pairs
        Provisional ids (n, 2) that are one object.
    """

    classes: np.ndarray
    sizes: np.ndarray
    pairs: np.ndarray


class TileLog:
    """Provisional ids and what was found; made by :meth:`open`.

    Attributes
    ----------
    ids
        Provisional ids, uint32 zyx.
    """

    def __init__(self, folder: Path, ids: zarr.Array[Any]) -> None:
        self._folder, self.ids = folder / "tiles", ids

    @classmethod
    def open(cls, folder: Path, about: dict[str, Any], shape: Zyx) -> TileLog:
        """Go on with what a killed run left, if it was about the same; else begin.

        Parameters
        ----------
        about
            All that the objects depend on, as plain data.
        """
        told = json.dumps(about, sort_keys=True)
        path = folder / "about.json"
        if path.exists() and path.read_text() == told:
            return cls(folder, zarr.open_array(folder / "ids", mode="r+"))
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tiles").mkdir(parents=True)
        ids = zarr.create_array(
            folder / "ids",
            shape=shape,
            chunks=zyx(min(c, n) for c, n in zip(_CHUNK, shape, strict=True)),
            dtype="uint32",
            fill_value=0,
            compressors=ZstdCodec(level=1),
        )
        path.write_text(told)
        return cls(folder, ids)

    def load(self, number: int) -> FoundObjects | None:
        """Return what was found in a tile, None if nobody looked yet."""
        path = self._folder / f"{number}.npz"
        if not path.exists():
            return None
        with np.load(path) as stored:
            return FoundObjects(*(stored[name] for name in FoundObjects._fields))

    def save(self, number: int, found: FoundObjects) -> None:
        """Keep what was found in a tile whose ids are written."""
        partial = self._folder / f"{number}.partial.npz"
        np.savez(partial, **found._asdict())
        os.replace(partial, self._folder / f"{number}.npz")
