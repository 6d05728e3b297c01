"""Agreement and consensus of raters beside SimpleITK, statsmodels and the definitions.

Real data: lung nodules that two to four radiologists outlined (LIDC-IDRI). STAPLE must
give SimpleITK's probabilities, the kappas those of statsmodels, Krippendorff's alpha
that of its definition over all pairs of votes; blocks of any size what the whole volume
gives. The report on a large sparse project is measured in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import resource
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.common import Target, parse_args, shared_data, write_report
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import AgreementConfig, ConsensusConfig
from napari_unetseg.data.agreement import agreement
from napari_unetseg.data.agreement_measures import (
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
)
from napari_unetseg.data.consensus import ConsensusLabels, Majority, Staple
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings, ratings_of
from napari_unetseg.data.staple import LEAST_RATERS, staple
from napari_unetseg.data.vote_count import Margin, count_votes
from napari_unetseg.data.vote_patterns import PatternTable
from napari_unetseg.geometry import Box

BLOCKS = ((7, 9, 11), (3, 16, 5), (64, 8, 8))
MARGINS = (Margin(3), Margin(2500.0, is_um=True))


def nodules() -> dict[str, tuple[dict[str, np.ndarray], tuple[float, ...]]]:
    """Return the masks of all raters per nodule, and the voxel size in mm."""
    folder = shared_data("lidc_rater_masks")
    if folder is None:
        return {}
    masks = np.load(folder / "nodules_bitmask.npz")
    found = {}
    for entry in json.loads((folder / "index.json").read_text()):
        bits = masks[entry["key"]]
        raters = {
            f"rater {number + 1}": (bits >> number & 1).astype(np.uint8)
            for number in range(entry["n_raters"])
        }
        found[entry["key"]] = (raters, tuple(entry["spacing_zyx_mm"]))
    return found


def staple_of_itk(values: list[np.ndarray]) -> np.ndarray:
    """Return SimpleITK's probability of every voxel."""
    import SimpleITK as sitk

    filter_ = sitk.STAPLEImageFilter()
    filter_.SetForegroundValue(1)
    images = [sitk.GetImageFromArray(v) for v in values]
    found: np.ndarray = sitk.GetArrayFromImage(filter_.Execute(images))
    return found


def compared_with_itk(
    raters: dict[str, np.ndarray], near: np.ndarray
) -> dict[str, Any]:
    """Compare STAPLE over the whole crop, and over the voxels near the nodule."""
    figures: dict[str, Any] = {"difference": 0.0}
    for kept in (np.ones(near.shape, bool), near):
        cut = [v[kept].reshape(1, 1, -1) for v in raters.values()]
        started = time.perf_counter()
        theirs = staple_of_itk(cut).ravel()
        seconds_itk = time.perf_counter() - started
        started = time.perf_counter()
        table = PatternTable.of(tuple(raters), cut)
        quality = staple(table, 1)
        ours = quality.weights(np.stack([v.ravel() for v in cut], axis=1))
        seconds = time.perf_counter() - started
        figures["difference"] = max(
            figures["difference"], float(np.abs(ours - theirs).max())
        )
        figures |= {"seconds": seconds, "seconds_simpleitk": seconds_itk}
    return figures


def kappa_difference(table: PatternTable) -> float:
    """Return the largest difference from statsmodels of Fleiss' and all Cohen's."""
    from statsmodels.stats import inter_rater

    ratings = np.repeat(table.patterns, table.counts, axis=0)
    counted, _ = inter_rater.aggregate_raters(ratings)
    ours = fleiss_kappa(table)
    differences = [abs(inter_rater.fleiss_kappa(counted) - (ours or 0.0))]
    for a, b in combinations(range(len(table.names)), 2):
        both = np.zeros((2, 2))
        np.add.at(both, (ratings[:, a], ratings[:, b]), 1)
        theirs = inter_rater.cohens_kappa(both, return_results=False)
        differences.append(abs(theirs - (cohen_kappa(table, a, b) or 0.0)))
    return float(max(differences))


def alpha_of_all_pairs(ratings: np.ndarray) -> float:
    """Return Krippendorff's alpha by its definition: 1 - D_observed / D_expected.

    Disagreement is that of all pairs of votes inside a unit (weighted by 1 / (m - 1) of
    its m votes), and of all pairs of votes whatsoever.
    """
    n_votes = (ratings != UNSET).sum(axis=1)
    units = ratings[n_votes > 1]
    m = n_votes[n_votes > 1]
    observed = 0.0
    for a in range(units.shape[1]):
        for b in range(units.shape[1]):
            if a != b:
                both = (units[:, a] != UNSET) & (units[:, b] != UNSET)
                differs = both & (units[:, a] != units[:, b])
                observed += float((differs / (m - 1)).sum())
    votes = units[units != UNSET]
    n = len(votes)
    observed /= n
    expected = 0.0
    for value in np.unique(votes):
        said = int((votes == value).sum())
        expected += said * (n - said)
    return 1 - observed / (expected / (n * (n - 1)))


