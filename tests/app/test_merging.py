from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.errors import (
    NewerProjectError,
    ProjectError,
    ProjectNotFoundError,
    ReadOnlyError,
    VolumeChangedError,
)
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (4, 8, 8))


@pytest.fixture
def copy(project_folder: Path) -> Path:
    """A copy of the project, in which Bo painted the third class, a new one."""
    folder = project_folder.with_name("copy.unetseg")
    shutil.copytree(project_folder, folder)
    with Project.open(folder) as project:
        project.add_class("wall")
        project.set_thin(3, True)
        paint(project, "Bo", 3)
        project.corrections.add_reviewed(BOX, "Bo")
    return folder


def paint(project: Project, annotator: str, value: int) -> None:
    mask = np.ones(BOX.shape, bool)
    project.corrections.commit(BOX, mask, value, annotator=annotator, tool="brush")


def change(folder: Path, **changes: Any) -> None:
    path = folder / "project.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_strokes_notes_and_classes_of_a_copy_come_in(
    project_folder: Path, copy: Path
) -> None:
    with Project.open(project_folder) as project:
        paint(project, "Ana", 1)
    merged = actions.merge(project_folder, copy)
    assert merged["strokes"] == {"Bo": 1} and merged["annotators"] == ["Ana", "Bo"]
    assert (merged["reviewed"], merged["renamed"]) == (1, {})
    with Project.open(project_folder) as project:
        assert project.class_names == ("cell", "fibre", "wall")
        assert project.classes[2].thin
        assert (project.corrections.read("Bo", BOX) == 3).all()
        assert (project.corrections.read("Ana", BOX) == 1).all()
    assert actions.merge(project_folder, copy)["strokes"] == {}


def test_the_volume_of_the_copy_need_not_be_there(
    project_folder: Path, copy: Path
) -> None:
    change(copy, volume_uri="/gone.zarr", volume_relative=None)
    assert actions.merge(project_folder, copy)["strokes"] == {"Bo": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": {"shape": [9, 9, 9]}}, "another volume, its shape differs"),
        ({"time_point": 2}, "another time point: got 2, expected 0"),
    ],
)
def test_a_project_of_another_volume_is_refused(
    project_folder: Path, copy: Path, changes: dict[str, Any], words: str
) -> None:
    known = json.loads((copy / "project.json").read_text())["fingerprint"]
    if "fingerprint" in changes:
        changes = {"fingerprint": known | changes["fingerprint"]}
    change(copy, **changes)
    with pytest.raises(VolumeChangedError, match=words):
        actions.merge(project_folder, copy)
    with Project.open(project_folder) as project:
        assert project.corrections.strokes() == []


def test_classes_that_mean_something_else_are_refused(
    project_folder: Path, copy: Path
) -> None:
    with Project.open(project_folder) as project:
        project.add_class("membrane")
    words = "Class 3 means something else in copy.unetseg: got wall, expected membrane"
    with pytest.raises(ProjectError, match=words):
        actions.merge(project_folder, copy)


def test_a_project_that_is_open_elsewhere_takes_nothing_in(
    project_folder: Path, copy: Path
) -> None:
    with (
        Project.open(project_folder),
        pytest.raises(ReadOnlyError, match="take anything in. .* open elsewhere"),
    ):
        actions.merge(project_folder, copy)


def test_what_is_no_copy_is_a_sentence(
    project_folder: Path, copy: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProjectNotFoundError, match="There is no project at"):
        actions.merge(project_folder, tmp_path)
    with pytest.raises(ProjectError, match="merged into itself. Choose the copy"):
        actions.merge(project_folder, project_folder)
    change(copy, format_version=99)
    with pytest.raises(NewerProjectError, match="later version"):
        actions.merge(project_folder, copy)
