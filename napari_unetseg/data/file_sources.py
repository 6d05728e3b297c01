"""Files that are no zarr, each as something that slabs are read from."""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_unetseg.data.nodes import in_short, is_zarr
from napari_unetseg.errors import (
    MetadataError,
    UnsupportedFormatError,
    VolumeNotFoundError,
)
from napari_unetseg.geometry import Zyx

TIFF = (".tif", ".tiff")
NIFTI = (".nii", ".nii.gz")
MAX_CHANNELS = 8

Scale = tuple[float, float, float]
_NAMES = {"um": "micrometer", "µm": "micrometer", "\\u00b5m": "micrometer",
          "μm": "micrometer", "micron": "micrometer", "microns": "micrometer",
          "nm": "nanometer", "mm": "millimeter", "cm": "centimeter", "inch": "inch",
          "m": "meter"}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file as something that slabs are read from.

    Attributes
    ----------
    read
        Takes where z starts and stops and which rows, returns czyx.
    voxel_size
        None if the file does not say.
    note
        What a person should know of how the file is read; mostly empty.
    """

    shape: Zyx
    n_channels: int
    dtype: np.dtype[Any]
    voxel_size: Scale | None
    unit: str | None
    read: Callable[[int, int, slice], np.ndarray]
    note: str = ""


def needs_conversion(path: Path | str) -> bool:
    """Whether this is a file, or a folder of TIFFs, that can be converted."""
    path = Path(path)
    if path.is_dir():
        return not is_zarr(path) and bool(_planes(path))
    return path.is_file() and path.name.lower().endswith((*TIFF, *NIFTI))


def open_source(path: Path) -> Source:
    """Look into a file and say how it is read.

    Raises
    ------
    VolumeNotFoundError, UnsupportedFormatError, MetadataError
        If it is not there, not readable, or RGB.
    """
    if not path.exists():
        raise VolumeNotFoundError(f"There is nothing at {path}", do="Check the path.")
    if path.is_dir():
        planes = _planes(path)
        if not planes:
            raise UnsupportedFormatError(
                f"The folder {path.name} holds no TIFF files",
                expected="one TIFF per plane, numbered",
            )
        return _open_planes(planes)
    if path.name.lower().endswith(NIFTI):
        return _open_nifti(path)
    if path.name.lower().endswith(TIFF):
        return _open_tiff(path)
    raise UnsupportedFormatError(
        f"{path.name} is no volume that can be opened",
        got=path.suffix or "no suffix",
        expected="zarr, TIFF or NIfTI",
    )


def _open_tiff(path: Path) -> Source:
    try:
        with _torn_noticed(), tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            axes, shape = series.axes.upper(), series.shape
            size, unit = _tiff_scale(tiff)
            dtype = np.dtype(series.dtype)
    except (tifffile.TiffFileError, IndexError, ValueError, struct.error) as error:
        raise UnsupportedFormatError(
            f"{path.name} cannot be read as TIFF, it may be damaged",
            do="Open it in another program and save it again.",
        ) from error
    if "S" in axes:
        raise UnsupportedFormatError(
            f"{path.name} is an RGB image",
            got=f"shape {shape}",
            expected="one brightness per voxel",
            do="Split the colours, or save one channel.",
        )
    kept, lengths = _squeezed(axes, shape)
    by_axis = dict(zip(kept, lengths, strict=True))
    n_channels = by_axis.get("C", 1)

    def read(start: int, stop: int, rows: slice) -> np.ndarray:
        pages = [
            _page_index(kept, by_axis, channel, z)
            for channel in range(n_channels)
            for z in range(start, stop)
        ]
        planes = _read_pages(path, pages, by_axis, rows)
        return planes.reshape(n_channels, stop - start, -1, by_axis["X"])

    shape_zyx = (by_axis.get("Z", 1), by_axis["Y"], by_axis["X"])
    n_times = by_axis.get("T", 1)
    note = f"Only the first of {n_times} time points was converted."
    return Source(
        shape_zyx, n_channels, dtype, size, unit, read, note if n_times > 1 else ""
    )


@contextmanager
def _torn_noticed() -> Iterator[None]:
    """Raise where tifffile only logs that the rest of the pages is not there."""
    torn: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "invalid page offset" in record.getMessage():
                torn.append(record.getMessage())

    listener = Listener(logging.ERROR)
    tifffile.logger().addHandler(listener)
    try:
        yield
    finally:
        tifffile.logger().removeHandler(listener)
    if torn:
        raise tifffile.TiffFileError(torn[0])


def _squeezed(axes: str, shape: Sequence[int]) -> tuple[str, list[int]]:
    """Return the axes that have a length; without a depth, find what is meant by it."""
    if "Z" not in axes:
        by_axis = dict(zip(axes, shape, strict=True))
        # Many a stack was saved as "channels" because nobody said that it has a depth.
        candidates = [a for a in "QIT" if by_axis.get(a, 1) > 1]
        candidates += ["C"] if by_axis.get("C", 1) > MAX_CHANNELS else []
        if candidates:
            axes = axes.replace(candidates[0], "Z", 1)
    kept = [(a, n) for a, n in zip(axes, shape, strict=True) if a in "CZYX" or n > 1]
    names = "".join(a for a, _ in kept)
    if not set(names) <= set("TCZYX") or not names.endswith("YX"):
        raise UnsupportedFormatError(
            "The axes of the TIFF are in an order that is not read",
            got=names,
            expected="T, C, Z, Y, X",
        )
    return names, [n for _, n in kept]


def _page_index(axes: str, shape: dict[str, int], channel: int, z: int) -> int:
    """Return the number of the page of a plane; of several times the first."""
    where = {"C": channel, "Z": z, "T": 0}
    index = 0
    for axis in axes[:-2]:
        index = index * shape[axis] + where[axis]
    return index


def _read_pages(
    path: Path, pages: list[int], shape: dict[str, int], rows: slice
) -> np.ndarray:
    plane = (shape["Y"], shape["X"])
    try:
        with tifffile.TiffFile(path) as tiff:
            series: Any = tiff.series[0]
            if series.dataoffset is not None:  # contiguous: ImageJ's large stacks too
                planes = tifffile.memmap(path, mode="r").reshape(-1, *plane)
                return np.stack([planes[page, rows] for page in pages])
            n_rows = len(range(plane[0])[rows])
            slab = np.empty((len(pages), n_rows, plane[1]), series.dtype)
            for number, page in enumerate(pages):
                slab[number] = series.pages[page].asarray().reshape(plane)[rows]
            return slab
    except (ValueError, RuntimeError, IndexError, zlib.error, struct.error) as error:
        raise UnsupportedFormatError(
            f"{path.name} cannot be decoded, {in_short(error)}",
            do="Open it in another program and save it again without compression.",
        ) from error


def _tiff_scale(tiff: tifffile.TiffFile) -> tuple[Scale | None, str | None]:
    if tiff.ome_metadata:
        return _ome_scale(tiff.ome_metadata)
    page: Any = tiff.pages[0]
    tag_x, tag_y = page.tags.get("XResolution"), page.tags.get("YResolution")
    ij = tiff.imagej_metadata or {}
    if not ij or tag_x is None or tag_y is None:
        return None, None
    x, y = _pixel(tag_x.value), _pixel(tag_y.value)
    unit = str(ij.get("unit", "")).lower()
    return (abs(float(ij.get("spacing", 1.0))), y, x), _NAMES.get(unit)


def _pixel(value: tuple[int, int]) -> float:
    pixels, per = value
    return per / pixels if pixels else 1.0


def _ome_scale(xml: str) -> tuple[Scale | None, str | None]:
    found = {a: re.search(rf'PhysicalSize{a}="([^"]+)"', xml) for a in "ZYX"}
    if found["X"] is None:
        return None, None
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', xml)
    name = _NAMES.get(unit.group(1) if unit else "µm")
    z, y, x = (float(m.group(1)) if (m := found[a]) else 1.0 for a in "ZYX")
    return (z, y, x), name


def _planes(folder: Path) -> list[Path]:
    """Return the TIFFs of a folder in the order that people count."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in TIFF]
    return sorted(found, key=_counted)