def with_gaps(raters: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Return masks in which a fifth of all votes is missing."""
    rng = np.random.default_rng(seed)
    return {
        name: np.where(rng.random(v.shape) < 0.2, UNSET, v).astype(np.uint8)
        for name, v in raters.items()
    }


def is_blockwise_equal(ratings: Ratings) -> bool:
    """Whether blocks of several sizes give what the whole volume gives."""
    whole = Box.whole(ratings.shape)
    equal = True
    for margin in MARGINS:
        counts = count_votes(ratings, margin=margin, block=ratings.shape)
        full = agreement(ratings, margin=margin, block=ratings.shape)
        rules: list[Any] = [Majority(), Majority("most-votes")]
        if len(ratings.names) >= LEAST_RATERS and counts.near.classes:
            rules.append(Staple.of(counts.near))
        for block in BLOCKS:
            equal &= count_votes(ratings, margin=margin, block=block) == counts
            equal &= agreement(ratings, margin=margin, block=block) == full
            for rule in rules:
                source = ConsensusLabels(ratings, rule)
                labels, parts = source.read(whole), np.zeros(ratings.shape, np.uint8)
                for cell in whole.cells(block):
                    box = cell.clipped(ratings.shape)
                    parts[box.slices] = source.read(box)
                equal &= bool((labels == parts).all())
    return equal


def on_nodules(n: int) -> dict[str, Any]:
    """Compare everything on real nodules."""
    figures: dict[str, Any] = {
        "nodules": 0, "nodules_staple": 0, "staple_max_abs_diff": 0.0,
        "kappa_max_abs_diff": 0.0, "alpha_max_abs_diff": 0.0, "blockwise_equal": 1.0,
        "staple_s": 0.0, "staple_s_simpleitk": 0.0,
    }  # fmt: skip
    dice, kappas, alphas = [], [], []
    for number, (raters, size) in enumerate(list(nodules().values())[:n]):
        z, y, x = size
        ratings = ratings_of(raters, (z, y, x), "millimeter")
        counts = count_votes(ratings, margin=MARGINS[0])
        near = MARGINS[0].around(
            np.any([v > 0 for v in raters.values()], axis=0), ratings.voxel_size_um
        )
        figures["nodules"] += 1
        if len(raters) >= LEAST_RATERS:
            itk = compared_with_itk(raters, near)
            figures["nodules_staple"] += 1
            _raise(figures, "staple_max_abs_diff", itk["difference"])
            figures["staple_s"] += itk["seconds"]
            figures["staple_s_simpleitk"] += itk["seconds_simpleitk"]
        for table in (counts.whole, counts.near):
            _raise(figures, "kappa_max_abs_diff", kappa_difference(table))
        for votes in (raters, with_gaps(raters, number)):
            table = PatternTable.of(tuple(votes), list(votes.values()))
            rows = np.stack([v.ravel() for v in votes.values()], axis=1)
            gap = abs(alpha_of_all_pairs(rows) - (krippendorff_alpha(table) or 0.0))
            _raise(figures, "alpha_max_abs_diff", gap)
        if not is_blockwise_equal(ratings):
            figures["blockwise_equal"] = 0.0
        found = agreement(ratings, margin=MARGINS[0])
        dice.append(found["mean_dice"])
        kappas.append(found["near"]["fleiss_kappa"])
        alphas.append(found["near"]["krippendorff_alpha"])
    figures |= {
        "mean_dice": float(np.mean(dice)),
        "mean_fleiss_kappa_near": float(np.mean(kappas)),
        "mean_alpha_near": float(np.mean(alphas)),
    }
    print(figures, flush=True)
    return figures


def staple_on_a_cube(side: int) -> dict[str, Any]:
    """Return the seconds of STAPLE with five raters in one cube of blobs."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices((side,) * 3, np.float32) - side / 2
    far = np.sqrt(z**2 + y**2 + x**2)
    values = [
        (far + rng.normal(0, 2, far.shape) < side / 4 + shift).astype(np.uint8)
        for shift in (-2, -1, 0, 1, 4)
    ]
    started = time.perf_counter()
    theirs = staple_of_itk(values)
    seconds_itk = time.perf_counter() - started
    started = time.perf_counter()
    ratings = ratings_of({f"r{n}": v for n, v in enumerate(values)})
    counts = count_votes(ratings)
    quality = staple(counts.whole, 1)
    seconds = time.perf_counter() - started
    patterns = np.stack([v.ravel() for v in values], axis=1)
    figures = {
        "side": side,
        "seconds": seconds,
        "seconds_simpleitk": seconds_itk,
        "difference": float(np.abs(quality.weights(patterns) - theirs.ravel()).max()),
    }
    print(figures, flush=True)
    return figures


def make_project(folder: Path, side: int, n_objects: int) -> Path:
    """Make a sparse project: three raters outlined objects here and there."""
    image = folder / "image.zarr"
    zarr.create_array(image, shape=(side,) * 3, chunks=(64, 128, 128), dtype="uint8")
    rng = np.random.default_rng(1)
    z, y, x = np.indices((48,) * 3, np.float32) - 24
    far = np.sqrt(z**2 + y**2 + x**2)
    with Project.create(folder / "p", image, class_names=("cell", "fibre")) as project:
        for _ in range(n_objects):
            corner = rng.integers(0, side - 48, 3)
            box = Box.around((corner + 24).tolist(), (48, 48, 48))
            for name in ("Ana", "Bo", "Cy"):
                radius = rng.uniform(12, 18)
                new = (far < radius).astype(np.uint8) * (1 + int(corner[0]) % 2)
                mask = np.ones(box.shape, bool)
                project.corrections.commit(
                    box, mask, new.astype(np.uint8), annotator=name, tool="brush"
                )
        return project.folder


def peak_gb() -> float:
    """Return the most memory that this process ever had.

    A child begins with its parent's peak in what the system keeps for processes, but
    not in what Linux keeps for their memory.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
        return int(peak) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def large(path: str, target: str) -> None:
    """Report on a large project, and write its consensus; runs in a child."""
    before = peak_gb()
    started = time.perf_counter()
    found = actions.agreement([path], AgreementConfig())
    seconds = time.perf_counter() - started
    peak = peak_gb()
    started = time.perf_counter()
    actions.consensus([path], ConsensusConfig(method="staple"))
    figures = {
        "report_s": seconds,
        "report_peak_gb": peak,
        "imports_gb": before,
        "consensus_s": time.perf_counter() - started,
        "consensus_peak_gb": peak_gb(),
        "labelled_voxels": found["n_any"],
        "mean_dice": found["mean_dice"],
    }  # fmt: skip
    Path(target).write_text(json.dumps(figures))


def measured(folder: Path, side: int, n_objects: int) -> dict[str, Any]:
    """Return seconds and memory of the report on a large sparse project."""
    project = make_project(folder, side, n_objects)
    target = folder / "figures.json"
    child = multiprocessing.get_context("spawn").Process(
        target=large, args=(str(project), str(target))
    )
    child.start()
    child.join()
    figures: dict[str, Any] = {"side": side, "objects": n_objects}
    figures |= json.loads(target.read_text())
    print(figures, flush=True)
    return figures


def _raise(figures: dict[str, Any], name: str, value: float) -> None:
    figures[name] = max(figures[name], value)


def main() -> None:
    """Compare, measure, report."""
    arguments = parse_args(__doc__.splitlines()[0])
    quick = arguments.quick
    figures: dict[str, Any] = {}
    targets = []
    has_oracles = all(map(importlib.util.find_spec, ("SimpleITK", "statsmodels")))
    if has_oracles and nodules():
        found = figures["nodules"] = on_nodules(12 if quick else 60)
        targets += [
            Target("staple_max_abs_diff", found["staple_max_abs_diff"], "<=", 1e-6),
            Target("kappa_max_abs_diff", found["kappa_max_abs_diff"], "<=", 1e-9),
            Target("alpha_max_abs_diff", found["alpha_max_abs_diff"], "<=", 1e-9),
            Target("blockwise_equal", found["blockwise_equal"], "==", 1.0),
        ]
    if has_oracles:
        figures["cube"] = staple_on_a_cube(64 if quick else 128)
    with tempfile.TemporaryDirectory() as scratch:
        side = 512 if quick else 1024
        report = figures["report"] = measured(Path(scratch), side, 40)
    targets.append(Target("report_peak_gb", report["report_peak_gb"], "<=", 1.0))
    write_report(arguments.json, figures, targets)


if __name__ == "__main__":
    main()
