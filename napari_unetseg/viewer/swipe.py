"""Two versions on one canvas: left and right of a line that is dragged.

::

    predictions of the version in use ──▶ labels, drawn up to the line    ┐ same slice,
    predictions of another version    ──▶ labels, drawn from the line on  ┘ same camera

Both are read lazily and level by level, as the prediction itself. What belongs to the
version in use alone (its prediction with corrections, maps, contours, the layer that is
painted on) steps back meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal, SignalInstance
from qtpy.QtCore import QTimer

from napari_unetseg.app.model_actions import state_of
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache
from napari_unetseg.viewer.class_colormap import class_colors, colormap_of
from napari_unetseg.viewer.contours import CONTOUR_LEVELS
from napari_unetseg.viewer.divider import BOTH, LEFT, RIGHT, Divider
from napari_unetseg.viewer.flat_outlines import FlatOutlines
from napari_unetseg.viewer.label_layers import BACKGROUND, OPACITY, OTHERS, PREDICTION
from napari_unetseg.viewer.predicted_part import (
    DARK,
    HATCHED,
    IN_PART,
    LIGHT,
    HatchedLevel,
    PredictedPart,
)
from napari_unetseg.viewer.project_layers import (
    LEFT_SIDE,
    MAP_LAYERS,
    ONE_RATER,
    RIGHT_SIDE,
)
from napari_unetseg.viewer.pyramids import cached_levels, lazy_views
from napari_unetseg.viewer.side_clip import SideClip
from napari_unetseg.viewer.stood_back import StoodBack

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

COMPARING = "Two versions are compared: Esc ends it."
_SHOWN = (BOTH, LEFT, RIGHT)
_IN_THE_WAY = (
    PREDICTION,
    *(name for name, _ in MAP_LAYERS.values()),
    *CONTOUR_LEVELS,
    ONE_RATER,
    BACKGROUND,
    OTHERS,
)
_REFRESH_MS, _CACHE_BYTES = 300, 100_000_000


class Swipe:
    """Shows two versions beside each other, or one after the other.

    Signals
    -------
    changed
        It began, ended, or another side is shown.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer, session: Session, layers: SessionLayers) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._sides: dict[str, _Side] = {}
        self._cache = ChunkCache(_CACHE_BYTES)
        self._back = StoodBack(layers, _IN_THE_WAY)
        self.divider: Divider | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        for signal in self._what_ends():
            signal.connect(self.stop)
        session.project_changed.connect(self._on_project)
        session.preview_changed.connect(self._on_preview)
        session.predictions_changed.connect(self._on_predictions)
        for emitter in self._what_moves():
            emitter.connect(self._say_soon)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions left and right of the line; none if nothing is compared."""
        return tuple(side.version for side in self._sides.values())

    @property
    def shown(self) -> str:
        """What is seen: ``both``, ``left``, ``right``; "" if nothing is compared."""
        return "" if self.divider is None else self.divider.shown

    def start(self, version: str) -> None:
        """Show a version to the right of the one in use, and a line between them."""
        project, session = self._session.project, self._session
        if project is None or session.why_not_compare(version):
            return
        self.stop()
        pair = {LEFT: str(project.active_model), RIGHT: version}
        found = {side: session.predictions_of(name) for side, name in pair.items()}
        stores = {side: store for side, store in found.items() if store is not None}
        if len(stores) < len(pair):
            return
        session.drop_preview()
        self._back.step_back()
        self._layers.close_editing(COMPARING)
        for side, name in ((LEFT, LEFT_SIDE), (RIGHT, RIGHT_SIDE)):
            self._sides[side] = self._new_side(name, pair[side], stores[side])
        canvas = self._viewer.window._qt_viewer.canvas  # noqa: SLF001
        self.divider = Divider(canvas.native)
        self.divider.moved.connect(self._clip)
        self._clip()
        self._say()
        self.changed.emit()

    def stop(self, *_: object) -> None:
        """Show what is shown usually."""
        if self.divider is None:
            return
        self._take_away()
        self._layers.close_editing("")
        self._back.come_again()
        self.changed.emit()

    def show(self, shown: str) -> None:
        """Show ``both`` sides, or ``left`` or ``right`` all over the canvas."""
        if self.divider is not None and shown in _SHOWN and shown != self.shown:
            self.divider.show_side(shown)
            self.changed.emit()

    def step(self) -> bool:
        """Show the next of both, left, right; whether anything is compared."""
        if self.divider is None:
            return False
        self.show(_SHOWN[(_SHOWN.index(self.shown) + 1) % len(_SHOWN)])
        return True

    def close(self) -> None:
        """Let go of session and viewer, which may be empty already."""
        self._take_away()
        session = self._session
        for signal in self._what_ends():
            signal.disconnect(self.stop)
        session.project_changed.disconnect(self._on_project)
        session.preview_changed.disconnect(self._on_preview)
        session.predictions_changed.disconnect(self._on_predictions)
        for emitter in self._what_moves():
            emitter.disconnect(self._say_soon)

    # --- what is shown --------------------------------------------------------------

    def _take_away(self) -> None:
        self._timer.stop()
        if self.divider is not None:
            self.divider.remove()
            self.divider = None
        for side in self._sides.values():
            side.clip.close()
            self._layers.take(side.layer.name)
        self._sides.clear()
        self._cache.clear()

    def _new_side(self, name: str, version: str, store: PredictionStore) -> _Side:
        project = self._session.project
        assert project is not None
        side = _Side(version, PredictedPart(self._session.blocks_of(version)))
        factors = store.factors("labels")
        side.levels = cached_levels(store.levels("labels"), factors, self._cache)
        colors = np.zeros((LIGHT + 1, 4), np.float32)
        known = class_colors(project.classes)
        colors[: len(known)] = known
        colors[DARK, 3], colors[LIGHT] = 1, 1
        side.layer = FlatOutlines(
            lazy_views(
                [
                    HatchedLevel(
                        level,
                        factor,
                        part=lambda: side.part,
                        is_hatched=lambda: self._viewer.dims.ndisplay == 2,
                    )
                    for level, factor in zip(side.levels, factors, strict=True)
                ]
            ),
            name=name,
            colormap=colormap_of(colors),
            opacity=OPACITY,
            multiscale=True,
            cache=False,
            **self._layers.place(Box.whole(project.volume.shape)),
        )
        side.layer.editable = False
        usual = self._layers.layer(PREDICTION)
        if usual is not None:  # outlines stay outlines
            side.layer.contour, side.layer.opacity = usual.contour, usual.opacity
        self._layers.put(side.layer)
        side.clip = SideClip(self._viewer, side.layer)
        return side

    def _clip(self) -> None:
        """Draw each layer on its side of the line."""
        if self.divider is not None:
            edge = self.divider.edge
            self._sides[LEFT].clip.set_span(None, edge)
            self._sides[RIGHT].clip.set_span(edge, None)

    def _say(self) -> None:
        """Write beside the line which version is where, and what it did not predict."""
        project, seen = self._session.project, self._layers.visible_box(depth=0)
        if self.divider is None or project is None or seen is None:
            return
        texts = []
        for side in self._sides.values():
            state = state_of(project, project.models.card(side.version)).value
            missing = side.part.said(seen)
            if missing == HATCHED and self._viewer.dims.ndisplay == 3:
                missing = IN_PART
            texts.append((side.version, missing or state))
        self.divider.set_names(*texts)

    # --- what happens ---------------------------------------------------------------

    def _what_moves(self) -> list[Any]:
        camera, dims = self._viewer.scene.camera.events, self._viewer.dims.events
        return [camera.center, camera.zoom, dims.current_step, dims.ndisplay]

    def _what_ends(self) -> list[SignalInstance]:
        session = self._session
        return [session.model_changed, session.labels_changed, session.classes_changed]

    def _on_project(self, _project: object) -> None:
        self._back.forget()  # the layers of another project are others
        self.stop()

    def _say_soon(self, event: object = None) -> None:
        if self.divider is not None and not self._timer.isActive():
            self._timer.start()

    def _on_preview(self, preview: object) -> None:
        if preview is not None:
            self.stop()

    def _on_predictions(self, box: Box | None) -> None:
        for side in self._sides.values():
            side.forget(box)
        self._say_soon()

    def _refresh(self) -> None:
        """Read what was predicted meanwhile, and say what is still missing."""
        for side in self._sides.values():
            if side.is_stale:
                side.part = PredictedPart(self._session.blocks_of(side.version))
                side.is_stale = False
                side.layer.refresh(extent=False)
        self._say()


class _Side:
    """What is shown of a version."""

    layer: FlatOutlines
    clip: SideClip

    def __init__(self, version: str, part: PredictedPart) -> None:
        self.version, self.part = version, part
        self.levels: list[CachedArray] = []
        self.is_stale = False

    def forget(self, box: Box | None) -> None:
        """Read a box anew next time; None for everything."""
        self.is_stale = True
        for level in self.levels:
            level.forget(box)
