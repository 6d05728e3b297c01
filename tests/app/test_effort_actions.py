"""Effort and gain of a real project: labels, a real prediction, reviewed regions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import EffortConfig, PredictConfig
from napari_unetseg.geometry import Box
from tests.helpers.journal_clock import JournalClock

REGION = Box((0, 0, 0), (4, 16, 16))
OTHER = Box((8, 16, 16), (12, 32, 32))


@pytest.fixture
def predicted(project_with_model: Path) -> Path:
    config = PredictConfig(flips=1, threads=1, device="cpu", backend="torch-fp32")
    actions.predict(project_with_model, config)
    return project_with_model


def test_a_project_from_the_first_stroke_to_the_report(
    predicted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = JournalClock(monkeypatch)
    clock.turn(1e9)  # long after the model was made
    with Project.open(predicted) as project:
        store, version = project.corrections, project.active_model
        seen = project.predictions(version)
        assert seen is not None
        wrong = np.where(seen.read_labels(REGION) == 1, 2, 1).astype(np.uint8)
        store.commit(REGION, np.ones(REGION.shape, bool), wrong, annotator="Ana",
                     tool="brush", model_version=version)  # fmt: skip
        clock.turn(90)
        store.add_reviewed(REGION, "Ana", version, "corrected")
        store.add_reviewed(OTHER, "Ana", version)
        found = actions.measure_effort(predicted)

    assert found["total"]["strokes"] == {"brush": 1}
    assert found["total"]["n_voxels"] == REGION.n_voxels
    assert found["total"]["minutes"] == 1.5
    assert found["total"]["reviewed"] == {"corrected": 1, "accepted": 1}
    assert [part["annotator"] for part in found["people"]] == ["Ana"]
    assert found["n_regions"] == 2
    (row,) = found["versions"]
    assert row["version"] == version
    assert row["n_voxels"] == REGION.n_voxels + OTHER.n_voxels
    assert row["n_own"] == OTHER.n_voxels and row["was_reference"]
    assert row["dice_elsewhere"] == {"cell": None, "fibre": None}
    assert row["hce_per_mvoxel"] == pytest.approx(
        1e6 * sum(row["hce"].values()) / row["n_voxels"]
    )
    assert sum(row["hce"].values()) > 0
    # It was made before anybody did anything here.
    assert (row["strokes"], row["minutes"], row["n_learned"]) == (0, 0, 0)
    assert Path(found["report"]) == predicted / "effort" / "effort.html"
    kept = json.loads(Path(found["json"]).read_text("utf-8"))
    assert kept["versions"] == found["versions"]


def test_everything_right_is_no_effort(predicted: Path, tmp_path: Path) -> None:
    with Project.open(predicted) as project:
        project.corrections.add_reviewed(OTHER, "Ana", project.active_model)
    out = tmp_path / "report"
    found = actions.measure_effort(predicted, EffortConfig(out=out, axis="x", gamma=0))
    (row,) = found["versions"]
    assert row["hce"] == {"cell": 0, "fibre": 0}
    assert row["hce_per_mvoxel"] == 0
    assert (out / "effort.html").is_file() and not (predicted / "effort").exists()


def test_a_version_without_a_prediction_has_no_dice(project_with_model: Path) -> None:
    with Project.open(project_with_model) as project:
        project.corrections.add_reviewed(OTHER, "Ana", project.active_model)
    (row,) = actions.measure_effort(project_with_model)["versions"]
    assert row["n_voxels"] == 0 and row["hce_per_mvoxel"] is None
    assert row["dice"] == {"cell": None, "fibre": None}


def test_a_project_without_models_still_says_what_it_cost(project_folder: Path) -> None:
    found = actions.measure_effort(project_folder)
    assert found["people"] == found["versions"] == []
    assert found["total"]["n_strokes"] == 0
