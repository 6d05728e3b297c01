"""What the gate's verdicts were worth: those it passed, beside those it kept back.

The gate sees the few slices that were held out; a study knows the Dice of both versions
where nobody labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.learning_arms import mean

ARMS = ("ours", "random", "scan")


def verdicts(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what was gained with the versions that the gate judged.

    Returns
    -------
    dict
        For those that it ``promoted`` and those that it ``kept``: ``n`` of them, the
        ``share`` that is better than what was in use, and the mean ``gain``.
    """
    gains: dict[str, list[float]] = {"promoted": [], "kept": []}
    for study in figures.get("studies", []):
        start = mean(figures["parents"][study["set"]]["dice"])
        for arm in ARMS:
            for outcome, gain in _gains(study.get(arm, {"rows": []}), start):
                gains[outcome].append(gain)
    return {
        outcome: {
            "n": len(found),
            "share": float(np.mean(np.array(found) > 0)),
            "gain": float(np.mean(found)),
        }
        for outcome, found in gains.items()
        if found
    }


def _gains(arm: Mapping[str, Any], start: float) -> Iterator[tuple[str, float]]:
    """Return outcome and gain of each version of an arm that was judged."""
    in_use = start
    for row in arm["rows"]:
        if row["judged"]:
            outcome = "promoted" if row["promoted"] else "kept"
            yield outcome, mean(row["dice_of_newest"]) - in_use
        in_use = mean(row["dice"])
