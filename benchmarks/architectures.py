"""Which network learns most in the same time, and runs fastest.

Three blocks × half- or full-resolution trunk × three normalisations, each trained on
one thread for the same processor time with the same loss and the same patches, on real
volumes with dense labels. Measured per run: Dice per class through the product's own
tiled prediction, the seam between tiles, parameters, and voxels per second in torch and
OpenVINO. Every run is written to the report as it ends, and a run that is already there
is not repeated, so the benchmark can be cut off and continued.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.common import (
    Target,
    parse_args,
    read_report,
    shared_data,
    write_report,
)
from benchmarks.dense_tasks import TASKS, Task
from benchmarks.network_speed import speed
from napari_unetseg.data.classes import default_classes
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx
from napari_unetseg.models import planning
from napari_unetseg.models.backends.torch import TorchRunner, has_fast_bf16
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network, plan_patch
from napari_unetseg.models.registration import measure_halo
from napari_unetseg.models.store import ModelCard
from napari_unetseg.models.unet import UNet

CPU = torch.device("cpu")
BATCH = 2
LEARNING_RATE = 2e-3
SEAM_EDGE = 256  # voxels of the region whose tiles are compared with a single pass


@dataclass(frozen=True)
class Run:
    """One training and everything that is measured on its network."""

    task: str
    block: str
    trunk: str
    norm: str
    seed: int
    preset: str
    budget_s: float
    quick: bool

    @property
    def key(self) -> str:
        """Equal for runs that give the same answer."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def all_runs(args: argparse.Namespace) -> Iterator[Run]:
    """Yield all runs; what is wanted most comes first, in case time runs out."""
    tasks = [name for name in args.tasks if shared_data(name)]
    for name in set(args.tasks) - set(tasks):
        print(f"{name}: the data are not there, skipped")
    for seed, norm, task, trunk, block in itertools.product(
        range(args.seeds), args.norms, tasks, args.trunks, args.blocks
    ):
        yield Run(
            task, block, trunk, norm, seed, args.preset, args.budget_s, args.quick
        )


