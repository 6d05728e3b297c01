"""Layers that are drawn on one side of the canvas only.

napari has clipping planes for points and surfaces, not for labels. vispy, which draws
them, can drop whatever falls outside of a rectangle of the screen: that costs nothing,
reads nothing, and is as good in slices as in 3D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from vispy.visuals.filters import Clipper

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

_FAR = 1e6  # pixels: beyond any screen


class SideClip:
    """Draws a layer between two pixels of the canvas, and nowhere else."""

    def __init__(self, viewer: Viewer, layer: Layer) -> None:
        self._viewer, self._layer = viewer, layer
        self._clippers: WeakKeyDictionary[Any, Clipper] = WeakKeyDictionary()
        self._span = (-_FAR, _FAR)
        # For slices and for 3D napari draws with two nodes, and exchanges them when
        # the first data of the other kind are there.
        layer.events.set_data.connect(self._apply, position="last")
        self._apply()

    def set_span(self, start: float | None, stop: float | None) -> None:
        """Draw between these pixels of the canvas; None for no end."""
        self._span = (-_FAR if start is None else start, _FAR if stop is None else stop)
        self._apply()

    def close(self) -> None:
        """Leave the layer alone."""
        self._layer.events.set_data.disconnect(self._apply)

    def _apply(self, event: object = None) -> None:
        canvas = self._viewer.window._qt_viewer.canvas  # noqa: SLF001
        drawn = canvas.layer_to_visual.get(self._layer)
        if drawn is None:
            return
        node = drawn.node
        clipper = self._clippers.get(node)
        if clipper is None:
            clipper = self._clippers[node] = Clipper()
            node.attach(clipper)
        # Fragments are counted in pixels of the screen, of which one of the canvas may
        # have several.
        sharp = canvas.native.devicePixelRatioF()
        start, stop = (pixel * sharp for pixel in self._span)
        clipper.bounds = (start, -_FAR, stop - start, 2 * _FAR)
        node.update()
