from __future__ import annotations

import json

import numpy as np

from napari_unetseg.app.project import Project
from napari_unetseg.cli import ERROR, OK, USAGE, main
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (1, 2, 2))


def test_effort_of_a_project(project_folder, tmp_path, capsys) -> None:
    with Project.open(project_folder) as project:
        project.corrections.commit(
            BOX, np.ones(BOX.shape, bool), 1, annotator="Ana", tool="click"
        )
    out = tmp_path / "report"
    given = ["effort", str(project_folder), "--out", str(out), "--pause-s", "60"]
    assert main([*given, "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["n_clicks"] == 1
    assert found["pause_s"] == 60
    assert "Ana" in (out / "effort.html").read_text("utf-8")
    assert main(given) == OK
    said = capsys.readouterr().out
    assert "n_clicks" in said and str(out / "effort.csv") in said


def test_effort_says_what_is_wrong(tmp_path, project_folder, capsys) -> None:
    assert main(["effort", str(tmp_path / "none.unetseg")]) == ERROR
    assert main(["effort", str(project_folder), "--gamma", "-1"]) == USAGE
    assert "--gamma" in capsys.readouterr().err
