"""TIFF and NIfTI become OME-Zarr once, streamed: memory does not depend on the file.

::

    file ── slabs ──▶ level 0 ── slabs ──▶ level 1 ── … ──▶ name.zarr.partial
                                                                │ rename
                                                                ▼ name.zarr
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data.file_sources import Source, needs_conversion, open_source
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid import downsample_mean
from napari_unetseg.data.volume import COMPLETE
from napari_unetseg.errors import (
    Cancelled,
    explained_writing,
)
from napari_unetseg.events import IsCancelled, OnEvent, Progress, RunStarted
from napari_unetseg.geometry import Zyx, zyx

__all__ = ["convert", "default_chunk", "needs_conversion"]

VOXELS_PER_CHUNK = 2**20


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
    VolumeNotFoundError, UnsupportedFormatError, MetadataError
        If the source cannot be read.
    DiskFullError, ReadOnlyError, Cancelled
        If the target cannot be written, or somebody asked to stop; nothing is left.
    """
    source, target = Path(source), Path(target)
    opened = open_source(source)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with explained_writing(f"the converted volume {target.name}", target.parent):
            _write(opened, partial, target.stem, config, on_event, is_cancelled)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def default_chunk(shape: Zyx, voxel_size: Sequence[float]) -> Zyx:
    """Return chunks of about a million voxels, as cubic as the voxels allow."""
    size = [1.0 if v <= 0 else v for v in voxel_size]
    coarse = max(1.0, size[0] / min(size[1:]))
    depth = 128 if coarse < 1.5 else 64 if coarse < 3 else 32 if coarse < 8 else 16
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
    voxel_size = config.voxel_size or source.voxel_size or (1.0, 1.0, 1.0)
    chunk = config.chunk or default_chunk(source.shape, voxel_size)
    group = create_image(
        partial,
        shape=source.shape,
        dtype=source.dtype,
        chunk=chunk,
        voxel_size=voxel_size,
        unit=config.unit or source.unit,
        n_channels=source.n_channels if source.n_channels > 1 else None,
        name=name,
        write_empty_chunks=True,
        attributes={COMPLETE: True},
    )
    levels = [cast("zarr.Array[Any]", group[str(n)]) for n in range(len(list(group)))]
    slabs = [(level, z) for level, array in enumerate(levels)
             for z in range(0, array.shape[-3], chunk[0])]  # fmt: skip
    on_event(RunStarted("convert", len(slabs), subject=name))
    for done, (level, start) in enumerate(slabs, 1):
        if is_cancelled():
            raise Cancelled("The conversion was stopped", do="Nothing was written.")
        stop = min(start + chunk[0], levels[level].shape[-3])
        if level == 0:
            voxels = source.read(start, stop)
            voxels = voxels if source.n_channels > 1 else voxels[0]
            levels[0][..., start:stop, :, :] = voxels
        else:
            _reduce_slab(levels[level - 1], levels[level], start, stop)
        on_event(Progress(done, len(slabs), f"level {level}"))


def _reduce_slab(
    fine: zarr.Array[Any], coarse: zarr.Array[Any], start: int, stop: int
) -> None:
    factor = zyx(
        round(n / m) for n, m in zip(fine.shape[-3:], coarse.shape[-3:], strict=True)
    )
    last = min(stop * factor[0], fine.shape[-3])
    voxels = np.asarray(fine[..., start * factor[0] : last, :, :])
    coarse[..., start:stop, :, :] = downsample_mean(voxels, factor)
