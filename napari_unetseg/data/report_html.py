"""The report on agreement as one page that needs nothing else; read in any browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from napari_unetseg.data import report_words as words
from napari_unetseg.data.report_page import figure, framed, paragraph, table
from napari_unetseg.data.report_svg import BarRow, bars, matrix

_MOST_BARS = 16


def page(found: Mapping[str, Any], title: str) -> str:
    """Return the page of what :func:`napari_unetseg.data.agreement.agreement` found."""
    return framed(_sections(found, title), title)


def _sections(found: Mapping[str, Any], title: str) -> Iterator[str]:
    shape = " × ".join(map(str, found["shape"]))
    yield f"<h1>{escape(title)}</h1>"
    meant = "as a missing vote" if found["unlabelled"] == "missing" else "as background"
    some, all_ = (words.count(found[key]) for key in ("n_any", "n_voxels"))
    yield paragraph(
        f"{len(found['names'])} raters: {', '.join(found['names'])}. Volume of {shape} "
        f"voxels, of which somebody labelled {some} and all raters {all_}. A voxel "
        f"that a rater did not label counts {meant}."
    )
    if missing := words.about_missing(found):
        yield paragraph(missing)
    yield from _overview(found)
    yield from _dice(found)
    yield from _classes(found)
    yield from _pairs(found)
    yield from _patterns(found)
    yield from _raters(found)
    yield from _surfaces(found)


def _overview(found: Mapping[str, Any]) -> Iterator[str]:
    near = found["near"]
    parts = {
        f"near the objects ({found['margin']})": near,
        "whole volume": found,
        **{f"region {name}": part for name, part in found["regions"].items()},
    }
    yield "<h2>All raters together</h2>"
    yield paragraph(words.about_parts(found, near, found["margin"]))
    yield paragraph(words.about_kappa(near["fleiss_kappa"]))
    yield paragraph(words.about_alpha(near["krippendorff_alpha"]))
    yield table(
        ("", "voxels", "agreement", "Fleiss' kappa", "Krippendorff's alpha", "Dice"),
        [
            (
                name,
                words.count(part["n_voxels"]),
                words.percent(part["percent_agreement"]),
                words.number(part["fleiss_kappa"]),
                words.number(part["krippendorff_alpha"]),
                words.number(part["mean_dice"]),
            )
            for name, part in parts.items()
        ],
    )


def _dice(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Dice of every two raters</h2>"
    names = found["names"]
    for class_name in found["classes"]:
        values: list[list[float | None]] = [[None] * len(names) for _ in names]
        for number in range(len(names)):
            values[number][number] = 1.0
        for pair in found["pairs"]:
            a, b = (names.index(name) for name in pair["names"])
            values[a][b] = values[b][a] = pair["dice"][class_name]
        yield f"<h3>{escape(class_name)}</h3>"
        yield figure(matrix(names, values, f"Dice of {class_name}"))
        yield paragraph(words.about_dice(found["pairs"], class_name))


def _classes(found: Mapping[str, Any]) -> Iterator[str]:
    near = found["near"]["per_class"]
    if not near:
        return
    yield "<h2>Each class against the rest</h2>"
    yield figure(
        bars(
            [
                BarRow(name, row["fleiss_kappa"] or 0,
                       words.number(row["fleiss_kappa"]))
                for name, row in near.items()
            ],
            "Fleiss' kappa of each class",
        )
    )  # fmt: skip
    said = "Fleiss' kappa near the objects, 0 to 1."
    if len(near) > 1:
        worst = min(near, key=lambda name: near[name]["fleiss_kappa"] or 0)
        said += f" Raters agree least on {worst}."
    yield paragraph(said)
    yield table(
        ("class", "agreement", "Fleiss' kappa", "alpha", "Dice", *found["names"]),
        [
            (
                name,
                words.percent(row["percent_agreement"]),
                words.number(row["fleiss_kappa"]),
                words.number(row["krippendorff_alpha"]),
                words.number(row["mean_dice"]),
                *(words.count(row["n_voxels"][rater]) for rater in found["names"]),
            )
            for name, row in near.items()
        ],
    )
    yield paragraph("Under the names: how many voxels each rater gave to the class.")


def _pairs(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Cohen's kappa of every two raters</h2>"
    yield paragraph(
        "Near the objects, over the voxels that both labelled: agreement of two beyond "
        "what chance would give them, over all classes and for each class alone."
    )
    classes = found["near"]["classes"]
    yield table(
        ("raters", "agreement", "all classes", *classes),
        [
            (
                " and ".join(pair["names"]),
                words.percent(pair["percent_agreement"]),
                words.number(pair["cohen_kappa"]),
                *(words.number(pair["class_kappa"][name]) for name in classes),
            )
            for pair in found["near"]["pairs"]
        ],
    )


def _patterns(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["patterns"]
    yield "<h2>Who said what</h2>"
    yield paragraph(words.about_patterns(found["near"]))
    if not rows:
        return
    names = ", ".join(found["names"])
    yield paragraph(f"From left to right: {names}; a dash is background.")
    most = max(row["n_voxels"] for row in rows)
    shown = [
        BarRow(
            " · ".join("–" if vote == "background" else vote for vote in row["votes"]),
            row["n_voxels"] / most,
            words.count(row["n_voxels"]),
            row["disagreement"] > 0,
        )
        for row in rows[:_MOST_BARS]
    ]
    yield figure(bars(shown, "Voxels by their votes"))
    if len(rows) > _MOST_BARS:
        rest = sum(row["n_voxels"] for row in rows[_MOST_BARS:])
        yield paragraph(f"{words.count(rest)} voxels have other votes.")


def _raters(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Raters</h2>"
    yield paragraph(words.about_raters(found["raters"]))
    yield table(
        ("rater", "class", "voxels", "sensitivity", "specificity"),
        [
            (
                row["rater"],
                row["class"],
                words.count(row["n_voxels"]),
                words.number(row["sensitivity"]),
                words.number(row["specificity"]),
            )
            for row in found["raters"]
        ],
        n_words=2,
    )


def _surfaces(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["surface_distances"]
    if not rows:
        return
    unit = found["length_unit"]
    yield "<h2>How far outlines are apart</h2>"
    yield paragraph(words.about_surfaces(rows, unit))
    yield table(
        ("raters", "class", f"mean ({unit})", "95 %", "farthest"),
        [
            (
                " and ".join(row["names"]),
                row["class"],
                *(words.number(row[k]) for k in ("mean", "percentile_95", "largest")),
            )
            for row in rows
        ],
        n_words=2,
    )
