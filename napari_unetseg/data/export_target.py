"""Where an export goes: nothing half-written ever stands at the target.

::

    labels.zarr.partial   written tile by tile ──▶ renamed to labels.zarr when complete
    labels.zarr.scratch   provisional object ids, removed unless the process is killed
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.nodes import is_zarr, ome_of, open_node
from napari_unetseg.errors import ExportError, explained_writing
from napari_unetseg.geometry import Box, Zyx

Scale = tuple[float, float, float]


@dataclass(frozen=True)
class ExportedImage:
    """What is written, whatever the format.

    Attributes
    ----------
    shape, voxel_size, origin
        Of the exported part, zyx; size and origin are physical.
    kind
        ``"classes"`` or ``"objects"``.
    chunk
        Of a zarr, zyx.
    box
        Which part of the volume this is, in voxels.
    class_of_object
        Object id → class id; None for classes, or while it is not known.
    """

    name: str
    shape: Zyx
    dtype: np.dtype[Any]
    voxel_size: Scale
    origin: Scale
    unit: str | None
    classes: tuple[ClassInfo, ...]
    kind: str
    chunk: Zyx
    box: Box
    class_of_object: np.ndarray | None = None

    @property
    def n_bytes(self) -> int:
        """Size, uncompressed."""
        return Box.whole(self.shape).n_voxels * self.dtype.itemsize


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse targets that are taken.

    Raises
    ------
    ExportError
        If something is there that may not, or should never, be replaced.
    """
    if not target.exists():
        return
    if not overwrite:
        raise ExportError(
            f"There already is something at {target}",
            do="Choose another target, or allow that it is replaced (overwrite).",
        )
    if target.is_dir() and not _holds_labels(target):
        raise ExportError(
            f"{target} is a folder that holds no labels, so it is not replaced",
            do="Choose another target, or remove the folder yourself.",
        )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a path to write to, and rename it to ``target`` if all went well.

    What stood at the target is gone only when the new one is complete; after a fault
    or a stop nothing is left of the new one.
    """
    partial = beside(target, "partial")
    is_new_folder = not target.parent.exists()
    remove(partial)
    try:
        with explained_writing("the export", target.parent):
            target.parent.mkdir(exist_ok=True)
            yield partial
            _put_in_place(partial, target)
    finally:
        remove(partial)
        if is_new_folder and not any(target.parent.iterdir()):
            target.parent.rmdir()


def beside(target: Path, suffix: str) -> Path:
    """Return a neighbour of the target with one more suffix."""
    return target.with_name(f"{target.name}.{suffix}")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class RawVoxels:
    """Voxels in a file, uncompressed, x fastest: boxes are written in place.

    Parameters
    ----------
    path
        The file; it already has its full length.
    offset
        Where the first voxel stands, in bytes.
    dtype
        With the byte order of the file.
    """

    def __init__(
        self, path: Path, offset: int, shape: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
        self._path, self._offset = path, offset
        self._shape, self._dtype = tuple(shape), dtype

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the values of a box, zyx."""
        _, n_y, n_x = self._shape
        rows = np.ascontiguousarray(values, self._dtype)
        if box.shape[2] == n_x:  # whole rows follow each other: one run per plane
            rows = rows.reshape(box.shape[0], 1, -1)
        z, y, x = box.start
        with self._path.open("r+b") as stream:
            for plane_number, plane in enumerate(rows):
                for row_number, row in enumerate(plane):
                    voxel = ((z + plane_number) * n_y + y + row_number) * n_x + x
                    stream.seek(self._offset + voxel * self._dtype.itemsize)
                    stream.write(row.tobytes())


def _holds_labels(folder: Path) -> bool:
    return is_zarr(folder) and "image-label" in ome_of(open_node(folder))


def _put_in_place(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.replace(target)
        return
    old = beside(target, "replaced")
    remove(old)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    remove(old)
