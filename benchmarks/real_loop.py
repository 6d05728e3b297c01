"""The whole loop on a real volume, against a pixel classifier that has the same labels.

Sections of the fly's nerve cord: somebody labels three sections, a network is trained
from nothing, and twice the regions that the worklist names are put right and the
network is fine-tuned. After each round Dice is measured on sections that nobody
labelled, beside a random forest on the usual filter features that learns from exactly
the same voxels. The annotator is the ground truth; everything else is the product.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.common import (
    Target,
    class_dice,
    parse_args,
    shared_data,
    write_report,
)
from benchmarks.pixel_forest import Forest
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import (
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
    VoxelSize,
)
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.events import Event, StepDone
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.worklist import rank_regions

CLASSES = ("membranes", "mitochondria")
VOXEL_SIZE_NM = (50.0, 4.6, 4.6)
FIRST_SECTIONS = (2, 7, 12)
N_OPEN = 15  # sections that may be labelled; the others measure
REGIONS_PER_ROUND = 12
ROUNDS = 2
FOREST_VOXELS = 200_000
ANNOTATOR = "truth"


@dataclass(frozen=True)
class Effort:
    """How much of everything: all of it, or what a quick look needs."""

    edge: int
    train_s: float
    finetune_s: float
    forest_trees: int
    forest_voxels: int


FULL = Effort(1024, 420.0, 150.0, 100, FOREST_VOXELS)
QUICK = Effort(512, 75.0, 20.0, 50, 50_000)


class Loop:
    """A project on the nerve cord and the annotator who knows the truth."""

    def __init__(self, source: Path, scratch: Path, effort: Effort) -> None:
        self.effort = effort
        cut = np.s_[:, : effort.edge, : effort.edge]
        raw, membranes, mitochondria = (
            tifffile.imread(source / f"{name}.tif")[cut] for name in ("raw", *CLASSES)
        )
        self.raw = raw
        self.truth = np.where(mitochondria > 0, 2, membranes > 0).astype(np.uint8)
        tifffile.imwrite(scratch / "raw.tif", raw, metadata={"axes": "ZYX"})
        self.folder = scratch / "loop.unetseg"
        scale = VoxelSize(voxel_size=VOXEL_SIZE_NM, unit="nanometer")
        about = NewProjectConfig(classes=CLASSES, scale=scale)
        actions.new_project(self.folder, scratch / "raw.tif", about)

    @property
    def shape(self) -> Zyx:
        """Shape of the volume, zyx."""
        return zyx(self.truth.shape)

    def label_sections(self) -> None:
        """Label a few sections from edge to edge."""
        _, height, width = self.shape
        with Project.open(self.folder) as project:
            for z in FIRST_SECTIONS:
                self._draw(project, Box((z, 0, 0), (z + 1, height, width)))

    def correct_regions(self) -> list[str]:
        """Put right what the worklist names, and say what that was."""
        with Project.open(self.folder) as project:
            predictions = project.predictions()
            if predictions is None:
                raise RuntimeError("There is no prediction to correct.")
            items = rank_regions(
                predictions,
                project.corrections,
                volume_shape=self.shape,
                n=4 * REGIONS_PER_ROUND,
                strategy="uncertainty",
            )
            allowed = Box((0, 0, 0), (N_OPEN, *self.shape[1:]))
            items = tuple(i for i in items if i.centre[0] < N_OPEN)[:REGIONS_PER_ROUND]
            for item in items:
                self._draw(project, item.box.intersection(allowed))
            return [f"{item.box} {item.reason}" for item in items]

    def train(self, budget_s: float, *, parent: bool, seed: int) -> dict[str, Any]:
        """Train from nothing or fine-tune, and predict all sections.

        As for everybody else, a version that does not prove better is not used.
        """
        with Project.open(self.folder, read_only=True) as project:
            version = project.active_model if parent else None
        config = TrainConfig(
            parent=version, steps=100_000, budget_s=budget_s, seed=seed
        )
        result = actions.train(self.folder, config, on_event=report)
        summary = actions.predict(self.folder, PredictConfig())
        mvox_s = summary["voxels"] / summary["seconds"] / 1e6
        return {"version": result["version"], "held_out": result["metrics"],
                "promoted": result["promoted"], "verdict": result["verdict"],
                "mvox_s": mvox_s}  # fmt: skip

    def dice(self) -> dict[str, float]:
        """Return Dice per class of the product on the sections that nobody labelled."""
        with Project.open(self.folder, read_only=True) as project:
            predictions = project.predictions()
            if predictions is None:
                raise RuntimeError("There is no prediction to measure.")
            found = predictions.read_labels(Box((N_OPEN, 0, 0), self.shape))
        return dice(found, self.truth[N_OPEN:])

    def labels(self) -> np.ndarray:
        """Return what has been labelled so far, UNSET elsewhere."""
        with Project.open(self.folder, read_only=True) as project:
            return project.corrections.read_all(Box.whole(self.shape))

    def _draw(self, project: Project, box: Box) -> None:
        project.corrections.commit(
            box,
            np.ones(box.shape, bool),
            self.truth[box.slices],
            annotator=ANNOTATOR,
            tool="truth",
            model_version=project.active_model,
        )


def dice(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return Dice per class over all voxels."""
    return class_dice(found, truth, CLASSES)


