"""Objects of a volume that is labelled tile by tile, beside labelling it whole.

The partition must be that of ``scipy.ndimage.label`` on the whole volume, exactly. The
speed is that of one core, from zarr to object ids on zarr; the memory is the most that
the process ever had.
"""

from __future__ import annotations

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
from napari_unetseg.data.steps import Steps
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx, zyx

TILE: Zyx = (64, 256, 256)
SMALL_TILE: Zyx = (32, 48, 56)
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
    values: Any, shape: Zyx, scratch: Path, tile: Zyx
) -> tuple[Any, float, float]:
    """Return the objects, and the seconds of wall and of processor time."""
    steps = Steps("export", 1, ignore_event, never_cancelled)
    wall, processor = time.perf_counter(), time.process_time()
    found = find_components(
        lambda box: np.asarray(values[box.slices]), shape, scratch, steps, tile=tile
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


def main() -> None:
    """Compare, measure, report."""
    arguments = parse_args(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        same = compared(folder, 128 if arguments.quick else 192)
        speed = measured(folder, 256 if arguments.quick else 512)
    equal = all(figures["equal"] for figures in same.values())
    targets = [
        Target("partition_equal", float(equal), "==", 1.0),
        Target("mvox_per_s", speed["mvox_per_s"], ">=", 20.0),
        Target("peak_gb", speed["peak_gb"], "<=", 1.0),
    ]
    write_report(arguments.json, {"partition": same, "large": speed}, targets)


if __name__ == "__main__":
    main()
