"""Whether predicted raters stand for real ones, and what they cost.

The product's rater heads beside everything cheaper: one network's softmax, thresholds
of its probability, a band around its boundary, mirrored passes, dropout, three
networks. All networks learn from the same images for as many steps. Choices (the width
of the band) are made on validation images; test images are seen once.

A default's masks are those of all raters at all heights of their probability, as the
window shows them one by one.

Distances of masks are given in three forms. ``u_ged`` is the one without bias: heads
are all there are, masks by dropout or of a hidden style were drawn; on the synthetic
sets the raters are all there are. ``ged_v`` and ``ged_u`` are the forms of the
literature. Errors and calibration are counted in the raters' union, grown by 3 voxels.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import pickle
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from benchmarks.common import Target, parse_args, shared_data, write_report
from benchmarks.rater_ceiling import people_for_people
from benchmarks.rater_costs import extra_time, identity_error
from benchmarks.rater_methods import (
    ENSEMBLE,
    METHODS,
    Answer,
    Method,
    Models,
    boundary_band,
    votes,
)
from benchmarks.rater_models import Trained, dropout, trained
from benchmarks.rater_sets import SETS, Case, RaterSet
from benchmarks.rater_softness import drawn_apart
from napari_unetseg.models import rater_metrics as metrics

BANDS = (0.7, 1.0, 1.5, 2.0, 3.0)  # widths, voxels
SYNTHETIC = ("nested", "styles")
BAND = "band"
NETWORKS: dict[str, dict[str, Any]] = {
    "named": {"rater_kind": "named"},
    "mirrored": {"rater_kind": "named", "mirror": True},
    "anonymous": {"rater_kind": "anonymous"},
    "latent": {"rater_kind": "latent"},
    "majority": {"only_majority": True},
    "dropout": {"only_majority": True},
    "majority 2": {"only_majority": True, "seed": 1},
    "majority 3": {"only_majority": True, "seed": 2},
}
# Method → networks that it asks.
NEEDS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("named", "mirrored", "anonymous", "latent")},
    "thresholds": ("named",),
    "deterministic": ("majority",),
    "flips": ("majority",),
    "dropout": ("dropout",),
    "ensemble": ENSEMBLE,
    BAND: ("named",),
}
METHODS_ON_REAL = ("named", "anonymous", "latent", "thresholds", "deterministic", BAND)
SLOW = {"anonymous", "latent"}  # left out on real data when there is no time
STEPS = {"nested": 1500, "styles": 2000, "bubil": 800, "lidc": 400}
QUICK_STEPS = {"nested": 200, "styles": 120, "bubil": 100, "lidc": 60}
# Who leaves out small objects cannot be learned from patches that hold no whole one.
PATCHES = {"nested": (32, 32, 32), "styles": (48, 48, 48), "bubil": (1, 192, 192),
           "lidc": (8, 64, 64)}  # fmt: skip
BATCHES = {"nested": 2, "styles": 1, "bubil": 2, "lidc": 2}


def learn(name: str, network: str, folder: Path, quick: bool) -> Trained:
    """Train one network, unless it is kept already; runs in a process of its own."""
    kept = folder.with_suffix(".pickle")
    if kept.exists():
        return cast("Trained", pickle.loads(kept.read_bytes()))
    torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)  # a run that was stopped in between
    data = _set(name, quick)
    steps = (QUICK_STEPS if quick else STEPS)[name]
    # A displacement has a direction, which mirrored patches would not show.
    options = {"mirror": name != "styles", **NETWORKS[network]}
    with dropout() if network == "dropout" else nullcontext():
        made = trained(
            data, folder, steps=steps, patch=PATCHES[name], batch=BATCHES[name],
            preset="S", **options,
        )  # fmt: skip
    kept.write_bytes(pickle.dumps(made))
    print(f"learned: {name}, {network}", flush=True)
    return made


def measure(
    name: str, method: str, models: Models, quick: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return figures of a method on validation and test; in a process of its own."""
    torch.set_num_threads(1)
    data = _set(name, quick)
    if method != BAND:
        how = METHODS[method]
        return scores(how, models, data.validation, data), scores(
            how, models, data.test, data
        )
    tried = {
        width: scores(boundary_band(width), models, data.validation, data)
        for width in BANDS
    }
    # An empty mask has no border, and nothing to choose by.
    width = max(BANDS, key=lambda w: tried[w]["ncc"] or 0.0)
    test = scores(boundary_band(width), models, data.test, data)
    return tried[width], test | {"width": width}


