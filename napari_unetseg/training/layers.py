"""Which layers of a network a fine-tuning changes.

A frozen encoder needs no gradient, so that a step costs a little less. With few labels
decoder and heads alone are said to learn as much; on phantoms under other light all
layers learned more from a hundredth of the voxels, so that is what is usual here.
"""

from __future__ import annotations

from napari_unetseg.config import TrainConfig
from napari_unetseg.models.unet import UNet
from napari_unetseg.training.training_set import TrainingSet

ENCODER = ("detail", "stem", "down", "enc")
FEW_VOXELS = 20_000
FEW_REGIONS = 5


def learns_all(config: TrainConfig, labels: TrainingSet) -> bool:
    """Whether a fine-tuning changes all layers, or decoder and heads alone."""
    if config.layers != "auto":
        return config.layers == "all"
    n_regions = len({region.box for region in labels.regions})
    return sum(labels.n_voxels.values()) >= FEW_VOXELS and n_regions >= FEW_REGIONS


def freeze_encoder(network: UNet) -> None:
    """Let decoder and heads learn alone."""
    for name in ENCODER:
        part = getattr(network, name)
        if part is not None:
            part.requires_grad_(False)
