"""Whether a few corrections make a better model, and keep what the old one knew.

Somebody who knows the truth puts slices right in the regions where the model is
unsure, until 5 % of what may be labelled is labelled; after each round the model is
fine-tuned and the gate decides. Beside it: fine-tuning as it is usually done, a new
network and a pixel classifier from the same labels, and fine-tuning on dense labels.
Dice is the mean over the foreground classes on a part that nobody labels. Besides:
how often the gate passes a version that learned nothing, how many regions other
orders of the worklist need, what a round costs. See ``learning_sets`` for the volumes,
``learning_arms`` for the ways to learn.

Budgets are steps. With ``--keep`` every parent, every arm of a study (a set and a seed)
and every trial of the gate stays in that folder, and one that is there is not done
again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import learning_costs, learning_gate
from benchmarks.common import Target, parse_args, read_report, write_report
from benchmarks.learning_annotator import common_level, regions_needed
from benchmarks.learning_arms import (
    BASELINES,
    FIVE,
    Arm,
    Plan,
    dense,
    kept,
    loop,
    mean,
    prepare,
)
from benchmarks.learning_sets import SETS
from benchmarks.learning_verdicts import verdicts
from napari_unetseg.config import Preferences, WorklistStrategy
from napari_unetseg.geometry import Box, zyx

PARTS = ("cost", "loop", "worklist", "null")
FULL = Plan(
    seeds=3,
    rounds=3,
    parent_steps=400,
    round_steps=Preferences().finetune_steps,
    long_steps=400,
    null_steps=50,
)
QUICK = Plan(
    seeds=1, rounds=2, parent_steps=60, round_steps=10, long_steps=20, null_steps=5
)
QUICK_SETS = ("phantom",)
TRIALS, QUICK_TRIALS = 20, 5  # of the gate, for each kind of labels
SIDE, QUICK_SIDE = 96, 64


def study(
    name: str, seed: int, folder: Path, plan: Plan, parts: Sequence[str]
) -> dict[str, Any]:
    """Return all arms of a set with one seed; runs in a process of its own."""

    def arm(key: str, work: Arm, *args: Any) -> dict[str, Any]:
        path = folder / name / f"{key}-{seed}.json"
        return kept(path, plan, lambda: work(name, folder, seed, plan, *args))

    ours = arm("uncertainty", loop, "uncertainty")
    slices = [[Box(zyx(a), zyx(b)) for a, b in boxes] for boxes in ours.pop("slices")]
    found: dict[str, Any] = {"set": name, "seed": seed, "ours": ours}
    if "loop" in parts:
        found |= {key: arm(key, work, slices) for key, work in BASELINES.items()}
        found["dense"] = arm("dense", dense)
        scores = {key: mean(found[key]["dice"]) for key in (*BASELINES, "dense")}
        said = ", ".join(f"{key} {dice:.3f}" for key, dice in scores.items())
        print(f"{name} seed {seed}: {said}", flush=True)
    if "worklist" in parts:
        strategies: tuple[WorklistStrategy, ...] = ("random", "scan")
        for strategy in strategies:
            found[strategy] = {"rows": arm(strategy, loop, strategy)["rows"]}
    return found


def run(args: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Do all parts; ``figures`` grow and are written as they come."""
    plan: Plan = QUICK if args.quick else FULL
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(args.workers, mp_context=context) as pool,
    ):
        folder = (args.keep or Path(scratch)) / ("quick" if args.quick else "full")
        todo = Run(pool, folder, plan, args, figures)
        todo.parents()
        if "cost" in args.parts:  # while nothing else runs
            todo.costs()
        waiting = {}
        if {"loop", "worklist"} & set(args.parts):
            waiting["studies"] = todo.studies()
        if "null" in args.parts:
            waiting["null"] = todo.trials()
        todo.collect(waiting)


