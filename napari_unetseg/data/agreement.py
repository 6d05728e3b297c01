"""How far raters agree: every measure, of the whole volume and of its parts.

Background takes part as a class of its own; it makes percent agreement look good where
objects are rare. Near the objects (see :mod:`napari_unetseg.data.vote_count`) it does
less so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from napari_unetseg.data.agreement_measures import (
    cohen_kappa,
    dice,
    disagreement,
    fleiss_kappa,
    krippendorff_alpha,
    mean_known,
    pair_agreement,
    percent_agreement,
)
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.staple import rater_table
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.surface_distance import SurfaceDistance, surface_distances
from napari_unetseg.data.vote_count import (
    BLOCK,
    Margin,
    count_votes,
    n_blocks,
)
from napari_unetseg.data.vote_patterns import PatternTable, is_object
from napari_unetseg.events import IsCancelled, OnEvent, ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx

MOST_PATTERNS = 40


@dataclass(frozen=True)
class Names:
    """What classes are called: "class 3" where nobody has said."""

    given: tuple[str, ...] = ()

    def of(self, class_id: int) -> str:
        """Return the name of a class."""
        if class_id == UNSET:
            return "not labelled"
        if class_id == 0:
            return "background"
        is_given = class_id <= len(self.given)
        return self.given[class_id - 1] if is_given else f"class {class_id}"


def agreement(
    ratings: Ratings,
    class_names: Sequence[str] = (),
    *,
    margin: Margin | None = None,
    regions: dict[str, Box] | None = None,
    surfaces: bool = True,
    block: Zyx = BLOCK,
    threads: int = 0,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Compare what raters said.

    Parameters
    ----------
    class_names
        Names of classes 1, 2, …; "class 1" and so on where they end.
    margin, regions, block, threads
        See :func:`napari_unetseg.data.vote_count.count_votes`.
    surfaces
        Whether to measure how far surfaces are apart, which reads the volume again.

    Returns
    -------
    dict
        Plain values: those of :func:`measured` for the whole volume, and ``names``,
        ``near``, ``regions`` (the same for voxels near the objects and for each box),
        ``margin``, ``patterns``, ``raters`` and ``surface_distances``. What cannot be
        computed is None.

    Raises
    ------
    LabelsError
        If they cannot be compared voxel by voxel.
    Cancelled
        If somebody asked to stop.
    """
    margin, names = margin or Margin(), Names(tuple(class_names))
    n_steps = n_blocks(ratings.shape, block) * (1 + surfaces)
    steps = Steps("agreement", n_steps, on_event, is_cancelled,
                  subject=", ".join(ratings.names), noun="The comparison")  # fmt: skip
    way: dict[str, Any] = {"block": block, "threads": threads, "steps": steps}
    counts = count_votes(ratings, margin=margin, regions=regions, **way)
    whole = counts.whole
    apart = surface_distances(ratings, whole.classes, **way) if surfaces else []
    return {
        "names": list(ratings.names),
        "shape": list(ratings.shape),
        "unlabelled": ratings.unlabelled,
        **measured(whole, names),
        "margin": str(margin),
        "near": measured(counts.near, names),
        "regions": {name: measured(t, names) for name, t in counts.regions.items()},
        "patterns": _pattern_rows(counts.near, names),
        "raters": rater_table(counts.near, names.of),
        "surface_distances": _surface_rows(apart, ratings, names),
        "length_unit": ratings.length_unit,
    }


def measured(table: PatternTable, names: Names) -> dict[str, Any]:
    """Return all measures of one table as plain values.

    Returns
    -------
    dict
        ``classes``, ``n_voxels`` that all raters labelled, ``n_any`` that one did,
        ``n_object`` to which one gave a class, ``n_differ`` on which two differ,
        ``percent_agreement``, ``fleiss_kappa``, ``krippendorff_alpha``, ``mean_dice``,
        ``per_class`` (against the rest) and ``pairs``.
    """
    pairs = list(combinations(range(len(table.names)), 2))
    per_class = {names.of(c): _of_class(table, c, pairs) for c in table.classes}
    return {
        "classes": [names.of(c) for c in table.classes],
        "n_voxels": table.complete.n_voxels,
        "n_any": table.n_labelled,
        "n_object": int(table.counts[is_object(table.patterns)].sum()),
        "n_differ": int(table.counts[disagreement(table.patterns) > 0].sum()),
        **_of_all(table),
        "mean_dice": mean_known(row["mean_dice"] for row in per_class.values()),
        "per_class": per_class,
        "pairs": [_of_pair(table, a, b, names) for a, b in pairs],
    }


def _of_all(table: PatternTable) -> dict[str, float | None]:
    return {
        "percent_agreement": percent_agreement(table),
        "fleiss_kappa": fleiss_kappa(table),
        "krippendorff_alpha": krippendorff_alpha(table),
    }


def _of_class(
    table: PatternTable, class_id: int, pairs: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    return {
        **_of_all(table.against_rest(class_id)),
        "mean_dice": mean_known(dice(table, a, b, class_id) for a, b in pairs),
        "n_voxels": {
            name: table.n_of(number, class_id)
            for number, name in enumerate(table.names)
        },
    }


def _of_pair(table: PatternTable, a: int, b: int, names: Names) -> dict[str, Any]:
    return {
        "names": [table.names[a], table.names[b]],
        "percent_agreement": pair_agreement(table, a, b),
        "cohen_kappa": cohen_kappa(table, a, b),
        "dice": {names.of(c): dice(table, a, b, c) for c in table.classes},
        "class_kappa": {
            names.of(c): cohen_kappa(table.against_rest(c), a, b) for c in table.classes
        },
    }


def _pattern_rows(table: PatternTable, names: Names) -> list[dict[str, Any]]:
    """Return the most frequent patterns with an object, and how much each differs."""
    differ = disagreement(table.patterns)
    kept = np.flatnonzero(is_object(table.patterns))
    order = kept[np.argsort(-table.counts[kept], kind="stable")][:MOST_PATTERNS]
    return [
        {
            "votes": [names.of(int(v)) for v in table.patterns[i]],
            "n_voxels": int(table.counts[i]),
            "disagreement": float(differ[i]),
        }
        for i in order
    ]


def _surface_rows(
    found: Sequence[SurfaceDistance], ratings: Ratings, names: Names
) -> list[dict[str, Any]]:
    return [
        {
            "names": [ratings.names[one.a], ratings.names[one.b]],
            "class": names.of(one.class_id),
            "mean": one.mean,
            "percentile_95": one.percentile_95,
            "largest": one.largest,
        }
        for one in found
    ]
