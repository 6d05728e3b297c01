"""What to do with a path that somebody dropped: project, volume, or file to convert."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from napari_unetseg.app.actions import converted_path
from napari_unetseg.app.project import SUFFIX, is_project
from napari_unetseg.data.convert import needs_conversion
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
        The project of the volume, or the zarr that the file becomes.
    """

    kind: PathKind
    path: str
    target: Path


def look_at(path: Path | str) -> Found:
    """Say what is at a path.

    Raises
    ------
    VolumeError
        If it is neither a project nor a volume.
    """
    text = str(path)
    if "://" in text:
        return Found(PathKind.VOLUME, text, project_folder(text))
    local = Path(text).expanduser().resolve()
    if is_project(local):
        return Found(PathKind.PROJECT, str(local), local)
    if needs_conversion(local):
        target = converted_path(local)
        if not target.exists():
            return Found(PathKind.FILE, str(local), target)
        local = target
    volume = Volume.open(local)
    return Found(PathKind.VOLUME, volume.uri, project_folder(volume.uri))


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
