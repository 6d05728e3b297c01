"""Contours of the visible slice: where 25, 50 and 75 % of the raters say "class".

With several raters the fraction is counted over their predictions; with one it is the
probability. The lines follow the view in four steps, and late answers are dropped::

    1  view, slice or prediction changes ──▶ timer (restarts)
    2  timer ──▶ request: plane of the level that fits the screen, number n
    3  worker thread reads the plane and finds the lines
    4  window thread shows them, if n is still the newest number
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt.threading import create_worker
from qtpy.QtCore import QTimer

from napari_unetseg.data.predictions import PROBABILITY, RATER_PROBABILITY
from napari_unetseg.data.rater_probability import labels_at
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.contour_lines import contour_lines, rater_fractions
from napari_unetseg.viewer.prediction_planes import PredictionPlanes
from napari_unetseg.viewer.thin_lines import NO_LINES, ThinLines

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.data.predictions import PredictionStore

CONTOUR_LEVELS = {"contours 25 %": 0.25, "contours 50 %": 0.5, "contours 75 %": 0.75}
_WIDTHS_PIXELS = {"contours 25 %": 1.2, "contours 50 %": 2.4, "contours 75 %": 1.2}
_DELAY_MS = 120
_NO_CLASSES = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class PlaneRequest:
    """Which plane of a prediction to draw contours of.

    Attributes
    ----------
    number
        Requests are counted; who has a higher one is asked later.
    box
        Finest voxels, one thick along ``axis``.
    """

    number: int
    box: Box
    axis: int


@dataclass(frozen=True)
class PlaneLines:
    """Vectors (n, 2, 3) of start and direction, and the class of each, per level."""

    number: int
    lines: dict[str, tuple[np.ndarray, np.ndarray]]


def find_lines(
    planes: PredictionPlanes, store: PredictionStore, request: PlaneRequest
) -> PlaneLines:
    """Read a plane of a prediction and find its contours; needs no Qt."""
    by_raters = len(store.rater_names) >= 2
    name = RATER_PROBABILITY if by_raters else PROBABILITY
    plane, cells, factor = planes.read(store, name, request.box)
    values = plane.take(0, axis=1 + request.axis)
    if by_raters:
        labels = labels_at(store.by_rater(values))
        shares = rater_fractions(labels, len(store.class_names))
    else:
        shares = values.astype(np.float32) / 255
    shown = [axis for axis in range(3) if axis != request.axis]

    def placed(lines: np.ndarray) -> np.ndarray:
        ends = np.zeros((len(lines), 2, 3), dtype=np.float32)
        ends[..., shown] = lines + np.asarray(cells.start)[shown]
        # A voxel of the level is centred on all the finest voxels that it stands for.
        ends = (ends + 0.5) * np.asarray(factor) - 0.5
        ends[..., request.axis] = request.box.start[request.axis]
        return np.asarray(ends, dtype=np.float32)

    lines = {}
    for name, level in CONTOUR_LEVELS.items():
        found = [placed(contour_lines(share, level)) for share in shares]
        ends = np.concatenate(found) if found else NO_LINES
        ends[:, 1] -= ends[:, 0]
        classes = np.repeat(np.arange(1, len(found) + 1), [len(f) for f in found])
        lines[name] = ends, classes
    return PlaneLines(request.number, lines)


class ContourLayers:
    """Three thin layers of lines over the visible slice.

    Parameters
    ----------
    visible
        Gives the visible box one voxel thick and the axis that is not shown, or None
        in the 3D view.
    colors
        Colour (red, green, blue, alpha) of each class id, first row the background.
    shape
        Of the volume, zyx.
    options
        Where the layers lie: scale, translate, units.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        store: Callable[[], PredictionStore | None],
        visible: Callable[[], tuple[Box, int] | None],
        colors: Callable[[], np.ndarray],
        shape: Zyx,
        options: dict[str, Any],
    ) -> None:
        self._viewer, self._store, self._visible = viewer, store, visible
        self._colors = colors
        self._number = 0
        self._planes = PredictionPlanes()
        self.layers = {
            name: ThinLines(
                shape,
                name=name,
                edge_width=1,
                edge_color="white",
                opacity=0.9,
                **options,
            )
            for name in CONTOUR_LEVELS
        }
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self._request)
        for layer in self.layers.values():
            layer.events.visible.connect(self.update)
        viewer.scene.camera.events.zoom.connect(self._fit_widths)
        self._fit_widths()

    def update(self, event: object = None) -> None:
        """Draw anew soon; many calls in a row cost one drawing."""
        self._timer.start()

    def forget(self, box: Box | None) -> None:
        """Read a box of finest voxels anew next time; None for everything."""
        self._planes.forget(box)

    def close(self) -> None:
        """Stop following the view; what is still computed is dropped."""
        self._number += 1
        self._timer.stop()
        self._viewer.scene.camera.events.zoom.disconnect(self._fit_widths)

    def _request(self) -> None:
        self._number += 1
        store, visible = self._store(), self._visible()
        if not any(layer.visible for layer in self.layers.values()):
            return
        if store is None or visible is None or visible[0].is_empty:
            self._show(PlaneLines(self._number, {}))
            return
        request = PlaneRequest(self._number, *visible)
        create_worker(
            self._find,
            store,
            request,
            _start_thread=True,
            _connect={"returned": self._show},
        )

    def _find(self, store: PredictionStore, request: PlaneRequest) -> PlaneLines | None:
        """Find the lines, if nobody has asked for others meanwhile; in a thread."""
        if request.number != self._number:
            return None
        return find_lines(self._planes, store, request)

    def _show(self, answer: PlaneLines | None) -> None:
        if answer is None or answer.number != self._number:
            return
        colors = self._colors()
        for name, layer in self.layers.items():
            vectors, classes = answer.lines.get(name, (NO_LINES, _NO_CLASSES))
            if not len(vectors) and not len(layer.data):
                continue
            layer.show(vectors, colors[classes])

    def _fit_widths(self, event: object = None) -> None:
        """Keep the lines equally thin on the screen at any zoom."""
        zoom = self._viewer.scene.camera.zoom
        for name, layer in self.layers.items():
            layer.fit_width(_WIDTHS_PIXELS[name], zoom)
