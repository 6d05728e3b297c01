"""The report on agreement as one page that needs nothing else; read in any browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from napari_unetseg.data import report_words as words
from napari_unetseg.data.report_svg import BarRow, bars, matrix

_MOST_BARS = 16
_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d1f21; --faint: #5b6166;
  --line: #d5d9dc; --mark: #0072b2; --doubt: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181a; --ink: #e6e8ea;
  --faint: #a3aab0; --line: #3a4046; --mark: #56b4e9; --doubt: #e69f00; } }
body { background: var(--paper); color: var(--ink); margin: 2rem auto; padding: 0 1rem;
  max-width: 60rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: 0.3rem; }
p { max-width: 46rem; } .faint { color: var(--faint); }
figure { margin: 0.6rem 0; overflow-x: auto; }
svg { max-width: none; font: 13px system-ui, sans-serif; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td.number, th.number { text-align: right; }
"""


def page(found: Mapping[str, Any], title: str) -> str:
    """Return the page of what :func:`napari_unetseg.data.agreement.agreement` found."""
    body = "\n".join(_sections(found, title))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def _sections(found: Mapping[str, Any], title: str) -> Iterator[str]:
    shape = " × ".join(map(str, found["shape"]))
    yield f"<h1>{escape(title)}</h1>"
    meant = "as a missing vote" if found["unlabelled"] == "missing" else "as background"
    some, all_ = (words.count(found[key]) for key in ("n_any", "n_voxels"))
    yield _words(
        f"{len(found['names'])} raters: {', '.join(found['names'])}. Volume of {shape} "
        f"voxels, of which somebody labelled {some} and all raters {all_}. A voxel "
        f"that a rater did not label counts {meant}."
    )
    if missing := words.about_missing(found):
        yield _words(missing)
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
    yield _words(words.about_parts(found, near, found["margin"]))
    yield _words(words.about_kappa(near["fleiss_kappa"]))
    yield _words(words.about_alpha(near["krippendorff_alpha"]))
    yield _table(
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
        yield _figure(matrix(names, values, f"Dice of {class_name}"))
        yield _words(words.about_dice(found["pairs"], class_name))


def _classes(found: Mapping[str, Any]) -> Iterator[str]:
    near = found["near"]["per_class"]
    if not near:
        return
    yield "<h2>Each class against the rest</h2>"
    yield _figure(
        bars(
            [
                BarRow(name, row["fleiss_kappa"] or 0,
                       words.number(row["fleiss_kappa"]))
                for name, row in near.items()
            ],
            "Fleiss' kappa of each class",
        )
    )  # fmt: skip
    worst = min(near, key=lambda name: near[name]["fleiss_kappa"] or 0)
    yield _words(
        f"Fleiss' kappa near the objects, 0 to 1. Raters agree least on {worst}."
    )
    yield _table(
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
    yield _words("Under the names: how many voxels each rater gave to the class.")


def _pairs(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Cohen's kappa of every two raters</h2>"
    yield _words(
        "Near the objects, over the voxels that both labelled: agreement of two beyond "
        "what chance would give them, over all classes and for each class alone."
    )
    classes = found["near"]["classes"]
    yield _table(
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
    yield _words(words.about_patterns(found["near"]))
    if not rows:
        return
    yield _words("From left to right: " + ", ".join(found["names"]) + ".")
    most = max(row["n_voxels"] for row in rows)
    shown = [
        BarRow(
            " · ".join(row["votes"]),
            row["n_voxels"] / most,
            words.count(row["n_voxels"]),
            row["disagreement"] > 0,
        )
        for row in rows[:_MOST_BARS]
    ]
    yield _figure(bars(shown, "Voxels by their votes"))
    if len(rows) > _MOST_BARS:
        rest = sum(row["n_voxels"] for row in rows[_MOST_BARS:])
        yield _words(f"{words.count(rest)} voxels have other votes.")


def _raters(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Raters</h2>"
    yield _words(words.about_raters(found["raters"]))
    yield _table(
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
    yield _words(words.about_surfaces(rows, unit))
    yield _table(
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


def _words(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>"


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, n_words: int = 1
) -> str:
    """Return a table; all columns but the first ones are numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = ["" if n < n_words else ' class="number"' for n in range(len(cells))]
        inner = (
            f"<{tag}{kind}>{escape(cell)}</{tag}>"
            for cell, kind in zip(cells, kinds, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    lines = [row(heads, "th"), *(row(cells, "td") for cells in rows)]
    return f"<figure><table>{''.join(lines)}</table></figure>"
