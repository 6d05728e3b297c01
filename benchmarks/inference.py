"""How fast a whole volume is predicted, beside MONAI's sliding window.

The same weights, on two volumes: the phantom with the shipped model, and a nerve cord
with a network trained for a minute. Ours is the product's own way: from zarr on disk,
block by block, to labels, probabilities and maps on disk. MONAI gets the image in
memory and leaves its answer there, which is in its favour. Needs MONAI
(``pip install monai``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

from benchmarks.architectures import Run, train
from benchmarks.common import Target, parse_args, write_report
from benchmarks.dense_tasks import vnc_sstem
from benchmarks.nnunet_like import (
    dice_after_the_same_time,
    mvox_per_s,
    nnunet_like_spec,
    patch_of,
)
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import PredictConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import make_phantom
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx
from napari_unetseg.inference.job import open_job, plan_blocks
from napari_unetseg.inference.memory import largest_read
from napari_unetseg.inference.run import PredictJob, RunSummary, predict_job
from napari_unetseg.models.backends.choice import choose_runner, likeness
from napari_unetseg.models.backends.torch import Stacked, use_threads
from napari_unetseg.models.planning import plan_network, plan_patch
from napari_unetseg.models.registration import register_version
from napari_unetseg.models.store import ModelStore, read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights

ROI_ISOTROPIC: Zyx = (96, 96, 96)
TRAINING_S = 60.0


@dataclass(frozen=True)
class Case:
    """A volume, normalised czyx and on disk, with a model for it."""

    name: str
    image: np.ndarray
    path: Path
    normalisation: Normalisation
    model_dir: Path
    roi: Zyx

    @property
    def shape(self) -> Zyx:
        """Shape of the volume, zyx."""
        return zyx(self.image.shape[1:])

    @property
    def n_mvoxel(self) -> float:
        """Voxels of the volume in millions."""
        return float(np.prod(self.shape)) / 1e6

    def network(self) -> UNet:
        """Return the network as MONAI's users have it: with its batch norm."""
        card = read_card(self.model_dir)
        network = UNet(card.spec)
        load_weights(network, weights_path(self.model_dir, card))
        return network.eval()


def phantom_case(folder: Path, side: int) -> Case:
    """Return the phantom with the model that ships with the program."""
    image = make_phantom((side,) * 3, seed=11).image
    card = read_card(DEFAULT_MODEL)
    normalisation = card.normalisation or Normalisation(low=(0.0,), high=(255.0,))
    path = _on_disk(folder / "phantom.zarr", image, (1.0, 1.0, 1.0))
    voxels = normalisation.apply(image[None])
    return Case("phantom", voxels, path, normalisation, DEFAULT_MODEL, ROI_ISOTROPIC)


def nerve_cord_case(folder: Path) -> Case | None:
    """Return the nerve cord with a network trained for a minute; None without data."""
    task = vnc_sstem(quick=False)
    if task is None:
        return None
    spec = plan_network(
        voxel_size=task.voxel_size, shape=task.shape, n_classes=2, preset="M"
    )
    patch = plan_patch(spec, task.shape, "M")
    torch.manual_seed(0)
    network = UNet(spec)
    run = Run("vnc_sstem", "plain", "half", "batch", 0, "M", TRAINING_S, quick=False)
    train(network, task, patch, run)
    side = task.test[0].labels.shape[-1]
    seen = task.train[0].image[..., :side, :side]
    stored = np.concatenate([seen, task.test[0].image], axis=1)[0]
    bytes_ = np.clip(np.rint((stored + 3) * 42.5), 0, 255).astype(np.uint8)
    # −3 to 3 as 0 to 255; normalised again, 85 and 170 are −1 and 1.
    normalisation = Normalisation(low=(85.0,), high=(170.0,))
    path = _on_disk(folder / "vnc.zarr", bytes_, task.voxel_size)
    store = ModelStore(folder / "models")
    voxels = normalisation.apply(bytes_[None])
    card = register_version(
        store,
        network,
        classes=default_classes(task.class_names),
        normalisation=normalisation,
        voxel_size=task.voxel_size,
        patch=patch,
        sample=voxels,
    )
    roi = zyx(min(p, n) for p, n in zip(patch, bytes_.shape, strict=True))
    return Case("vnc_sstem", voxels, path, normalisation, store.dir(card.version), roi)


def _on_disk(path: Path, image: np.ndarray, voxel_size: tuple[float, ...]) -> Path:
    shape = zyx(image.shape)
    chunk = zyx(min(64, n) for n in shape)
    group = create_image(
        path, shape=shape, dtype="uint8", chunk=chunk, voxel_size=voxel_size
    )
    write_pyramid_block(group, Box.whole(shape), image)
    return path


