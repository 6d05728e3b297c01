"""How many steps a training takes if nobody says.

A fine-tuning of few labels is to be over within about a minute on two cores. More
steps do nothing for five slices, and pay once there are many.
"""

from __future__ import annotations

from napari_unetseg.config import TrainConfig
from napari_unetseg.training.training_set import TrainingSet

NEW_STEPS = 400
STEPS_PER_REGION = 10
LEAST_STEPS, MOST_STEPS = 50, 150


def steps_of(config: TrainConfig, corrections: TrainingSet | None = None) -> int:
    """Return how many steps are asked for, or else what is usual.

    Parameters
    ----------
    config
        How the network is to learn.
    corrections
        What a fine-tuning learns from; None for a new network.
    """
    if config.steps:
        return config.steps
    if corrections is None:
        return NEW_STEPS
    return min(max(STEPS_PER_REGION * corrections.n_regions, LEAST_STEPS), MOST_STEPS)
