"""Opening zarr arrays and groups: whatever is wrong there becomes one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from napari_unetseg.errors import (
    MetadataError,
    UnsupportedFormatError,
    VolumeNotFoundError,
)

LAYOUT = "bioformats2raw.layout"
_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(uri: str | Path) -> bool:
    """Whether this is the folder of a zarr array or group, or an address."""
    if "://" in str(uri):
        return True
    return any((Path(uri) / marker).is_file() for marker in _MARKERS)


def open_node(uri: str | Path) -> zarr.Array[Any] | zarr.Group:
    """Open an array or a group to read.

    Raises
    ------
    VolumeNotFoundError, UnsupportedFormatError, MetadataError
        If there is nothing, something else, or damaged metadata.
    """
    text = str(uri)
    is_remote = "://" in text
    if not is_remote:
        _check_local(Path(text))
    try:
        node: zarr.Array[Any] | zarr.Group = zarr.open(text, mode="r")
    except ImportError as error:
        raise UnsupportedFormatError(
            f"{text} cannot be opened, a package for this kind of address is missing",
            do="Install napari-unetseg[remote] and fsspec, or copy the volume here.",
        ) from error
    except FileNotFoundError as error:
        raise VolumeNotFoundError(f"There is no zarr at {text}") from error
    except Exception as error:
        if is_remote:
            # Every kind of address has its own errors: no such host, 403, no rights.
            raise VolumeNotFoundError(
                f"The address {text} cannot be read, {in_short(error)}",
                do="Check the address, the network and your access.",
            ) from error
        if not isinstance(error, ValueError | KeyError | TypeError | AttributeError):
            raise
        raise MetadataError(
            f"The zarr metadata of {last_part(text)} is damaged, {in_short(error)}",
            do="Restore zarr.json (or .zarray, .zattrs) from the source.",
        ) from error
    return node


def open_image(uri: str | Path) -> zarr.Array[Any] | zarr.Group:
    """Open an image; of a group that Bio-Formats wrote, the first image inside."""
    node = open_node(uri)
    if isinstance(node, zarr.Group) and LAYOUT in ome_of(node):
        return open_node(f"{str(uri).rstrip('/')}/0")
    return node


def attributes_of(node: zarr.Array[Any] | zarr.Group) -> dict[str, Any]:
    """Return the attributes of an array or a group."""
    return dict(node.attrs.asdict())


def ome_of(node: zarr.Array[Any] | zarr.Group) -> dict[str, Any]:
    """Return the OME metadata of a node, wherever its version keeps it."""
    attributes = attributes_of(node)
    ome = attributes.get("ome", attributes)
    return dict(ome) if isinstance(ome, dict) else {}


def _check_local(path: Path) -> None:
    if not path.exists():
        raise VolumeNotFoundError(
            f"There is nothing at {path}",
            do="Check the path; the volume may have moved.",
        )
    if not path.is_dir():
        raise UnsupportedFormatError(
            f"{path.name} is no volume that can be opened",
            expected="a zarr folder, a TIFF or a NIfTI file",
        )
    if not is_zarr(path):
        raise UnsupportedFormatError(
            f"The folder {path.name} holds no zarr volume",
            expected="a folder with zarr.json, .zgroup or .zarray",
        )


def last_part(uri: str) -> str:
    """Return the name at the end of a path or an address."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def in_short(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
