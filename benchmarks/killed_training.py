"""What is left of models when a program is killed that trains or promotes them.

A child process fine-tunes and takes each new version in use, or does only the latter
again and again; it is killed at random moments, all on one project. After each kill the
version in use has to be one that is whole, everything listed has to be whole, and what
was told to be in use before the kill has to be there. Beside it: a checkpoint that is
written over the last one, as tools with a single published model do.
"""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import Target, parse_args, write_report
from benchmarks.killing import killed
from benchmarks.trainers import CHECKPOINT, child
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import NewProjectConfig, PredictConfig
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import CLASS_NAMES, VOXEL_SIZE_UM, make_phantom
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.store import ModelStore, weights_path

SHAPE: Zyx = (16, 64, 64)
LABELLED = 6  # sections
LONGEST_S = {"learning": 12.0, "promoting": 0.8, "overwriting": 0.8}
HOW = PredictConfig(flips=1, device="cpu", threads=1, backend="torch-fp32")


def new_project(folder: Path) -> Path:
    """Return a project with a model and some sections labelled."""
    phantom = make_phantom(SHAPE, seed=5)
    box = Box.whole(SHAPE)
    group = create_image(
        folder / "image.zarr", shape=SHAPE, dtype=str(phantom.image.dtype),
        chunk=(16, 64, 64), voxel_size=VOXEL_SIZE_UM, unit="micrometer",
    )  # fmt: skip
    write_pyramid_block(group, box, phantom.image)
    path = folder / "p.unetseg"
    about = NewProjectConfig(classes=CLASS_NAMES)
    actions.new_project(path, str(folder / "image.zarr"), about, model=DEFAULT_MODEL)
    with Project.open(path) as project:
        for z in range(LABELLED):
            where = Box((2 * z, 0, 0), (2 * z + 1, *SHAPE[1:]))
            project.corrections.commit(
                where, np.ones(where.shape, bool), phantom.truth[where.slices],
                annotator="truth", tool="truth", model_version="v1",
            )  # fmt: skip
    return path


def on_one_project(
    kind: str, folder: Path, n_kills: int, context: ForkServerContext
) -> dict[str, Any]:
    """Kill the program again and again on one project."""
    project = new_project(folder)
    broken_active = broken_listed = lost = n_told = 0
    newest = "v1"
    for seed in range(n_kills):
        told = killed(context, child, kind, project, seed, longest_s=LONGEST_S[kind])
        names = [words[0] for words in told]
        n_told += len(names)
        newest = names[-1] if names else newest
        found = what_is_left(project, names)
        broken_active += not found["active_is_whole"]
        broken_listed += found["broken"]
        lost += found["lost"] + (_number(found["active"]) < _number(newest))
    return {
        "kills": n_kills,
        "told": n_told,
        "versions": len(ModelStore(project / "models").versions()),
        "kills_after_which_the_active_model_is_broken": broken_active,
        "broken_versions_listed": broken_listed,
        "lost": lost,
        "half_written_folders": len(list((project / "models").glob(".*"))),
    }


def what_is_left(path: Path, told: list[str]) -> dict[str, Any]:
    """Return what a program finds that opens the project now."""
    with Project.open(path) as project:
        models, active = project.models, project.active_model
        versions = models.versions()
        assert active is not None
        return {
            "active": active,
            "active_is_whole": active in versions and _answers(models.dir(active)),
            "broken": sum(not _is_whole(models, version) for version in versions),
            "lost": len(set(told) - set(versions)),
        }


def _is_whole(models: ModelStore, version: str) -> bool:
    try:
        weights_path(models.dir(version), models.card(version))
    except UnetsegError:
        return False
    return True


def _answers(folder: Path) -> bool:
    """Whether a model can be loaded, hashes and all."""
    try:
        NetworkPredictor.load(folder, config=HOW)
    except UnetsegError:
        return False
    return True


def _number(version: str) -> int:
    return int(version.removeprefix("v"))


def overwritten(
    kind: str, folder: Path, n_kills: int, context: ForkServerContext
) -> dict[str, Any]:
    """Kill somebody who writes over the last checkpoint."""
    broken = n_told = 0
    for seed in range(n_kills):
        site = folder / str(seed)
        site.mkdir()
        told = killed(context, child, kind, site, seed, longest_s=LONGEST_S[kind])
        n_told += len(told)
        if told:  # else there may rightly be none yet
            broken += not _loads(site / CHECKPOINT)
    return {
        "kills": n_kills,
        "told": n_told,
        "kills_after_which_the_active_model_is_broken": broken,
    }


def _loads(path: Path) -> bool:
    try:
        torch.load(path, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return False
    return True


RUNS: dict[str, Callable[..., dict[str, Any]]] = {
    "learning": on_one_project,
    "promoting": on_one_project,
    "overwriting": overwritten,
}


def main() -> None:
    """Kill each of them, and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0])
    n_kills = 8 if args.quick else 20
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.trainers"])
    figures: dict[str, Any] = {}
    for kind, run in RUNS.items():
        with tempfile.TemporaryDirectory() as scratch:
            figures[kind] = run(kind, Path(scratch), n_kills, context)
        print(kind, figures[kind], flush=True)
    ours = [figures["learning"], figures["promoting"]]

    def worst(key: str) -> int:
        return int(max(row[key] for row in ours))

    write_report(
        args.json,
        figures,
        [
            Target("kills", min(row["kills"] for row in ours), ">=", n_kills),
            *(
                Target(key, worst(key), "==", 0)
                for key in ("kills_after_which_the_active_model_is_broken",
                            "broken_versions_listed", "lost")
            ),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
