"""The overlay of one annotator: what they said about each voxel, UNSET elsewhere.

A cache of the journal as a sparse zarr array. It keeps two numbers of journal rows::

    applied   rows up to here are surely on disk: a power cut takes none away
    written   rows up to here are in the array; other processes may read them

Whoever opens it to write applies the rows after ``applied`` again. That is harmless: a
row holds values and not differences. A third attribute, ``row``, is the id of the row
``written``: should the journal have another row of that number, it has lost some.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_unetseg.data.journal import UNSET_OF, Stroke, StrokeVoxels
from napari_unetseg.data.nodes import attributes_of
from napari_unetseg.data.stored_chunks import StoredChunks, is_listed
from napari_unetseg.errors import DamagedOverlayError, explained_writing
from napari_unetseg.geometry import Box, Zyx, zyx

_MANY_FILES = 32
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)


class _Patch(NamedTuple):
    """What a row says: a mask over its box, and values of the same shape."""

    box: Box
    mask: np.ndarray
    new: np.ndarray

    def touches(self, cell: Box) -> bool:
        part = cell.intersection(self.box).relative_to(self.box)
        return bool(self.mask[part.slices].any())


class Overlay:
    """The labels of one annotator, zyx; made by :meth:`open`.

    Attributes
    ----------
    reached
        Row of the journal up to which the array is brought.
    last_uuid
        Id of the last row written; None in overlays from before ids were kept.
    """

    def __init__(self, path: Path, array: zarr.Array[Any], *, read_only: bool) -> None:
        attributes = attributes_of(array)
        self._path, self._array = path, array
        self._unsynced: set[str] = set()
        self.chunk: Zyx = zyx(array.chunks)
        self.unset = UNSET_OF[array.dtype]
        self.last_uuid: str | None = attributes.get("row")
        self._stored = StoredChunks(path, is_new=attributes["applied"] == 0)
        self.reached = int(attributes["written" if read_only else "applied"])

    @classmethod
    def open(
        cls,
        folder: Path,
        annotator: str,
        *,
        shape: Zyx,
        dtype: Any,
        chunk: Zyx,
        voxel_size: Sequence[float],
        unit: str | None = None,
        read_only: bool = False,
        anew: bool = False,
    ) -> Self | None:
        """Open an overlay, or make an empty one.

        Parameters
        ----------
        anew
            Throw away what is there.

        Returns
        -------
        Overlay or None
            None if there is none and none may be made.
        """
        path = _path_of(folder, annotator)
        found = None if anew else _found(path, shape, dtype, read_only)
        if found is not None or read_only:
            return None if found is None else cls(path, found, read_only=read_only)
        with explained_writing("the labels", path):
            if path.exists():
                shutil.rmtree(path)
            folder.mkdir(parents=True, exist_ok=True)
            made = zarr.create_array(
                path,
                shape=shape,
                chunks=zyx(min(c, n) for c, n in zip(chunk, shape, strict=True)),
                dtype=dtype,
                fill_value=UNSET_OF[np.dtype(dtype)],
                compressors=ZstdCodec(level=1),
                dimension_names=("z", "y", "x"),
                attributes={
                    "annotator": annotator,
                    "applied": 0,
                    "written": 0,
                    "lists_chunks": True,
                    "voxel_size": list(voxel_size),
                    "unit": unit,
                },
            )
        return cls(path, made, read_only=False)

    def read(self, box: Box) -> np.ndarray:
        """Return the labels of a box, zyx; UNSET where nothing was said.

        Raises
        ------
        DamagedOverlayError
            If a chunk is torn, or gone.
        """
        gone = self._stored.first_gone(map(self._name_of, self.cells(box)))
        if gone is not None:
            raise self._damaged(f"{gone} is gone")
        try:
            return np.asarray(self._array[box.slices])
        except (ValueError, RuntimeError) as error:
            raise self._damaged(error) from error

    def apply(self, rows: Sequence[tuple[Stroke, StrokeVoxels]]) -> None:
        """Write the new values of journal rows, in order; each chunk is written once.

        Raises
        ------
        DiskFullError, ReadOnlyError, DamagedOverlayError
            If it cannot be done; doing it again later is harmless.
        """
        if not rows:
            return
        by_cell: dict[Box, list[_Patch]] = {}
        for row, voxels in rows:
            patch = _Patch(row.box, voxels.mask, voxels.dense())
            for cell in self.cells(row.box):
                if patch.touches(cell):
                    by_cell.setdefault(cell, []).append(patch)
        with explained_writing("the labels", self._path):
            hull = reduce(Box.hull, by_cell)
            if len(rows) == 1 and hull.n_voxels <= 2 * sum(c.n_voxels for c in by_cell):
                # A compact stroke: one call of zarr for all chunks is much faster.
                by_cell = {hull: next(iter(by_cell.values()))}
            for cells, patches in by_cell.items():
                names = [self._name_of(cell) for cell in self.cells(cells)]
                self._unsynced.update(names)
                self._write(cells, patches)
                self._stored.note(names)
            self.reached, self.last_uuid = rows[-1][0].sequence, rows[-1][0].uuid
            self._array.update_attributes(
                {"written": self.reached, "row": self.last_uuid}
            )

    def holds_labels(self, cell: Box) -> bool:
        """Whether a chunk holds labels: chunks of UNSET alone are not stored."""
        return self._name_of(cell) in self._stored

    def stored(self) -> list[Box]:
        """Return the chunks that are files, whether anybody knows of them or not."""
        names = (name.split("/")[1:] for name in self._stored.on_disk())
        starts = (zyx(int(i) * c for i, c in zip(name, self.chunk, strict=True))
                  for name in names)  # fmt: skip
        boxes = (Box(start, zyx(a + c for a, c in zip(start, self.chunk, strict=True)))
                 for start in starts)  # fmt: skip
        return [box.clipped(self._array.shape) for box in boxes]

    def checkpoint(self) -> None:
        """Make sure that all that was written survives a power cut."""
        if attributes_of(self._array)["applied"] == self.reached:
            return
        with explained_writing("the labels", self._path):
            _sync([self._path / name for name in self._unsynced])
            self._stored.save()
            self._array.update_attributes({"applied": self.reached})
            _sync([self._path / "zarr.json"])
        self._unsynced.clear()

    def cells(self, box: Box) -> Iterator[Box]:
        """Yield the chunks that a box touches, cut at the end of the volume."""
        for cell in box.cells(self.chunk):
            yield cell.clipped(self._array.shape)

    def _write(self, box: Box, patches: Sequence[_Patch]) -> None:
        """Write into a box of whole chunks."""
        values = self.read(box)
        for patch in patches:
            paste(values, box, patch.box, patch.mask, patch.new)
        self._array[box.slices] = values

    def _name_of(self, cell: Box) -> str:
        """Return the file of a chunk."""
        index = zyx(a // c for a, c in zip(cell.start, self.chunk, strict=True))
        return self._array.metadata.encode_chunk_key(index)

    def _damaged(self, why: object) -> DamagedOverlayError:
        return DamagedOverlayError(
            f"The labels at {self._path.name} are damaged, {why}",
            do="Open the project to write: they are made anew from the journal.",
        )


def paste(
    values: np.ndarray, box: Box, at: Box, mask: np.ndarray, new: np.ndarray
) -> None:
    """Write what a stroke at ``at`` says into the values of a box."""
    part = at.intersection(box)
    if not part.is_empty:
        inside = part.relative_to(at).slices
        target = values[part.relative_to(box).slices]
        np.copyto(target, new[inside], where=mask[inside])


def folder_name(annotator: str) -> str:
    """Return a name that every file system takes."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", annotator)[:40].strip("_")
    if safe == annotator and not _RESERVED.fullmatch(safe):
        return safe
    return f"{safe or 'annotator'}-{_digest(annotator)}"


