from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.rater_actions import rater_matrix
from napari_unetseg.config import AgreementConfig, ConsensusConfig, ImportConfig
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError, LabelsError, ReadOnlyError
from napari_unetseg.geometry import Box

RATERS = ("ana", "bo", "cy")


@pytest.fixture
def rated(project_folder: Path, phantom_path: Path) -> Path:
    """A project with three imported raters."""
    for name in RATERS:
        labels = phantom_path / "labels" / f"rater_{name}"
        actions.import_rater(project_folder, labels, ImportConfig(rater=name))
    return project_folder


def label_images(phantom_path: Path) -> list[Path]:
    return [phantom_path / "labels" / f"rater_{name}" for name in RATERS]


def test_a_project_gives_what_its_label_images_give(rated, phantom_path) -> None:
    of_project = actions.agreement([rated])
    of_images = actions.agreement(
        label_images(phantom_path), AgreementConfig(names=RATERS)
    )
    assert of_project["fleiss_kappa"] == of_images["fleiss_kappa"]
    assert of_project["near"]["n_voxels"] == of_images["near"]["n_voxels"]
    assert of_project["classes"] == ["cell", "fibre"]
    assert of_images["classes"] == ["class 1", "class 2"]
    assert (rated / "agreement" / "agreement.html").is_file()
    assert "report" not in of_images


def test_the_consensus_of_images_is_that_of_the_project(rated, phantom_path, tmp_path):
    config = ConsensusConfig(method="staple", out=tmp_path / "all.zarr")
    of_images = actions.consensus(label_images(phantom_path), config)
    of_project = actions.make_consensus(rated, ConsensusConfig(method="staple"))
    said = [
        Volume.open(found["target"]).read(Box.whole((16, 48, 48)), missing="fill")
        for found in (of_images, of_project)
    ]
    assert np.array_equal(*said)
    assert actions.make_consensus(rated)["method"] == "majority"
    again = actions.make_consensus(rated)
    assert again["target"].endswith("majority.zarr")


def test_raters_of_a_project_can_be_chosen(rated) -> None:
    found = actions.compare_raters(rated, AgreementConfig(raters=("cy", "ana")))
    assert found["names"] == ["cy", "ana"]
    with pytest.raises(LabelsError, match="at least two"):
        actions.compare_raters(rated, AgreementConfig(raters=("cy",)))


def test_the_matrix_counts_what_the_raters_labelled(rated) -> None:
    with Project.open(rated) as project:
        matrix = rater_matrix(project)
        said = project.corrections.read("bo", Box.whole((16, 48, 48)))
    assert list(matrix) == list(RATERS)
    assert matrix["bo"] == {
        name: int((said == n).sum())
        for n, name in enumerate(["background", "cell", "fibre"])
    }


def test_a_project_that_is_open_elsewhere_takes_nothing_in(rated, phantom_path):
    labels = phantom_path / "labels" / "truth"
    with Project.open(rated), pytest.raises(ReadOnlyError, match="cannot take"):
        actions.import_rater(rated, labels, ImportConfig(rater="Zoe"))


def test_a_consensus_without_a_place_is_refused(phantom_path) -> None:
    with pytest.raises(ExportError, match="needs a target"):
        actions.consensus(label_images(phantom_path))


def test_a_copy_of_a_project_keeps_its_raters(rated, tmp_path) -> None:
    copy = tmp_path / "copy.unetseg"
    shutil.copytree(rated, copy)
    found = actions.agreement([copy], AgreementConfig(out=tmp_path / "report"))
    assert Path(found["report"]).parent == tmp_path / "report"
    assert not (copy / "agreement").exists()
