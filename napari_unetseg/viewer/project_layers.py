"""The layers of one open project: made when it opens, gone when it closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from napari.layers._multiscale_data import MultiScaleData
from napari.utils.colormaps import Colormap, ensure_colormap

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
)
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache
from napari_unetseg.viewer.class_colormap import class_colormap, class_colors
from napari_unetseg.viewer.contours import CONTOUR_LEVELS, ContourLayers
from napari_unetseg.viewer.edit_window import EditWindow
from napari_unetseg.viewer.image_layers import IMAGE, image_options, layer_place
from napari_unetseg.viewer.label_layers import (
    BACKGROUND,
    OPACITY,
    OTHERS,
    PREDICTION,
    LabelLayers,
)
from napari_unetseg.viewer.pyramids import cached_levels, lazy_views
from napari_unetseg.viewer.shown_levels import shown_levels
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.project import Project
    from napari_unetseg.app.session import Session
    from napari_unetseg.data.predictions import PredictionStore

CORRECTIONS, PREVIEW = "corrections", "preview"
PAST = "labels as they were"
CHOSEN, MARKS = "chosen object", "marks"
REVIEWED, DRAWN = "reviewed", "being drawn"
ONE_RATER = "one rater"
LEFT_SIDE, RIGHT_SIDE = "compared, left", "compared, right"
FAILED_BLOCKS = "failed blocks"
MAP_LAYERS = {
    RATER_DISAGREEMENT: ("rater disagreement", "magma"),
    MODEL_DISAGREEMENT: ("model disagreement", "viridis"),
    TOTAL_UNCERTAINTY: ("total uncertainty", "cividis"),
}
_SOLID_FROM = 0.3
ORDER = (
    IMAGE,
    PREDICTION,
    LEFT_SIDE,
    RIGHT_SIDE,
    *(name for name, _ in MAP_LAYERS.values()),
    *CONTOUR_LEVELS,
    ONE_RATER,
    REVIEWED,
    BACKGROUND,
    OTHERS,
    FAILED_BLOCKS,
    CORRECTIONS,
    PAST,
    CHOSEN,
    PREVIEW,
    MARKS,
    DRAWN,
)


class ProjectLayers:
    """The parts that live as long as one project is open."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        project: Project,
        visible: Callable[[int], Box | None],
    ) -> None:
        self.project = project
        self.place = layer_place(project.volume)
        self.cache = ChunkCache()
        self._maps: list[list[CachedArray]] = []
        levels, self._overview = shown_levels(project.volume, self.cache)
        self.images = [
            Image(data, **options)
            for data, options in image_options(project.volume, levels)
        ]
        if self._overview is not None:
            self._overview.changed.connect(self._show_images)
        self.labels = LabelLayers(project, session.annotator, self.place, self.cache)
        self.window = EditWindow(
            viewer,
            session,
            shape=project.volume.shape,
            options={
                **self.place,
                "name": CORRECTIONS,
                "opacity": OPACITY,
                "colormap": class_colormap(project.classes),
                "cache": False,
            },
        )
        self.window.layer.selected_label = session.current_class

        def seen() -> tuple[Box, int] | None:
            box, axis = visible(0), hidden_axis(viewer)
            return None if box is None or axis is None else (box, axis)

        self.contours = ContourLayers(
            viewer,
            store=lambda: session.predictions,
            visible=seen,
            colors=lambda: class_colors(project.classes),
            shape=project.volume.shape,
            options=self.place,
        )

    @property
    def has_overview(self) -> bool:
        """Whether the image is seen from afar only after some reading."""
        return self._overview is not None

    def map_levels(self, store: PredictionStore | None) -> dict[str, MultiScaleData]:
        """Return the pyramids of the uncertainty maps by the names of their layers."""
        for levels in self._maps:
            for level in levels:
                level.forget()
        self._maps = []
        if store is None:
            names = [MAP_LAYERS[key][0] for key in self._expected_maps()]
            return {name: self.labels.empty_levels() for name in names}
        keys = [key for key in MAP_LAYERS if key in store.map_names]
        self._maps = [
            cached_levels(store.levels(key), store.factors(key), self.cache)
            for key in keys
        ]
        return {
            MAP_LAYERS[key][0]: lazy_views(levels)
            for key, levels in zip(keys, self._maps, strict=True)
        }

    @property
    def has_model(self) -> bool:
        """Whether there is something that can predict."""
        return self.project.active_model is not None

    def _expected_maps(self) -> tuple[str, ...]:
        """Return the maps that the active model will make."""
        if self.project.active_model is None:
            return ()
        card = self.project.models.card(self.project.active_model)
        several = len(card.raters) >= 2
        return tuple(k for k in MAP_LAYERS if several or k != RATER_DISAGREEMENT)

    def map_layer(self, name: str, levels: MultiScaleData) -> Image:
        """Return a layer for an uncertainty map, with a fixed range of 0 to 1."""
        (colormap,) = (color for known, color in MAP_LAYERS.values() if known == name)
        return Image(
            levels,
            name=name,
            colormap=_see_through(colormap),
            contrast_limits=(0, 255),
            opacity=0.7,
            visible=False,
            multiscale=True,
            cache=False,
            **self.place,
        )

    def forget(self, box: Box | None) -> None:
        """Read a box of labels and maps anew next time; None for everything."""
        for levels in self._maps:
            for level in levels:
                level.forget(box)
        self.labels.forget(box)
        self.contours.forget(box)

    def show_predictions(self) -> None:
        """Read what is on the screen of labels and contours."""
        self.labels.prediction.refresh(extent=False)
        self.contours.update()

    def show_images_anew(self) -> None:
        """Read the volume from disk again."""
        self.cache.clear()
        self._show_images()

    def _show_images(self) -> None:
        for layer in self.images:
            layer.refresh(extent=False)

    def close(self) -> None:
        """Let go of the session and of what is kept in memory."""
        self.window.close()
        self.labels.close()
        self.contours.close()
        if self._overview is not None:
            self._overview.close()
        self.cache.clear()


def _see_through(name: str) -> Colormap:
    """Return a colormap that is clear at 0: where nothing is doubted one looks through.

    Parameters
    ----------
    name
        One of napari's.
    """
    values = np.linspace(0, 1, 256)
    colors = ensure_colormap(name).map(values)
    colors[:, 3] = np.clip(values / _SOLID_FROM, 0, 1)
    return Colormap(colors=colors, name=f"{name}, clear at 0")


def rank(name: str) -> int:
    """Return the place of a layer in the order; channels of the image share one."""
    return ORDER.index(name) if name in ORDER else 0
