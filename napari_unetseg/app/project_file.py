"""The file ``project.json``: what a project is about, and where its volume is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_unetseg.config import Config, VoxelSize
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.errors import (
    NewerProjectError,
    ProjectError,
    ProjectNotFoundError,
    VolumeChangedError,
    VolumeNotFoundError,
    explained_writing,
)

FORMAT_VERSION = 1
SUFFIX = ".unetseg"


class ProjectFile(Config):
    """The content of ``project.json``."""

    format_version: int = FORMAT_VERSION
    volume_uri: str
    volume_relative: str | None = None
    time_point: int = 0
    scale: VoxelSize | None = None
    fingerprint: dict[str, Any]
    classes: tuple[ClassInfo, ...]
    raters: tuple[str, ...] = ()
    active_model: str | None = None
    used_models: tuple[str, ...] = ()


def is_project(path: Path | str) -> bool:
    """Whether this folder holds a project."""
    return (Path(path) / "project.json").is_file()


def read_project_file(folder: Path) -> ProjectFile:
    """Return what a project is about, without opening it or its volume."""
    path = folder / "project.json"
    if not path.is_file():
        raise ProjectNotFoundError(
            f"There is no project at {folder}",
            do="Choose a folder that ends in .unetseg, or make a new project.",
        )
    try:
        content = json.loads(path.read_text())
        version = int(content["format_version"])
        if version > FORMAT_VERSION:
            raise NewerProjectError(
                f"The project {folder.name} was written by a later version",
                got=f"format {version}",
                expected=f"format {FORMAT_VERSION} or older",
                do="Update napari-unetseg to open it.",
            )
        return ProjectFile.model_validate(content)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ProjectError):
            raise
        raise ProjectError(
            f"The file {path} is damaged",
            do="Restore project.json from a backup; the journal is not affected.",
        ) from error


def write_project_file(folder: Path, file: ProjectFile) -> None:
    """Write it whole, or leave the old one."""
    path = folder / "project.json"
    with explained_writing("the project file", path):
        write_atomically(path, file.model_dump_json(indent=2))


def write_atomically(path: Path, text: str) -> None:
    """Write a text file that is there whole, or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def relative_uri(uri: str, folder: Path) -> str | None:
    """Return where a volume is from a project's folder, None if there is no way."""
    if "://" in uri:
        return None
    try:
        return os.path.relpath(uri, folder)
    except ValueError:  # another drive
        return None


def find_volume(folder: Path, file: ProjectFile) -> str:
    """Return where the volume is now; projects may move together with it."""
    if "://" in file.volume_uri or Path(file.volume_uri).exists():
        return file.volume_uri
    if file.volume_relative is not None:
        moved = (folder / file.volume_relative).resolve()
        if moved.exists():
            return str(moved)
    raise VolumeNotFoundError(
        f"The volume of this project is gone from {file.volume_uri}",
        do="Put it back, or beside the project as it was before.",
    )


def check_fingerprint(known: dict[str, Any], found: dict[str, Any]) -> None:
    """Check that a volume is the one that a project was made for.

    Raises
    ------
    VolumeChangedError
        If it is another one.
    """
    for key in ("shape", "dtype", "voxel_size"):
        if _plain(known.get(key)) != _plain(found.get(key)):
            raise VolumeChangedError(
                f"The {key.replace('_', ' ')} of the volume has changed",
                got=found.get(key),
                expected=known.get(key),
                do="Open the volume that this project was made for.",
            )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
