"""What was found in each tile, on disk: a run that was killed goes on after the last.

::

    scratch/
      about.json      of which labels, cut how
      ids/            ids 1, 2, … of each tile by itself, written before
      tiles/0.npz     classes and sizes, which appear whole or not at all
      margins/0/      ids of a tile and what it saw of its neighbours
      objects.npz     of all tiles, when the last one is done
      seams/0.npy     pairs of ids that are one object
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

_CHUNK = (32, 128, 128)


class TileObjects(NamedTuple):
    """The objects 1, 2, … of a tile, or of all: class and number of voxels of each."""

    classes: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class TileLog:
    """What is known of the tiles of a volume; made by :meth:`open`, or anew elsewhere.

    Attributes
    ----------
    folder
        Begun by :meth:`open`.
    grid
        The tiles.
    """

    folder: Path
    grid: BlockGrid

    @classmethod
    def open(cls, folder: Path, grid: BlockGrid, about: dict[str, Any]) -> TileLog:
        """Go on with what a killed run left, if it was about the same; else begin.

        Parameters
        ----------
        about
            All that the objects depend on but the grid, as plain data.
        """
        cut = {"shape": grid.shape, "tile": grid.block, "halo": grid.halo}
        told = json.dumps(about | cut, sort_keys=True)
        path = folder / "about.json"
        if path.exists() and path.read_text() == told:
            return cls(folder, grid)
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("tiles", "margins", "seams"):
            (folder / part).mkdir(parents=True)
        _create_ids(folder / "ids", grid.shape, _chunk_of(grid.block))
        path.write_text(told)
        return cls(folder, grid)

    @cached_property
    def ids(self) -> zarr.Array[Any]:
        """Ids of each tile by itself, uint32 zyx; chunks belong to one tile."""
        return zarr.open_array(self.folder / "ids", mode="r+")

    def has_tile(self, number: int) -> bool:
        """Whether somebody has labelled a tile."""
        return self._tile(number).exists()

    def save_tile(self, number: int, found: TileObjects) -> None:
        """Keep what was found in a tile whose ids are written."""
        path = self._tile(number)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **found._asdict())
        os.replace(partial, path)

    def load_tile(self, number: int) -> TileObjects:
        """Return what was found in a tile."""
        return _loaded(self._tile(number))

    def save_margin(self, number: int, ids: np.ndarray) -> None:
        """Keep the ids of a tile and its margin, uint32 zyx."""
        path = self.folder / "margins" / str(number)
        _create_ids(path, zyx(ids.shape), zyx(ids.shape))[:] = ids

    def load_margin(self, number: int) -> np.ndarray:
        """Return the ids of a tile and its margin."""
        path = self.folder / "margins" / str(number)
        return np.asarray(zarr.open_array(path, mode="r")[:])

    def save_objects(self, tiles: Sequence[TileObjects]) -> AllIds:
        """Keep the objects of all tiles, in their order, for who looks at the seams."""
        counts = [len(found.classes) for found in tiles]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        classes = np.concatenate([[0], *(found.classes for found in tiles)])
        partial = self.folder / "objects.partial.npz"
        np.savez(partial, offsets=offsets, classes=classes.astype(np.uint8))
        os.replace(partial, self.folder / "objects.npz")
        return self.all_ids()

    def all_ids(self) -> AllIds:
        """Return the ids of all tiles together."""
        with np.load(self.folder / "objects.npz") as stored:
            return AllIds(self.grid, self.ids, stored["offsets"], stored["classes"])

    def has_seam(self, number: int) -> bool:
        """Whether somebody has looked at the seams of a tile."""
        return self._seam(number).exists()

    def save_seam(self, number: int, pairs: np.ndarray) -> None:
        """Keep pairs of ids (n, 2) that are one object."""
        path = self._seam(number)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, pairs)
        os.replace(partial, path)

    def load_seam(self, number: int) -> np.ndarray:
        """Return the pairs of a tile, uint32 (n, 2)."""
        return np.asarray(np.load(self._seam(number)))

    def _tile(self, number: int) -> Path:
        return self.folder / "tiles" / f"{number}.npz"

    def _seam(self, number: int) -> Path:
        return self.folder / "seams" / f"{number}.npy"


@dataclass(frozen=True)
class AllIds:
    """Provisional ids: those of a tile follow those of the tile before.

    Attributes
    ----------
    of_tile
        Ids of each tile by itself.
    offsets
        By tile, how many objects all tiles before it have; their total at the end.
    classes
        Id → class, uint8; 0 → 0.
    """

    grid: BlockGrid
    of_tile: zarr.Array[Any]
    offsets: np.ndarray
    classes: np.ndarray

    def read(self, box: Box, *, before: int | None = None) -> np.ndarray:
        """Return ids, uint32 zyx.

        Parameters
        ----------
        before
            Only of tiles before this one; the others are left empty.
        """
        ids = np.array(self.of_tile[box.slices])
        for number in self.grid.touching(box):
            there = self.grid[number].write_box.intersection(box)
            part = ids[there.relative_to(box).slices]
            if before is not None and number >= before:
                part[...] = 0
            else:
                offset = np.uint32(self.offsets[number])
                np.add(part, offset, out=part, where=part > 0)
        return ids


def _create_ids(path: Path, shape: Zyx, chunk: Zyx) -> zarr.Array[Any]:
    return zarr.create_array(
        path,
        shape=shape,
        chunks=zyx(min(c, n) for c, n in zip(chunk, shape, strict=True)),
        dtype="uint32",
        fill_value=0,
        compressors=ZstdCodec(level=1),
        overwrite=True,
    )


def _chunk_of(tile: Zyx) -> Zyx:
    """Return chunks of which a tile has whole ones: nobody else writes to them."""
    parts = (-(-n // most) for n, most in zip(tile, _CHUNK, strict=True))
    return zyx(
        n if n % part else n // part for n, part in zip(tile, parts, strict=True)
    )


def _loaded(path: Path) -> TileObjects:
    with np.load(path) as stored:
        return TileObjects(*(stored[name] for name in TileObjects._fields))