def ours(case: Case, folder: Path, threads: int) -> dict[str, Any]:
    """Predict from disk to disk; return the speed and how it compares to one pass."""
    config = PredictConfig(flips=1, device="cpu", threads=threads)
    job = PredictJob(
        volume_uri=str(case.path),
        time_point=0,
        prediction_path=folder / f"{case.name}-prediction.zarr",
        log_path=folder / f"{case.name}.jsonl",
        model_dir=case.model_dir,
        normalisation=case.normalisation,
        class_names=read_card(case.model_dir).class_names,
        config=config,
    )
    # The choice of the backend is made once per model and machine, before.
    volume, predictor = open_job(job)
    grid = plan_blocks(job, volume, predictor)
    started = time.perf_counter()
    summary: RunSummary = predict_job(job)
    total = time.perf_counter() - started
    # MONAI gets a network in memory: loading ours does not count either.
    seconds = summary.seconds
    named = config.replace(backend=predictor.backend)
    raw = raw_speed(case, named, largest_read(grid))
    read = sum(block.read_box.n_voxels for block in grid) / 1e6
    return {
        "backend": summary.backend,
        "block": list(grid.block),
        "halo": list(grid.halo),
        "blocks": len(grid),
        "redundancy": read / case.n_mvoxel,
        "ours_mvox_per_s": case.n_mvoxel / seconds,
        "ours_with_loading_mvox_per_s": case.n_mvoxel / total,
        "raw_backend_mvox_per_s": raw,
        "efficiency": read / seconds / raw,
        **against_one_pass(case, PredictionStore.open(job.prediction_path)),
    }


def raw_speed(case: Case, config: PredictConfig, shape: Zyx) -> float:
    """Return Mvoxel/s of the backend alone, on a block of this shape in memory."""
    card = read_card(case.model_dir)
    runner, _ = choose_runner(case.model_dir, card, config=config)
    image = torch.randn(1, card.spec.in_channels, *card.spec.padded(shape))
    return float(np.prod(shape)) / 1e6 / best_seconds(lambda: runner(image), repeats=3)


def against_one_pass(case: Case, store: PredictionStore) -> dict[str, float]:
    """Compare what is on disk with a single pass of torch in float32 over all of it."""
    whole = Box.whole(case.shape)
    exact = single_pass(case)
    classes = torch.from_numpy(store.read_probability(whole)).float() / 255
    stored = torch.cat([(1 - classes.sum(0, keepdim=True)).clamp(0, 1), classes])
    _, changed = likeness(exact[None], stored[None])
    labels = torch.from_numpy(store.read_labels(whole)).long()
    expected = exact.argmax(dim=0)
    both = ((labels == expected) & (labels > 0)).sum()
    return {
        "labels_dice_vs_single_pass": float(
            2 * both / ((labels > 0).sum() + (expected > 0).sum())
        ),
        "max_abs_dp_p999": changed,
    }


def single_pass(case: Case) -> Tensor:
    """Return probabilities (class, z, y, x) of one pass over the whole volume."""
    network = case.network()
    padded = network.spec.padded(case.shape)
    extra = [(0, p - n) for p, n in zip(padded, case.shape, strict=True)]
    image = np.pad(case.image, [(0, 0), *extra], mode="edge")
    with torch.inference_mode():
        logits = network(torch.from_numpy(image)[None]).consensus
    inner = tuple(slice(0, n) for n in case.shape)
    return torch.softmax(logits[0], dim=0)[(slice(None), *inner)].clone()


