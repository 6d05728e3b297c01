"""The network that a training begins with: planned from the data, or the parent's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetseg.config import TrainConfig
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import TrainingError
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.planning import plan_network, plan_patch
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.dataset import patch_of, widened

if TYPE_CHECKING:
    from napari_unetseg.training.finetune import TrainJob

DRAWS = 8  # of a hidden style that a prediction shows


def starting_network(
    job: TrainJob, volume: Volume
) -> tuple[UNet, tuple[str, ...], Zyx]:
    """Return the network to train, the names of its heads, and the patch."""
    folder = job.begins_with
    if folder is None:
        spec, heads = _planned(job, volume)
        planned = plan_patch(spec, volume.shape, job.config.preset)
        patch = job.config.patch or widened(planned, spec.stride, volume.shape)
        return UNet(spec), heads, patch_of(patch, spec.stride)
    card = read_card(folder)
    _check_classes(job, card.spec)
    network = UNet(card.spec)
    load_weights(network, weights_path(folder, card))
    patch = job.config.patch or card.patch or plan_patch(card.spec, volume.shape)
    return network, card.raters, patch_of(patch, card.spec.stride)


def _planned(job: TrainJob, volume: Volume) -> tuple[NetworkSpec, tuple[str, ...]]:
    """Return a new network and the names of its heads; none for a single rater."""
    heads = _heads(job.config, job.training_set.raters_among(job.raters))
    spec = plan_network(
        voxel_size=volume.voxel_size,
        shape=volume.shape,
        in_channels=volume.n_channels,
        n_classes=len(job.classes),
        n_raters=len(heads),
        rater_kind=job.config.rater_kind if heads else "named",
        preset=job.config.preset,
        block=job.config.blocks,
    )
    return spec, heads


def _heads(config: TrainConfig, raters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the heads that learn from so many raters."""
    if len(raters) < 2:
        return ()
    if config.rater_kind == "named":
        return raters
    is_latent = config.rater_kind == "latent"
    n = config.styles or (DRAWS if is_latent else len(raters))
    noun = "draw" if is_latent else "style"
    return tuple(f"{noun} {number}" for number in range(1, n + 1))


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
