"""What the figures of a report say, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Landis & Koch, Biometrics 33 (1977) 159: names for kappa, of the lower bounds.
_KAPPA = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"),
          (0.2, "fair"), (0.0, "slight"))  # fmt: skip
_MOSTLY = 0.5
_ALPHA = ((0.8, "reliable"), (0.667, "good enough for tentative conclusions"))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as it stands in a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage; 100 % is all and no less."""
    if value is None:
        return "–"
    return "> 99.9 %" if 0.9995 <= value < 1 else f"{100 * value:.1f} %"


def count(n: int) -> str:
    """Return a count with thin gaps between thousands."""
    return f"{n:,}".replace(",", "\u202f")


def about_missing(found: Mapping[str, Any]) -> str:
    """Say so if most of what is labelled was not labelled by all; else nothing."""
    if not found["n_any"] or found["n_voxels"] >= _MOSTLY * found["n_any"]:
        return ""
    return (
        f"Only {percent(found['n_voxels'] / found['n_any'])} of the voxels that "
        "somebody labelled were labelled by all, and percent agreement and Fleiss' "
        "kappa know of no others. If raters painted nothing but objects, compare again "
        "and let what they left out be background."
    )


def about_kappa(kappa: float | None) -> str:
    """Say what a kappa is called."""
    if kappa is None:
        return "Kappa cannot be computed: all is of one class, or nobody was asked "\
            "about the same voxels."  # fmt: skip
    word = next((w for bound, w in _KAPPA if kappa > bound), "no better than chance")
    return (
        f"Fleiss' kappa is {kappa:.3f}: agreement beyond chance is {word} (Landis and "
        "Koch's words). 1 is perfect, 0 is what chance alone would give."
    )


def about_alpha(alpha: float | None) -> str:
    """Say what an alpha is good for."""
    if alpha is None:
        return "Krippendorff's alpha cannot be computed."
    word = next(
        (w for bound, w in _ALPHA if alpha >= bound), "too low to rely on one rater"
    )
    return (
        f"Krippendorff's alpha is {alpha:.3f}, which is {word}. It also counts voxels "
        "that some raters did not label."
    )


def about_dice(pairs: Sequence[Mapping[str, Any]], class_name: str) -> str:
    """Say who agrees most and least on a class."""
    known = sorted(
        (pair["dice"][class_name], " and ".join(pair["names"]))
        for pair in pairs
        if pair["dice"].get(class_name) is not None
    )
    if not known:
        return f"No two raters used {class_name}."
    (low, farthest), (high, closest) = known[0], known[-1]
    if len(known) == 1:
        return (
            f"Of what either of {closest} called {class_name}, they share a Dice of "
            f"{high:.3f}: 1 is the same voxels, 0 is none in common."
        )
    return (
        f"Closest on {class_name} are {closest} ({high:.3f}), farthest apart are "
        f"{farthest} ({low:.3f}). 1 is the same voxels, 0 is none in common."
    )


def about_parts(whole: Mapping[str, Any], near: Mapping[str, Any], margin: str) -> str:
    """Say why the whole volume looks better than what is near the objects."""
    return (
        f"Of the whole volume raters agree on {percent(whole['percent_agreement'])} of "
        f"all votes, mostly because background is easy. Within {margin} of the objects "
        f"it is {percent(near['percent_agreement'])}: look at that row first."
    )


def about_patterns(near: Mapping[str, Any]) -> str:
    """Say how many voxels raters differ on."""
    total, differ = near["n_object"], near["n_differ"]
    if not total:
        return "There are no objects, so there is nothing to differ on."
    return (
        f"Somebody saw an object in {count(total)} voxels; on {count(differ)} of them "
        f"({percent(differ / total)}) at least two raters differ. Each bar is a group "
        "of voxels that got the same votes; those on which raters differ have the "
        "second colour."
    )


def about_raters(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what sensitivity and specificity mean, or why there are none."""
    if any(row["sensitivity"] is not None for row in rows):
        return (
            "Estimated by STAPLE near the objects. Sensitivity: how much of the "
            "likely object a rater found; low means too careful. Specificity: how "
            "much of the rest was left out; low means too generous."
        )
    return (
        "Sensitivity and specificity need three raters: with two, nothing tells which "
        "of them is right."
    )


def about_surfaces(rows: Sequence[Mapping[str, Any]], unit: str) -> str:
    """Say how far outlines are apart."""
    known = [row["mean"] for row in rows if row["mean"] is not None]
    if not known:
        return "No two raters have a surface of the same class."
    return (
        f"Outlines are {min(known):.3g} to {max(known):.3g} {unit} apart on average. "
        "95 % of an outline is nearer than the second number; the third is its "
        "farthest point."
    )
