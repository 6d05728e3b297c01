"""Whether the gate lets a version pass that has learned nothing.

Slices are labelled with what teaches nothing, a version is fine-tuned from them, and
the gate of the product compares it, on regions that were held out. Labels are either
drawn at random, smooth shapes as frequent as what is predicted, or what the version in
use says there anyhow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from benchmarks.learning_annotator import commit, confirm, pick
from benchmarks.learning_arms import PARENT, Desk, Plan, kept
from napari_unetseg.app.project import Project

Kind = Literal["random", "right"]
KINDS: tuple[Kind, ...] = ("random", "right")

SET = "phantom"
REGIONS = 12
SMOOTH = 2.5  # voxels: how wide the shapes at random are


def trial(kind: Kind, number: int, folder: Path, plan: Plan) -> dict[str, Any]:
    """Fine-tune on labels that teach nothing, and say what the gate said."""
    path = folder / SET / f"null-{kind}-{number}.json"
    return kept(path, plan, lambda: _trial(kind, number, folder, plan))


def at_random(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return smooth shapes at random; each class as frequent as in ``labels``.

    Parameters
    ----------
    labels
        Class ids of a slice, (1, y, x).
    """
    _, *plane = labels.shape
    field = ndimage.gaussian_filter(rng.normal(size=plane), SMOOTH)
    drawn = np.empty(field.size, labels.dtype)
    drawn[np.argsort(field, axis=None)] = np.sort(labels, axis=None)
    return drawn.reshape(labels.shape)


def _trial(kind: Kind, number: int, folder: Path, plan: Plan) -> dict[str, Any]:
    desk = Desk.open(SET, folder, f"null-{kind}", number, plan)
    rng = np.random.default_rng([KINDS.index(kind), number])
    with Project.open(desk.project) as project:
        predictions = project.predictions()
        assert predictions is not None
        for box in pick(project, desk.data, "random", REGIONS, number):
            labels = predictions.read_labels(box)
            drawn = labels if kind == "right" else at_random(labels, rng)
            commit(project, box, drawn)
            confirm(project, box)  # all of them, so that the gate has enough
    result = desk.train(parent=PARENT, steps=plan.null_steps)
    row = {
        "kind": kind,
        "number": number,
        "promoted": result["promoted"],
        "judged": bool(result["checks"]),
        "verdict": result["verdict"],
    }
    print(f"null {kind} {number}: {row['verdict']}", flush=True)
    return row
