"""TIFF and NIfTI become OME-Zarr once, streamed: memory does not depend on the file.

::

    file ── slabs ──▶ level 0 ── slabs ──▶ level 1 ── … ──▶ name.zarr.partial
                                                                │ rename
                                                                ▼ name.zarr
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data.file_sources import (
    Scale,
    Source,
    needs_conversion,
    open_source,
)
from napari_unetseg.data.ome_zarr import create_image, read_image
from napari_unetseg.data.pyramid import downsample_mean
from napari_unetseg.data.volume import COMPLETE
from napari_unetseg.errors import (
    Cancelled,
    MetadataError,
    VolumeError,
    explained_writing,
)
from napari_unetseg.events import (
    IsCancelled,
    Message,
    OnEvent,
    Progress,
    RunStarted,
)
from napari_unetseg.geometry import Box, Zyx, zyx

__all__ = ["convert", "default_chunk", "needs_conversion"]

VOXELS_PER_CHUNK = 2**20
SLAB_BYTES = 2**29
"""What is held of the file at once, at most, but never less than one row of chunks."""


def convert(
    source: Path | str,
    target: Path | str,
    config: ConvertConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> Path:
    """Write a TIFF, a folder of TIFFs or a NIfTI file as OME-Zarr 0.5 with a pyramid.

    The target appears when it is complete, and not before.

    Raises
    ------
    VolumeNotFoundError, UnsupportedFormatError, MetadataError, VolumeError
        If the source cannot be read, or there already is something at the target.
    DiskFullError, ReadOnlyError, Cancelled
        If the target cannot be written, or somebody asked to stop; nothing is left.
    """
    source, target = Path(source), Path(target)
    opened = open_source(source)
    if target.exists():
        raise VolumeError(
            f"There already is something at {target}",
            do="Choose another name, or remove it first.",
        )
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with explained_writing(f"the converted volume {target.name}", target.parent):
            _write(opened, partial, target.stem, config, on_event, is_cancelled)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def default_chunk(shape: Zyx, voxel_size: Sequence[float], itemsize: int = 1) -> Zyx:
    """Return chunks of about a million voxels, as cubic as the voxels allow.

    Flatter where planes are so large that a slab of them would not fit into memory.
    """
    coarse = max(1.0, voxel_size[0] / min(voxel_size[1:]))
    depth = 128 if coarse < 1.5 else 64 if coarse < 3 else 32 if coarse < 8 else 16
    while depth > 16 and depth * shape[1] * shape[2] * itemsize > SLAB_BYTES:
        depth //= 2
    plane = int((VOXELS_PER_CHUNK / depth) ** 0.5) // 32 * 32
    return zyx(min(c, n) for c, n in zip((depth, plane, plane), shape, strict=True))


def _write(
    source: Source,
    partial: Path,
    name: str,
    config: ConvertConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> None:
    voxel_size = _voxel_size(source, config)
    itemsize = source.dtype.itemsize * source.n_channels
    chunk = config.chunk or default_chunk(source.shape, voxel_size, itemsize)
    create_image(
        partial,
        shape=source.shape,
        dtype=source.dtype,
        chunk=chunk,
        voxel_size=voxel_size,
        unit=config.unit or source.unit,
        n_channels=source.n_channels if source.n_channels > 1 else None,
        name=name,
        attributes={COMPLETE: True},
    )
    levels = _complete_levels(partial)
    # A slab of a coarser level is made of up to eight times as many voxels.
    slabs = [(number, slab) for number, array in enumerate(levels)
             for slab in _slabs(zyx(array.shape[-3:]), chunk,
                                itemsize * (8 if number else 1))]  # fmt: skip
    on_event(RunStarted("convert", len(slabs), subject=name))
    if source.note:
        on_event(Message(source.note, "warning"))
    for done, (number, slab) in enumerate(slabs, 1):
        if is_cancelled():
            raise Cancelled("The conversion was stopped", do="Nothing was written.")
        if number == 0:
            voxels = source.read(slab.start[0], slab.stop[0], slab.slices[1])
            voxels = voxels if source.n_channels > 1 else voxels[0]
            levels[0][(..., *slab.slices)] = voxels
        else:
            _reduce_slab(levels[number - 1], levels[number], slab)
        on_event(Progress(done, len(slabs), f"level {number}"))


def _voxel_size(source: Source, config: ConvertConfig) -> Scale:
    size = config.voxel_size or source.voxel_size or (1.0, 1.0, 1.0)
    if not all(math.isfinite(v) and v > 0 for v in size):
        raise MetadataError(
            "The voxel size of the file is impossible",
            got=" × ".join(f"{v:g}" for v in size),
            expected="numbers greater than zero",
            do="Give the voxel size yourself.",
        )
    return size


def _complete_levels(path: Path) -> list[zarr.Array[Any]]:
    """Open the levels such that empty chunks are written: absent ones are then lost."""
    paths = [level.path for level in read_image(path).levels]
    # zarr keeps this choice in the open array and not on disk.
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(path, mode="r+")
        return [cast("zarr.Array[Any]", group[p]) for p in paths]


def _slabs(shape: Zyx, chunk: Zyx, itemsize: int) -> Iterator[Box]:
    """Yield boxes over whole rows of chunks that keep within :data:`SLAB_BYTES`."""
    row_bytes = chunk[0] * shape[2] * itemsize
    rows = max(1, SLAB_BYTES // row_bytes // chunk[1]) * chunk[1]
    whole = Box.whole(shape)
    for cell in whole.cells((chunk[0], min(rows, shape[1]), shape[2])):
        yield cell.clipped(shape)


def _reduce_slab(fine: zarr.Array[Any], coarse: zarr.Array[Any], slab: Box) -> None:
    # Neighbouring levels differ by 2 or by 1, so rounding the quotient is safe.
    factor = zyx(
        round(n / m) for n, m in zip(fine.shape[-3:], coarse.shape[-3:], strict=True)
    )
    source = Box(
        zyx(a * f for a, f in zip(slab.start, factor, strict=True)),
        zyx(b * f for b, f in zip(slab.stop, factor, strict=True)),
    ).clipped(fine.shape[-3:])
    voxels = np.asarray(fine[(..., *source.slices)])
    coarse[(..., *slab.slices)] = downsample_mean(voxels, factor)
