from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.config import TrainConfig
from napari_unetseg.geometry import Box
from napari_unetseg.training.length import steps_of
from napari_unetseg.training.training_set import ArrayLabels, Region, TrainingSet


def labels_in(n_regions: int) -> TrainingSet:
    boxes = [Box((n, 0, 0), (n + 1, 8, 8)) for n in range(n_regions)]
    regions = tuple(Region(box, "reviewed", "Ana") for box in boxes)
    return TrainingSet(regions, ArrayLabels(np.zeros((99, 8, 8))), {"cell": 64})


@pytest.mark.parametrize(
    ("n_regions", "steps"), [(1, 50), (5, 50), (9, 90), (15, 150), (60, 150)]
)
def test_more_labels_are_learned_longer(n_regions: int, steps: int) -> None:
    assert steps_of(TrainConfig(), labels_in(n_regions)) == steps


def test_what_is_asked_for_counts() -> None:
    assert steps_of(TrainConfig(steps=7), labels_in(60)) == 7
    assert steps_of(TrainConfig(steps=7)) == 7


def test_a_new_network_takes_longer() -> None:
    assert steps_of(TrainConfig()) == 400
