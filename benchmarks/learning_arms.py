"""A model and its parent, put right in several ways; each runs in a process of its own.

ours
    Rounds of the real loop: the worklist names regions, slices of them are painted, the
    network is fine-tuned as the window does it, and the gate says what becomes of it.
naive
    The same labels in the same rounds, by fine-tuning as it is usually done: all
    layers, from the last version, with nothing that holds on to the parent, and
    normalised by its patches.
scratch
    A new network from the labels of the last round.
forest
    A random forest on the usual filters from the same labels.
dense
    Fine-tuning on all voxels that may be labelled: the upper bound.

Where the gate has nothing to judge on, a new version is used all the same, as a person
would who was told to use it and see; one that it finds no better is not used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np

from benchmarks.click_sets import on_disk
from benchmarks.common import class_dice, write_json
from benchmarks.dense_tasks import normalised
from benchmarks.learning_annotator import commit, paint, put_right
from benchmarks.learning_sets import LearningSet, Part, read_set, stretched
from benchmarks.pixel_forest import Forest
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import (
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
    WorklistStrategy,
)
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.geometry import Block, Box
from napari_unetseg.models.backends.torch import use_threads
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.store import read_card
from napari_unetseg.training import loop as training_loop
from napari_unetseg.training import losses
from napari_unetseg.training.finetune import TrainJob, train
from napari_unetseg.training.training_set import from_label_arrays

Arm: TypeAlias = Callable[..., dict[str, Any]]

PARENT = "v1"
FIVE = 5
# One engine for all, so that versions differ by what they learned alone.
HOW = PredictConfig(flips=1, device="cpu", threads=1, backend="torch-fp32")


@dataclass(frozen=True)
class Plan:
    """How much of everything, in steps: the same on any machine, whatever else runs.

    Attributes
    ----------
    seeds, rounds
        Studies of each set, and rounds of fine-tuning in each.
    parent_steps, round_steps, long_steps, null_steps
        For a parent, for a round of fine-tuning, for a network from scratch or from
        dense labels, and for a round that teaches nothing.
    """

    seeds: int
    rounds: int
    parent_steps: int
    round_steps: int
    long_steps: int
    null_steps: int

    def up_to(self, n_regions: int) -> list[int]:
        """Return how many regions are put right after each round: five at first."""
        steps = np.linspace(min(FIVE, n_regions), n_regions, self.rounds)
        return sorted({round(n) for n in steps})


def kept(path: Path, plan: Plan, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``work`` finds; a file says it if that was done with this plan."""
    if path.exists():
        known = json.loads(path.read_text("utf-8"))
        if known["plan"] == asdict(plan):
            return dict(known["found"])
    found = work()
    write_json(path, {"plan": asdict(plan), "found": found})
    return found


@dataclass(frozen=True)
class Desk:
    """One arm at work: a set, a project of its own, and a seed."""

    data: LearningSet
    project: Path
    seed: int
    plan: Plan

    @classmethod
    def open(cls, name: str, folder: Path, arm: str, seed: int, plan: Plan) -> Desk:
        """Return a fresh copy of the project that :func:`prepare` made."""
        use_threads(1)
        project = folder / name / f"{arm}-{seed}.unetseg"
        shutil.rmtree(project, ignore_errors=True)  # of a run that was stopped
        shutil.copytree(folder / name / "base.unetseg", project)
        return cls(read_set(name), project, seed, plan)

    def train(self, **choices: object) -> dict[str, Any]:
        """Train a version from all labels so far.

        It keeps the halo of the parent: measuring that takes as long as many steps.
        """
        fixed = {"device": "cpu", "threads": 1, "preset": "S", "seed": self.seed}
        config = TrainConfig.model_validate(fixed | choices)
        halo = read_card(self.project / "models" / PARENT).halo
        with patch("napari_unetseg.models.registration.measure_halo") as measured:
            measured.return_value = halo
            return actions.train(self.project, config)

    def dice(self, version: str) -> dict[str, float]:
        """Return Dice per class where nobody may label."""
        self.predict(version, self.data.test)
        return self.measured(version, self.data.test.slices)

    def predict(self, version: str, box: Box | None = None) -> None:
        """Predict the volume, or a part of it."""
        actions.predict(self.project, HOW.replace(model=version, box=box))

    def measured(self, version: str, where: Any) -> dict[str, float]:
        """Return Dice per class of voxels, an index of the volume."""
        truth = self.data.new.truth
        with Project.open(self.project, read_only=True) as project:
            predictions = project.predictions(version)
            assert predictions is not None
            found = predictions.read_labels(Box.whole(truth.shape))
        return class_dice(found[where], truth[where], self.data.class_names)

    def labels(self) -> np.ndarray:
        """Return what has been labelled so far, UNSET elsewhere."""
        with Project.open(self.project, read_only=True) as project:
            return project.corrections.read_all(Box.whole(self.data.new.truth.shape))

    def probe_dice(self, version: str) -> float:
        """Return the mean Dice on what the parent was made for."""
        model = self.project / "models" / version
        return probed(model, self.data.probe, self.data.class_names)


