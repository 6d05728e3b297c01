"""From the first labels to the first prediction: how long it takes, what it is worth.

Somebody labels three slices and presses "New model from these labels", with nothing
changed in the window. Measured is the time until the region that is on show has been
predicted, and its Dice on slices that nobody labelled, beside a random forest on the
usual filter features that learned from the same voxels. Two threads, as an ordinary
computer has at least.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.common import Target, parse_args, shared_data, write_report
from benchmarks.pixel_forest import Forest
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import (
    NewProjectConfig,
    PredictConfig,
    Preferences,
    TrainConfig,
    VoxelSize,
)
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.phantom import CLASS_NAMES, VOXEL_SIZE_UM, make_phantom
from napari_unetseg.geometry import Box
from napari_unetseg.models.store import ModelStore

THREADS = 2
EDGE = 512  # voxels of what a person sees at once
FOREST_VOXELS = 100_000


@dataclass(frozen=True)
class Case:
    """A volume, its truth, and who labels what.

    Attributes
    ----------
    labelled, shown
        Slices that are labelled, and the box that is on show: none of them in it.
    is_cut
        Whether it is thick sections, which filters see one by one.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    classes: tuple[str, ...]
    scale: VoxelSize
    labelled: tuple[int, ...]
    shown: Box
    is_cut: bool = False


def phantom(*, quick: bool) -> Case:
    """Return cells and fibres with cubic voxels."""
    edge = 96 if quick else 192
    made = make_phantom((64, edge, edge), seed=11)
    return Case(
        "phantom", made.image, made.truth, CLASS_NAMES,
        VoxelSize(voxel_size=VOXEL_SIZE_UM, unit="micrometer"),
        (10, 24, 38), Box((44, 0, 0), (64, edge, edge)),
    )  # fmt: skip


def nerve_cord(*, quick: bool) -> Case | None:
    """Return a crop of serial sections, eleven times as thick as wide."""
    source = shared_data("vnc_sstem")
    if source is None:
        return None
    edge = EDGE // 2 if quick else EDGE
    names = ("membranes", "mitochondria")
    raw, membranes, mitochondria = (
        tifffile.imread(source / f"{name}.tif")[:, :edge, :edge]
        for name in ("raw", *names)
    )
    truth = np.where(mitochondria > 0, 2, membranes > 0).astype(np.uint8)
    return Case(
        "vnc_sstem", raw, truth, names,
        VoxelSize(voxel_size=(50.0, 4.6, 4.6), unit="nanometer"),
        (2, 7, 12), Box((15, 0, 0), (20, edge, edge)), is_cut=True,
    )  # fmt: skip


SETS: dict[str, Callable[..., Case | None]] = {
    "phantom": phantom,
    "vnc_sstem": nerve_cord,
}


def measure(case: Case, scratch: Path, config: TrainConfig) -> dict[str, Any]:
    """Label, train, predict what is on show; return times and Dice.

    Seconds of the processor are beside those of the clock: they say what a busy machine
    would have taken alone, somewhere between all and half of them.
    """
    tifffile.imwrite(scratch / "raw.tif", case.image, metadata={"axes": "ZYX"})
    folder = scratch / f"{case.name}.unetseg"
    about = NewProjectConfig(classes=case.classes, scale=case.scale)
    actions.new_project(folder, scratch / "raw.tif", about)
    labels = label(case, folder)
    started, busy = time.monotonic(), time.process_time()
    trained = actions.train(folder, config)
    train_s = time.monotonic() - started
    actions.predict(folder, PredictConfig(box=case.shown, threads=THREADS))
    seconds, cpu_s = time.monotonic() - started, time.process_time() - busy
    card = ModelStore(folder / "models").card(trained["version"])
    with Project.open(folder, read_only=True) as project:
        predictions = project.predictions()
        if predictions is None:
            raise RuntimeError("There is no prediction to measure.")
        found = predictions.read_labels(case.shown)
    truth = case.truth[case.shown.slices]
    forest = Forest(
        case.image, voxels=FOREST_VOXELS, by_section=case.is_cut, jobs=THREADS
    ).predict(labels, case.shown, config.seed)
    n_classes = len(case.classes)
    return {
        "name": case.name,
        "plan": card.training["plan"],
        "steps": card.training["steps"],
        "loop_seconds": card.training["seconds"],
        "train_seconds": train_s,
        "cpu_seconds": cpu_s,
        "first_prediction_seconds": seconds,
        "dice": dice(found, truth, n_classes),
        "forest_dice": dice(forest, truth, n_classes),
    }


def label(case: Case, folder: Path) -> np.ndarray:
    """Label some slices from edge to edge and return all labels, UNSET elsewhere."""
    labels = np.full(case.truth.shape, UNSET, np.uint8)
    _, height, width = case.truth.shape
    with Project.open(folder) as project:
        for z in case.labelled:
            box = Box((z, 0, 0), (z + 1, height, width))
            labels[z] = case.truth[z]
            project.corrections.commit(
                box, np.ones(box.shape, bool), case.truth[box.slices],
                annotator="truth", tool="truth", model_version=None,
            )  # fmt: skip
    return labels


def dice(found: np.ndarray, truth: np.ndarray, n_classes: int) -> float:
    """Return the mean Dice of the foreground classes."""
    scores = []
    for number in range(1, n_classes + 1):
        mine, yours = found == number, truth == number
        total = int(mine.sum()) + int(yours.sum())
        scores.append(2 * int((mine & yours).sum()) / max(total, 1))
    return float(np.mean(scores))


def targets(rows: Sequence[dict[str, Any]]) -> list[Target]:
    """Return what the first five minutes promise, on every set."""
    ratios = [row["dice"] / max(row["forest_dice"], 1e-6) for row in rows]
    seconds = max(row["first_prediction_seconds"] for row in rows)
    return [
        Target("first_prediction_seconds", seconds, "<=", 300.0),
        Target("first_prediction_dice", min(ratios), ">=", 1.0),
    ]


def config_of(args: argparse.Namespace) -> TrainConfig:
    """Return what the window would train with; a quarter of the time if quick."""
    usual = Preferences()
    budget_s = None if args.steps else usual.budget_s
    return TrainConfig(
        steps=args.steps or usual.steps,
        budget_s=budget_s / 4 if budget_s and args.quick else budget_s,
        preset=args.preset,
        threads=THREADS,
        seed=args.seed,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of this benchmark."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=["S", "M", "L"], default="M")
    parser.add_argument(
        "--steps", type=int, help="so many, however long they take (busy machines)"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))


def main() -> int:
    """Measure the sets and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0], add_arguments)
    config, rows = config_of(args), []
    for name in args.sets:
        case = SETS[name](quick=args.quick)
        if case is None:
            print(f"{name}: the data are not there, left out")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            row = measure(case, Path(scratch), config)
        rows.append(row)
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if not rows:
        return 1
    figures = {"rows": rows, "config": config.model_dump(mode="json")}
    write_report(args.json, figures | {"quick": args.quick}, targets(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
