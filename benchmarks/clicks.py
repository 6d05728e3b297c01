"""How many clicks an object takes, and how fast they are answered.

A robot clicks on single objects of four sets until the Dice is right, with the
product's click tool, with scikit-image's flood, and with its random walker. Ours gets
the image and the probability of a network that was trained for a short time on another
part of the set (for the phantom: the shipped network, under light that it has not
seen). The others get the image alone, smoothed, in a window that fits the true object,
and of each set the tolerance or the beta with which they need fewest clicks. Ours is
measured without the network too. Of mitochondria and of nuclei of QCANet only what is
an object is known: those that touch count as one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.click_robot import (
    Tool,
    Trial,
    click_object,
    image_flood,
    image_walker,
    ours,
    tier_0_alone,
)
from benchmarks.click_sets import Scene, all_scenes
from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.geometry import Box

ENOUGH = 0.90
TOLERANCES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
BETAS = (130.0, 1000.0)
MakeTool = Callable[[Scene, int], Tool]


def main() -> None:
    """Click on all sets, report."""
    arguments = parse_args(__doc__.splitlines()[0])
    training_s, n_objects = (10.0, 4) if arguments.quick else (60.0, 12)
    torch.set_num_threads(1)  # while training: its time is processor time
    figures: dict[str, Any] = {"training_s": training_s, "sets": {}}
    first: list[float] = []
    later: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, scenes in all_scenes(Path(scratch), training_s):
            found, trials = measured(scenes, n_objects, quick=arguments.quick)
            figures["sets"][name] = found
            first += [trial.seconds[0] for trial in trials]
            later += [s for trial in trials for s in trial.seconds[1:]]
            print(name, found, flush=True)
    figures |= {"tier0": latency(first), "tier1": latency(later)}
    write_report(arguments.json, figures, targets(figures))


def measured(
    scenes: Sequence[Scene], n_objects: int, *, quick: bool
) -> tuple[dict[str, Any], list[Trial]]:
    """Return the figures of one set, and the trials of our own tool."""
    own = trials_of(scenes, n_objects, lambda scene, _: ours(scene))
    figures = {
        "objects": len(own),
        "dice_of_network": float(np.mean([network_dice(scene) for scene in scenes])),
        "ours": summary(own),
        "ours_without_network": summary(
            trials_of(
                scenes, n_objects, lambda scene, _: ours(scene, with_prediction=False)
            )
        ),
        "tier_0_alone": summary(
            trials_of(scenes, n_objects, lambda scene, _: tier_0_alone(scene))
        ),
        "flood": best_of(
            scenes,
            n_objects,
            "tolerance",
            TOLERANCES[1::2] if quick else TOLERANCES,
            image_flood,
        ),
        "random_walker": best_of(
            scenes, n_objects, "beta", BETAS[:1] if quick else BETAS, image_walker
        ),
    }
    return figures, own


def trials_of(scenes: Sequence[Scene], n_objects: int, make: MakeTool) -> list[Trial]:
    """Click on the first objects of all scenes."""
    return [
        click_object(scene, number, make(scene, number), ENOUGH)
        for scene in scenes
        for number in scene.ids[: -(-n_objects // len(scenes))]
    ]


def best_of(
    scenes: Sequence[Scene],
    n_objects: int,
    name: str,
    values: Sequence[float],
    make: Callable[[Scene, int, float], Tool],
) -> dict[str, Any]:
    """Return the summary with the value that takes fewest clicks, and the value."""
    tried: list[dict[str, Any]] = []
    for value in values:

        def with_value(scene: Scene, number: int, value: float = value) -> Tool:
            return make(scene, number, value)

        trials = trials_of(scenes, n_objects, with_value)
        tried.append({name: value, **summary(trials)})
    return min(tried, key=lambda row: row["noc85"])


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return mean clicks, how often they did not suffice, Dice, and the latency."""

    def dice_after(n: int) -> float:
        return float(np.mean([t.dice[min(n, len(t.dice)) - 1] for t in trials]))

    clicks = {d: [t.clicks_to(d / 100) for t in trials] for d in (85, 90)}
    failed = [max(t.dice) < 0.85 for t in trials]
    return {
        "noc85": float(np.mean(clicks[85])),
        "noc90": float(np.mean(clicks[90])),
        "never_85": float(np.mean(failed)),
        **{f"dice_after_{n}": dice_after(n) for n in (1, 3, 5)},
        "first": latency([t.seconds[0] for t in trials]),
        "later": latency([s for t in trials for s in t.seconds[1:]]),
    }


def latency(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile in milliseconds."""
    if not seconds:
        return {"p50_ms": 0.0, "p95_ms": 0.0, "n": 0}
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50_ms": 1e3 * float(p50), "p95_ms": 1e3 * float(p95), "n": len(seconds)}


def network_dice(scene: Scene) -> float:
    """Return the Dice of what the network takes for an object, over all voxels."""
    labels = (
        np.asarray(scene.predictions.read_labels(Box.whole(scene.volume.shape))) > 0
    )
    truth = scene.objects > 0
    return 2 * float((labels & truth).sum()) / float(labels.sum() + truth.sum())


def targets(figures: dict[str, Any]) -> list[Target]:
    """Return what clicking promises."""
    found = [
        Target("tier0_p95_ms", figures["tier0"]["p95_ms"], "<=", 100.0),
        Target("tier1_p95_ms", figures["tier1"]["p95_ms"], "<=", 300.0),
    ]
    for name, rows in figures["sets"].items():
        for other in ("flood", "random_walker"):
            ratio = rows["ours"]["noc85"] / rows[other]["noc85"]
            found.append(Target(f"noc85_{name}_vs_{other}", ratio, "<=", 0.99))
    return found


if __name__ == "__main__":
    main()