def prepare(name: str, folder: Path, plan: Plan) -> dict[str, Any]:
    """Train the parent of a set, make its project and predict with it.

    Returns
    -------
    dict
        Dice of the parent in the new domain and on the probe.
    """
    path = folder / name / "parent.json"
    return kept(path, plan, lambda: _prepare(name, folder, plan))


def loop(
    name: str, folder: Path, seed: int, plan: Plan, strategy: WorklistStrategy
) -> dict[str, Any]:
    """Go through the rounds with the product as it is.

    Returns
    -------
    dict
        ``rows``, one per round, ``slices`` that were painted per round, as start and
        stop, and at the end the Dice on the probe.
    """
    desk = Desk.open(name, folder, f"ours-{strategy}", seed, plan)
    rows: list[dict[str, Any]] = []
    painted: list[list[Box]] = []
    version, minutes, before = PARENT, 0.0, 0
    for number, n_regions in enumerate(plan.up_to(desk.data.n_regions), start=1):
        with Project.open(desk.project) as project:
            slices, spent = put_right(
                project, desk.data, strategy, n_regions - before, 100 * seed + number
            )
        minutes += spent
        painted.append(slices)
        before += len(slices)
        result = desk.train(parent=version, steps=plan.round_steps)
        newest = result["version"]
        if is_used(result):
            version = newest
            use(desk.project, version)
        desk.predict(newest)
        row = _row(desk, version, result, minutes) | {
            "round": number, "regions": before,
        }  # fmt: skip
        rows.append(row)
        print(f"{name} seed {seed} {strategy}: {row['regions']} regions, "
              f"Dice {mean(row['dice']):.3f}, {version} in use: {row['verdict']}",
              flush=True)  # fmt: skip
    return {
        "rows": rows,
        "slices": [[(box.start, box.stop) for box in slices] for slices in painted],
        "probe_dice": desk.probe_dice(version),
    }


def _row(
    desk: Desk, version: str, result: dict[str, Any], minutes: float
) -> dict[str, Any]:
    known_voxels = desk.labels() != UNSET
    return {
        "voxels": int(np.count_nonzero(known_voxels)),
        "minutes": round(minutes, 1),
        "dice": desk.measured(version, desk.data.test.slices),
        "dice_of_newest": desk.measured(result["version"], desk.data.test.slices),
        "dice_on_corrected": desk.measured(version, known_voxels),
        "in_use": version,
        "promoted": result["promoted"],
        "judged": bool(result["checks"]),
        "verdict": result["verdict"],
    }


def naive(
    name: str, folder: Path, seed: int, plan: Plan, painted: Sequence[Sequence[Box]]
) -> dict[str, Any]:
    """Fine-tune round by round on the same labels, holding on to nothing."""
    desk = Desk.open(name, folder, "naive", seed, plan)
    version, rows = PARENT, []
    for slices in painted:
        _repeat(desk, slices)
        with forgetful():
            version = desk.train(
                parent=version, steps=plan.round_steps, promote="always",
                layers="all", start="last", implied=0.0, rehearse=False,
            )["version"]  # fmt: skip
        rows.append({"version": version, "dice": desk.dice(version)})
    return {
        "rows": rows,
        "dice": rows[-1]["dice"],
        "probe_dice": desk.probe_dice(version),
    }


def scratch(
    name: str, folder: Path, seed: int, plan: Plan, painted: Sequence[Sequence[Box]]
) -> dict[str, Any]:
    """Train a new network on the same labels."""
    desk = Desk.open(name, folder, "scratch", seed, plan)
    for slices in painted:
        _repeat(desk, slices)
    version = desk.train(steps=plan.long_steps, promote="never")["version"]
    return {"dice": desk.dice(version)}


