"""Labels as OME-Zarr: beside their image, or as a store of their own."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import zarr

from napari_unetseg.data.classes import thin_ids
from napari_unetseg.data.export_target import ExportedImage
from napari_unetseg.data.nodes import ome_of, open_node
from napari_unetseg.data.ome_zarr import (
    Rgba,
    create_image,
    level_factors,
    register_labels,
)
from napari_unetseg.data.pyramid import downsample_classes, downsample_labels
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError, ReadOnlyError, explained_writing
from napari_unetseg.geometry import Box, Zyx, zyx

MOST_PROPERTIES = 10_000
"""Metadata is read whole: with more objects than this only the table lists them."""


class OmeZarrWriter:
    """Writes level 0 in any order of boxes, then all others from it.

    Parameters
    ----------
    path
        Folder to make.
    label_of
        Relative path, or address, of the image that the labels belong to.
    n_levels
        None: until a plane is small.
    """

    def __init__(
        self,
        path: Path,
        image: ExportedImage,
        *,
        label_of: str,
        zarr_format: Literal[2, 3] = 3,
        n_levels: int | None = None,
    ) -> None:
        self._image = image
        self._factors = level_factors(image.shape, image.voxel_size, n_levels)
        group = create_image(
            path,
            shape=image.shape,
            dtype=image.dtype,
            chunk=image.chunk,
            voxel_size=image.voxel_size,
            origin=image.origin,
            unit=image.unit,
            n_levels=n_levels,
            name=image.name,
            compressor="labels",
            label_of=label_of,
            label_colors=_colors(image),
            attributes={"unetseg": _own_attributes(image)},
            zarr_format=zarr_format,
        )
        _add_properties(group, image)
        self._levels = [
            cast("zarr.Array[Any]", group[str(number)])
            for number in range(len(self._factors))
        ]

    @staticmethod
    def n_pyramid_steps(image: ExportedImage, n_levels: int | None) -> int:
        """Return how many steps :meth:`finish` takes."""
        factors = level_factors(image.shape, image.voxel_size, n_levels)
        shapes = [_divided(image.shape, factor) for factor in factors[1:]]
        return sum(len(list(Box.whole(s).cells(image.chunk))) for s in shapes)

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the values of a box of level 0."""
        self._levels[0][box.slices] = values

    def finish(self, steps: Steps) -> None:
        """Write the coarser levels, every chunk once."""
        reduce = partial(downsample_classes, thin=thin_ids(self._image.classes))
        if self._image.kind == "objects":
            reduce = partial(downsample_labels, method="mode")
        for number in range(1, len(self._levels)):
            fine, coarse = self._levels[number - 1], self._levels[number]
            factor = _divided(self._factors[number], self._factors[number - 1])
            shape = zyx(coarse.shape)
            for cell in Box.whole(shape).cells(self._image.chunk):
                steps.check()
                box = cell.clipped(shape)
                source = _scaled(box, factor).clipped(zyx(fine.shape))
                values = np.asarray(fine[source.slices])
                if values.any():
                    coarse[box.slices] = reduce(values, factor)
                steps.done(f"level {number}")


def image_root(volume: Volume) -> Path:
    """Return the folder of the image group that may get a ``labels`` group.

    Raises
    ------
    ExportError
        If labels cannot stand beside this volume.
    """
    if "://" in volume.uri:
        raise ExportError(
            "Labels cannot be written into a volume at an address",
            got=volume.uri,
            do="Export to a store of their own (ome-zarr).",
        )
    if volume.info.version == "zarr":
        raise ExportError(
            f"{volume.name} is a plain zarr array, labels have no place beside it",
            do="Export to a store of their own (ome-zarr).",
        )
    root = Path(volume.uri)
    # Stores of bioformats2raw hold their images in numbered groups.
    return root if "multiscales" in ome_of(open_node(root)) else root / "0"


def list_labels(root: Path, name: str) -> None:
    """List new labels in their image, and in its consolidated metadata if it has any.

    Raises
    ------
    DiskFullError, ReadOnlyError
        If it cannot be written.
    """
    consolidated = zarr.open_group(root, mode="r").metadata.consolidated_metadata
    with explained_writing("the list of labels", root):
        if consolidated is None:
            register_labels(root, name)
            return
        # Before, so that labels that others added are not forgotten; and after.
        _consolidate(root)
        register_labels(root, name)
        _consolidate(root)


def check_writable(root: Path) -> None:
    """Refuse early what could only fail after hours.

    Raises
    ------
    ReadOnlyError
        If the labels folder cannot be written.
    """
    place = root / "labels" if (root / "labels").is_dir() else root
    probe = place / ".unetseg-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ReadOnlyError(
            f"Labels cannot be written into {root.name}, it is read-only",
            do="Give yourself write access, or export to a store of their own.",
        ) from error


def _consolidate(root: Path) -> None:
    with warnings.catch_warnings():
        # zarr warns that this is no standard; but the store has it already.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(root)


def _colors(image: ExportedImage) -> dict[int, Rgba]:
    colors: dict[int, Rgba] = {0: (0, 0, 0, 0)}
    if image.kind == "classes":
        for info in image.classes:
            red, green, blue = bytes.fromhex(info.color[1:])
            colors[info.id] = (red, green, blue, 255)
    return colors


def _own_attributes(image: ExportedImage) -> dict[str, Any]:
    return {
        "kind": image.kind,
        "classes": [info.model_dump() for info in image.classes],
        "box": {"start": list(image.box.start), "stop": list(image.box.stop)},
    }


def _add_properties(group: zarr.Group, image: ExportedImage) -> None:
    """Say in the image-label metadata what each value is called."""
    ome = ome_of(group)
    names = {info.id: info.name for info in image.classes}
    if image.class_of_object is None:
        listed = names
    elif len(image.class_of_object) <= MOST_PROPERTIES:
        listed = {
            number: names.get(int(class_id), "")
            for number, class_id in enumerate(image.class_of_object)
            if class_id
        }
    else:
        return
    if not listed:
        return
    properties = [
        {"label-value": value, "class": name} for value, name in listed.items()
    ]
    image_label = {**ome["image-label"], "properties": properties}
    if group.metadata.zarr_format == 3:
        group.attrs["ome"] = {**ome, "image-label": image_label}
    else:
        group.attrs["image-label"] = image_label


def _divided(shape: Zyx, factor: Zyx) -> Zyx:
    return zyx(-(-n // f) for n, f in zip(shape, factor, strict=True))


def _scaled(box: Box, factor: Zyx) -> Box:
    return Box(
        zyx(a * f for a, f in zip(box.start, factor, strict=True)),
        zyx(b * f for b, f in zip(box.stop, factor, strict=True)),
    )