def scores(
    method: Method, models: Models, cases: Sequence[Case], data: RaterSet
) -> dict[str, Any]:
    """Return means over images, and calibration over all their voxels together."""
    rows: dict[str, list[float]] = defaultdict(list)
    probability, share, n_samples = [], [], 0
    for case, answer in zip(cases, method(models, cases), strict=True):
        region = metrics.region_of_interest(case.masks)
        q = case.masks.mean(axis=0, dtype=np.float32)
        for key, value in _of_one(answer, case, region, q, data).items():
            rows[key].append(value)
        probability.append(answer.probability[region])
        share.append(q[region])
        n_samples = len(answer.samples)
    p, q = np.concatenate(probability), np.concatenate(share)
    means = {key: _mean(values) for key, values in rows.items()}
    return means | {
        "ece": metrics.reliability(p, q).ece,
        "brier": metrics.brier(p, q),
        "k": n_samples,
        "n": len(data.raters),
    }


def _of_one(
    answer: Answer, case: Case, region: np.ndarray, q: np.ndarray, data: RaterSet
) -> dict[str, float]:
    distance = metrics.energy_distance(answer.samples, case.masks)
    differ = metrics.disagreement(case.masks)[region]
    error = answer.label != (q > 0.5)
    by_votes = votes(answer)
    return {
        "u_ged": distance.unbiased(
            samples_drawn=answer.are_drawn, raters_drawn=not data.all_raters_known
        ),
        "ged_v": distance.v,
        "ged_u": distance.u,
        "ncc": metrics.correlation(answer.disagreement[region], differ),
        "ncc_of_votes": math.nan
        if by_votes is None
        else metrics.correlation(by_votes[region], differ),
        "soft_dice": metrics.soft_dice(answer.samples.mean(axis=0), q),
        "dice_match": metrics.dice_match(answer.samples, case.masks),
        "error_in_top10": metrics.error_captured(answer.doubt, error),
        "error_in_top10_of_roi": metrics.error_captured(
            answer.doubt[region], error[region]
        ),
        "aurc_roi": metrics.risk_coverage(answer.doubt[region], error[region]).area,
    }


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else None


def _set(name: str, quick: bool) -> RaterSet:
    data = SETS[name](quick=quick)
    assert data is not None
    return data


