from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_unetseg.app import actions
from napari_unetseg.app.predict_actions import begun_with
from napari_unetseg.app.project import Project
from napari_unetseg.config import (
    ExportConfig,
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
    VoxelSize,
)
from napari_unetseg.data.pyramid_store import THIN
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import LabelsError, ModelNotFoundError, RunMismatchError
from napari_unetseg.geometry import Box


def test_a_tiff_is_converted_on_the_way_to_a_project(tmp_path: Path) -> None:
    image = np.arange(4 * 20 * 24, dtype="uint16").reshape(4, 20, 24)
    tifffile.imwrite(
        tmp_path / "stack.tif", image, imagej=True, metadata={"axes": "ZYX"}
    )

    made = actions.new_project(
        tmp_path / "p",
        tmp_path / "stack.tif",
        NewProjectConfig(
            classes=("cell",),
            scale=VoxelSize(voxel_size=(50.0, 4.6, 4.6), unit="nanometer"),
        ),
    )

    assert made["volume"] == str(tmp_path / "stack.zarr")
    with Project.open(made["project"]) as project:
        whole = project.volume.read(Box.whole(project.volume.shape))
        np.testing.assert_array_equal(whole[0], image)
        assert project.volume.voxel_size == (50.0, 4.6, 4.6)
        assert project.volume.unit == "nanometer"


@pytest.mark.parametrize(
    ("name", "converted"),
    [("a.nii.gz", "a.zarr"), ("a.ome.tif", "a.zarr"), ("a.b.tiff", "a.b.zarr")],
)
def test_a_converted_file_keeps_its_name(name: str, converted: str) -> None:
    assert actions.converted_path(Path("x") / name) == Path("x") / converted


def test_predicting_without_a_model_says_what_to_do(project_folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="Label a few slices"):
        actions.predict(project_folder)


def test_a_prediction_knows_which_classes_are_thin(project_with_model: Path) -> None:
    with Project.open(project_with_model) as project:
        project.set_thin(2, True)
    actions.predict(project_with_model, PredictConfig(flips=1))
    with Project.open(project_with_model, read_only=True) as project:
        store = project.predictions()
        assert store is not None
        labels = zarr.open_group(
            store.path / "probability" / "labels" / "prediction", mode="r"
        )
        assert labels.attrs[THIN] == [2]


def test_a_second_prediction_finds_everything_done(project_with_model: Path) -> None:
    config = PredictConfig(flips=1)
    first = actions.predict(project_with_model, config)
    second = actions.predict(project_with_model, config)

    assert first["done"] + first["empty"] > 0
    assert first["failed"] == 0
    assert second["done"] == 0


def test_what_nobody_chooses_goes_on_as_it_was_begun(
    project_with_model: Path,
) -> None:
    half = Box((0, 0, 0), (16, 16, 16))
    begun = {"flips": 4, "missing_chunks": "fill", "block": (16, 16, 16)}
    actions.predict(
        project_with_model, PredictConfig.model_validate({**begun, "box": half})
    )
    assert actions.predict(project_with_model, PredictConfig())["done"] > 0
    with pytest.raises(RunMismatchError, match="flips: got 1, expected 4"):
        actions.predict(project_with_model, PredictConfig(flips=1))


def test_a_prediction_that_was_removed_has_begun_nothing(
    project_with_model: Path,
) -> None:
    actions.predict(project_with_model, PredictConfig(flips=4))
    with Project.open(project_with_model) as project:
        version = str(project.active_model)
        shutil.rmtree(project.prediction_path(version))
        assert begun_with(project, version) == {}
    actions.predict(project_with_model)
    with Project.open(project_with_model) as project:
        usual = {"flips": PredictConfig().flips, "missing_chunks": "fail"}
        assert begun_with(project, version) == usual


def test_labels_become_a_model_that_predicts_and_is_exported(
    project_folder: Path, phantom_path: Path, tmp_path: Path
) -> None:
    truth = Volume.open(phantom_path / "labels" / "truth")
    box = Box((6, 0, 0), (9, *truth.shape[1:]))
    with Project.open(project_folder) as project:
        labels = truth.read(box)[0]
        project.corrections.commit(
            box, np.ones(box.shape, bool), labels, annotator="Ana", tool="brush"
        )

    trained = actions.train(project_folder, TrainConfig(steps=3, preset="S"))
    assert trained["version"] == "v1"
    actions.predict(project_folder, PredictConfig(flips=1))
    exported = actions.export(
        project_folder, ExportConfig(target=tmp_path / "out.zarr")
    )

    with Project.open(project_folder, read_only=True) as project:
        assert project.active_model == "v1"
    out = Volume.open(exported["target"]).read(Box.whole(truth.shape))[0]
    np.testing.assert_array_equal(out[box.slices], labels)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dask's own
def test_objects_found_by_two_processes_are_those_of_one(
    project_folder: Path, phantom_path: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    truth = Volume.open(phantom_path / "labels" / "truth")
    whole = Box.whole(truth.shape)
    with Project.open(project_folder) as project:
        project.corrections.commit(
            whole,
            np.ones(whole.shape, bool),
            truth.read(whole)[0],
            annotator="Ana",
            tool="brush",
        )

    def objects(name: str, **more: Any) -> tuple[np.ndarray, int]:
        config = ExportConfig(target=tmp_path / name, kind="objects", **more)
        done = actions.export(project_folder, config)
        return Volume.open(done["target"]).read(whole)[0], done["n_objects"]

    alone, n = objects("alone.zarr")
    shared, n_shared = objects("shared.zarr", workers=2)
    assert n == n_shared > 1
    np.testing.assert_array_equal(alone, shared)


def test_info_describes_a_volume_and_a_project(
    project_with_model: Path, phantom_path: Path
) -> None:
    volume = actions.info(phantom_path)
    project = actions.info(project_with_model)

    assert volume["shape"] == [16, 48, 48]
    assert "truth" in volume["labels"]
    assert project["classes"] == ["cell", "fibre"]
    assert project["models"] == ["v1"]
    assert project["strokes"] == 0


def test_agreement_takes_all_labels_of_a_volume(phantom_path: Path) -> None:
    result = actions.agreement([phantom_path])
    assert set(result["names"]) >= {"truth", "rater_ana"}


def test_agreement_of_one_label_image_is_refused(phantom_path: Path) -> None:
    with pytest.raises(LabelsError, match="at least two"):
        actions.agreement([phantom_path / "labels" / "truth"])
