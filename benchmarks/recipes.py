"""Why a fine-tuning is done as it is: one choice is changed at a time.

The volumes, parents and the annotator are those of :mod:`benchmarks.learning`, but all
slices are painted at once and there is one fine-tuning. Dice is that of voxels that
nobody labels, and on the *probe*, an image of what the parent was made for. Three
situations:

five
    Five slices, and a parent that was made elsewhere.
all
    The same with all slices of a study, 5 % of what may be labelled.
home
    The parent is a new network from four slices of the volume; six more are painted
    where it doubts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from unittest.mock import patch

import numpy as np
from torch import Tensor

from benchmarks.common import Target, parse_args, write_report
from benchmarks.learning import FULL, QUICK, QUICK_SETS
from benchmarks.learning_annotator import put_right
from benchmarks.learning_arms import FIVE, PARENT, Desk, Plan, kept, mean, prepare
from benchmarks.learning_sets import SETS
from napari_unetseg.app.project import Project
from napari_unetseg.config import WorklistStrategy
from napari_unetseg.models.unet import Output
from napari_unetseg.training import losses
from napari_unetseg.training.losses import Parent

Situation = Literal["five", "all", "home"]
Means: TypeAlias = dict[str, dict[str, dict[str, float]]]
FIRST, MORE, NEW_STEPS = 4, 6, 300  # slices and steps of a network at home
_rehearse = Parent.rehearsal


@dataclass(frozen=True)
class Recipe:
    """What is done otherwise than usual; None where it is not.

    Attributes
    ----------
    weight, rate, steps
        What exemplars count, the learning rate, and how many steps there are.
    rehearses
        Whether there are exemplars at all.
    distils
        Whether who rehearses is also held to what the parent is sure of where nobody
        labelled the volume.
    """

    weight: float | None = None
    rate: float | None = None
    steps: int | None = None
    rehearses: bool | None = None
    distils: bool | None = None

    @property
    def name(self) -> str:
        """What is changed, as text."""
        changed = {key: v for key, v in vars(self).items() if v is not None}
        return ", ".join(f"{k} {v}" for k, v in changed.items()) or "usual"

    @contextmanager
    def in_effect(self) -> Iterator[dict[str, Any]]:
        """Change the program for a while; give what to configure, but for steps."""
        choices: dict[str, Any] = {"promote": "never"}
        if self.rate is not None:
            choices["learning_rate"] = self.rate
        if self.rehearses is False:
            choices["rehearse"] = False
        weight = losses.REHEARSAL if self.weight is None else self.weight
        rehearsal = _rehearse_and_distil if self.distils else _rehearse
        with (
            patch.object(losses, "REHEARSAL", weight),
            patch.object(Parent, "rehearsal", rehearsal),
        ):
            if not self.rehearses:
                yield choices
                return
            with patch("napari_unetseg.training.finetune.was_made_of") as at_home:
                at_home.return_value = False
                yield choices


def _rehearse_and_distil(
    parent: Parent, image: Tensor, child: Output, target: Tensor
) -> Tensor:
    """Return the loss of exemplars, and of unlabelled voxels of all other patches."""
    labelled = (target.sum(1) > 0).flatten(1).any(1)
    raters = None if child.raters is None else child.raters[labelled]
    there = child._replace(consensus=child.consensus[labelled], raters=raters)
    kept = parent.distillation(image[labelled], there, target[labelled])
    return _rehearse(parent, image, child, target) + kept


USUAL = Recipe()
RECIPES: Mapping[Situation, tuple[Recipe, ...]] = {
    "five": (
        USUAL,
        Recipe(rehearses=False),
        Recipe(weight=0.5, rate=1e-4),
        Recipe(weight=8.0, rate=1e-4),
        Recipe(weight=8.0),
        Recipe(steps=150),
        Recipe(distils=True),
    ),
    "all": (
        USUAL,
        Recipe(rehearses=False),
        Recipe(weight=0.5, rate=1e-4),
        Recipe(weight=8.0),
        Recipe(steps=50),
        Recipe(distils=True),
    ),
    "home": (USUAL, Recipe(rehearses=True), Recipe(rate=1e-4), Recipe(rate=5e-4)),
}


def labelled(
    name: str, situation: Situation, seed: int, folder: Path, plan: Plan
) -> str:
    """Paint what a situation begins with; return the version that is put right."""
    path = folder / name / f"recipes-{situation}-{seed}.json"

    def work() -> dict[str, Any]:
        desk = Desk.open(name, folder, f"recipes-{situation}", seed, plan)
        if situation != "home":
            n_slices = FIVE if situation == "five" else desk.data.n_regions
            _paint(desk, n_slices, 100 * seed + 1)
            return {"parent": PARENT}
        _paint(desk, FIRST, seed, "random")
        steps = min(NEW_STEPS, plan.long_steps)
        version = str(desk.train(steps=steps, promote="always")["version"])
        desk.predict(version)
        _paint(desk, MORE, seed + 1)
        return {"parent": version}

    return str(kept(path, plan, work)["parent"])


def tried(
    name: str, situation: Situation, recipe: Recipe, seed: int, folder: Path, plan: Plan
) -> dict[str, Any]:
    """Fine-tune by a recipe; return what came of it."""

    def work() -> dict[str, Any]:
        desk = Desk.open(name, folder, f"recipes-{situation}-{recipe.name}", seed, plan)
        shutil.rmtree(desk.project)
        made = folder / name / f"recipes-{situation}-{seed}.unetseg"
        shutil.copytree(made, desk.project)
        steps = min(recipe.steps or plan.round_steps, plan.long_steps)
        with recipe.in_effect() as choices:
            result = desk.train(parent=parent, steps=steps, **choices)
        version = result["version"]
        found = {
            "dice": mean(desk.dice(version)),
            "probe": None if situation == "home" else desk.probe_dice(version),
        }
        shutil.rmtree(desk.project)
        return found

    parent = labelled(name, situation, seed, folder, plan)
    path = folder / name / f"recipes-{situation}-{recipe.name}-{seed}.json"
    found = kept(path, plan, work)
    print(f"{name} seed {seed} {situation}: {recipe.name}: {found}", flush=True)
    about = {"set": name, "seed": seed, "situation": situation, "recipe": recipe.name}
    return about | found


def study(
    name: str, situation: Situation, seed: int, folder: Path, plan: Plan
) -> list[dict[str, Any]]:
    """Try all recipes of a situation; runs in a process of its own."""
    return [
        tried(name, situation, recipe, seed, folder, plan)
        for recipe in RECIPES[situation]
    ]


def summary(rows: Sequence[Mapping[str, Any]]) -> Means:
    """Return means over sets and seeds, by situation and recipe."""
    table: Means = {}
    for situation, recipes in RECIPES.items():
        for recipe in recipes:
            same = [
                row
                for row in rows
                if (row["situation"], row["recipe"]) == (situation, recipe.name)
            ]
            means = {
                key: float(np.mean([row[key] for row in same]))
                for key in ("dice", "probe")
                if same and same[0][key] is not None
            }
            if means:
                table.setdefault(situation, {})[recipe.name] = means
    return table


def targets(table: Means) -> list[Target]:
    """Return what each choice has to be good for."""
    usual = {situation: row[USUAL.name] for situation, row in table.items()}
    found = []
    for situation in ("five", "all"):
        if situation in table:
            bare = table[situation][Recipe(rehearses=False).name]
            kept_more = usual[situation]["probe"] - bare["probe"]
            name = f"rehearsing_keeps_{situation}"
            found.append(Target(name, kept_more, ">=", 0.0))
    if "home" in table:
        other = table["home"][Recipe(rehearses=True).name]
        gain = usual["home"]["dice"] - other["dice"]
        found.append(Target("not_rehearsing_at_home_gains", gain, ">=", 0.0))
    return found


def run(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Try everything that was asked for, sets and situations side by side."""
    plan: Plan = QUICK if args.quick else FULL
    rows: list[dict[str, Any]] = []
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(args.workers, mp_context=context) as pool,
    ):
        folder = (args.keep or Path(scratch)) / ("quick" if args.quick else "full")
        for parent in [pool.submit(prepare, n, folder, plan) for n in args.sets]:
            parent.result()
        waiting = [
            pool.submit(study, name, situation, seed, folder, plan)
            for seed in range(1 if args.quick else args.seeds)
            for name in args.sets
            for situation in args.situations
        ]
        for future in as_completed(waiting):
            rows += future.result()
    return rows


def main() -> None:
    """Try what is asked for, and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0], _add_arguments)
    wanted = args.sets or (QUICK_SETS if args.quick else tuple(SETS))
    args.sets = [name for name in wanted if SETS[name]() is not None]
    rows = run(args)
    table = summary(rows)
    for situation, recipes in table.items():
        for name, means in recipes.items():
            said = ", ".join(f"{key} {value:.3f}" for key, value in means.items())
            print(f"{situation:5} {name:24} {said}")
    write_report(args.json, {"rows": rows, "summary": table}, targets(table))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=2, help="studies side by side")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="default: all")
    parser.add_argument(
        "--situations", nargs="+", choices=get_args(Situation),
        default=list(get_args(Situation)),
    )  # fmt: skip
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER",
        help="of benchmarks.learning: its parents, and what was tried before",
    )  # fmt: skip


def _paint(
    desk: Desk, n: int, seed: int, strategy: WorklistStrategy = "uncertainty"
) -> None:
    with Project.open(desk.project) as project:
        put_right(project, desk.data, strategy, n, seed)


if __name__ == "__main__":
    main()
