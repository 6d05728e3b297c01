"""Objects of a volume that is labelled tile by tile, beside labelling it whole.

The partition must be that of ``scipy.ndimage.label`` on the whole volume, exactly. The
speed is that of one core, from zarr to object ids on zarr; the memory is the most that
the process ever had.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from scipy import ndimage

from benchmarks.common import Target, parse_args, shared_data, write_report
from napari_unetseg.data.components import find_components
from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx, zyx

TILE: Zyx = (64, 256, 256)
SMALL_TILE: Zyx = (32, 48, 56)
NECK = 0.7
TOUCHING = np.ones((3, 3, 3), bool)


def random_blobs(shape: Zyx, *, sigma: float, share: float, seed: int) -> np.ndarray:
    """Return smooth random blobs that fill this share of a volume, 0 and 1."""
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    blobs: np.ndarray = (smooth > np.quantile(smooth, 1 - share)).astype(np.uint8)
    return blobs


def volumes(side: int) -> dict[str, np.ndarray]:
    """Return what is labelled: three random volumes and real nuclei."""
    shape = zyx((side,) * 3)
    found = {
        "fine, half full": random_blobs(shape, sigma=0.7, share=0.5, seed=0),
        "cells, a third full": random_blobs(shape, sigma=3.0, share=0.3, seed=1),
        "noise, a tenth full": random_blobs(shape, sigma=0.0, share=0.1, seed=2),
    }
    nuclei = shared_data("qcanet_nuclei")
    if nuclei is not None:
        import tifffile

        image = tifffile.imread(nuclei / "8cell_labels_semantic.tif")
        found["nuclei"] = (image > 0).astype(np.uint8)
    return found


def labelled(
    values: Any,
    shape: Zyx,
    scratch: Path,
    tile: Zyx,
    splitting: Splitting | None = None,
) -> tuple[Any, float, float]:
    """Return the objects, and the seconds of wall and of processor time."""
    steps = Steps("export", 1, ignore_event, never_cancelled)
    wall, processor = time.perf_counter(), time.process_time()
    found = find_components(
        lambda box: np.asarray(values[box.slices]),
        shape,
        scratch,
        steps,
        tile=tile,
        splitting=splitting,
    )
    return found, time.perf_counter() - wall, time.process_time() - processor


def is_same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two images of ids differ in their numbers only."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.int64), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def compared(folder: Path, side: int) -> dict[str, Any]:
    """Compare partitions on all volumes."""
    figures = {}
    for name, values in volumes(side).items():
        started = time.perf_counter()
        whole, n = ndimage.label(values, TOUCHING)
        seconds = time.perf_counter() - started
        shape = zyx(values.shape)
        found, wall, _ = labelled(values, shape, folder / name, SMALL_TILE)
        figures[name] = {
            "objects": int(n),
            "equal": is_same_partition(found.read(Box.whole(shape)), whole),
            "mvox_per_s_small_tiles": values.size / wall / 1e6,
            "mvox_per_s_scipy_whole": values.size / seconds / 1e6,
        }
        print(name, figures[name], flush=True)
    return figures


def large(path: str, side: int) -> None:
    """Label a large volume on disk on one core; runs in a child."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder = Path(path)
    values = zarr.open_array(folder / "values", mode="r")
    shape = zyx((side,) * 3)
    found, wall, processor = labelled(values, shape, folder / "ids", TILE)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {
        "side": side,
        "objects": found.n_objects,
        "mvox_per_s": side**3 / wall / 1e6,
        "processor_s": processor,
        "peak_gb": peak / 1e9,
    }
    (folder / "figures.json").write_text(json.dumps(figures))


def measured(folder: Path, side: int) -> dict[str, Any]:
    """Return speed and memory on a large volume of cells."""
    cell = random_blobs((128,) * 3, sigma=4.0, share=0.25, seed=3)
    array = zarr.create_array(
        folder / "values", shape=(side,) * 3, chunks=(64, 128, 128), dtype="uint8"
    )
    for box in Box.whole((side,) * 3).cells(cell.shape):
        array[box.slices] = cell
    child = multiprocessing.get_context("spawn").Process(
        target=large, args=(str(folder), side)
    )
    child.start()
    child.join()
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    print(figures, flush=True)
    return figures


