"""How much memory a step of training takes, and whether saving it costs accuracy.

The same step (one patch, preset M, forward, loss, backward, optimiser) of a plain
network, of one that computes features again, and of a reversible one, each in a process
of its own. What counts is the most memory that the process ever had, less what it had
before the step. Then each learns from a phantom for the same number of steps, and is
compared on phantoms that it has not seen. Every row is written to the report as it is
measured, and a row that is there is not measured again.
"""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.architectures import dice
from benchmarks.common import Target, parse_args, read_report, write_report
from benchmarks.dense_tasks import Case, Task
from napari_unetseg.config import Blocks, TrainConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.normalisation import Normalisation, estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import CLASS_NAMES, VOXEL_SIZE_UM, make_phantom
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.models.backends.torch import (
    TorchRunner,
    give_back_at_once,
    has_fast_bf16,
    use_threads,
)
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.store import ModelStore, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.finetune import TrainJob, train
from napari_unetseg.training.losses import consensus_target, deep_loss, masked_loss
from napari_unetseg.training.training_set import from_label_arrays

CPU = torch.device("cpu")
THREADS = 1
WARM_UP_SIDE = 32
PHANTOM_SHAPE = (64, 96, 96)
FIRST_TEST_SEED = 500
N_TEST = 3


class Variant(NamedTuple):
    """One way to train.

    Attributes
    ----------
    gives_back
        Freed memory goes back to the system at once, as it does in the program
        wherever memory is to be saved.
    """

    blocks: Blocks = "plain"
    recompute: bool = False
    gives_back: bool = True


VARIANTS = {
    "plain": Variant(gives_back=False),
    "plain, memory given back at once": Variant(),
    "plain, features computed again": Variant(recompute=True),
    "reversible": Variant("reversible"),
}
LEARNERS = ("plain", "reversible")  # computing again changes nothing that is learned


def memory_of_a_step(name: str, side: int) -> dict[str, Any]:
    """Return what a step of training on a patch of side³ takes. Runs in a child."""
    variant = VARIANTS[name]
    use_threads(THREADS)
    torch.manual_seed(0)
    spec = plan_network(
        voxel_size=(1, 1, 1), shape=(512,) * 3, preset="M", block=variant.blocks
    )
    network = UNet(spec).train()
    network.recomputes = variant.recompute
    if variant.gives_back:
        give_back_at_once()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    one_step(network, optimiser, WARM_UP_SIDE)  # the optimiser's own memory
    optimiser.zero_grad(set_to_none=True)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak until now
    before = _status("VmRSS")
    one_step(network, optimiser, side)
    started = time.process_time()
    one_step(network, optimiser, side)
    return {
        "variant": name,
        "side": side,
        "peak_gb": (_status("VmHWM") - before) / 1e9,
        "cpu_seconds_per_step": time.process_time() - started,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def one_step(network: UNet, optimiser: torch.optim.Optimizer, side: int) -> None:
    """Do what the program does with a batch of one patch."""
    image = torch.randn(1, 1, side, side, side)
    ids = (image[:, 0] > 0.5).long()
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(CPU)):
        output = network(image, deep=True)
    target = consensus_target(ids, ids.new_zeros(1, 0, side, side, side), 2)
    loss = masked_loss(output.consensus, target) + deep_loss(output.aux, target)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _status(field: str) -> int:
    """Return a size in bytes of what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(n.split()[1]) for n in lines if n.startswith(f"{field}:"))


def dice_after(name: str, steps: int, seed: int) -> dict[str, Any]:
    """Return what a network has learned after some steps. Runs in a child."""
    variant = VARIANTS[name]
    with tempfile.TemporaryDirectory() as scratch:
        job = _job(Path(scratch), variant, steps, seed)
        card = train(job)
        network = UNet(card.spec)
        store = ModelStore(job.models_dir)
        load_weights(network, weights_path(store.dir(card.version), card))
    scores = dice(
        NetworkPredictor(TorchRunner(network.eval()), card),
        _unseen(job.normalisation),
    )
    return {
        "variant": name,
        "steps": steps,
        "seed": seed,
        "dice": scores,
        "loss": card.metrics["loss"],
    }


def _job(folder: Path, variant: Variant, steps: int, seed: int) -> TrainJob:
    phantom = make_phantom(PHANTOM_SHAPE, seed=seed)
    path, box = folder / "phantom.zarr", Box.whole(PHANTOM_SHAPE)
    group = create_image(
        path,
        shape=box.shape,
        dtype="uint8",
        chunk=(32, 32, 32),
        voxel_size=VOXEL_SIZE_UM,
        unit="micrometer",
    )
    write_pyramid_block(group, box, phantom.image)
    classes = default_classes(CLASS_NAMES)
    return TrainJob(
        volume_uri=str(path),
        time_point=0,
        training_set=from_label_arrays({"truth": phantom.truth}, classes),
        models_dir=folder / "models",
        version="v1",
        classes=classes,
        normalisation=estimate_normalisation(Volume.open(path)),
        config=TrainConfig(
            steps=steps,
            seed=seed,
            preset="S",
            batch=1,
            device="cpu",
            threads=THREADS,
            blocks=variant.blocks,
            recompute=variant.recompute,
        ),
    )


def _unseen(normalisation: Normalisation) -> Task:
    phantoms = [
        make_phantom(PHANTOM_SHAPE, seed=FIRST_TEST_SEED + number)
        for number in range(N_TEST)
    ]
    cases = tuple(Case(normalisation.apply(p.image[None]), p.truth) for p in phantoms)
    return Task("phantom", tuple(CLASS_NAMES), VOXEL_SIZE_UM, (), cases)


def in_a_child(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what ``work`` returns in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        row = pool.submit(work, *arguments).result()
    print(row, flush=True)
    return row


def ratios(rows: list[dict[str, Any]], baseline: str) -> dict[str, float]:
    """Return the worst ratio of each variant's memory to the baseline's."""
    peaks = {(row["variant"], row["side"]): row["peak_gb"] for row in rows}
    sides = {row["side"] for row in rows}
    return {
        name: max(peaks[name, side] / peaks[baseline, side] for side in sides)
        for name in VARIANTS
    }


def mean_dice(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean over classes and seeds."""
    return {
        name: float(
            np.mean([list(r["dice"].values()) for r in rows if r["variant"] == name])
        )
        for name in LEARNERS
    }


