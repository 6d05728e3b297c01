"""The network that a training begins with: planned from the data, or the parent's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import TrainingError
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.planning import patch_of, plan_patch
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.plan import Data, heads_of, plan_training

if TYPE_CHECKING:
    from napari_unetseg.training.finetune import TrainJob


def starting_network(
    job: TrainJob, volume: Volume
) -> tuple[UNet, tuple[str, ...], Zyx]:
    """Return the network to train, the names of its heads, and the patch."""
    folder = job.begins_with
    if folder is None:
        heads = heads_of(job.config, job.training_set.raters_among(job.raters))
        plan = job.plan or plan_training(
            job.config,
            Data(
                voxel_size=volume.voxel_size,
                shape=volume.shape,
                n_channels=volume.n_channels,
                n_classes=len(job.classes),
                n_raters=len(heads),
            ),
        )
        return UNet(plan.spec), heads, plan.patch
    card = read_card(folder)
    _check_classes(job, card.spec)
    network = UNet(card.spec)
    load_weights(network, weights_path(folder, card))
    patch = job.config.patch or card.patch or plan_patch(card.spec, volume.shape)
    return network, card.raters, patch_of(patch, card.spec.stride)


def _check_classes(job: TrainJob, parent: NetworkSpec) -> None:
    unknown = [
        info.name
        for info in job.classes[parent.n_classes :]
        if job.training_set.n_voxels.get(info.name)
    ]
    if unknown:
        raise TrainingError(
            "Some labels have classes that the model does not know",
            got=", ".join(unknown),
            expected=", ".join(i.name for i in job.classes[: parent.n_classes]),
            do="Train a new model from these labels.",
        )
