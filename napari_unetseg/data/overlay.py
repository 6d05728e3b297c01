"""The overlay of one annotator: what they said about each voxel, UNSET elsewhere.

A cache of the journal as a sparse zarr array. It knows up to which row it has been
brought, so that a process killed in between is caught up with on opening.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_unetseg.data.nodes import attributes_of
from napari_unetseg.errors import explained_writing
from napari_unetseg.geometry import Box, Zyx, zyx

UNSET_OF = {np.dtype("uint8"): 255, np.dtype("uint32"): 2**32 - 1}
UNSET = UNSET_OF[np.dtype("uint8")]


class Overlay:
    """The labels of one annotator, zyx; made by :meth:`open`."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self.chunk: Zyx = zyx(array.chunks)
        self.unset = UNSET_OF[array.dtype]
        attributes = attributes_of(array)
        self.annotator = str(attributes["annotator"])
        self.applied = int(attributes["applied"])

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
        read_only: bool = False,
    ) -> Self | None:
        """Open an overlay, or make an empty one.

        Returns
        -------
        Overlay or None
            None if there is none and none may be made.
        """
        path = folder / f"{folder_name(annotator)}.zarr"
        try:
            found: Any = zarr.open_array(path, mode="r" if read_only else "r+")
            if found.shape == tuple(shape) and found.dtype == np.dtype(dtype):
                return cls(found)
        except (FileNotFoundError, ValueError, KeyError):
            pass  # absent or torn: the journal has it all
        if read_only:
            return None
        with explained_writing("the labels", path):
            shutil.rmtree(path, ignore_errors=True)
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
                    "voxel_size": list(voxel_size),
                },
            )
        return cls(made)

    def read(self, box: Box) -> np.ndarray:
        """Return the labels of a box, zyx; UNSET where nothing was said."""
        return np.asarray(self._array[box.slices])

    def apply(self, box: Box, mask: np.ndarray, new: np.ndarray, sequence: int) -> None:
        """Write the new values of a stroke where its mask is set.

        Parameters
        ----------
        sequence
            Row of the journal that the overlay is up to date with afterwards.
        """
        with explained_writing("the labels", str(self._array.store_path)):
            values = np.zeros(mask.shape, self._array.dtype)
            values[mask] = new
            for cell in self.cells(box):
                part = cell.intersection(box)
                inside = part.relative_to(box).slices
                if mask[inside].any():
                    known = self.read(part)
                    known[mask[inside]] = values[inside][mask[inside]]
                    self._array[part.slices] = known
            self._array.update_attributes({"applied": sequence})
        self.applied = sequence

    def cells(self, box: Box) -> Iterator[Box]:
        """Yield the chunks that a box touches, cut at the end of the volume."""
        for cell in box.cells(self.chunk):
            yield cell.clipped(self._array.shape)


def folder_name(annotator: str) -> str:
    """Return a name that every file system takes, another one for every annotator."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", annotator)[:40].strip("_")
    if safe == annotator:
        return safe
    return f"{safe or 'annotator'}-{hashlib.sha256(annotator.encode()).hexdigest()[:6]}"
