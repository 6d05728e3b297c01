"""The report on agreement: JSON for programs, CSV for tables, a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from napari_unetseg.data.report_files import write_files
from napari_unetseg.data.report_html import page

HEAD = ("part", "measure", "class", "rater", "other_rater", "value")
Row: TypeAlias = tuple[str, str, str, str, str, Any]

_OF_ALL = ("n_voxels", "percent_agreement", "fleiss_kappa", "krippendorff_alpha",
           "mean_dice")  # fmt: skip
_DISTANCES = ("mean", "percentile_95", "largest")


def write_report(folder: Path, found: Mapping[str, Any], title: str) -> dict[str, str]:
    """Write ``agreement.json``, ``.csv`` and ``.html`` into a folder.

    Parameters
    ----------
    found
        What :func:`napari_unetseg.data.agreement.agreement` returns.

    Returns and raises as :func:`napari_unetseg.data.report_files.write_files`.
    """
    text, rows = page(found, title), rows_of(found)
    return write_files(folder, "agreement", found, head=HEAD, rows=rows, page=text)


def rows_of(found: Mapping[str, Any]) -> Iterator[Row]:
    """Yield all numbers, one per row."""
    parts = {"whole volume": found, "near the objects": found["near"]}
    parts |= {f"region {name}": part for name, part in found["regions"].items()}
    for name, part in parts.items():
        yield from _rows_of_part(name, part)
    for row in found["raters"]:
        for key in ("sensitivity", "specificity"):
            yield "near the objects", key, row["class"], row["rater"], "", row[key]
    for row in found["surface_distances"]:
        for key in _DISTANCES:
            measure = f"surface distance {key}"
            yield "whole volume", measure, row["class"], *row["names"], row[key]
    for row in found["patterns"]:
        votes = " | ".join(row["votes"])
        yield "near the objects", "voxels of a vote pattern", votes, "", "", row[
            "n_voxels"
        ]  # fmt: skip


def _rows_of_part(name: str, part: Mapping[str, Any]) -> Iterator[Row]:
    for key in _OF_ALL:
        yield name, key, "", "", "", part[key]
    for class_name, row in part["per_class"].items():
        for key in _OF_ALL[1:]:
            yield name, key, class_name, "", "", row[key]
        for rater, n in row["n_voxels"].items():
            yield name, "n_voxels", class_name, rater, "", n
    for pair in part["pairs"]:
        a, b = pair["names"]
        yield name, "percent_agreement", "", a, b, pair["percent_agreement"]
        yield name, "cohen_kappa", "", a, b, pair["cohen_kappa"]
        for class_name, value in pair["dice"].items():
            yield name, "dice", class_name, a, b, value
        for class_name, value in pair["class_kappa"].items():
            yield name, "cohen_kappa", class_name, a, b, value
