"""The best weights of a network while it learns, for who stops it on the way."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn


class BestSoFar:
    """Keeps the weights that measured best.

    Without held-out labels there is nothing to compare: then the last ones count.

    Attributes
    ----------
    step, dice
        When the kept weights were measured, and their Dice per class.
    """

    def __init__(self) -> None:
        self.step = 0
        self.dice: dict[str, float] = {}
        self._score = -1.0
        self._weights: dict[str, Tensor] = {}

    def take(self, step: int, dice: Mapping[str, float], network: nn.Module) -> None:
        """Take a measurement of a network, and keep its weights if they are best."""
        score = float(np.mean(list(dice.values()))) if dice else self._score
        if dice and score <= self._score:
            return
        self.step, self.dice, self._score = step, dict(dice), score
        if dice:
            state = network.state_dict()
            self._weights = {name: value.clone() for name, value in state.items()}

    def restore(self, network: nn.Module) -> None:
        """Give a network the weights that were best; as it is if none were measured."""
        if self._weights:
            network.load_state_dict(self._weights)
