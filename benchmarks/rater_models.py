"""Networks for the benchmark of raters, trained and run as the product does it.

The one thing of its own is dropout, which the product does not have: it is hung on the
blocks of the decoder from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from benchmarks.rater_sets import Case, RaterSet, along
from napari_unetseg.config import PredictConfig, TrainConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.models.blocks import Plain
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.store import ModelCard
from napari_unetseg.training.finetune import TrainJob, train
from napari_unetseg.training.training_set import from_label_arrays, majority

DROPOUT = 0.2


@dataclass(frozen=True)
class Trained:
    """A model version and where it lies."""

    folder: Path
    card: ModelCard

    def predict(self, cases: Sequence[Case]) -> Iterator[BlockPrediction]:
        """Yield the predictions of whole images, in float32."""
        config = PredictConfig(threads=1, device="cpu", backend="torch-fp32", flips=1)
        predictor = NetworkPredictor.load(self.folder, config=config)
        assert self.card.normalisation is not None
        for case in cases:
            box = Box.whole(case.image.shape)
            voxels = self.card.normalisation.apply(case.image[None])
            yield predictor.predict(voxels, Block(0, box, box))


def trained(
    data: RaterSet, folder: Path, *, only_majority: bool = False, **config: Any
) -> Trained:
    """Train a network on a set, as the product does it from labels that were imported.

    Parameters
    ----------
    data, folder
        What to learn, and a folder that does not exist.
    only_majority
        Hide that there are several raters.
    config
        Fields of the training's config.
    """
    image, masks = along(data.train)
    path = folder / "image.zarr"
    _write(image, data, path)
    raters = dict(zip(data.raters, masks, strict=True))
    if only_majority:
        raters = {"majority": majority(list(raters.values()))}
    classes = default_classes(("object",))
    job = TrainJob(
        volume_uri=str(path),
        time_point=0,
        training_set=from_label_arrays(raters, classes),
        models_dir=folder / "models",
        version="v1",
        classes=classes,
        normalisation=estimate_normalisation(Volume.open(path)),
        raters=tuple(raters),
        config=TrainConfig(device="cpu", threads=1, **config),
    )
    # Images are predicted whole here: measuring the halo would be lost time.
    with patch("napari_unetseg.models.registration.measure_halo", _no_halo):
        return Trained(folder / "models" / "v1", train(job))


def _no_halo(*_: object, **__: object) -> Zyx:
    return 0, 0, 0


def _write(image: np.ndarray, data: RaterSet, path: Path) -> None:
    path.parent.mkdir(parents=True)
    box = Box.whole(image.shape)
    group = create_image(
        path,
        shape=box.shape,
        dtype="float32",
        chunk=(min(64, image.shape[0]), 64, 64),
        voxel_size=data.voxel_size,
        unit="micrometer",
    )
    write_pyramid_block(group, box, image)


@contextmanager
def dropout(*, always: bool = False) -> Iterator[None]:
    """Hang dropout on the blocks of all networks; else only on those in training."""

    def drop(block: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        if isinstance(block, Plain) and (always or block.training):
            return F.dropout3d(output, DROPOUT, training=True)
        return None

    hook = register_module_forward_hook(drop)
    try:
        yield
    finally:
        hook.remove()