def touching_balls(side: int) -> np.ndarray:
    """Return ids of balls of several sizes, most of which touch others."""
    rng = np.random.default_rng(7)
    ids = np.zeros((side,) * 3, np.int32)
    places: list[tuple[np.ndarray, float]] = []
    for _ in range(side**3 // 1500):
        centre, radius = rng.uniform(6, side - 6, 3), float(rng.uniform(5, 10))
        # A little into each other: the neck is still narrower than the smaller one.
        if all(
            np.linalg.norm(centre - other) > 0.85 * (radius + size)
            for other, size in places
        ):
            places.append((centre, radius))
    z, y, x = np.indices(ids.shape, np.float32)
    best = np.full(ids.shape, np.inf, np.float32)
    for number, ((cz, cy, cx), radius) in enumerate(places, start=1):
        far = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / radius
        nearer = (far <= 1) & (far < best)
        ids[nearer], best[nearer] = number, far[nearer]
    return ids


def f1_of_objects(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the F1 of objects; those that share over half of their union match."""
    key = truth.ravel().astype(np.int64) * (int(found.max()) + 1) + found.ravel()
    both, common = np.unique(key, return_counts=True)
    one, other = both // (int(found.max()) + 1), both % (int(found.max()) + 1)
    union = np.bincount(truth.ravel())[one] + np.bincount(found.ravel())[other] - common
    matched = int(((one > 0) & (other > 0) & (2 * common > union)).sum())
    n_true, n_found = len(np.unique(one[one > 0])), len(np.unique(other[other > 0]))
    return 2 * matched / (n_true + n_found)


def nuclei() -> tuple[np.ndarray, tuple[float, float, float]] | None:
    """Return ids of real nuclei that touch, and their voxel size; None without data."""
    folder = shared_data("plantseg_ovules")
    if folder is None or importlib.util.find_spec("h5py") is None:
        return None
    import h5py

    with h5py.File(folder / "1135_mini.h5") as file:
        labels = file["label"]
        z, y, x = (float(v) for v in labels.attrs["element_size_um"])
        return labels[:].astype(np.int32), (z, y, x)


def separated(folder: Path, side: int) -> dict[str, Any]:
    """Compare objects that are told apart where they touch with those that are not."""
    cases = {"balls": (touching_balls(side), (1.0, 1.0, 1.0))}
    if (real := nuclei()) is not None:
        cases["nuclei"] = real
    figures: dict[str, Any] = {}
    for name, (truth, voxel_size) in cases.items():
        values, shape = (truth > 0).astype(np.uint8), zyx(truth.shape)
        for method, neck in (("touching", 0.0), ("split", NECK)):
            splitting = Splitting(neck, voxel_size) if neck else None
            scratch = folder / f"{name}-{method}"
            found, wall, _ = labelled(values, shape, scratch, TILE, splitting)
            figures[f"{name}, {method}"] = {
                "objects_expected": len(np.unique(truth)) - 1,
                "objects": found.n_objects,
                "f1": f1_of_objects(truth, found.read(Box.whole(shape))),
                "mvox_per_s": values.size / wall / 1e6,
            }
            print(name, method, figures[f"{name}, {method}"], flush=True)
    return figures


def main() -> None:
    """Compare, measure, report."""
    arguments = parse_args(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        same = compared(folder, 128 if arguments.quick else 192)
        speed = measured(folder, 256 if arguments.quick else 512)
        split = separated(folder, 96 if arguments.quick else 160)
    equal = all(figures["equal"] for figures in same.values())
    gain = min(
        split[f"{name}, split"]["f1"] - split[f"{name}, touching"]["f1"]
        for name in ("balls", "nuclei")
        if f"{name}, split" in split
    )
    targets = [
        Target("partition_equal", float(equal), "==", 1.0),
        Target("mvox_per_s", speed["mvox_per_s"], ">=", 20.0),
        Target("peak_gb", speed["peak_gb"], "<=", 1.0),
        Target("f1_gain_by_splitting", gain, ">=", 0.05),
    ]
    write_report(
        arguments.json, {"partition": same, "large": speed, "split": split}, targets
    )


if __name__ == "__main__":
    main()
