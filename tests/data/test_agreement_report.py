from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from napari_unetseg.data.agreement import agreement
from napari_unetseg.data.agreement_report import HEAD, rows_of, write_report
from napari_unetseg.data.ratings import ratings_of
from napari_unetseg.data.report_svg import BarRow, bars, matrix
from napari_unetseg.data.report_words import (
    about_alpha,
    about_dice,
    about_kappa,
    about_missing,
    percent,
)
from napari_unetseg.geometry import Box

EVIL = "<script>alert('x')</script>"
FORMULA = "=HYPERLINK(1)"
TITLE = "Raters of <u>embryo</u>"


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    truth = (rng.random((6, 8, 9)) < 0.4).astype(np.uint8)
    labels = {
        name: np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth)
        for name in ("Ana", EVIL, FORMULA)
    }
    region = {"<i>top</i>": Box((0, 0, 0), (3, 8, 9))}
    ratings = ratings_of(labels, (2.0, 1.0, 1.0), "micrometer")
    return agreement(ratings, ("<b>cell</b>",), regions=region)


def test_three_files_hold_the_same_numbers(found, tmp_path: Path) -> None:
    paths = write_report(tmp_path / "report", found, TITLE)
    assert {Path(p).name for p in paths.values()} == {
        "agreement.html", "agreement.csv", "agreement.json",
    }  # fmt: skip
    assert json.loads(Path(paths["json"]).read_text("utf-8")) == found
    with Path(paths["csv"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kappa = [r for r in rows if (r["part"], r["measure"], r["class"]) ==
             ("near the objects", "fleiss_kappa", "")]  # fmt: skip
    assert float(kappa[0]["value"]) == found["near"]["fleiss_kappa"]
    html = Path(paths["report"]).read_text("utf-8")
    assert f"{found['near']['fleiss_kappa']:.3f}" in html
    assert f"{found['pairs'][0]['dice']['<b>cell</b>']:.3f}" in html


def test_no_name_becomes_markup(found, tmp_path: Path) -> None:
    html = Path(write_report(tmp_path, found, TITLE)["report"]).read_text("utf-8")
    for name in (EVIL, TITLE, "<b>cell</b>", "<i>top</i>"):
        assert name not in html
    assert "&lt;script&gt;" in html
    # The page asks nobody for anything, and runs nothing.
    assert not re.search(r"src=|href=|<script|url\(", html)


def test_no_name_becomes_a_formula(found, tmp_path: Path) -> None:
    text = Path(write_report(tmp_path, found, TITLE)["csv"]).read_text("utf-8")
    assert f"'{FORMULA}" in text
    assert not re.search(r"(^|,)=", text)


def test_every_row_has_all_columns(found) -> None:
    rows = list(rows_of(found))
    assert {len(row) for row in rows} == {len(HEAD)}
    assert {row[0] for row in rows} == {
        "whole volume", "near the objects", "region <i>top</i>",
    }  # fmt: skip
    assert len({row[:5] for row in rows}) == len(rows)


def test_a_comparison_without_objects_is_still_a_page(tmp_path: Path) -> None:
    empty = np.zeros((2, 3, 4), np.uint8)
    found = agreement(ratings_of({"a": empty, "b": empty}))
    html = Path(write_report(tmp_path, found, TITLE)["report"]).read_text("utf-8")
    assert "nothing to differ on" in html
    assert "need three raters" in html


def test_drawings_are_sound_xml_and_as_long_as_their_numbers() -> None:
    rows = [BarRow(EVIL, 1.0, "10"), BarRow("b" * 90, 0.5, "5", is_doubt=True)]
    root = ElementTree.fromstring(bars(rows, "title"))
    rects = [e for e in root.iter() if e.tag.endswith("rect")]
    widths = [float(e.attrib["width"]) for e in rects]
    assert widths[0] == 2 * widths[1]
    assert [e.attrib["fill"] for e in rects] == ["var(--mark)", "var(--doubt)"]
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert texts[0] == EVIL
    assert texts[2] is not None and texts[2].endswith("…")


def test_a_matrix_is_the_stronger_the_higher_the_number() -> None:
    root = ElementTree.fromstring(matrix(["a", "b"], [[1, 0.5], [None, 1]], "Dice"))
    rects = [e for e in root.iter() if e.tag.endswith("rect")]
    strengths = [float(e.attrib["fill-opacity"]) for e in rects]
    assert strengths[0] > strengths[1] > strengths[2] == 0
    assert "–" in [e.text for e in root.iter() if e.tag.endswith("text")]


@pytest.mark.parametrize(
    ("kappa", "word"),
    [(0.9, "almost perfect"), (0.7, "substantial"), (0.5, "moderate"),
     (0.1, "slight"), (-0.2, "no better than chance"), (None, "cannot")],
)  # fmt: skip
def test_words_for_kappa_are_those_of_landis_and_koch(kappa, word) -> None:
    assert word in about_kappa(kappa)


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100.0 %"), (0.9997, "> 99.9 %"), (0.9994, "99.9 %"), (0.0, "0.0 %"),
     (None, "–")],
)  # fmt: skip
def test_only_all_is_a_hundred_percent(share, said) -> None:
    assert percent(share) == said


def test_votes_are_read_without_the_word_background(found, tmp_path: Path) -> None:
    html = Path(write_report(tmp_path, found, TITLE)["report"]).read_text("utf-8")
    assert "a dash is background" in html
    assert "&lt;b&gt;cell&lt;/b&gt; · – · –" in html
    assert "agree least" not in html, "there is one class"


def test_many_missing_votes_are_pointed_out() -> None:
    assert "Only 25.0 % of the voxels" in about_missing({"n_any": 8, "n_voxels": 2})
    assert about_missing({"n_any": 8, "n_voxels": 4}) == ""
    assert about_missing({"n_any": 0, "n_voxels": 0}) == ""


def test_words_name_the_closest_and_the_farthest() -> None:
    known = (("A", "B", 0.9), ("A", "C", 0.4), ("B", "C", None))
    pairs = [{"names": [a, b], "dice": {"cell": d}} for a, b, d in known]
    text = about_dice(pairs, "cell")
    assert "Closest on cell are A and B (0.900)" in text
    assert "farthest apart are A and C (0.400)" in text
    assert about_dice(pairs[2:], "cell") == "No two raters used cell."
    assert "tentative" in about_alpha(0.7)
    assert "too low" in about_alpha(0.5)
