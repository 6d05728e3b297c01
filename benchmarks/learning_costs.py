"""What a round of fine-tuning costs: its time, and the memory of a step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.learning_annotator import paint, pick
from benchmarks.learning_arms import PARENT, Desk, Plan
from benchmarks.training_memory import in_a_child, memory_of_a_step
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import TrainConfig

SET = "phantom"
THREADS, REGIONS = 2, 5


def round_seconds(folder: Path, plan: Plan) -> dict[str, Any]:
    """Return how long a small fine-tuning takes from the call to the new version.

    Only decoder and heads learn, as many steps as is usual.
    """
    desk = Desk.open(SET, folder, "round", 0, plan)
    with Project.open(desk.project) as project:
        paint(project, desk.data, pick(project, desk.data, "uncertainty", REGIONS, 0))
    started = time.monotonic()
    config = TrainConfig(
        parent=PARENT, threads=THREADS, layers="decoder", promote="never", device="cpu"
    )
    made = actions.train(desk.project, config)  # all of it, the halo is measured too
    return {
        "seconds": time.monotonic() - started,
        "steps": made["steps"],
        "threads": THREADS,
    }


def memory(side: int) -> list[dict[str, Any]]:
    """Return what a step takes with plain and with reversible blocks."""
    return [
        in_a_child(memory_of_a_step, name, side) for name in ("plain", "reversible")
    ]
