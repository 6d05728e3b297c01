from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project
from napari_unetseg.app.rater_actions import rater_matrix
from napari_unetseg.cli import ERROR, OK, USAGE, main


def _json(capsys) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_agreement_of_the_raters(phantom_path, capsys) -> None:
    labels = [str(phantom_path / "labels" / f"rater_{n}") for n in ("ana", "bo")]
    assert main(["agreement", *labels, "--names", "Ana,Bo", "--json"]) == OK
    result = _json(capsys)
    assert result["names"] == ["Ana", "Bo"]
    assert 0 < result["mean_dice"] < 1
    assert main(["agreement", str(phantom_path)]) == OK
    assert "fleiss_kappa" in capsys.readouterr().out


def test_the_report_on_agreement_and_its_regions(
    phantom_path, tmp_path, capsys
) -> None:
    labels = [str(phantom_path / "labels" / f"rater_{n}") for n in ("ana", "bo")]
    region = ["--region", "top=0:8,0:48,0:48", "--region", "all=0:16,0:48,0:48"]
    out = ["--out", str(tmp_path / "report"), "--margin-um", "2", "--no-surfaces"]
    assert main(["agreement", *labels, *region, *out, "--json"]) == OK
    result = _json(capsys)
    assert set(result["regions"]) == {"top", "all"}
    assert result["regions"]["all"]["fleiss_kappa"] == result["fleiss_kappa"]
    assert result["margin"] == "2 µm"
    assert result["surface_distances"] == []
    assert "rater_ana" in (tmp_path / "report" / "agreement.html").read_text("utf-8")
    assert main(["agreement", *labels, "--region", "0:8,0:48,0:48"]) == USAGE
    assert "a name and a box" in capsys.readouterr().err
    assert main(["agreement", *labels, "--names", "Ana,Ana,Bo"]) == USAGE
    assert main(["agreement", *labels, "--names", "Ana"]) == ERROR
    assert "a name of its own" in capsys.readouterr().err


def test_raters_are_imported_and_agree(project_folder, phantom_path, capsys) -> None:
    for name in ("ana", "bo"):
        labels = str(phantom_path / "labels" / f"rater_{name}")
        given = ["import-rater", str(project_folder), labels, "--rater", name]
        assert main([*given, "--json"]) == OK
        assert _json(capsys)["labelled"] == 16 * 48 * 48
    assert main(["consensus", str(project_folder), "--json"]) == OK
    made = _json(capsys)
    assert Path(made["target"]) == project_folder / "consensus" / "majority.zarr"
    assert made["voxels_per_class"]["cell"] > 0
    assert main(["consensus", str(project_folder), "--method", "staple"]) == ERROR
    assert "STAPLE needs at least three raters" in capsys.readouterr().err
    assert main(["agreement", str(project_folder), "--raters", "ana,Zoe"]) == ERROR
    assert "Zoe has labelled nothing" in capsys.readouterr().err


def test_values_that_are_imported_can_be_mapped(
    project_folder, phantom_path, capsys
) -> None:
    labels = str(phantom_path / "labels" / "truth")
    given = ["import-rater", str(project_folder), labels]
    assert main([*given, "--rater", "Ana", "--map", "0=background"]) == ERROR
    assert "Nobody has said what the value" in capsys.readouterr().err
    assert main([*given, "--rater", "Ana", "--class", "fibre", "--partial", "0"]) == OK
    capsys.readouterr()
    with Project.open(project_folder, read_only=True) as project:
        counts = rater_matrix(project)["Ana"]
    assert counts["fibre"] > 0
    assert counts["background"] == counts["cell"] == 0
    assert main(given) == USAGE
    assert "--rater" in capsys.readouterr().err
