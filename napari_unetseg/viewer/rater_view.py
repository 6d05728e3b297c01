"""One rater on the canvas: the labels as this rater would draw them.

How strict can be chosen: generous includes what this rater may have drawn, strict what
the rater would have drawn for sure. The contours of all raters step back meanwhile:
both together are a tangle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers._multiscale_data import MultiScaleData
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unetseg.data.predictions import RATER_PROBABILITY
from napari_unetseg.data.rater_probability import HALF, labels_at
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.class_colormap import class_colormap
from napari_unetseg.viewer.contours import CONTOUR_LEVELS
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.prediction_levels import PredictionLevels
from napari_unetseg.viewer.project_layers import ONE_RATER
from napari_unetseg.viewer.pyramids import LazyArray, lazy_views
from napari_unetseg.viewer.stood_back import StoodBack

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.data.predictions import PredictionStore
    from napari_unetseg.viewer.layers import SessionLayers

_REFRESH_MS = 500
_CACHE_BYTES = 100_000_000


class RaterView:
    """Which rater is shown; everybody together if none is.

    Signals
    -------
    changed
        Another rater is shown, or there are others to choose from.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._store: PredictionStore | None = None
        self._levels = PredictionLevels(_CACHE_BYTES)
        self._contours = StoodBack(layers, tuple(CONTOUR_LEVELS))
        self.chosen, self.height = "", HALF
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        session.predictions_changed.connect(self._on_predictions)
        session.classes_changed.connect(self._on_classes)
        layers.changed.connect(self._on_layers)
        viewer.scene.camera.events.zoom.connect(self._fit_outline)

    @property
    def names(self) -> tuple[str, ...]:
        """The raters that the shown predictions know."""
        store = self._session.predictions
        return () if store is None else store.rater_names

    def choose(self, name: str) -> None:
        """Show the labels of a rater; "" for everybody."""
        name = name if name in self.names else ""
        if name != self.chosen:
            self.chosen = name
            self._show()
            self.changed.emit()

    def set_height(self, height: float) -> None:
        """Show what the rater would draw at another height, between 0 and 1."""
        if height != self.height:
            self.height = height
            if self.chosen:
                self._show()
            self.changed.emit()

    def step(self, by: int = 1) -> bool:
        """Show the next rater, after the last one everybody; whether there are any."""
        order = ("", *self.names)
        if len(order) > 1:
            self.choose(order[(order.index(self.chosen) + by) % len(order)])
        return len(order) > 1

    def close(self) -> None:
        """Let go of session and viewer."""
        self._timer.stop()
        self._session.predictions_changed.disconnect(self._on_predictions)
        self._session.classes_changed.disconnect(self._on_classes)
        self._layers.changed.disconnect(self._on_layers)
        self._viewer.scene.camera.events.zoom.disconnect(self._fit_outline)

    # --- what is shown --------------------------------------------------------------

    def _show(self) -> None:
        if self.chosen:  # the contours of all raters and one of them are a tangle
            self._contours.step_back()
        else:
            self._contours.come_again()
        layer = self._layers.layer(ONE_RATER)
        if not self.chosen:
            if layer is not None:
                layer.visible = False
            return
        if layer is None:
            layer = self._new_layer()
            self._layers.put(layer)
        else:
            layer.data = self._views()
        layer.visible = True
        self._fit_outline()

    def _views(self) -> MultiScaleData:
        """Return the levels of the chosen rater; nothing is read."""
        store = self._session.predictions
        assert store is not None
        n_classes, number = len(store.class_names), self.names.index(self.chosen)
        mine = slice(number * n_classes, (number + 1) * n_classes)
        levels = self._levels.of(store, RATER_PROBABILITY)
        return lazy_views([DrawnLevel(level, mine, self.height) for level in levels])

    def _new_layer(self) -> FlatOutlines:
        project = self._session.project
        assert project is not None
        layer = FlatOutlines(
            self._views(),
            name=ONE_RATER,
            colormap=class_colormap(project.classes),
            opacity=1,
            multiscale=True,
            cache=False,
            **self._layers.place(Box.whole(project.volume.shape)),
        )
        layer.editable = False
        return layer

    def _fit_outline(self, event: object = None) -> None:
        layer = self._layers.layer(ONE_RATER)
        if layer is not None and layer.visible:
            layer.fit_outline(self._viewer.scene.camera.zoom)

    # --- what happens ---------------------------------------------------------------

    def _on_predictions(self, box: Box | None) -> None:
        self._levels.forget(box)
        if self.chosen and not self._timer.isActive():
            self._timer.start()

    def _refresh(self) -> None:
        layer = self._layers.layer(ONE_RATER)
        if layer is not None and layer.visible:
            layer.refresh(extent=False)

    def _on_classes(self) -> None:
        layer, project = self._layers.layer(ONE_RATER), self._session.project
        if layer is not None and project is not None:
            layer.colormap = class_colormap(project.classes)

    def _on_layers(self) -> None:
        """Follow the predictions: another version may know other raters."""
        if self._session.project is None:
            self._layers.take(ONE_RATER)
            self._contours.forget()
        if self._session.predictions is not self._store:
            was, self.chosen = self.chosen, ""
            self._store = self._session.predictions
            layer = self._layers.layer(ONE_RATER)
            if layer is not None:
                layer.visible = False
            self._contours.come_again()
            if was in self.names:
                self.choose(was)
            self.changed.emit()


class DrawnLevel:
    """One level of what a rater would draw, an array-like of uint8, zyx.

    Parameters
    ----------
    source
        Probabilities × 255, (rater · class, z, y, x).
    channels
        The classes of the rater.
    height
        How strict.
    """

    def __init__(self, source: LazyArray, channels: slice, height: float) -> None:
        self._source, self._channels, self._height = source, channels, height
        self.shape, self.dtype = source.shape[1:], np.dtype(np.uint8)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        probability = np.asarray(self._source[(self._channels, *key)])
        labels: np.ndarray = labels_at(probability[None], self._height)[0]
        return labels
