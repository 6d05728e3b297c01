"""Labels leave the project: streamed in tiles, whole or not at all.

::

    source.read(tile) ──▶ [ objects, small ones dropped ] ──▶ writer ──▶ renamed
       class ids              components.py                   OME-Zarr, TIFF, NIfTI, CSV
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np

from napari_unetseg.config import ExportConfig
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.components import Components, find_components
from napari_unetseg.data.engine import Engine, one_by_one
from napari_unetseg.data.export_plan import ExportPlan, make_plan
from napari_unetseg.data.export_target import (
    beside,
    remove,
    written_whole,
)
from napari_unetseg.data.kept_ids import earlier_objects, kept_ids
from napari_unetseg.data.nifti_export import NiftiWriter
from napari_unetseg.data.object_table import TableWriter
from napari_unetseg.data.ome_zarr_export import (
    OmeZarrWriter,
    list_labels,
)
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.tiff_export import TiffWriter, object_dtype
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import IsCancelled, OnEvent
from napari_unetseg.geometry import Box, Zyx

OBJECTS = "objects"


class LabelSource(Protocol):
    """Something that class ids are read from.

    Attributes
    ----------
    fingerprint
        Changes with the labels.
    """

    shape: Zyx

    @property
    def fingerprint(self) -> str: ...

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx."""
        ...


class Writer(Protocol):
    """One format: takes boxes of level 0 in any order, then finishes."""

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the values of a box."""
        ...

    def finish(self, steps: Steps) -> None:
        """Write what follows from them."""
        ...


def export_labels(
    source: LabelSource,
    *,
    volume: Volume,
    classes: Sequence[ClassInfo],
    config: ExportConfig,
    engine: Engine = one_by_one,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> dict[str, Any]:
    """Write labels to an open format.

    Parameters
    ----------
    source
        Class ids of the whole volume; every voxel is read once.
    volume
        The image that the labels belong to: gives voxel size, origin and unit.
    config
        ``kind="objects"`` numbers connected objects of a class; a table always has one
        row per object.
    engine
        Finds objects; needs a source that can be pickled if it has other processes.

    Returns
    -------
    dict
        ``format``, ``target``, ``shape``, ``n_objects`` (None for classes),
        ``voxels_per_class`` and ``seconds``.

    Raises
    ------
    ExportError
        If it cannot be written as asked.
    DiskFullError, ReadOnlyError, Cancelled
        Nothing half-written is left then.
    """
    started = time.monotonic()
    plan = make_plan(source.shape, volume, tuple(classes), config)
    steps = Steps("export", plan.n_steps, on_event, is_cancelled,
                  subject=plan.target.name, noun="The export")  # fmt: skip
    with written_whole(plan.target) as partial, _scratch(plan.target) as scratch:
        labels = _Labels(plan, source, scratch, steps, engine)
        writer = _writer(labels.plan, partial, scratch)
        for box in plan.tiles:
            steps.check()
            writer.write(box, labels.read(box))
            steps.done("writing")
        writer.finish(steps)
        steps.check()
    if plan.root is not None:
        list_labels(plan.root, config.name)
    return {
        "format": config.format,
        "target": str(plan.target),
        "shape": list(plan.image.shape),
        "n_objects": labels.n_objects if plan.wants_objects else None,
        "voxels_per_class": labels.voxels_per_class,
        "seconds": round(time.monotonic() - started, 3),
    }


class _Labels:
    """What the writer gets: class ids or object ids of the exported part."""

    def __init__(
        self,
        plan: ExportPlan,
        source: LabelSource,
        scratch: Path,
        steps: Steps,
        engine: Engine,
    ) -> None:
        self._plan = plan
        self._read_source = partial(_read_part, source, plan.image.box.start)
        self._counts = np.zeros(256, np.int64)
        self._components: Components | None = None
        if plan.needs_components:
            self._components = find_components(
                self._read_source,
                plan.image.shape,
                scratch / OBJECTS,
                steps,
                tile=plan.tile,
                min_voxels=plan.config.min_voxels,
                splitting=plan.splitting,
                fingerprint=f"{source.fingerprint} {plan.image.box}",
                engine=engine,
            )
        if self._components is not None and plan.earlier is not None:
            before = earlier_objects(plan.earlier, plan.image.box)
            found = self._components
            ids = kept_ids(before, found.read, plan.tiles, found.n_objects)
            self._components = found.renumbered(ids)
        self.n_objects = self._components.n_objects if self._components else None

    @property
    def plan(self) -> ExportPlan:
        """The plan with what is known only after the objects were counted."""
        if self._components is None or not self._plan.wants_objects:
            return self._plan
        is_tiff = self._plan.config.format == "tiff"
        most = len(self._components.class_of) - 1
        dtype = object_dtype(most) if is_tiff else "uint32"
        image = replace(
            self._plan.image,
            dtype=np.dtype(dtype),
            class_of_object=self._components.class_of,
        )
        return replace(self._plan, image=image)

    @property
    def voxels_per_class(self) -> dict[str, int]:
        """Voxels of each class, by its name, without what was dropped."""
        counts = self._counts
        if self._components is not None:
            counts = np.bincount(
                self._components.class_of, self._components.sizes, 256
            ).astype(np.int64)
        return {info.name: int(counts[info.id]) for info in self._plan.image.classes}

    def read(self, box: Box) -> np.ndarray:
        """Return what is written into a box, zyx."""
        if self._components is None:
            values = self._read_source(box)
            self._counts += np.bincount(values.ravel(), minlength=256)
            return values
        if self._plan.wants_objects:
            return self._components.read(box)
        return self._components.read_classes(box)


def _read_part(source: LabelSource, corner: Zyx, box: Box) -> np.ndarray:
    """Return class ids of a box that is given as seen from a corner."""
    return source.read(box.shifted(corner))


def _writer(plan: ExportPlan, partial: Path, scratch: Path) -> Writer:
    if plan.config.format == "csv":
        return TableWriter(partial, plan.image)
    if plan.config.format == "tiff":
        return TiffWriter(partial, plan.image)
    if plan.config.format == "nifti":
        raw = scratch / "voxels.nii" if plan.target.suffix == ".gz" else None
        return NiftiWriter(partial, plan.image, raw=raw)
    in_place = plan.root is not None
    zarr_format = 2 if in_place and plan.volume.info.version == "0.4" else 3
    return OmeZarrWriter(
        partial,
        plan.image,
        label_of="../../" if in_place else _way_to(plan.volume.uri, plan.target),
        zarr_format=cast("Literal[2, 3]", zarr_format),
        n_levels=plan.n_levels,
    )


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Give a folder for what is needed only meanwhile; made when first written to.

    A killed run has left what it had found of the objects.
    """
    folder = beside(target, "scratch")
    for stale in folder.glob("*"):
        if stale.name != OBJECTS:
            remove(stale)
    try:
        yield folder
    finally:
        remove(folder)


def _way_to(uri: str, target: Path) -> str:
    if "://" in uri:
        return uri
    try:
        return Path(os.path.relpath(uri, target)).as_posix()
    except ValueError:  # another drive
        return uri
