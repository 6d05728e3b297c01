"""Labels as NIfTI: x fastest on disk, which is our zyx without moving a voxel."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.export_target import ExportedImage, RawVoxels
from napari_unetseg.data.steps import Steps
from napari_unetseg.errors import ExportError
from napari_unetseg.geometry import Box

_MM = {
    "angstrom": 1e-7,
    "picometer": 1e-9,
    "nanometer": 1e-6,
    "micrometer": 1e-3,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "meter": 1000.0,
    "inch": 25.4,
}
_LONGEST_NIFTI1 = 32_767
_COPIED = 2**24


class NiftiWriter:
    """Makes the file in its full length, then fills it box by box.

    Parameters
    ----------
    path
        Where to write.
    raw
        Where the voxels stand until they are compressed (``.nii.gz``); None for a file
        that is not.
    """

    def __init__(self, path: Path, image: ExportedImage, *, raw: Path | None) -> None:
        header = nifti_header(image)
        self._path, self._raw = path, raw or path
        self._raw.parent.mkdir(exist_ok=True)
        offset = int(header.get_data_offset())
        with self._raw.open("wb") as stream:
            stream.write(header.binaryblock)
            stream.write(bytes(offset - stream.tell()))
            stream.truncate(offset + image.n_bytes)
        dtype = image.dtype.newbyteorder("<")
        self._voxels = RawVoxels(self._raw, offset, image.shape, dtype)

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write the values of a box."""
        if values.any():  # the file is zero already
            self._voxels.write(box, values)

    def finish(self, steps: Steps) -> None:
        """Compress the file, if it shall be."""
        if self._raw == self._path:
            return
        with (
            self._raw.open("rb") as source,
            self._path.open("wb") as target,
            gzip.GzipFile("", "wb", 4, target, mtime=0) as packed,
        ):
            while piece := source.read(_COPIED):
                steps.check()
                packed.write(piece)


def nifti_header(image: ExportedImage) -> Any:
    """Return the header of a NIfTI file: shape, type, affine in mm.

    Raises
    ------
    ExportError
        If the package for NIfTI is not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise ExportError(
            "NIfTI cannot be written, the package nibabel is missing",
            do='Install it with: pip install "napari-unetseg[nifti]"',
        ) from error
    to_mm = _MM.get(image.unit or "", 1.0)
    size = [v * to_mm for v in reversed(image.voxel_size)]
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = [v * to_mm for v in reversed(image.origin)]
    is_long = max(image.shape) > _LONGEST_NIFTI1
    kind: Any = nibabel.Nifti2Header if is_long else nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_shape(tuple(reversed(image.shape)))
    header.set_data_dtype(image.dtype)
    header.set_xyzt_units("mm" if image.unit in _MM else "unknown")
    header.set_qform(affine, code="scanner")
    header.set_sform(affine, code="scanner")
    header.set_slope_inter(1, 0)
    header["descrip"] = _description(image)
    header["magic"] = header.single_magic
    header["vox_offset"] = header.single_vox_offset
    return header


def _description(image: ExportedImage) -> bytes:
    text = " ".join(f"{info.id}={info.name}" for info in image.classes)
    return text.encode("ascii", "replace")[:79]