@dataclass(frozen=True)
class Run:
    """What is to be done, where, and the figures so far."""

    pool: Executor
    folder: Path
    plan: Plan
    args: argparse.Namespace
    figures: dict[str, Any]

    def parents(self) -> None:
        """Make the models that are put right."""
        parts = set(self.args.parts)
        needed = list(self.args.sets) if {"loop", "worklist"} & parts else []
        needed += [learning_gate.SET] if {"cost", "null"} & parts else []
        jobs = {
            name: self.pool.submit(prepare, name, self.folder, self.plan)
            for name in dict.fromkeys(needed)
        }
        parents = {name: job.result() for name, job in jobs.items()}
        self.figures["parents"] = self.figures.get("parents", {}) | parents
        for name, found in parents.items():
            print(f"{name}: parent {mean(found['dice']):.3f}, on its probe "
                  f"{found['probe_dice']:.3f}", flush=True)  # fmt: skip

    def costs(self) -> None:
        """Measure the time of a round, and the memory of a step."""
        job = self.pool.submit(learning_costs.round_seconds, self.folder, self.plan)
        self.figures["round"] = job.result()
        side = QUICK_SIDE if self.args.quick else SIDE
        self.figures["memory"] = learning_costs.memory(side)
        self._write()

    def studies(self) -> list[Future[dict[str, Any]]]:
        """Begin the studies, all sets with one seed before the next."""
        return [
            self.pool.submit(study, name, seed, self.folder, self.plan, self.args.parts)
            for seed in self.args.seeds or range(self.plan.seeds)
            for name in self.args.sets
        ]

    def trials(self) -> list[Future[dict[str, Any]]]:
        """Begin to ask the gate about versions that learned nothing."""
        return [
            self.pool.submit(learning_gate.trial, kind, number, self.folder, self.plan)
            for number in range(QUICK_TRIALS if self.args.quick else TRIALS)
            for kind in learning_gate.KINDS
        ]

    def collect(self, waiting: Mapping[str, Sequence[Future[dict[str, Any]]]]) -> None:
        """Write each result to the report as it comes."""
        self.figures.update({key: [] for key in waiting})
        part_of = {future: key for key, part in waiting.items() for future in part}
        for future in as_completed(part_of):
            self.figures[part_of[future]].append(future.result())
            self._write()

    def _write(self) -> None:
        write_report(self.args.json, self.figures, quiet=True)


def summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return means over the seeds: Dice of every arm per set, and what it took."""
    table: dict[str, Any] = {}
    for name in dict.fromkeys(row["set"] for row in figures.get("studies", [])):
        rows = [row for row in figures["studies"] if row["set"] == name]
        parent = figures["parents"][name]
        last = [row["ours"]["rows"][-1] for row in rows]
        table[name] = {
            "parent": mean(parent["dice"]),
            "ours": _mean([mean(row["dice"]) for row in last]),
            "ours_newest": _mean([mean(row["dice_of_newest"]) for row in last]),
            "ours_after_5": _mean([mean(_after_five(row)["dice"]) for row in rows]),
            **{
                arm: _mean([mean(row[arm]["dice"]) for row in rows if arm in row])
                for arm in (*BASELINES, "dense")
                if any(arm in row for row in rows)
            },
            "ours_on_corrected": _mean([mean(r["dice_on_corrected"]) for r in last]),
            "corrected_share": _mean(
                [row["voxels"] / parent["voxels_open"] for row in last]
            ),
            "retention_drop": _lost(parent, [row["ours"] for row in rows]),
            "minutes": _mean([row["minutes"] for row in last]),
        }
        for strategy in ("random", "scan"):
            if all(strategy in row for row in rows):
                ends = [row[strategy]["rows"][-1] for row in rows]
                key = f"ours_newest_by_{strategy}"
                table[name][key] = _mean([mean(row["dice_of_newest"]) for row in ends])
        forgetful = [row["naive"] for row in rows if "naive" in row]
        if forgetful:
            table[name]["naive_retention_drop"] = _lost(parent, forgetful)
    return table


def _lost(parent: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> float:
    """Return by how much Dice on the parent's own domain fell."""
    return _mean([parent["probe_dice"] - arm["probe_dice"] for arm in arms])