def _counted(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def _open_planes(paths: list[Path]) -> Source:
    first = _read_plane(paths[0])
    if first.ndim != 2:
        raise UnsupportedFormatError(
            f"The folder {paths[0].parent.name} holds no stack of planes",
            got=f"{paths[0].name} of shape {first.shape}",
            expected="one 2D image per file",
        )

    def read(start: int, stop: int, rows: slice) -> np.ndarray:
        slab = np.empty((stop - start, *first[rows].shape), first.dtype)
        for number, path in enumerate(paths[start:stop]):
            plane = _read_plane(path)
            if plane.shape != first.shape or plane.dtype != first.dtype:
                raise MetadataError(
                    f"The plane {path.name} differs from the first one",
                    got=f"{plane.shape} {plane.dtype}",
                    expected=f"{first.shape} {first.dtype}",
                )
            slab[number] = plane[rows]
        return slab[np.newaxis]

    shape = (len(paths), first.shape[0], first.shape[1])
    return Source(shape, 1, first.dtype, None, None, read)


def _read_plane(path: Path) -> np.ndarray:
    try:
        return np.asarray(tifffile.imread(path))
    except (ValueError, RuntimeError, IndexError, zlib.error, struct.error) as error:
        raise UnsupportedFormatError(
            f"{path.name} cannot be read as TIFF, {in_short(error)}",
            do="Open it in another program and save it again.",
        ) from error


def _open_nifti(path: Path) -> Source:
    try:
        import nibabel
    except ImportError as error:
        raise UnsupportedFormatError(
            f"{path.name} is NIfTI, and the package that reads it is missing",
            do='Install it with: pip install "napari-unetseg[nifti]"',
        ) from error
    try:
        image: Any = nibabel.load(path)
    except nibabel.filebasedimages.ImageFileError as error:
        raise UnsupportedFormatError(
            f"{path.name} cannot be read as NIfTI, it may be damaged"
        ) from error
    stored = np.dtype(image.get_data_dtype())
    if len(image.shape) not in (3, 4) or stored.kind not in "iuf":
        raise UnsupportedFormatError(
            f"{path.name} is no volume of one brightness per voxel",
            got=f"shape {image.shape} of {stored}",
            expected="x, y, z and perhaps channels",
        )
    shape = (*image.shape, 1)[:4]
    x_size, y_size, z_size = (float(v) for v in image.header.get_zooms()[:3])
    # Of the voxels and not of the header: nibabel clears it there on loading.
    is_scaled = (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)
    dtype = np.dtype("float32") if is_scaled else stored.newbyteorder("=")

    def read(start: int, stop: int, rows: slice) -> np.ndarray:
        # NIfTI counts x first, and channels or times last.
        try:
            slab = np.asarray(image.dataobj[:, rows, start:stop], dtype=dtype)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise UnsupportedFormatError(
                f"{path.name} cannot be decoded, {in_short(error)}",
                do="Fetch the file again from where it came.",
            ) from error
        return slab.reshape(*slab.shape[:3], shape[3]).transpose(3, 2, 1, 0)

    return Source(
        (shape[2], shape[1], shape[0]),
        shape[3],
        dtype,
        (z_size, y_size, x_size),
        _NAMES.get(image.header.get_xyzt_units()[0]),
        read,
    )
