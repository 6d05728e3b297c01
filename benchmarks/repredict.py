"""What is spared by predicting only the blocks in which a new version says otherwise.

Three volumes of phantoms under other light than the shipped model knows: objects
everywhere, objects in a quarter of it and background like that between them, and the
same with the dark that is outside of specimens in fluorescence. Some regions are put
right, the model is fine-tuned, and the volume is predicted anew: once as a whole, and
once keeping blocks in which two looks find no change. What was kept is compared with
what the new version says of it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import NewProjectConfig, PredictConfig, TrainConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import make_phantom
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx
from napari_unetseg.models.store import read_card

TILE: Zyx = (64, 128, 128)  # one phantom, and one block
REGIONS = 6
REGION: Zyx = (16, 64, 64)
DARKER = 4  # times, where there is no specimen
Kind = Literal["dense", "sparse", "dark"]


def make_volume(path: Path, edge: int, kind: Kind) -> np.ndarray:
    """Write ``edge`` × ``edge`` phantoms side by side, and return the truth zyx."""
    shape = zyx((TILE[0], edge * TILE[1], edge * TILE[2]))
    image = np.empty(shape, np.uint8)
    truth = np.zeros(shape, np.uint8)
    for number in range(edge * edge):
        y, x = number // edge * TILE[1], number % edge * TILE[2]
        here = np.s_[:, y : y + TILE[1], x : x + TILE[2]]
        is_empty = kind != "dense" and number % 4 > 0
        phantom = make_phantom(TILE, number, "shifted", is_empty=is_empty)
        is_dark = kind == "dark" and is_empty
        image[here] = phantom.image // DARKER if is_dark else phantom.image
        truth[here] = phantom.truth
    group = create_image(
        path, shape=shape, dtype="uint8", chunk=(64, 64, 64), voxel_size=(1, 1, 1)
    )
    write_pyramid_block(group, Box.whole(shape), image)
    return truth


def correct(folder: Path, truth: np.ndarray) -> None:
    """Put right some regions that hold objects."""
    rng = np.random.default_rng(1)
    with Project.open(folder) as project:
        places = np.argwhere(truth > 0)
        for place in places[rng.choice(len(places), REGIONS, replace=False)]:
            box = Box.around(zyx(int(n) for n in place), REGION).clipped(
                zyx(truth.shape)
            )
            project.corrections.commit(
                box,
                np.ones(box.shape, bool),
                truth[box.slices],
                annotator="truth",
                tool="truth",
                model_version=project.active_model,
            )


def measure(folder: Path, edge: int, steps: int, kind: Kind) -> dict[str, Any]:
    """Return what predicting a volume anew takes, and what is kept wrongly."""
    truth = make_volume(folder / "volume.zarr", edge, kind)
    project = folder / "p.unetseg"
    classes = read_card(DEFAULT_MODEL).class_names
    about = NewProjectConfig(classes=classes)
    actions.new_project(project, folder / "volume.zarr", about, model=DEFAULT_MODEL)
    choices = {"block": TILE, "flips": 1}
    actions.predict(project, PredictConfig(**choices))
    correct(project, truth)
    config = TrainConfig(parent="v1", steps=steps, promote="always")
    version = actions.train(project, config)["version"]
    look = PredictConfig(**choices, unchanged_from="v1")
    looked = actions.predict(project, look)
    after_looks, kept = _labels(project, version, truth.shape)
    shutil.rmtree(project / "predictions" / f"{version}.zarr")
    whole = actions.predict(project, PredictConfig(**choices))
    exact, _ = _labels(project, version, truth.shape)
    other = np.concatenate(
        [(after_looks != exact)[box.slices].ravel() for box in kept] or [np.zeros(1)]
    )
    return {
        "blocks": len(BlockGrid(zyx(truth.shape), TILE)),
        "kept": looked["kept"],
        "seconds": looked["seconds"],
        "seconds_whole": whole["seconds"],
        "time": looked["seconds"] / whole["seconds"],
        "wrong_in_kept": float(other.mean()),
        "wrong": float((after_looks != exact).mean()),
        "dice_whole": _dice(exact, truth),
        "dice_kept": _dice(after_looks, truth),
    }


def _labels(
    folder: Path, version: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, list[Box]]:
    """Return the labels of a version, and which blocks were kept."""
    with Project.open(folder, read_only=True) as project:
        predictions = project.predictions(version)
        assert predictions is not None
        labels = predictions.read_labels(Box.whole(zyx(shape)))
        _, _, reasons = DoneLog.read(project.run_log_path(version))
    grid = BlockGrid(zyx(shape), TILE)
    return labels, [grid[index].write_box for index in reasons]


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    both = np.mean([2 * ((found == c) & (truth == c)).sum()
                    / max(1, (found == c).sum() + (truth == c).sum())
                    for c in np.unique(truth)[1:]])  # fmt: skip
    return float(both)


def main() -> int:
    """Measure the volumes and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0], _add_arguments)
    edge, steps = (3, 20) if args.quick else (8, 100)
    figures: dict[str, Any] = {}
    for kind in get_args(Kind):
        with tempfile.TemporaryDirectory() as scratch:
            figures[kind] = measure(Path(scratch), edge, steps, kind)
        print(kind, figures[kind], flush=True)
    write_report(
        args.json,
        figures,
        [
            Target("time_dark", figures["dark"]["time"], "<=", 0.7),
            Target("time_sparse", figures["sparse"]["time"], "<=", 0.7),
            Target("time_dense", figures["dense"]["time"], "<=", 1.25),
            Target("wrong", max(f["wrong"] for f in figures.values()), "<=", 0.001),
        ],
    )
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing else to choose."""


if __name__ == "__main__":
    sys.exit(main())