def forest(
    name: str, folder: Path, seed: int, plan: Plan, painted: Sequence[Sequence[Box]]
) -> dict[str, Any]:
    """Train the pixel classifier on the same labels."""
    data = read_set(name)
    labels = np.full(data.new.truth.shape, UNSET, np.uint8)
    for box in (box for slices in painted for box in slices):
        labels[box.slices] = data.new.truth[box.slices]
    z, y, _ = data.voxel_size
    image = stretched(data.new.image)
    classifier = Forest(image, by_section=z > 2 * y, jobs=1)
    found = classifier.predict(labels, data.test, seed)
    truth = data.new.truth[data.test.slices]
    return {"dice": class_dice(found, truth, data.class_names)}


def dense(name: str, folder: Path, seed: int, plan: Plan) -> dict[str, Any]:
    """Fine-tune on the truth of all that may be labelled; nothing is held out."""
    desk = Desk.open(name, folder, "dense", seed, plan)
    box = desk.data.open
    with Project.open(desk.project) as project:
        commit(project, box, desk.data.new.truth[box.slices])
    with patch("napari_unetseg.training.dataset.held_out_boxes", return_value=()):
        version = desk.train(
            parent=PARENT, steps=plan.long_steps, promote="never", layers="all"
        )["version"]
    return {"dice": desk.dice(version), "probe_dice": desk.probe_dice(version)}


BASELINES: dict[str, Arm] = {
    "naive": naive,
    "scratch": scratch,
    "forest": forest,
}


def is_used(result: dict[str, Any]) -> bool:
    """Whether somebody goes on with a new version: unless it was found no better."""
    return bool(result["promoted"] or not result["checks"])


def use(project: Path, version: str) -> None:
    """Make a version the one in use, if it is not."""
    with Project.open(project) as opened:
        if opened.active_model != version:
            opened.set_active_model(version)


@contextmanager
def forgetful() -> Iterator[None]:
    """Let nothing hold a network to its parent; norms follow the patches, too."""
    with (
        patch.multiple(losses, DISTILLATION=0.0, PULL=0.0),
        patch.object(training_loop, "keep_statistics"),
    ):
        yield


def mean(dice: dict[str, float]) -> float:
    """Return the mean over the foreground classes."""
    return float(np.mean(list(dice.values())))


def probed(model: Path, probe: Part, names: Sequence[str]) -> float:
    """Return the mean Dice of a model on a whole image, as a volume of its own."""
    box = Box.whole(probe.image.shape)
    predictor = NetworkPredictor.load(model, config=HOW)
    found = predictor.predict(normalised(probe.image), Block(0, box, box)).labels
    return mean(class_dice(found, probe.truth, names))


def _repeat(desk: Desk, slices: Sequence[Box]) -> None:
    with Project.open(desk.project) as project:
        paint(project, desk.data, slices)


def _prepare(name: str, folder: Path, plan: Plan) -> dict[str, Any]:
    use_threads(1)
    data, here = read_set(name), folder / name
    shutil.rmtree(here, ignore_errors=True)  # of a run that was stopped
    volume = on_disk(here / "new.zarr", data.new.image, data.voxel_size)
    model = DEFAULT_MODEL if data.taught is None else _parent(data, here, plan)
    base = here / "base.unetseg"
    about = NewProjectConfig(classes=data.class_names)
    actions.new_project(base, volume.uri, about, model=model)
    desk = Desk(data, base, 0, plan)
    desk.predict(PARENT)
    return {
        "dice": desk.measured(PARENT, data.test.slices),
        "probe_dice": desk.probe_dice(PARENT),
        "voxels_open": data.open.n_voxels,
        "voxels_test": data.test.n_voxels,
    }


def _parent(data: LearningSet, folder: Path, plan: Plan) -> Path:
    """Train a network in the parent's domain, as from labels that were imported."""
    assert data.taught is not None
    volume = on_disk(folder / "taught.zarr", data.taught.image, data.voxel_size)
    classes = default_classes(data.class_names)
    job = TrainJob(
        volume_uri=volume.uri,
        time_point=0,
        training_set=from_label_arrays({"truth": data.taught.truth}, classes),
        models_dir=folder / "models",
        version=PARENT,
        classes=classes,
        normalisation=estimate_normalisation(volume),
        config=TrainConfig(
            steps=plan.parent_steps, preset="S", device="cpu", threads=1
        ),
    )
    return folder / "models" / train(job).version
