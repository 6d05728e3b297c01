"""Merging: what was done in a copy of a project, brought into this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import ProjectFile, read_project_file
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.journal_merge import Merged, merge_journals
from napari_unetseg.errors import ProjectError, ReadOnlyError, VolumeChangedError


def merge_project(project: Project, other: Path) -> Merged:
    """Bring the strokes, notes and classes of another project folder in.

    Classes that were added in the copy are added here.

    Raises
    ------
    ProjectNotFoundError, NewerProjectError, ProjectError
        If ``other`` is no project of a version that is known here.
    VolumeChangedError
        If it is about another volume.
    ProjectError
        If a class means something else there.
    ReadOnlyError
        If the project is open read-only.
    """
    other = other.resolve()
    mine, theirs = read_project_file(project.folder), read_project_file(other)
    if project.read_only:
        raise ReadOnlyError(
            f"The project {project.name} cannot take anything in", do=project.held_by
        )
    if other == project.folder:
        raise ProjectError(
            "A project cannot be merged into itself", do="Choose the copy."
        )
    _check_volume(mine, theirs, other)
    new = _new_classes(mine.classes, theirs.classes, other)
    for info in new:
        project.add_class(info.name)
        if info.thin:
            project.set_thin(info.id, True)
    return merge_journals(project.corrections, other)


def _check_volume(mine: ProjectFile, theirs: ProjectFile, other: Path) -> None:
    for key in ("shape", "dtype", "voxel_size"):
        here, there = mine.fingerprint.get(key), theirs.fingerprint.get(key)
        if json.dumps(here) != json.dumps(there):
            raise VolumeChangedError(
                f"The project {other.name} is about another volume, its "
                f"{key.replace('_', ' ')} differs",
                got=there,
                expected=here,
                do="Choose a copy of this project.",
            )
    if mine.time_point != theirs.time_point:
        raise VolumeChangedError(
            f"The project {other.name} is about another time point",
            got=theirs.time_point,
            expected=mine.time_point,
            do="Choose a copy of this project.",
        )


def _new_classes(
    mine: tuple[ClassInfo, ...], theirs: tuple[ClassInfo, ...], other: Path
) -> tuple[ClassInfo, ...]:
    """Return the classes that are only there; the others must mean the same."""
    names: dict[Any, str] = {info.id: info.name for info in mine}
    for info in theirs:
        if names.get(info.id, info.name) != info.name:
            raise ProjectError(
                f"Class {info.id} means something else in {other.name}",
                got=info.name,
                expected=names[info.id],
                do="Rename or reorder the classes of one of the two projects.",
            )
    return tuple(info for info in theirs if info.id not in names)
