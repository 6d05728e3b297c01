from __future__ import annotations

import torch
from torch import nn

from napari_unetseg.training.best_so_far import BestSoFar


def with_weight(value: float) -> nn.Module:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, value)
    return network


def test_the_best_weights_are_kept() -> None:
    best = BestSoFar()
    for step, dice in enumerate([0.5, 0.7, 0.7, 0.6], start=1):
        best.take(step, {"cell": dice, "fibre": 0.5}, with_weight(step))
    assert (best.step, best.dice) == (2, {"cell": 0.7, "fibre": 0.5})
    last = with_weight(5)
    best.restore(last)
    assert last.weight.item() == 2


def test_kept_weights_do_not_learn_on() -> None:
    best, network = BestSoFar(), with_weight(1)
    best.take(1, {"cell": 0.5}, network)
    with torch.no_grad():
        network.get_parameter("weight").fill_(9)
    best.restore(network)
    assert network.get_parameter("weight").item() == 1


def test_without_held_out_labels_the_last_ones_count() -> None:
    best = BestSoFar()
    for step in (1, 2, 3):
        best.take(step, {}, with_weight(step))
    last = with_weight(7)
    best.restore(last)
    assert last.weight.item() == 7
