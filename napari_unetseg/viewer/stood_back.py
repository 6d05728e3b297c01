"""Layers that step back while something else is looked at, and come again after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unetseg.viewer.layers import SessionLayers


class StoodBack:
    """Hides those of some layers that are shown, and shows the same ones again.

    Parameters
    ----------
    names
        Of the layers that are in the way.
    """

    def __init__(self, layers: SessionLayers, names: Sequence[str]) -> None:
        self._layers, self._names = layers, tuple(names)
        self._hidden: list[str] = []

    def step_back(self) -> None:
        """Hide them."""
        if self._hidden:
            return
        for name in self._names:
            layer = self._layers.layer(name)
            if layer is not None and layer.visible:
                layer.visible = False
                self._hidden.append(name)

    def come_again(self) -> None:
        """Show those that were hidden here."""
        hidden, self._hidden = self._hidden, []
        for name in hidden:
            layer = self._layers.layer(name)
            if layer is not None:
                layer.visible = True

    def forget(self) -> None:
        """Leave them as they are: the project has gone."""
        self._hidden = []
