"""The layers of a session: fixed names, fixed order, nothing that jumps.

::

    session.project_changed ─────▶ layers come and go
    session.predictions_changed ─▶ prediction, maps, contours are read anew where one
                                   looks, at most twice a second
    session.labels_changed ──────▶ window, prediction, confirmed background
    camera and sliders ──────────▶ window and contours follow; the camera is never moved
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from psygnal import Signal, SignalInstance
from qtpy.QtCore import QTimer

from napari_unetseg.app.status import Notice
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.canvas_place import CanvasPlace
from napari_unetseg.viewer.class_colormap import class_colormap
from napari_unetseg.viewer.edit_window import CLOSED
from napari_unetseg.viewer.editable import EditableLabels
from napari_unetseg.viewer.label_layers import OPACITY, PREDICTION
from napari_unetseg.viewer.project_layers import (
    CORRECTIONS,
    LEFT_SIDE,
    MAP_LAYERS,
    RIGHT_SIDE,
    ProjectLayers,
    rank,
)
from napari_unetseg.viewer.thin_lines import ThinLines, keep_shader

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.project import Project
    from napari_unetseg.app.session import Session
    from napari_unetseg.data.predictions import PredictionStore

LAST = object()
_OUTLINED = (PREDICTION, CORRECTIONS, LEFT_SIDE, RIGHT_SIDE)
FILLS_IN = (
    "The volume has no small levels to look at from afar: it fills in bit by bit."
)
_REFRESH_MS, _STEP_MS = 500, 20


class SessionLayers(CanvasPlace):
    """What the viewer shows of the open project.

    Signals
    -------
    changed
        Layers came or went.
    edit_reason_changed
        Why nothing can be painted now, e.g. "Zoom in to edit."; "" if it can.
    """

    changed = Signal()
    edit_reason_changed = Signal(str)

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(viewer)
        self._session = session
        self._layers: dict[str, Layer] = {}
        self._store: PredictionStore | None = None
        self._changed: tuple[Box, ...] | None = ()  # None for all
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._show_predictions)
        self._steps: Iterator[None] = iter(())
        self._step_timer = QTimer()
        self._step_timer.setInterval(_STEP_MS)
        self._step_timer.timeout.connect(self._next_step)
        # napari leaves a box behind the brush circle; drawn alone on an empty canvas
        # it brings some OpenGL drivers down.
        viewer.canvas.overlays["_brush_circle"].box = False
        for signal, slot in self._session_slots():
            signal.connect(slot)
        for emitter, slot in self._viewer_slots():
            emitter.connect(slot)
        self._on_project(session.project)

    # --- what other parts of the window ask -------------------------------------

    @property
    def editable(self) -> EditableLabels | None:
        """The layer that is painted on, None without a project."""
        return self._opened.window.layer if self._opened else None

    @property
    def edit_reason(self) -> str:
        """Why nothing can be painted now; "" if it can."""
        return self._opened.window.reason if self._opened else CLOSED

    @property
    def edit_box(self) -> Box | None:
        """The part of the volume that can be painted on now."""
        return self._opened.window.window if self._opened else None

    def layer(self, name: str) -> Layer | None:
        """Return one of our layers, None if it is not there."""
        return self._layers.get(name)

    def put(self, layer: Layer) -> None:
        """Show a layer at its place in the order; the selection stays as it is."""
        own = rank(layer.name)
        after = [
            place
            for place, other in enumerate(self._viewer.layers)
            if other in self._layers.values() and rank(other.name) > own
        ]
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(min(after, default=len(self._viewer.layers)), layer)
        self._layers[layer.name] = layer
        if isinstance(layer, ThinLines):
            keep_shader(self._viewer, layer)
        if active is not None:
            self._viewer.layers.selection.active = active

    def take(self, name: str) -> None:
        """Take one of our layers away, if it is there."""
        layer = self._layers.pop(name, None)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def close_editing(self, reason: str) -> None:
        """Let nobody paint, and draw what is painted on no more; "" allows it again."""
        if self._opened is not None:
            self._opened.window.close_for(reason)

    def toggle_contours_only(self) -> None:
        """Show labels as outlines, or filled again."""
        layers = [self._layers.get(name) for name in _OUTLINED]
        filled = any(layer is not None and layer.contour == 0 for layer in layers)
        for layer in layers:
            if layer is not None:
                layer.contour = 1 if filled else 0
                layer.opacity = 0.9 if filled else OPACITY

    def toggle_map(self) -> None:
        """Show or hide the disagreement map: of the raters, else of the model."""
        for name, _ in MAP_LAYERS.values():
            layer = self._layers.get(name)
            if layer is not None:
                layer.visible = not layer.visible
                return

    def settle(self) -> None:
        """Do now what would come in steps."""
        for _ in self._steps:
            pass
        self._step_timer.stop()
        self.glide.settle()

    def close(self) -> None:
        """Take all layers away and let go of the session and the viewer."""
        self._timer.stop()
        self._step_timer.stop()
        self.glide.stop()
        for signal, slot in self._session_slots():
            signal.disconnect(slot)
        for emitter, slot in self._viewer_slots():
            emitter.disconnect(slot)
        self._forget()

    # --- what happens -----------------------------------------------------------

    def _session_slots(self) -> list[tuple[SignalInstance, Callable[..., None]]]:
        session = self._session
        return [
            (session.project_changed, self._on_project),
            (session.classes_changed, self._on_classes),
            (session.model_changed, self._on_model),
            (session.annotator_changed, self._on_annotator),
            (session.planned, self._on_planned),
            (session.predictions_changed, self._on_predictions),
            (session.labels_changed, self._on_labels),
        ]

    def _viewer_slots(self) -> list[tuple[Any, Callable[..., None]]]:
        camera, dims = self._viewer.scene.camera.events, self._viewer.dims.events
        return [
            (camera.center, self._on_view),
            (camera.zoom, self._on_view),
            (dims.current_step, self._on_view),
            (dims.order, self._on_view),
            (dims.ndisplay, self._on_ndisplay),
            (self._viewer.canvas.events.size, self._on_view),
        ]

    def _on_project(self, project: Project | None) -> None:
        self._forget()
        if project is None:
            return
        self._opened = ProjectLayers(
            self._viewer, self._session, project, self.visible_box
        )
        for layer in (*self._opened.images, self._opened.window.layer):
            self.put(layer)
        self._opened.window.reason_changed.connect(self.edit_reason_changed)
        self._opened.window.moved.connect(self._on_window)
        self._start(self._open_steps(self._opened))
        self._viewer.reset_view()
        self._opened.window.follow()
        self._on_window()
        self._viewer.layers.selection.active = self._opened.window.layer
        self.changed.emit()
        if self._opened.has_overview:
            self._session.notice.emit(Notice("info", FILLS_IN))

    def _on_classes(self) -> None:
        if self._opened is None:
            return
        classes = self._opened.project.classes
        self._opened.labels.set_classes(classes)
        self._opened.window.layer.colormap = class_colormap(classes)
        self._opened.contours.update()

    def _on_model(self, version: str | None) -> None:
        if self._opened is not None:
            self._show_store()

    def _on_annotator(self, name: str) -> None:
        if self._opened is not None:
            self._opened.labels.set_annotator(name)
            self._opened.window.restart()

    def _on_labels(self, box: Box | None) -> None:
        if self._opened is not None:
            self._opened.window.reload(box)
            self._opened.labels.corrected(box)

    def _on_planned(self, plan: BlocksPlanned) -> None:
        # Whoever tries failed blocks again may have mended the volume.
        if self._opened is not None and BlockState.FAILED in plan.states.values():
            self._opened.show_images_anew()

    def _on_predictions(self, box: Box | None) -> None:
        known = self._changed
        self._changed = None if box is None or known is None else (*known, box)
        if not self._timer.isActive():
            self._timer.start()

    def _on_window(self) -> None:
        if self._opened is not None:
            self._opened.labels.set_hole(self._opened.window.shown_box)

    def _on_view(self, event: object = None) -> None:
        if self._opened is not None:
            self._opened.window.update()
            self._opened.contours.update()

    def _on_ndisplay(self, event: object = None) -> None:
        # At once: napari would load the whole window to show it in 3D.
        if self._opened is not None:
            self._opened.window.follow()
            self._opened.contours.update()
            self._opened.labels.follow(self._viewer.dims.ndisplay)

    def _show_predictions(self) -> None:
        """Show what was predicted since the last time."""
        if self._opened is None:
            return
        if self._opened.window.layer.is_stroking:
            self._timer.start()
            return
        changed, self._changed = self._changed, ()
        if self._session.predictions is not self._store:
            self._start(self._store_steps(self._opened))
            return
        for box in [None] if changed is None else changed:
            self._opened.window.reload(box)
            self._opened.forget(box)
        if changed is not None and not any(map(self._is_seen, changed)):
            return
        self._opened.show_predictions()
        for name, _ in MAP_LAYERS.values():
            if (layer := self._layers.get(name)) is not None:
                layer.refresh(extent=False)

    def _is_seen(self, box: Box) -> bool:
        """Whether a box is on the screen; what is not is read when one gets there."""
        view = self.visible_box(depth=0)
        return self._viewer.dims.ndisplay == 3 or view is None or box.overlaps(view)

    def _show_store(self) -> None:
        """Exchange the prediction, its maps and its contours at once."""
        if self._opened is not None:
            self._steps = chain(self._steps, self._store_steps(self._opened))
            self.settle()

    def _start(self, steps: Iterator[None]) -> None:
        """Do this step by step, while the window goes on."""
        self._steps = chain(self._steps, steps)
        self._step_timer.start()

    def _next_step(self) -> None:
        if next(self._steps, LAST) is LAST:
            self._step_timer.stop()

    def _open_steps(self, opened: ProjectLayers) -> Iterator[None]:
        """Add the layers that lie over the image, then what was predicted."""
        for layer in opened.labels.all:
            if layer is not opened.labels.others or opened.labels.has_others:
                self.put(layer)
                yield
        yield from self._store_steps(opened)

    def _store_steps(self, opened: ProjectLayers) -> Iterator[None]:
        """Exchange them in steps: each layer that comes takes napari some 60 ms.

        They come with the model, so that none comes while it predicts.
        """
        self._store = store = self._session.predictions
        opened.labels.set_store(store)
        opened.window.restart()
        levels = opened.map_levels(store)
        for name, _ in MAP_LAYERS.values():
            yield
            layer = self._layers.get(name)
            if name not in levels:
                self.take(name)
            elif layer is not None:
                layer.data = levels[name]
            else:
                self.put(opened.map_layer(name, levels[name]))
        for name, layer in opened.contours.layers.items():
            if store is None and not opened.has_model:
                self.take(name)
            elif name not in self._layers:
                yield
                self.put(layer)
        opened.contours.update()
        self.changed.emit()

    def _forget(self) -> None:
        self._steps = iter(())
        if self._opened is not None:
            self._opened.close()
            self._opened = self._store = None
        for name in list(self._layers):
            self.take(name)
        self.changed.emit()
