from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unetseg.config import TrainConfig
from napari_unetseg.data.classes import ClassInfo, default_classes
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.training.finetune import TrainJob
from napari_unetseg.training.training_set import TrainingSet

CLASSES = default_classes(("cell", "fibre"))
SHAPE = (16, 48, 48)

MakeJob = Callable[..., TrainJob]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def classes() -> tuple[ClassInfo, ...]:
    return CLASSES


@pytest.fixture
def truth(phantom_path: Path) -> np.ndarray:
    return Volume.open(phantom_path / "labels" / "truth").read(Box.whole(SHAPE))[0]


@pytest.fixture
def corrections(tmp_path: Path) -> Iterator[CorrectionStore]:
    (tmp_path / "edits").mkdir()
    store = CorrectionStore.open(
        tmp_path / "edits", shape=SHAPE, voxel_size=(1.0, 1.0, 1.0), chunk=(8, 16, 16)
    )
    yield store
    store.close()


@pytest.fixture
def make_job(phantom_path: Path, tmp_path: Path, no_halo: None) -> MakeJob:
    """Return a maker of jobs on the small phantom: few steps of a small network."""

    def make(training_set: TrainingSet, **changes: object) -> TrainJob:
        config = {"steps": 2, "preset": "S", "patch": (8, 32, 32), "batch": 1,
                  "threads": 1}  # fmt: skip
        config |= changes.pop("config", {})  # type: ignore[call-overload]
        fields: dict[str, object] = {
            "volume_uri": str(phantom_path), "time_point": 0,
            "training_set": training_set, "models_dir": tmp_path / "models",
            "version": "v1", "classes": CLASSES,
            "normalisation": Normalisation(low=(60.0,), high=(230.0,)),
            "config": TrainConfig.model_validate(config),
        }  # fmt: skip
        return TrainJob(**(fields | changes))  # type: ignore[arg-type]

    return make
