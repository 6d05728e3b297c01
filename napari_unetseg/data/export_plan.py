"""What an export writes and where: decided, and refused, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_unetseg.config import ExportConfig
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.convert import default_chunk
from napari_unetseg.data.export_target import ExportedImage, check_target
from napari_unetseg.data.kept_ids import earlier_objects, holds_objects
from napari_unetseg.data.nifti_export import nifti_header
from napari_unetseg.data.ome_zarr_export import (
    OmeZarrWriter,
    check_writable,
    image_root,
)
from napari_unetseg.data.split_objects import MARGIN, Splitting
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import Box, Zyx, zyx

_SUFFIXES = {
    "ome-zarr": (".zarr",),
    "tiff": (".tif", ".tiff"),
    "nifti": (".nii", ".nii.gz"),
    "csv": (".csv",),
}


@dataclass(frozen=True)
class ExportPlan:
    """What is written where.

    Attributes
    ----------
    tile
        What is read and written at a time, zyx.
    root
        The image beside which the labels are put; None for a target of its own.
    """

    config: ExportConfig
    volume: Volume
    image: ExportedImage
    target: Path
    tile: Zyx
    root: Path | None

    @property
    def wants_objects(self) -> bool:
        """Whether the values are object ids."""
        return self.config.kind == "objects" or self.config.format == "csv"

    @property
    def earlier(self) -> Path | None:
        """Labels whose ids objects keep: those named, or else those replaced."""
        if not self.wants_objects:
            return None
        if self.config.like is not None:
            return self.config.like
        return self.target if holds_objects(self.target, self.image.box) else None

    @property
    def needs_components(self) -> bool:
        """Whether objects have to be found."""
        return self.wants_objects or self.config.min_voxels > 1

    @property
    def splitting(self) -> Splitting | None:
        """How objects that touch are told apart; None for not at all."""
        if not self.config.neck or not self.wants_objects:
            return None
        return Splitting(self.config.neck, self.image.voxel_size)

    @property
    def is_zarr(self) -> bool:
        """Whether the format is OME-Zarr, wherever it stands."""
        return self.config.format in ("ome-zarr", "in-place")

    @property
    def n_levels(self) -> int | None:
        """As many levels as the image has: OME-Zarr wants it so of labels beside it."""
        return None if self.root is None else len(self.volume.levels)

    @property
    def tiles(self) -> Iterator[Box]:
        """The exported part in tiles, relative to its corner."""
        shape = self.image.shape
        return (cell.clipped(shape) for cell in Box.whole(shape).cells(self.tile))

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        n = sum(1 for _ in self.tiles) * (3 if self.needs_components else 1)
        if self.is_zarr:
            n += OmeZarrWriter.n_pyramid_steps(self.image, self.n_levels)
        return n


def make_plan(
    shape: Sequence[int],
    volume: Volume,
    classes: tuple[ClassInfo, ...],
    config: ExportConfig,
) -> ExportPlan:
    """Decide on an export of labels of this shape.

    Raises
    ------
    ExportError, ReadOnlyError
        If it cannot be done as asked.
    """
    if zyx(shape) != volume.shape:
        raise ExportError(
            "The labels do not fit the volume", got=tuple(shape), expected=volume.shape
        )
    box = _part(volume.shape, config.box)
    in_place = config.format == "in-place"
    root = image_root(volume) if in_place else None
    target = _place_beside(root, config.name) if root else _target(volume, config)
    check_target(target, overwrite=config.overwrite)
    if root is not None:
        check_writable(root)
    kind = "objects" if config.format == "csv" else config.kind
    chunk = default_chunk(box.shape, volume.voxel_size)
    finest = volume.levels[0]
    z, y, x = (
        t + s * a
        for t, s, a in zip(
            finest.translation, finest.voxel_size, box.start, strict=True
        )
    )
    image = ExportedImage(
        name=config.name,
        shape=box.shape,
        dtype=np.dtype("uint8" if kind == "classes" else "uint32"),
        voxel_size=finest.voxel_size,
        origin=(z, y, x),
        unit=volume.unit,
        classes=classes,
        kind=kind,
        chunk=chunk,
        box=box,
    )
    if config.like is not None:
        earlier_objects(config.like, box)  # says now if there is nothing to keep
    if config.format == "nifti":
        nifti_header(image)  # says now, not after hours, that a package is missing
    tile = _tile(chunk)
    if config.neck:  # tiles see their neighbours: larger ones see them less often
        tile = zyx((max(tile[0], 2 * MARGIN[0]), *tile[1:]))
    return ExportPlan(config, volume, image, target, tile, root)


def _part(shape: Zyx, wanted: Box | None) -> Box:
    box = Box.whole(shape) if wanted is None else wanted.clipped(shape)
    if box.is_empty:
        raise ExportError(
            "The chosen part lies outside the volume",
            got=wanted,
            expected=f"something inside {Box.whole(shape)}",
        )
    return box


def _place_beside(root: Path, name: str) -> Path:
    if not name or name in (".", "..") or any(c in name for c in '/\\:*?"<>|'):
        raise ExportError(
            "These labels cannot have this name",
            got=repr(name),
            expected="letters, digits, spaces, - or _",
        )
    return root / "labels" / name


def _target(volume: Volume, config: ExportConfig) -> Path:
    if config.target is None:
        raise ExportError(
            f"An export as {config.format} needs a target",
            do="Choose a file or folder to write.",
        )
    suffixes = _SUFFIXES[config.format]
    if not config.target.name.lower().endswith(suffixes):
        raise ExportError(
            f"The target does not look like {config.format}",
            got=config.target.name,
            expected=f"a name that ends in {' or '.join(suffixes)}",
        )
    target = config.target.expanduser().absolute()
    if "://" not in volume.uri:
        here, image = target.resolve(), Path(volume.uri).resolve()
        if here == image or here in image.parents or image in here.parents:
            raise ExportError(
                "The target lies in the volume itself",
                got=target,
                do="Choose another target, or the format in-place.",
            )
    if not target.parent.is_dir():
        raise ExportError(
            f"The folder {target.parent} does not exist",
            do="Make it first, or choose another target.",
        )
    return target


def _tile(chunk: Zyx) -> Zyx:
    """Return whole chunks of about four million voxels."""
    return zyx((chunk[0], 2 * chunk[1], 2 * chunk[2]))
