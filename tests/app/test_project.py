from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unetseg.app import project as project_module
from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import is_project
from napari_unetseg.errors import (
    ModelMismatchError,
    NewerProjectError,
    ProjectError,
    ProjectNotFoundError,
    ReadOnlyError,
    UnsafeCheckpointError,
    VolumeChangedError,
    VolumeNotFoundError,
)
from napari_unetseg.geometry import Box


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "project.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_new_project_has_its_classes_and_no_model(project_folder: Path) -> None:
    assert is_project(project_folder)
    with Project.open(project_folder) as project:
        assert project.class_names == ("cell", "fibre")
        assert [info.id for info in project.classes] == [1, 2]
        assert project.active_model is None
        assert project.predictions() is None
        assert not project.read_only


def test_a_folder_that_holds_something_is_not_overwritten(
    project_folder: Path, phantom_path: Path
) -> None:
    with pytest.raises(ProjectError, match="is not empty"):
        Project.create(project_folder, phantom_path, class_names=("a",))


def test_a_project_needs_a_class(phantom_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="at least one class"):
        Project.create(tmp_path / "new", phantom_path, class_names=())


def test_thin_classes_are_named_when_the_project_is_made_or_later(
    phantom_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new.unetseg"
    Project.create(
        folder, phantom_path, class_names=("cell", "fibre"), thin=["fibre"]
    ).close()
    with Project.open(folder) as project:
        assert [info.thin for info in project.classes] == [False, True]
        project.set_thin(1, True)
        project.set_thin(2, False)
        project.add_class("debris")
    with Project.open(folder) as project:
        assert [info.thin for info in project.classes] == [True, False, False]
    with pytest.raises(ProjectError, match="got membrane, expected cell"):
        Project.create(
            tmp_path / "other.unetseg",
            phantom_path,
            class_names=("cell",),
            thin=["membrane"],
        )


def test_a_folder_without_a_project_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFoundError, match="There is no project at"):
        Project.open(tmp_path)


def test_a_project_of_a_later_version_is_not_touched(project_folder: Path) -> None:
    _edit(project_folder, format_version=99)
    before = (project_folder / "project.json").read_bytes()

    with pytest.raises(NewerProjectError, match="Update napari-unetseg to open it"):
        Project.open(project_folder)
    assert (project_folder / "project.json").read_bytes() == before


def test_a_damaged_project_file_says_what_is_not_lost(project_folder: Path) -> None:
    (project_folder / "project.json").write_text('{"format_version": 1, "vol')
    with pytest.raises(ProjectError, match="the journal is not affected"):
        Project.open(project_folder)


def test_project_and_volume_may_move_together(
    project_folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in (project_folder, project_folder.with_suffix(".zarr")):
        shutil.move(path, moved / path.name)

    with Project.open(moved / project_folder.name) as project:
        assert Path(project.volume.uri).parent == moved


def test_a_volume_that_is_gone_is_named(project_folder: Path) -> None:
    shutil.rmtree(project_folder.with_suffix(".zarr"))
    with pytest.raises(VolumeNotFoundError, match=r"small\.zarr\. Put it back"):
        Project.open(project_folder)


def test_another_volume_at_the_same_place_is_refused(project_folder: Path) -> None:
    volume = project_folder.with_suffix(".zarr")
    shutil.rmtree(volume)
    array = zarr.create_array(volume, shape=(4, 5, 6), chunks=(4, 5, 6), dtype="uint8")
    array[:] = 1

    with pytest.raises(VolumeChangedError, match=r"shape of the volume has changed"):
        Project.open(project_folder)


def test_the_second_to_open_a_project_may_only_read(project_folder: Path) -> None:
    with Project.open(project_folder), Project.open(project_folder) as second:
        assert second.read_only
        assert "is open elsewhere" in second.held_by
        with pytest.raises(ReadOnlyError, match="is open elsewhere"):
            second.add_class("third")


def test_a_folder_that_cannot_be_written_is_opened_to_read(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(project_module, "ProjectLock", refuse)
    with Project.open(project_folder) as project:
        assert project.read_only
        assert "cannot be written to" in project.held_by
        with pytest.raises(ReadOnlyError, match="is read-only"):
            project.corrections.commit(
                Box((0, 0, 0), (1, 1, 1)),
                np.ones((1, 1, 1), bool),
                1,
                annotator="Ana",
                tool="brush",
            )


def test_classes_can_be_added_but_not_twice(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        assert project.add_class("vessel").id == 3
        with pytest.raises(ProjectError, match="already is a class named vessel"):
            project.add_class("vessel")
    with Project.open(project_folder) as project:
        assert project.class_names == ("cell", "fibre", "vessel")


def test_the_intensity_range_is_estimated_once(project_folder: Path) -> None:
    with Project.open(project_folder) as project:
        first = project.normalisation()
        assert project.normalisation() == first
    assert (project_folder / "normalisation.json").exists()


def test_an_imported_model_becomes_the_active_one(
    project_folder: Path, model_dir: Path
) -> None:
    with Project.open(project_folder) as project:
        assert project.import_model(model_dir) == "v1"
    with Project.open(project_folder) as project:
        assert project.active_model == "v1"


def test_a_model_with_other_channels_is_refused(
    tmp_path: Path, model_dir: Path
) -> None:
    volume = tmp_path / "two.zarr"
    array = zarr.create_array(
        volume, shape=(2, 4, 16, 16), chunks=(1, 4, 16, 16), dtype="uint8"
    )
    array[:] = 7
    with Project.create(
        tmp_path / "two", volume, class_names=("cell", "fibre")
    ) as project:
        with pytest.raises(ModelMismatchError, match="one for 2 channels"):
            project.import_model(model_dir)
        assert project.models.versions() == []


def test_a_model_of_other_classes_is_refused(
    phantom_path: Path, tmp_path: Path, model_dir: Path
) -> None:
    with Project.create(
        tmp_path / "other", phantom_path, class_names=("nucleus",)
    ) as project:
        with pytest.raises(ModelMismatchError, match="got cell, fibre"):
            project.import_model(model_dir)
        assert project.active_model is None


def test_a_pickled_checkpoint_is_refused(
    project_folder: Path, model_dir: Path, tmp_path: Path
) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(model_dir, pickled)
    (pickled / "weights.safetensors").unlink()
    (pickled / "weights.pt").write_bytes(b"\x80\x04never read")

    with Project.open(project_folder) as project:
        with pytest.raises(UnsafeCheckpointError, match="never loaded"):
            project.import_model(pickled)
        assert project.models.versions() == []