def seam(case: Case) -> float:
    """Return the largest change of a probability where tiles meet, in float32."""
    card = read_card(case.model_dir)
    config = PredictConfig(flips=1, device="cpu", backend="torch-fp32")
    runner, _ = choose_runner(case.model_dir, card, config=config)
    stride = card.spec.stride
    sides = (
        min(n // s, 2 * (-(-h // s)) + 4) * s
        for n, h, s in zip(case.shape, card.halo, stride, strict=True)
    )
    part = case.image[(slice(None), *(slice(0, n) for n in sides))]
    shape = zyx(part.shape[1:])
    block = zyx(max(1, n // s // 2) * s for n, s in zip(shape, stride, strict=True))
    whole = _probability(runner, part, Block(0, Box.whole(shape), Box.whole(shape)))
    largest = 0.0
    for tile in BlockGrid(shape, block, card.halo, stride):
        read = part[(slice(None), *tile.read_box.slices)]
        answer = _probability(runner, read, tile)
        expected = whole[(slice(None), *tile.write_box.slices)]
        largest = max(largest, float((answer - expected).abs().max()))
    return largest


def _probability(
    runner: Callable[[Tensor], Tensor], voxels: np.ndarray, block: Block
) -> Tensor:
    with torch.inference_mode():
        logits = runner(torch.from_numpy(np.ascontiguousarray(voxels))[None])
        inner = (slice(None), *block.inner.slices)
        return torch.softmax(logits[0], dim=0)[inner]


def monai(case: Case, *, overlap: float, bf16: bool) -> float:
    """Return Mvoxel/s of MONAI's sliding window with Gaussian weights."""
    network = Stacked(case.network())
    image = torch.from_numpy(case.image)[None]

    def predict() -> None:
        with torch.inference_mode(), torch.autocast("cpu", enabled=bf16):
            logits = sliding_window_inference(
                image, case.roi, 1, network, overlap=overlap, mode="gaussian"
            )
            torch.argmax(logits, dim=1)  # type: ignore[arg-type]

    return case.n_mvoxel / best_seconds(predict, repeats=1, warm_up=False)


def against_nnunet_like(case: Case, ours: float, *, quick: bool) -> dict[str, Any]:
    """Compare the shipped model with a network as nnU-Net plans them."""
    spec = nnunet_like_spec(read_card(case.model_dir).spec)
    speed = mvox_per_s(spec, case.shape, patch_of(case.shape, quick=quick))
    scores = dice_after_the_same_time(20.0 if quick else 120.0)
    behind = [dice["nnunet_like"] - dice["default"] for dice in scores.values()]
    return {
        "default_model_mvox_per_s": ours,
        **speed,
        "ratio_default_to_nnunet_like": ours / speed["nnunet_like_mvox_per_s"],
        "dice": scores,
        "dice_behind_nnunet_like": max(behind, default=float("nan")),
    }


def best_seconds(
    call: Callable[[], object], repeats: int, *, warm_up: bool = True
) -> float:
    """Return the shortest of a few calls, after one that does not count."""
    times = []
    with torch.inference_mode():
        for _ in range(repeats + warm_up):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
    return min(times[warm_up:])


def measured(case: Case, folder: Path, threads: int) -> dict[str, Any]:
    """Return all figures of one volume."""
    figures = {
        "shape": list(case.shape),
        **ours(case, folder, threads),
        "seam_max_abs_dp_fp32": seam(case),
        "monai_default_mvox_per_s": monai(case, overlap=0.25, bf16=False),
        "monai_bf16_mvox_per_s": monai(case, overlap=0.25, bf16=True),
        "monai_overlap50_mvox_per_s": monai(case, overlap=0.5, bf16=False),
    }
    for name in ("default", "bf16", "overlap50"):
        figures[f"ratio_monai_{name}"] = (
            figures["ours_mvox_per_s"] / figures[f"monai_{name}_mvox_per_s"]
        )
    for name, value in figures.items():
        print(f"{case.name:10} {name:28} {value}", flush=True)
    return figures


def main() -> None:
    """Measure both volumes and write the report; targets hold the worse of the two."""
    arguments = parse_args("Speed of predicting a volume, beside MONAI.")
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cases = [phantom_case(folder, 160 if arguments.quick else 256)]
        nerve_cord = nerve_cord_case(folder)
        cases += [] if nerve_cord is None else [nerve_cord]
        use_threads(threads)
        figures = {case.name: measured(case, folder, threads) for case in cases}
        nnunet_like = against_nnunet_like(
            cases[0], figures["phantom"]["ours_mvox_per_s"], quick=arguments.quick
        )
    bounds: dict[str, tuple[str, float]] = {
        "ratio_monai_default": (">=", 8.0),
        "ratio_monai_bf16": (">=", 3.5),
        "ratio_monai_overlap50": (">=", 16.0),
        "efficiency": (">=", 0.85),
        "labels_dice_vs_single_pass": (">=", 0.999),
        "seam_max_abs_dp_fp32": ("<=", 0.001),
    }
    targets = []
    for name, (op, bound) in bounds.items():
        worse = min if op == ">=" else max
        value = worse(seen[name] for seen in figures.values())
        targets.append(Target(name, value, op, bound))
    name = "ratio_default_to_nnunet_like"
    targets.append(Target(name, nnunet_like[name], ">=", 60.0))
    if nnunet_like["dice"]:
        name = "dice_behind_nnunet_like"
        targets.append(Target(name, nnunet_like[name], "<=", 0.01))
    write_report(arguments.json, {**figures, "nnunet_like": nnunet_like}, targets)


if __name__ == "__main__":
    main()