def main() -> None:
    """Measure memory by patch, then compare what is learned."""
    arguments = parse_args(__doc__.splitlines()[0])
    quick = arguments.quick
    sides = (64, 96) if quick else (64, 96, 128, 160)
    steps, seeds = (60, range(1)) if quick else (120, range(2))
    earlier = read_report(arguments.json)
    memory: list[dict[str, Any]] = earlier.get("memory", [])
    learning: list[dict[str, Any]] = earlier.get("learning", [])
    rows = {"memory": memory, "learning": learning}
    for side, name in product(sides, VARIANTS):
        if not any((r["variant"], r["side"]) == (name, side) for r in memory):
            memory.append(in_a_child(memory_of_a_step, name, side))
            write_report(arguments.json, rows)
    for seed, name in product(seeds, LEARNERS):
        key = name, steps, seed
        if not any((r["variant"], r["steps"], r["seed"]) == key for r in learning):
            learning.append(in_a_child(dice_after, *key))
            write_report(arguments.json, rows)
    write_summary(arguments.json, memory, learning)


def write_summary(
    path: Path | None, memory: list[dict[str, Any]], learning: list[dict[str, Any]]
) -> None:
    """Write all rows, what follows from them, and the targets."""
    worst, scores = ratios(memory, "plain"), mean_dice(learning)
    alike = ratios(memory, "plain, memory given back at once")
    figures = {
        "worst_ratio_to_plain": worst,
        "worst_ratio_to_plain_given_back": alike,
        "mean_dice": scores,
        "memory": memory,
        "learning": learning,
    }
    behind = scores["plain"] - scores["reversible"]
    targets = [
        Target("reversible_memory_ratio", worst["reversible"], "<=", 0.6),
        Target("reversible_memory_ratio_given_back", alike["reversible"], "<=", 0.6),
        Target("reversible_dice_behind_plain", behind, "<=", 0.03),
    ]
    write_report(path, figures, targets)


if __name__ == "__main__":
    main()
