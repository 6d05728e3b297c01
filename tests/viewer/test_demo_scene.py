from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_unetseg.app.project import Project
from napari_unetseg.errors import ExportError, UnsupportedFormatError
from napari_unetseg.viewer.demo_scene import SUMMARY, prepare


def test_the_sample_comes_with_its_model_and_its_truth(tmp_path: Path) -> None:
    scene = prepare(None, tmp_path / "out")
    assert scene.has_model
    assert scene.truth.shape == scene.box.shape == (64, 192, 192)
    with Project.open(scene.project) as project:
        assert project.active_model == "v1"
        assert project.class_names == ("cell", "fibre")


def test_a_volume_with_labels_takes_them_for_the_truth(
    phantom_path: Path, tmp_path: Path
) -> None:
    scene = prepare(phantom_path, tmp_path / "out")
    assert not scene.has_model
    assert set(np.unique(scene.truth)) == {0, 1, 2}
    with Project.open(scene.project) as project:
        assert project.class_names == ("truth_1", "truth_2")


def test_a_volume_without_labels_is_split_by_its_brightness(tmp_path: Path) -> None:
    image = np.zeros((4, 32, 32), "uint8")
    image[:, 8:24, 8:24] = 200
    array = zarr.create_array(
        tmp_path / "plain.zarr", shape=image.shape, chunks=(4, 32, 32), dtype="uint8"
    )
    array[:] = image
    scene = prepare(tmp_path / "plain.zarr", tmp_path / "out")
    assert scene.truth[2, 16, 16] == 1
    assert scene.truth[2, 2, 2] == 0


def test_the_folder_of_an_earlier_demo_is_emptied(
    phantom_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare(phantom_path, out)
    (out / "old.png").write_text("old")
    prepare(phantom_path, out)
    assert not (out / "old.png").exists()
    assert json.loads((out / SUMMARY).read_text()) == {"finished": False}


def test_a_folder_of_something_else_is_left_alone(
    phantom_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ExportError, match="not of a demo"):
        prepare(phantom_path, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "three years"


def test_a_file_that_is_no_zarr_is_refused(tmp_path: Path) -> None:
    voxels = np.zeros((5, 9, 9), "uint8")
    tifffile.imwrite(tmp_path / "s.tif", voxels, photometric="minisblack")
    with pytest.raises(UnsupportedFormatError, match="is no zarr volume"):
        prepare(tmp_path / "s.tif", tmp_path / "out")
