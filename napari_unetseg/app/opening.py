"""What to do with a path that somebody dropped: project, volume, or file to convert."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from napari_unetseg.app.actions import converted_path
from napari_unetseg.app.project_file import SUFFIX, is_project
from napari_unetseg.config import VoxelSize
from napari_unetseg.data.convert import needs_conversion
from napari_unetseg.data.file_sources import open_source
from napari_unetseg.data.volume import Volume


class PathKind(StrEnum):
    """What a path turned out to be."""

    PROJECT = "project"
    VOLUME = "volume"
    FILE = "file"


@dataclass(frozen=True)
class Found:
    """What is at a path.

    Attributes
    ----------
    path
        The project, the volume's address, or the file to convert.
    target
        The folder of its project.
    scale
        What it says of its voxel size, None if it says nothing.
    """

    kind: PathKind
    path: str
    target: Path
    scale: VoxelSize | None = None


def look_at(path: Path | str) -> Found:
    """Say what is at a path.

    Raises
    ------
    VolumeError
        If it is neither a project nor a volume.
    """
    text = str(path)
    if "://" in text:
        return _found_volume(Volume.open(text))
    local = Path(text).expanduser().resolve()
    if is_project(local):
        return Found(PathKind.PROJECT, str(local), local)
    if needs_conversion(local):
        converted = converted_path(local)
        if not converted.exists():
            source = open_source(local)
            said = _said(source.voxel_size, source.unit)
            folder = project_folder(str(converted))
            return Found(PathKind.FILE, str(local), folder, said)
        local = converted
    return _found_volume(Volume.open(local))


def _found_volume(volume: Volume) -> Found:
    said = _said(volume.voxel_size, volume.unit)
    return Found(PathKind.VOLUME, volume.uri, project_folder(volume.uri), said)


def _said(
    size: tuple[float, float, float] | None, unit: str | None
) -> VoxelSize | None:
    """Return a voxel size; None for what formats fill in where nobody said it."""
    if size is None or (unit is None and size == (1.0, 1.0, 1.0)):
        return None
    return VoxelSize(voxel_size=size, unit=unit)


def project_folder(uri: str) -> Path:
    """Return the folder of a volume's project: beside it, else in the user's data."""
    name = uri.rstrip("/").rsplit("/", 1)[-1]
    name = Path(name).name.removesuffix(".zarr").removesuffix(".ome") + SUFFIX
    if "://" not in uri:
        beside = Path(uri).parent / name
        if beside.exists() or os.access(beside.parent, os.W_OK):
            return beside
    return user_data() / "projects" / name


def user_data() -> Path:
    """Return the folder for samples, and for projects without a better place."""
    return Path(platformdirs.user_data_dir("napari-unetseg", appauthor=False))