def needed_regions(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return how many regions each strategy needs in all studies together.

    Needed for the highest Dice that all strategies of a study reach. It is that of the
    newest version: what was learned from the regions, whatever the gate made of it.
    """
    total = dict.fromkeys(("uncertainty", "random", "scan"), 0.0)
    for row in figures.get("studies", []):
        if "scan" not in row:
            continue
        start = (0, mean(figures["parents"][row["set"]]["dice"]))
        arms = {"uncertainty": row["ours"], "random": row["random"],
                "scan": row["scan"]}  # fmt: skip
        curves = {key: [start, *_learned(arm)] for key, arm in arms.items()}
        level = common_level(list(curves.values()))
        for key, curve in curves.items():
            needed = regions_needed(curve, level)
            assert needed is not None
            total[key] += needed
    return total


def _learned(arm: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Return regions and Dice of the newest version after each round of an arm."""
    return [(row["regions"], mean(row["dice_of_newest"])) for row in arm["rows"]]


def targets(figures: Mapping[str, Any]) -> list[Target]:
    """Return what corrections should do, as far as it was measured."""
    found: list[Target] = []
    rows = figures.get("studies", [])
    table = figures["summary"]
    ratios = [
        mean(row["ours"]["rows"][-1]["dice"]) / mean(row["dense"]["dice"])
        for row in rows
        if "dense" in row
    ]
    if ratios:
        found.append(Target("sparse_over_dense", _mean(ratios), ">=", 0.92))
    if rows:
        gains = [
            mean(_after_five(row)["dice"])
            - mean(figures["parents"][row["set"]]["dice"])
            for row in rows
        ]
        worst = max(each["retention_drop"] for each in table.values())
        found += [
            Target("five_regions_gain", _mean(gains), ">=", 0.05),
            Target("retention_drop", worst, "<=", 0.01),
        ]
    if null := figures.get("null"):
        n_promoted = sum(trial["promoted"] for trial in null)
        bound = 2 if len(null) > 2 * QUICK_TRIALS else 1
        found.append(Target("null_promotions", n_promoted, "<=", bound))
    needed = figures["regions_needed"]
    for name, other, most in (
        ("worklist_vs_scan", "scan", 0.75),
        ("worklist_vs_foreground_random", "random", 1.0),
    ):
        if needed[other]:
            ratio = needed["uncertainty"] / needed[other]
            found.append(Target(name, ratio, "<=", most))
    if "round" in figures:
        peaks = {row["variant"]: row["peak_gb"] for row in figures["memory"]}
        ratio = peaks["reversible"] / peaks["plain"]
        found += [
            Target("round_seconds", figures["round"]["seconds"], "<=", 60.0),
            Target("reversible_memory_ratio", ratio, "<=", 0.6),
        ]
    return found


def vnc_rounds(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what each round on the nerve cord brought, for plots of Dice by work."""
    keys = ("round", "regions", "voxels", "minutes")
    return [
        {"seed": row["seed"], **{key: each[key] for key in keys},
         "dice": mean(each["dice"])}
        for row in figures.get("studies", [])
        if row["set"] == "vnc"
        for each in row["ours"]["rows"]
    ]  # fmt: skip


def _after_five(row: Mapping[str, Any]) -> dict[str, Any]:
    rounds: list[dict[str, Any]] = row["ours"]["rows"]
    return next((r for r in rounds if r["regions"] >= FIVE), rounds[-1])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def main() -> None:
    """Do what is asked for, and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0], _add_arguments)
    wanted = args.sets or (QUICK_SETS if args.quick else tuple(SETS))
    args.sets = [name for name in wanted if SETS[name]() is not None]
    for name in set(wanted) - set(args.sets):
        print(f"{name}: the data are not there, skipped")
    started = time.monotonic()
    figures = read_report(args.json)
    run(args, figures)
    figures["summary"] = summary(figures)
    figures["regions_needed"] = needed_regions(figures)
    figures["vnc_rounds"] = vnc_rounds(figures)
    figures["verdicts"] = verdicts(figures)
    figures["seconds"] = round(time.monotonic() - started)
    for name, row in figures["summary"].items():
        print(f"{name:12}", ", ".join(f"{k} {v:.3f}" for k, v in row.items()))
    write_report(args.json, figures, targets(figures))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=2, help="studies side by side")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: 0 1 2, quick 0")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER",
        help="what is done stays there, and a run that was stopped goes on with it",
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)


if __name__ == "__main__":
    main()