def _path_of(folder: Path, annotator: str) -> Path:
    """Return the folder of an annotator, not that of somebody else.

    Where capitals do not count in file names, Ana and ana would share one.
    """
    name = folder_name(annotator)
    owner = _owner(folder / f"{name}.zarr")
    if owner not in (None, annotator):
        name = f"{name}-{_digest(annotator)}"
    return folder / f"{name}.zarr"


def owners(folder: Path) -> list[tuple[str, Path]]:
    """Return whose overlays there are, and where."""
    found = ((_owner(path), path) for path in sorted(folder.glob("*.zarr")))
    return [(name, path) for name, path in found if name is not None]


def _digest(annotator: str) -> str:
    return hashlib.sha256(annotator.encode()).hexdigest()[:6]


def _owner(path: Path) -> str | None:
    try:
        attributes = attributes_of(zarr.open_array(path, mode="r"))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(attributes["annotator"]) if "annotator" in attributes else None


def _found(
    path: Path, shape: Zyx, dtype: Any, read_only: bool
) -> zarr.Array[Any] | None:
    """Return a sound array; absent or torn is all one, the journal has it all."""
    try:
        found: Any = zarr.open_array(path, mode="r" if read_only else "r+")
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    attributes = attributes_of(found)
    is_sound = (
        found.shape == tuple(shape)
        and found.dtype == np.dtype(dtype)
        and {"applied", "written"} <= attributes.keys()
        and not (
            attributes["applied"]
            and attributes.get("lists_chunks")
            and not is_listed(path)
        )
    )
    return found if is_sound else None


def _sync(paths: Sequence[Path]) -> None:
    """Wait until files are on disk; those that are gone count by their folder."""
    if len(paths) > _MANY_FILES and sys.platform == "linux":
        os.sync()  # waits, and asks the disk once instead of once per file
        return
    for path in paths:
        if path.exists():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    if os.name == "nt":  # folders cannot be opened there
        return
    for folder in {p for path in paths for p in path.parents[:4] if p.exists()}:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