def report(event: Event) -> None:
    """Print what was measured while training."""
    if isinstance(event, StepDone) and event.dice:
        scores = ", ".join(f"{k} {v:.3f}" for k, v in event.dice.items())
        print(f"  step {event.step}: loss {event.loss:.3f}, {scores}, "
              f"{event.seconds:.0f} s", flush=True)  # fmt: skip


def measure(loop: Loop, forest: Forest, seed: int) -> list[dict[str, Any]]:
    """Go through all rounds and return what was reached after each."""
    rounds = []
    measured = Box((N_OPEN, 0, 0), loop.shape)
    for number in range(ROUNDS + 1):
        started = time.monotonic()
        if number == 0:
            loop.label_sections()
            regions = [f"section {z}" for z in FIRST_SECTIONS]
        else:
            regions = loop.correct_regions()
        seconds = loop.effort.finetune_s if number else loop.effort.train_s
        trained = loop.train(seconds, parent=number > 0, seed=seed)
        labels = loop.labels()
        row = {
            "round": number,
            "regions": regions,
            "labelled_voxels": int(np.count_nonzero(labels != UNSET)),
            **trained,
            "dice": loop.dice(),
            "seconds": time.monotonic() - started,
            "forest_dice": dice(
                forest.predict(labels, measured, seed), loop.truth[measured.slices]
            ),
        }
        rounds.append(row)
        print(
            f"round {number}: {row['labelled_voxels']:,} voxels, Dice {row['dice']}, "
            f"forest {row['forest_dice']}, {row['seconds']:.0f} s, {row['version']}: "
            f"{row['verdict']}",
            flush=True,
        )
    return rounds


def targets(rounds: list[dict[str, Any]]) -> list[Target]:
    """Return what the loop promises against the forest, after the last round."""
    last = rounds[-1]
    return [
        Target(
            f"{name}_dice_over_forest",
            last["dice"][name] / max(last["forest_dice"][name], 1e-6),
            ">=",
            1.0,
        )
        for name in CLASSES
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of this benchmark."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-s", type=float, help="training from nothing, seconds")
    parser.add_argument("--finetune-s", type=float, help="per round, seconds")


def main() -> int:
    """Run the loop and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0], add_arguments)
    source = shared_data("vnc_sstem")
    if source is None:
        print("vnc_sstem: the data are not there, nothing to measure")
        return 1
    plan = QUICK if args.quick else FULL
    effort = Effort(
        plan.edge,
        args.train_s or plan.train_s,
        args.finetune_s or plan.finetune_s,
        plan.forest_trees,
        plan.forest_voxels,
    )
    with tempfile.TemporaryDirectory() as scratch:
        loop = Loop(source, Path(scratch), effort)
        forest = Forest(
            loop.raw, trees=effort.forest_trees, voxels=effort.forest_voxels
        )
        rounds = measure(loop, forest, args.seed)
    figures = {"rounds": rounds, "quick": args.quick, "seed": args.seed}
    write_report(args.json, figures, targets(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
