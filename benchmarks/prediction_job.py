"""A small prediction with the shipped model, for benchmarks of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import PredictConfig
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import make_phantom
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.inference.job import PredictJob
from napari_unetseg.models.store import read_card

CHUNK: Zyx = (64, 64, 64)
PHANTOM_SIDE = 96


def make_volume(path: Path, shape: Zyx, filled: Box, *, seed: int = 0) -> None:
    """Write a volume whose chunks are on disk only in a box; one level."""
    group = create_image(
        path,
        shape=shape,
        dtype="uint8",
        chunk=CHUNK,
        voxel_size=(1.0, 1.0, 1.0),
        n_levels=1,
    )
    # Phantoms take their time: a small one is repeated.
    side = zyx(min(PHANTOM_SIDE, n) for n in filled.shape)
    image = make_phantom(side, seed=seed).image
    extra = [(0, n - m) for n, m in zip(filled.shape, side, strict=True)]
    array = group["0"]
    assert isinstance(array, zarr.Array)
    array[filled.slices] = np.pad(image, extra, mode="wrap")


def make_job(volume: Path, folder: Path, **choices: Any) -> PredictJob:
    """Return a job that predicts a volume into a folder."""
    card = read_card(DEFAULT_MODEL)
    config = PredictConfig.model_validate({"flips": 1, "device": "cpu"} | choices)
    return PredictJob(
        volume_uri=str(volume),
        time_point=0,
        prediction_path=folder / "v1.zarr",
        log_path=folder / "v1.jsonl",
        model_dir=DEFAULT_MODEL,
        normalisation=card.normalisation or Normalisation(low=(0.0,), high=(255.0,)),
        class_names=card.class_names,
        config=config,
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files under a folder, by their place."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
