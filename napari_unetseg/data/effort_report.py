"""The report on effort: JSON for programs, CSV for tables, a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from napari_unetseg.data.report_files import write_files
from napari_unetseg.data.report_page import figure, framed, paragraph, table
from napari_unetseg.data.report_points import Point, Series, scatter
from napari_unetseg.data.report_words import count, number, percent

HEAD = ("annotator", "model_version", "measure", "of", "value")
Row: TypeAlias = tuple[str, str, str, str, Any]
EVERYBODY = "everybody"

_COUNTS = ("n_strokes", "n_clicks", "n_rejected_clicks", "n_voxels", "n_changed",
           "n_undone", "n_undone_voxels", "n_steps_back", "n_brought_in", "n_reviewed",
           "minutes")  # fmt: skip
_OF_VERSION = ("created", "strokes", "minutes", "n_voxels", "n_own", "n_learned",
               "n_elsewhere", "was_reference", "hce_per_mvoxel")  # fmt: skip
_TIME = (
    "Active minutes are the gaps between two edits, reviews or steps back of a person "
    "that are no longer than {pause_s:g} seconds. Longer gaps are pauses and do not "
    "count, nor does what came before the first edit: a lower bound."
)
_VOXELS = (
    "Voxels set are those of the strokes in effect, each time anew; changed are those "
    "of which the annotator had said something else, or nothing, before. What was "
    "taken back counts as undone and nowhere else. Clicks are those that ended in an "
    "object, taken or rejected; those that refined it leave no trace. Labels that were "
    "imported are nobody's work."
)
_DICE = (
    "Every voxel of a reviewed region that a version has predicted counts once. The "
    "reference is the labels accepted there: corrections over the prediction that was "
    "shown. Where a version was shown and accepted as it was, it is its own reference "
    "and right by construction: such versions are hollow points, and a cross is their "
    "Dice in the other regions alone. A version may have learned from regions "
    "that were reviewed before it was made; its card says how good it is on labels "
    "that were held out."
)
_HCE = (
    "HCE, human correction effort after Qin et al. (ECCV 2022), slice by slice along "
    "{axis}: corners of the outlines that somebody would have to draw (tolerance "
    "{epsilon:g} voxels), plus one click per region; rims not thicker than {gamma} "
    "(in voxels) are left alone. All outlines count, so that figures compare with each "
    "other and not with those of the paper. A voxel of a wrong class counts for both "
    "classes."
)


def write_effort(folder: Path, found: Mapping[str, Any], title: str) -> dict[str, str]:
    """Write ``effort.json``, ``.csv`` and ``.html`` into a folder.

    Parameters
    ----------
    found
        What :func:`napari_unetseg.app.effort_actions.effort_of` returns.

    Returns and raises as :func:`napari_unetseg.data.report_files.write_files`.
    """
    text = framed(_sections(found, title), title)
    rows = rows_of(found)
    return write_files(folder, "effort", found, head=HEAD, rows=rows, page=text)


def rows_of(found: Mapping[str, Any]) -> Iterator[Row]:
    """Yield all numbers, one per row."""
    for part in ({**found["total"], "annotator": EVERYBODY}, *found["people"]):
        who = part["annotator"], part["model_version"] or ""
        for key in _COUNTS:
            yield *who, key, "", part[key]
        for tool, n in part["strokes"].items():
            yield *who, "strokes by tool", tool, n
        for state, n in part["reviewed"].items():
            yield *who, "reviewed", state, n
    for part in found["versions"]:
        for key in _OF_VERSION:
            yield "", part["version"], key, "", part[key]
        for measure in ("dice", "dice_elsewhere", "hce"):
            for class_name, value in part[measure].items():
                yield "", part["version"], measure, class_name, value


def _sections(found: Mapping[str, Any], title: str) -> Iterator[str]:
    total = found["total"]
    yield f"<h1>{escape(title)}</h1>"
    yield paragraph(
        f"{count(total['n_strokes'])} strokes and {count(total['n_clicks'])} clicks in "
        f"{total['minutes']:.1f} active minutes; {count(total['n_reviewed'])} regions "
        f"reviewed, {count(total['n_undone'])} strokes undone."
    )
    yield from _gain(found)
    yield from _people(found)
    yield from _tools(found)


def _gain(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>What it brought</h2>"
    known = [row for row in found["versions"] if row["n_voxels"]]
    if not known:
        yield paragraph(
            "No version can be compared: mark regions as reviewed, and predict them."
        )
        return
    regions = f"{count(found['n_regions'])} reviewed regions"
    drawn = scatter(series_of(found), "active minutes (min)", "Dice",
                    f"Dice of each version in {regions}")  # fmt: skip
    yield figure(drawn)
    yield paragraph(f"One point per version; Dice = 2 |A∩B| / (|A|+|B|) in {regions}.")
    yield paragraph(_DICE)
    names = found["classes"]
    yield table(
        ("version", "made", "reference", "strokes", "minutes", "voxels", "own",
         "learned", *(f"Dice {name}" for name in names),
         *(f"elsewhere {name}" for name in names), "HCE / Mvoxel"),
        [_version_cells(row, names) for row in found["versions"]],
        n_words=3,
    )  # fmt: skip
    yield paragraph(_HCE.format(**found))


def _version_cells(row: Mapping[str, Any], names: list[str]) -> tuple[str, ...]:
    n = row["n_voxels"]
    return (
        row["version"],
        row["created"][:16].replace("T", " "),
        "itself, in part" if row["was_reference"] else "",
        count(row["strokes"]),
        f"{row['minutes']:.1f}",
        count(n),
        percent(row["n_own"] / n if n else None),
        percent(row["n_learned"] / n if n else None),
        *(number(row["dice"].get(name)) for name in names),
        *(number(row["dice_elsewhere"].get(name)) for name in names),
        number(row["hce_per_mvoxel"], 0),
    )


def series_of(found: Mapping[str, Any]) -> list[Series]:
    """Return Dice over minutes, one series per class, one point per version."""
    return [
        Series(
            name,
            found["colors"][name],
            tuple(
                _point(row, name, is_first=not number)
                for row in found["versions"]
                if row["dice"].get(name) is not None
            ),
        )
        for number, name in enumerate(found["classes"])
    ]


def _point(row: Mapping[str, Any], name: str, *, is_first: bool) -> Point:
    dice, is_own = row["dice"][name], row["was_reference"]
    return Point(
        row["minutes"],
        dice,
        f"{row['version']}: Dice {dice:.3f} of {name} after {row['minutes']:.1f} min",
        name=row["version"] if is_first else "",
        is_hollow=is_own,
        careful=row["dice_elsewhere"][name] if is_own else None,
    )


def _people(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>What it cost</h2>"
    total = {**found["total"], "annotator": EVERYBODY}
    yield table(
        ("annotator", "over version", "strokes", "clicks", "voxels set", "changed",
         "undone", "steps back", "active min", "reviewed"),
        [_person_cells(part) for part in (*found["people"], total)],
        n_words=2,
    )  # fmt: skip
    yield paragraph(_TIME.format(**found))
    yield paragraph(_VOXELS)


def _person_cells(part: Mapping[str, Any]) -> tuple[str, ...]:
    counts = ("n_strokes", "n_clicks", "n_voxels", "n_changed", "n_undone",
              "n_steps_back")  # fmt: skip
    return (
        part["annotator"],
        part["model_version"] or "",
        *(count(part[key]) for key in counts),
        f"{part['minutes']:.1f}",
        count(part["n_reviewed"]),
    )


def _tools(found: Mapping[str, Any]) -> Iterator[str]:
    strokes = found["total"]["strokes"]
    if strokes:
        yield "<h2>Strokes by tool</h2>"
        rows = sorted(strokes.items(), key=lambda item: (-item[1], item[0]))
        yield table(("tool", "strokes"), [(tool, count(n)) for tool, n in rows])
