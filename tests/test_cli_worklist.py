from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.cli import ERROR, OK, USAGE, main
from napari_unetseg.config import TOTAL_UNCERTAINTY
from tests.helpers.predicted import predicted

DOUBTED = np.s_[4:8, 8:16, 8:16]


@pytest.fixture
def project_predicted(project_with_model: Path) -> Path:
    """A closed project in which a few voxels of a cell are in doubt."""
    with Project.open(project_with_model, read_only=True) as project:
        shape, path = project.volume.shape, project.prediction_path("v1")
    doubt, cell = np.zeros(shape, np.uint8), np.zeros((2, *shape), np.uint8)
    doubt[DOUBTED], cell[0] = 255, 255
    predicted(path, cell, {TOTAL_UNCERTAINTY: doubt})
    return project_with_model


def test_places_near_objects_come_first_if_nobody_says_otherwise(
    project_with_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(project_with_model, read_only=True) as project:
        shape, path = project.volume.shape, project.prediction_path("v1")
    labels, cell = np.zeros(shape, np.uint8), np.zeros((2, *shape), np.uint8)
    labels[DOUBTED], cell[0][DOUBTED] = 1, 255
    predicted(path, cell, {}, labels)
    assert main(["worklist", str(project_with_model), "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert found["strategy"] == "random"
    (region,) = found["regions"]
    assert "cell" in region["why"]
    assert region["why"].startswith("at random, ")


def test_regions_are_listed_with_their_reasons(
    project_predicted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubted = ["worklist", str(project_predicted), "--strategy", "uncertainty"]
    assert main([*doubted, "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["strategy"]) == ("v1", "uncertainty")
    (region,) = found["regions"]
    # A tenth of the volume is 3686 voxels, of which 256 are in doubt.
    assert region["score"] == pytest.approx(256 / 3686, abs=1e-4)
    assert region["why"] == "unsure about cell · 0.07"
    assert (region["class"], region["map"]) == ("cell", TOTAL_UNCERTAINTY)
    assert region["centre"] == [4, 8, 8]
    assert (region["start"], region["stop"]) == ([0, 0, 0], [16, 48, 48])
    assert main(["worklist", str(project_predicted), "--strategy", "scan"]) == OK
    said = capsys.readouterr().out
    assert "z 0 y 0 x 0  next in scan order" in said


def test_a_worklist_that_cannot_be_made_says_why(
    project_predicted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["worklist", str(project_predicted), "--strategy"]
    assert main([*given, "raters"]) == ERROR
    assert "has no map of rater disagreement. Train" in capsys.readouterr().err
    assert main([*given, "best"]) == USAGE
    assert "--strategy" in capsys.readouterr().err


def test_nothing_predicted_is_said(
    project_with_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worklist", str(project_with_model)]) == ERROR
    assert "Predict first: napari-unetseg predict." in capsys.readouterr().err
