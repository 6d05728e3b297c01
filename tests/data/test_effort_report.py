from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from napari_unetseg.data.effort_report import HEAD, rows_of, series_of, write_effort
from napari_unetseg.data.report_points import Point, Series, nice_step, scatter

EVIL = "<script>alert('x')</script>"
FORMULA = "=HYPERLINK(1)"


def person(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "annotator": name, "model_version": "v1", "strokes": {"brush": 12, "click": 3},
        "n_strokes": 15, "n_clicks": 5, "n_rejected_clicks": 2, "n_voxels": 1200,
        "n_changed": 1100, "n_undone": 4, "n_undone_voxels": 90, "n_steps_back": 6,
        "n_brought_in": 0, "n_reviewed": 7, "minutes": 12.5, "active_s": 750.0,
        "reviewed": {"accepted": 5, "skipped": 2}, **changes,
    }  # fmt: skip


def version(name: str, minutes: float, dice: float | None, own: int) -> dict[str, Any]:
    return {
        "version": name, "parent": None, "created": "2026-03-01T09:00:00+00:00",
        "strokes": 10, "minutes": minutes, "n_voxels": 4000, "n_own": own,
        "n_learned": 1000, "n_elsewhere": 4000 - own, "was_reference": own > 0,
        "dice": {"<b>cell</b>": dice}, "dice_elsewhere": {"<b>cell</b>": 0.625},
        "hce": {"<b>cell</b>": 40}, "hce_per_mvoxel": 10_000.0,
    }  # fmt: skip


@pytest.fixture
def found() -> dict[str, Any]:
    return {
        "project": "embryo", "classes": ["<b>cell</b>"], "axis": "z", "gamma": 1,
        "colors": {"<b>cell</b>": "#0072b2"}, "pause_s": 120.0, "epsilon": 2.0,
        "total": person("", model_version=None), "people": [person(EVIL),
        person(FORMULA)], "n_regions": 3,
        "versions": [version("v1", 0.0, 0.875, 0), version("v2", 9.5, 1.0, 4000),
                     version("v3", 11.0, None, 0)],
    }  # fmt: skip


def test_three_files_hold_the_same_numbers(found, tmp_path: Path) -> None:
    paths = write_effort(tmp_path / "report", found, "Effort")
    assert {Path(p).name for p in paths.values()} == {
        "effort.html", "effort.csv", "effort.json",
    }  # fmt: skip
    assert json.loads(Path(paths["json"]).read_text("utf-8")) == found
    with Path(paths["csv"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = {(r["annotator"], r["model_version"], r["measure"], r["of"]): r["value"]
              for r in rows}  # fmt: skip
    assert values["everybody", "", "strokes by tool", "click"] == "3"
    assert values[f"'{FORMULA}", "v1", "minutes", ""] == "12.5"
    assert values["", "v2", "dice", "<b>cell</b>"] == "1.0"
    assert values["", "v3", "dice", "<b>cell</b>"] == ""
    html = Path(paths["report"]).read_text("utf-8")
    assert "0.875" in html and "12.5" in html
    assert "itself, in part" in html
    assert "longer than 120 seconds" in html


def test_no_name_becomes_markup_and_nobody_is_asked(found, tmp_path: Path) -> None:
    html = Path(write_effort(tmp_path, found, EVIL)["report"]).read_text("utf-8")
    assert EVIL not in html and "<b>cell" not in html
    assert not re.search(r"src=|href=|<script|url\(", html)


def test_every_row_has_all_columns_and_a_name_of_its_own(found) -> None:
    rows = list(rows_of(found))
    assert {len(row) for row in rows} == {len(HEAD)}
    assert len({row[:4] for row in rows}) == len(rows)


def test_without_versions_the_page_says_what_to_do(found, tmp_path: Path) -> None:
    empty = {**found, "versions": []}
    html = Path(write_effort(tmp_path, empty, "Effort")["report"]).read_text("utf-8")
    assert "mark regions as reviewed, and predict them" in html
    assert "<svg" not in html


def test_a_version_that_was_the_reference_is_a_hollow_point(found) -> None:
    (series,) = series_of(found)
    assert [(p.x, p.y, p.is_hollow, p.careful) for p in series.points] == [
        (0.0, 0.875, False, None), (9.5, 1.0, True, 0.625),
    ]  # fmt: skip


def test_points_stand_where_their_numbers_say() -> None:
    series = Series(
        EVIL, "#0072b2", (Point(0, 0, "a"), Point(10, 1, "b", "v2", True, 0))
    )
    root = ElementTree.fromstring(scatter([series], "min", "Dice", "title"))
    circles = [e.attrib for e in root.iter() if e.tag.endswith("circle")]
    first, second, key = circles
    (cross,) = (e.attrib["d"] for e in root.iter() if e.tag.endswith("path"))
    x, y = float(second["cx"]), float(first["cy"])
    assert cross.startswith(f"M {x - 4:.1f} {y - 4:.1f} ")
    assert float(first["cx"]) == float(key["cx"])  # the left end of the axis
    assert float(first["cy"]) > float(second["cy"])
    assert first["fill"] == "#0072b2" and second["fill"] == "var(--paper)"
    assert "v2" in [e.text for e in root.iter() if e.tag.endswith("text")]
    lines = [e.attrib for e in root.iter() if e.tag.endswith("}line")]
    assert float(second["cx"]) == max(float(one["x2"]) for one in lines)


@pytest.mark.parametrize(
    ("largest", "step"), [(0, 1), (0.4, 0.1), (1, 0.2), (10, 2), (26, 10), (100, 20)]
)
def test_axes_have_round_numbers(largest: float, step: float) -> None:
    assert nice_step(largest) == pytest.approx(step)
