"""The layers that show labels and are not painted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers._multiscale_data import MultiScaleData
from qtpy.QtCore import QTimer

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.geometry import Box, zyx
from napari_unetseg.viewer.chunk_cache import CachedArray
from napari_unetseg.viewer.class_colormap import class_colormap, colormap_of
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.pyramids import (
    ComposedLevel,
    Overlay,
    cached_levels,
    lazy_views,
    only_background,
)
from napari_unetseg.viewer.shown_levels import shown_shapes

if TYPE_CHECKING:
    from napari_unetseg.app.project import Project
    from napari_unetseg.data.corrections import CorrectionStore
    from napari_unetseg.data.predictions import PredictionStore
    from napari_unetseg.viewer.chunk_cache import ChunkCache

PREDICTION, BACKGROUND, OTHERS = (
    "prediction",
    "confirmed background",
    "corrections of others",
)
OPACITY = 0.35
BACKGROUND_MS = 150
"""After the last stroke, confirmed background is outlined; painting goes before."""
_CLEAR, _GREY = (0.0, 0.0, 0.0, 0.0), (0.8, 0.8, 0.8, 1.0)
_CELL = (16, 128, 128)


class LabelLayers:
    """Prediction with corrections, confirmed background, corrections of others.

    The layers stay the same objects; what they show is exchanged below them.
    """

    def __init__(
        self,
        project: Project,
        annotator: str,
        place: dict[str, Any],
        cache: ChunkCache,
    ) -> None:
        self._project, self._cache = project, cache
        self._predicted: list[CachedArray] = []
        self._annotator = annotator
        self._other_names: tuple[str, ...] = ()
        self._said = [
            CachedArray(_Said(project.corrections, read), cache)
            for read in (self._read_mine, self._read_others)
        ]
        mine, others = (_reader(said) for said in self._said)
        self._mine, self._background = Overlay(mine), Overlay(mine)
        self._others = Overlay(others)
        options = {**place, "multiscale": True, "cache": False}
        colors = class_colormap(project.classes)
        self._store: PredictionStore | None = None
        self.prediction = FlatOutlines(
            self._prediction_levels(),
            name=PREDICTION,
            opacity=OPACITY,
            colormap=colors,
            **options,
        )
        self.background = FlatOutlines(
            self._overlay_levels(self._background, background=True),
            name=BACKGROUND,
            opacity=0.8,
            colormap=colormap_of([_CLEAR, _GREY]),
            **options,
        )
        # An outline: a grey fill would not be seen on a grey image.
        self.background.contour = 1
        self.others = FlatOutlines(
            self._overlay_levels(self._others),
            name=OTHERS,
            opacity=0.9,
            colormap=colors,
            visible=False,
            **options,
        )
        self.others.contour = 1
        # Not while the mouse is on its way back to the next stroke.
        self._background_timer = QTimer()
        self._background_timer.setSingleShot(True)
        self._background_timer.setInterval(BACKGROUND_MS)
        self._background_timer.timeout.connect(self._show_background)
        self._background_stood_back = False
        self.set_annotator(annotator)

    def close(self) -> None:
        """Show nothing new any more."""
        self._background_timer.stop()

    @property
    def all(self) -> tuple[FlatOutlines, ...]:
        """The layers, lowest first."""
        return self.prediction, self.background, self.others

    def follow(self, n_dimensions: int) -> None:
        """Show the confirmed background in slices only: in 3D it is a wall.

        Parameters
        ----------
        n_dimensions
            Of the canvas, 2 or 3.
        """
        if n_dimensions == 3 and self.background.visible:
            self._background_stood_back, self.background.visible = True, False
        elif n_dimensions == 2 and self._background_stood_back:
            self._background_stood_back, self.background.visible = False, True

    @property
    def has_others(self) -> bool:
        """Whether somebody else has corrected something."""
        return bool(self._others.boxes)

    def set_store(self, store: PredictionStore | None) -> None:
        """Show the predictions of another model version."""
        self._store = store
        self.prediction.data = self._prediction_levels()

    def set_annotator(self, name: str) -> None:
        """Tell apart anew whose corrections are mine."""
        corrections = self._project.corrections
        self._annotator = name
        for said in self._said:
            said.forget()
        self._other_names = tuple(n for n in corrections.annotators() if n != name)
        mine = _cells(corrections.labelled_boxes(name))
        self._mine.boxes = self._background.boxes = mine
        self._others.boxes = tuple(
            cell
            for other in self._other_names
            for cell in _cells(corrections.labelled_boxes(other))
        )
        self.refresh()

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Take over new or changed classes."""
        for layer in (self.prediction, self.others):
            layer.colormap = class_colormap(classes)

    def set_hole(self, hole: Box | None) -> None:
        """Leave the box out that the editable layer draws."""
        if hole != self._mine.hole:
            self._mine.hole = hole
            self.prediction.refresh(extent=False, thumbnail=False)

    def corrected(self, box: Box | None) -> None:
        """Take over corrections that were written in a box; None for anywhere."""
        if box is None:
            self.set_annotator(self._annotator)
            return
        for said in self._said:
            said.forget(box)
        known = dict.fromkeys((*self._mine.boxes, *_cells([box])))
        self._mine.boxes = self._background.boxes = tuple(known)
        hole = self._mine.hole
        if hole is None or not hole.contains(box):
            self.prediction.refresh(extent=False)
        self._background_timer.start()

    def forget(self, box: Box | None) -> None:
        """Read a box of the prediction anew next time; None for all of it."""
        for level in self._predicted:
            level.forget(box)

    def refresh(self) -> None:
        """Read everything that is on the screen anew."""
        for layer in self.all:
            layer.refresh(extent=False)

    def _show_background(self) -> None:
        self.background.refresh(extent=False)

    def _prediction_levels(self) -> MultiScaleData:
        for level in self._predicted:
            level.forget()
        self._predicted = []
        if self._store is None:
            return self._overlay_levels(self._mine)
        factors = self._store.factors("labels")
        self._predicted = cached_levels(
            self._store.levels("labels"), factors, self._cache
        )
        return lazy_views(
            [
                ComposedLevel(self._mine, shape=shape, factor=factor, base=level)
                for level, factor in zip(self._predicted, factors, strict=True)
                for shape in [zyx(level.shape)]
            ]
        )

    def empty_levels(self) -> MultiScaleData:
        """Return levels of the volume's shapes with nothing in them."""
        return self._overlay_levels(Overlay(self._mine.read))

    def _overlay_levels(
        self, overlay: Overlay, *, background: bool = False
    ) -> MultiScaleData:
        values = only_background if background else None
        return lazy_views(
            [
                ComposedLevel(overlay, shape=shape, factor=factor, values=values)
                for shape, factor in shown_shapes(self._project.volume)
            ]
        )

    def _read_mine(self, box: Box) -> np.ndarray:
        return self._project.corrections.read(self._annotator, box)

    def _read_others(self, box: Box) -> np.ndarray:
        return self._project.corrections.read_all(box, self._other_names)


class _Said:
    """What annotators said, as an array that is read by whole cells."""

    def __init__(
        self, corrections: CorrectionStore, read: Callable[[Box], np.ndarray]
    ) -> None:
        self.shape, self.dtype, self.chunks = (
            corrections.shape,
            corrections.dtype,
            _CELL,
        )
        self._read = read

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        return self._read(Box.from_slices(key))


def _reader(said: CachedArray) -> Callable[[Box], np.ndarray]:
    return lambda box: said[box.slices]


def _cells(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Return the cells of a fixed grid that these boxes touch, each once."""
    return tuple(dict.fromkeys(cell for box in boxes for cell in box.cells(_CELL)))