def run(names: Sequence[str], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train and measure everything, on so many processes."""
    quick = args.quick
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        learning: dict[str, dict[str, Future[Trained]]] = {}
        for name in names:
            wanted = [key for method in _methods(name, args) for key in NEEDS[method]]
            learning[name] = {
                key: pool.submit(learn, name, key, folder / name / key, quick)
                for key in dict.fromkeys(wanted)
            }
        tables: dict[str, Any] = {}
        identity = {}
        for name in names:
            models = {key: future.result() for key, future in learning[name].items()}
            rows = {
                method: pool.submit(measure, name, method, models, quick)
                for method in _methods(name, args)
            }
            found = {method: future.result() for method, future in rows.items()}
            tables[name] = {
                "test": {method: test for method, (_, test) in found.items()},
                "validation": {method: seen for method, (seen, _) in found.items()},
                "temperature": {k: m.card.temperature for k, m in models.items()},
            }
            _print(name, tables[name]["test"])
            if "named" in models:
                data = _set(name, quick)
                apart = tables[name]["softness_drawn_apart"] = {
                    "validation": drawn_apart(models["named"], data.validation),
                    "test": drawn_apart(models["named"], data.test),
                }
                print("  softness drawn apart", apart, flush=True)
            if name == "bubil":  # more images of more people than the other real set
                people = tables[name]["people_for_people"] = people_for_people(
                    _set(name, quick)
                )
                print("  people for people", people, flush=True)
            if name in SYNTHETIC:
                case = _set(name, quick).test[0]
                identity[name] = identity_error(models["named"], case)
    return {"sets": tables, "map_identity_error": identity}


def _methods(data: str, args: argparse.Namespace) -> list[str]:
    """Return what is measured on a set; only one set is not mirrored by itself."""
    left_out = set() if data == "styles" else {"mirrored"}
    if data not in SYNTHETIC:
        left_out |= set(NEEDS) - set(METHODS_ON_REAL)
        left_out |= SLOW if args.quick else set()
    return [name for name in args.methods if name not in left_out]


def _print(name: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    keys = ("u_ged", "ncc", "ncc_of_votes", "soft_dice", "ece", "error_in_top10")
    print(f"{name:14}" + "".join(f"{key:>15}" for key in keys))
    for method, row in rows.items():
        cells = ("–" if row[k] is None else f"{row[k]:.3f}" for k in keys)
        print(f"  {method:12}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def targets(figures: Mapping[str, Any]) -> list[Target]:
    """Return what the default, heads by name, should reach on these sets."""
    tests = {name: table["test"] for name, table in figures["sets"].items()}
    default = {name: rows["named"] for name, rows in tests.items()}
    gain = {n: default[n]["ncc"] - tests[n]["band"]["ncc"] for n in tests}
    extra = figures["extra_time"]["one_pass"]
    found = [Target("rater_maps_extra_time", extra, "<=", 0.1)]
    if "bubil" in gain:
        name = "ncc_bubil_over_boundary_band"
        found += [Target(name, gain["bubil"], ">=", 0.05)]
    made = [name for name in SYNTHETIC if name in tests]
    if not made:
        return found
    ratio = [default[n]["u_ged"] / tests[n]["deterministic"]["u_ged"] for n in made]
    identity = max(figures["map_identity_error"].values())

    def of(key: str) -> list[float]:
        return [default[name][key] for name in made]

    return [
        *(Target(f"u_ged_{n}", default[n]["u_ged"], "<=", 0.05) for n in made),
        Target("u_ged_over_deterministic", max(ratio), "<=", 0.5),
        *(Target(f"ncc_{n}", default[n]["ncc"], ">=", 0.6) for n in made),
        Target("ncc_over_boundary_band", min(gain[n] for n in made), ">=", 0.05),
        Target("soft_dice", min(of("soft_dice")), ">=", 0.9),
        Target("ece_roi", max(of("ece")), "<=", 0.05),
        Target("error_in_top10", min(of("error_in_top10")), ">=", 0.6),
        Target("map_identity_error", identity, "<=", 1e-6),
        *found,
    ]


def main() -> None:
    """Measure the time while nothing else runs, then train and compare."""
    args = parse_args((__doc__ or "").splitlines()[0], _add_arguments)
    started = time.monotonic()
    extra = extra_time(quick=args.quick)
    folders = {"bubil": "bubil_multirater_2d", "lidc": "lidc_0001"}
    absent = [n for n in args.sets if n in folders and shared_data(folders[n]) is None]
    for name in absent:
        print(f"{name}: the data are not there, skipped")
    names = [name for name in args.sets if name not in absent]
    with tempfile.TemporaryDirectory() as folder:
        kept = (args.keep or Path(folder)) / ("quick" if args.quick else "full")
        figures = run(names, kept, args)
    figures |= {"extra_time": extra, "seconds": round(time.monotonic() - started)}
    write_report(args.json, figures, targets(figures))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=2, help="networks side by side")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER",
        help="networks stay there, and a run that was stopped goes on with them",
    )  # fmt: skip
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument(
        "--methods", nargs="+", default=list(NEEDS), choices=list(NEEDS),
        help="the targets need named, deterministic and band",
    )  # fmt: skip


if __name__ == "__main__":
    main()
