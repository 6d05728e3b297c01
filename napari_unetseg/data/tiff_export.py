"""Labels as TIFF: uncompressed, so that ImageJ opens them as a virtual stack.

Up to 4 GB, of 8 or 16 bits: ImageJ's own kind of TIFF. Else BigTIFF with OME metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from napari_unetseg.data.export_target import ExportedImage, RawVoxels
from napari_unetseg.data.steps import Steps
from napari_unetseg.geometry import Box

BIG = 2**32 - 2**20
"""Bytes from which on offsets of 32 bits may not suffice."""

_IMAGEJ_UNITS = {
    "nanometer": "nm",
    "micrometer": "um",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "inch",
}
_OME_UNITS = {
    **_IMAGEJ_UNITS,
    "angstrom": "Å",
    "picometer": "pm",
    "micrometer": "µm",
    "inch": "in",
}


class TiffWriter:
    """Makes the file in its full length, then fills it box by box."""

    def __init__(self, path: Path, image: ExportedImage, *, big: int = BIG) -> None:
        is_imagej = image.n_bytes < big and image.dtype.itemsize <= 2
        order: Literal["<", ">"] = ">" if is_imagej else "<"
        with tifffile.TiffWriter(
            path,
            bigtiff=not is_imagej,
            imagej=is_imagej,
            ome=not is_imagej,
            byteorder=order,
        ) as writer:
            place: Any = writer.write(
                None,
                shape=image.shape,
                dtype=image.dtype,
                photometric="minisblack",
                returnoffset=True,
                metadata=_imagej(image) if is_imagej else _ome(image),
                **(_resolution(image) if is_imagej else {}),
            )
        dtype = image.dtype.newbyteorder(order)
        self._voxels = RawVoxels(path, int(place[0]), image.shape, dtype)

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the values of a box."""
        if values.any():  # the file is zero already
            self._voxels.write(box, values)

    def finish(self, steps: Steps) -> None:
        """Do nothing: the file has no other levels."""


def object_dtype(largest: int) -> np.dtype[Any]:
    """Return 16 bits where they suffice: ImageJ knows no integers of 32."""
    return np.dtype("uint16" if largest < 2**16 else "uint32")


def _resolution(image: ExportedImage) -> dict[str, Any]:
    _, y, x = image.voxel_size
    return {"resolution": (1 / x, 1 / y), "resolutionunit": "NONE"}


def _imagej(image: ExportedImage) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "ZYX", "spacing": image.voxel_size[0]}
    metadata["unit"] = _IMAGEJ_UNITS.get(image.unit or "", image.unit or "pixel")
    for axis, origin, size in zip("zyx", image.origin, image.voxel_size, strict=True):
        if origin:
            # ImageJ counts in voxels, from the corner of the image to the origin.
            metadata[f"{axis}origin"] = -origin / size
    if image.kind == "classes" and image.dtype == np.uint8:
        metadata["LUTs"] = [_lookup_table(image)]
    metadata["Info"] = "\n".join(f"{i.id} = {i.name}" for i in image.classes)
    return metadata


def _lookup_table(image: ExportedImage) -> np.ndarray:
    table = np.zeros((3, 256), np.uint8)
    for info in image.classes:
        table[:, info.id] = list(bytes.fromhex(info.color[1:]))
    return table


def _ome(image: ExportedImage) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "ZYX", "Name": image.name}
    unit = _OME_UNITS.get(image.unit or "")
    for axis, size in zip("ZYX", image.voxel_size, strict=True):
        metadata[f"PhysicalSize{axis}"] = size
        metadata[f"PhysicalSize{axis}Unit"] = unit or "pixel"
    listed = "; ".join(f"{i.id} = {i.name}" for i in image.classes)
    metadata["Description"] = f"Labels: {listed}" if listed else "Labels"
    return metadata