def measure(run: Run) -> dict[str, Any]:
    """Train and measure one network; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    task = TASKS[run.task](quick=run.quick)
    if task is None:
        raise FileNotFoundError(run.task)
    spec = plan_network(
        voxel_size=task.voxel_size,
        shape=task.shape,
        n_classes=len(task.class_names),
        preset=run.preset,  # type: ignore[arg-type]
        block=run.block,  # type: ignore[arg-type]
        trunk=run.trunk,  # type: ignore[arg-type]
        norm=run.norm,  # type: ignore[arg-type]
    )
    network = UNet(spec)
    patch = plan_patch(spec, task.shape, run.preset)  # type: ignore[arg-type]
    steps = train(network, task, patch, run)
    speeds = speed(network, patch) if run.seed == 0 else {}
    predictor = as_predictor(network, task, patch)
    return {
        **dataclasses.asdict(run),
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": steps,
        "halo": predictor.halo,
        "dice": dice(predictor, task),
        **seam(predictor, task),
        **speeds,
    }


def train(network: UNet, task: Task, patch: Zyx, run: Run) -> int:
    """Train until the processor time is used up; return the number of steps."""
    rng = np.random.default_rng(run.seed)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=1e-2
    )
    network.train()
    start = time.process_time()
    step = 0
    while (share := (time.process_time() - start) / run.budget_s) < 1:
        # Warm up over 2 % of the time, then fall to zero along a cosine.
        rate = min(1.0, share / 0.02 + 0.05) * 0.5 * (1 + np.cos(np.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate
        image, labels = batch(task, patch, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(CPU)):
            output = network(image, deep=True)
        value = loss(output.consensus, labels)
        for depth, aux in enumerate(output.aux, start=1):
            size = aux.shape[2:]
            coarse = F.interpolate(labels[:, None].float(), size, mode="nearest")
            value = value + 0.5**depth * loss(aux, coarse[:, 0].long())
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
    network.eval()
    return step


def batch(task: Task, patch: Zyx, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return mirrored random patches, half of them around a foreground voxel."""
    images, labels = [], []
    for number in range(BATCH):
        case = task.train[rng.integers(len(task.train))]
        shape = case.labels.shape
        centre = rng.integers(shape).tolist()
        if number % 2 == 0:
            value = rng.integers(1, len(task.class_names) + 1)
            places = np.flatnonzero(case.labels == value)
            if len(places):
                centre = list(np.unravel_index(rng.choice(places), shape))
        start = [
            int(np.clip(c - p // 2, 0, max(0, n - p)))
            for c, p, n in zip(centre, patch, shape, strict=True)
        ]
        box = Box(zyx(start), zyx(a + p for a, p in zip(start, patch, strict=True)))
        place = box.clipped(shape).slices
        extra = [(0, p - (s.stop - s.start)) for p, s in zip(patch, place, strict=True)]
        image = np.pad(case.image[:, *place], [(0, 0), *extra], mode="edge")
        truth = np.pad(case.labels[place], extra, mode="edge")
        axes = tuple(axis for axis in (1, 2) if rng.random() < 0.5)
        images.append(np.flip(image, tuple(a + 1 for a in axes)).copy())
        labels.append(np.flip(truth, axes).astype(np.int64))
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return cross entropy plus the mean soft Dice loss of the foreground."""
    logits = logits.float()
    probability = torch.softmax(logits, dim=1)[:, 1:]
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    axes = (0, 2, 3, 4)
    overlap = (probability * truth).sum(axes)
    total = probability.sum(axes) + truth.sum(axes)
    return F.cross_entropy(logits, labels) + 1 - (2 * overlap / (total + 1)).mean()


def as_predictor(network: UNet, task: Task, patch: Zyx) -> NetworkPredictor:
    """Return the network as the product would run it."""
    sample = task.test[0].image
    card = ModelCard(
        version="v1",
        spec=network.spec,
        classes=default_classes(task.class_names),
        halo=measure_halo(network, network.spec, sample=sample),
        patch=patch,
    )
    return NetworkPredictor(TorchRunner(network), card)


def tiled(
    predictor: NetworkPredictor, image: np.ndarray, block: Zyx
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of an image, block by block."""
    shape = zyx(image.shape[1:])
    labels = np.zeros(shape, np.uint8)
    probability = np.zeros((len(predictor.class_names), *shape), np.uint8)
    for part in BlockGrid(shape, block, predictor.halo, predictor.stride):
        answer = predictor.predict(image[:, *part.read_box.slices], part)
        labels[part.write_box.slices] = answer.labels
        probability[:, *part.write_box.slices] = answer.probability
    return labels, probability


def dice(predictor: NetworkPredictor, task: Task) -> dict[str, float]:
    """Return Dice per class over all voxels of the test cases."""
    overlap = np.zeros(len(task.class_names))
    total = np.zeros(len(task.class_names))
    block = zyx(max(s, 128 // s * s) for s in predictor.stride)
    for case in task.test:
        labels, _ = tiled(predictor, case.image, block)
        for i in range(len(task.class_names)):
            found, truth = labels == i + 1, case.labels == i + 1
            overlap[i] += 2 * np.count_nonzero(found & truth)
            total[i] += np.count_nonzero(found) + np.count_nonzero(truth)
    scores = overlap / np.maximum(total, 1)
    return dict(zip(task.class_names, scores.tolist(), strict=True))


def seam(predictor: NetworkPredictor, task: Task) -> dict[str, float]:
    """Compare small tiles with a single pass over a part of a test image."""
    image = task.test[0].image[:, :SEAM_EDGE, :SEAM_EDGE, :SEAM_EDGE]
    shape = zyx(image.shape[1:])
    whole = predictor.predict(image, Block(0, Box.whole(shape), Box.whole(shape)))
    block = zyx(
        max(s, n // 2 // s * s) for n, s in zip(shape, predictor.stride, strict=True)
    )
    labels, probability = tiled(predictor, image, block)
    difference = np.abs(probability.astype(int) - whole.probability)
    return {
        "seam_max_probability": float(difference.max()) / 255,
        "seam_labels_changed": float((labels != whole.labels).mean()),
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over the seeds per task and network."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        name = "/".join(run[part] for part in ("task", "trunk", "block", "norm"))
        groups[name].append(run)
    rows = {}
    for name, members in sorted(groups.items()):
        scores = [float(np.mean(list(run["dice"].values()))) for run in members]
        rows[name] = {
            "mean_dice": float(np.mean(scores)),
            "sd_over_seeds": float(np.std(scores)),
            "n": len(scores),
        }
    return rows


def targets(runs: list[dict[str, Any]]) -> list[Target]:
    """Return what the defaults promise: no seam, and no better choice here."""
    invariant = [run for run in runs if run["norm"] != "instance"]
    if not invariant:
        return []
    worst = max(run["seam_labels_changed"] for run in invariant)
    found = [Target("labels changed by a seam, worst network", worst, "<=", 1e-3)]
    rows = summary(runs)
    for task in {run["task"] for run in runs}:
        scores = {k: v["mean_dice"] for k, v in rows.items() if k.startswith(task)}
        default = scores.get(f"{task}/half/plain/batch")
        if default is not None:
            name = f"{task}: Dice of the default network, behind the best"
            found.append(Target(name, max(scores.values()) - default, "<=", 0.02))
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of this benchmark."""
    parser.add_argument("--seeds", type=int, help="default 3, quick 1")
    parser.add_argument("--budget-s", type=float, help="per run; default 120, quick 2")
    parser.add_argument("--preset", default="M", choices=["S", "M", "L"])
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument(
        "--blocks",
        nargs="+",
        default=["plain", "residual", "convnext"],
        choices=get_args(planning.Block),
    )
    for name, choices in (
        ("tasks", list(TASKS)),
        ("trunks", ["half", "full"]),
        ("norms", ["batch", "channel", "instance"]),
    ):
        parser.add_argument(f"--{name}", nargs="+", default=choices, choices=choices)


def main() -> None:
    """Do all runs that the report does not hold yet."""
    args = parse_args(__doc__.splitlines()[0], add_arguments)
    args.seeds = args.seeds or (1 if args.quick else 3)
    args.budget_s = args.budget_s or (2.0 if args.quick else 120.0)
    runs: list[dict[str, Any]] = read_report(args.json).get("runs", [])
    fields = [field.name for field in dataclasses.fields(Run)]
    done = {Run(**{name: run[name] for name in fields}).key for run in runs}
    todo = [run for run in all_runs(args) if run.key not in done]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
        waiting = {pool.submit(measure, run): run for run in todo}
        for future in as_completed(waiting):
            result, run = future.result(), waiting[future]
            runs.append(result)
            scores = ", ".join(f"{k} {v:.3f}" for k, v in result["dice"].items())
            name = f"{run.task} {run.trunk} {run.block} {run.norm} seed {run.seed}"
            print(f"{name}: {scores}, {result['steps']} steps", flush=True)
            figures = {"summary": summary(runs), "runs": runs}
            write_report(args.json, figures, targets(runs), quiet=True)
    write_report(args.json, {"summary": summary(runs), "runs": runs}, targets(runs))


if __name__ == "__main__":
    main()
