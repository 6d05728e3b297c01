"""Programs that make model versions, to be killed.

learning
    Fine-tunes with the product, a step at a time, and takes each version in use.
promoting
    The same without the steps: registers a version, takes it in use, and so on.
overwriting
    Writes one checkpoint over the last, as tools with a single published model do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file

from benchmarks.killing import READY, tell
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import TrainConfig
from napari_unetseg.models.backends.torch import use_threads
from napari_unetseg.models.store import WEIGHTS, ModelStore, read_card

CHECKPOINT = "model.pt"


def child(kind: str, folder: Path, pipe: Any, seed: int) -> None:
    """Make versions until killed; each is told as soon as it is in use."""
    use_threads(1)
    make = {"learning": learning, "promoting": promoting, "overwriting": overwriting}
    tell(pipe.fileno(), READY)
    for version in make[kind](folder, seed):
        tell(pipe.fileno(), version)


def learning(folder: Path, seed: int) -> Iterator[str]:
    """Fine-tune the version in use."""
    with patch("napari_unetseg.models.registration.measure_halo") as measured:
        measured.return_value = read_card(DEFAULT_MODEL).halo  # it takes many steps
        while True:
            with Project.open(folder, read_only=True) as project:
                parent = project.active_model
            config = TrainConfig(
                parent=parent, steps=1, batch=1, patch=(8, 32, 32), seed=seed,
                promote="always", device="cpu", threads=1,
            )  # fmt: skip
            yield actions.train(folder, config)["version"]


def promoting(folder: Path, seed: int) -> Iterator[str]:
    """Register copies of a model."""
    card, weights = read_card(DEFAULT_MODEL), DEFAULT_MODEL / WEIGHTS
    while True:
        store = ModelStore(folder / "models")
        version = store.next_version()
        store.register(card.replace(version=version, name=f"by {seed}"), weights)
        actions.promote(folder, version)
        yield version


def overwriting(folder: Path, seed: int) -> Iterator[str]:
    """Write weights over the last ones."""
    weights = load_file(DEFAULT_MODEL / WEIGHTS)
    for number in itertools.count(1):
        torch.save({"weights": weights, "by": (seed, number)}, folder / CHECKPOINT)
        yield str(number)
