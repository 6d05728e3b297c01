"""The window of labels that can be edited, kept over what the canvas shows.

napari draws a single-scale layer by whole planes, so it gets a part of the volume::

    volume  ┌──────────────────────────────┐
            │      ┌─────────────┐ window  │    whole chunks, at most about 2048 wide
            │      │  ┌───────┐  │         │
            │      │  │ view  │  │         │    the view left the window: the window
            │      │  └───────┘  │         │    moves, never during a stroke
            │      └─────────────┘         │
            └──────────────────────────────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.viewer.editable import EditableLabels
from napari_unetseg.viewer.visible_box import hidden_axis, visible_box

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.data.composite import CompositeLabels

MAX_SIDE = 2048
ZOOM_IN = "Zoom in to edit."
NOT_IN_3D = "Go back to the 2D view to edit."
CLOSED = "Open a volume or a project first."
NOT_IN_VIEW = "Move the volume into view to edit."
_DEPTH = 8
_CHUNK = (16, 128, 128)
_DELAY_MS = 120


class EditWindow:
    """The editable layer and where it is.

    Signals
    -------
    moved
        The box of the window, or whether it is shown, has changed.
    reason_changed
        Why nothing can be edited now; "" if it can.
    """

    moved = Signal()
    reason_changed = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        shape: Zyx,
        options: dict[str, Any],
    ) -> None:
        self._viewer, self._session, self._shape = viewer, session, shape
        self._voxel_size = np.asarray(options["scale"])
        self._origin = np.asarray(options["translate"])
        self._hidden_here = False
        self._committing = False
        self._closed_for = ""
        self.reason = NOT_IN_VIEW
        self.window = _window_around(Box((0, 0, 0), (1, 1, 1)), (), shape)
        self.data: CompositeLabels = session.composite(self.window)
        self.layer = EditableLabels(self.data, **options)
        self.layer.stroke_done.connect(self._commit)
        self.layer.undo_wanted.connect(session.undo)
        self.layer.redo_wanted.connect(session.redo)
        self.layer.events.visible.connect(self._on_visible)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self.follow)

    @property
    def shown_box(self) -> Box | None:
        """What this layer draws, None while it draws nothing."""
        return self.window if self.layer.visible else None

    def update(self, event: object = None) -> None:
        """Follow the view soon; many calls in a row cost one move."""
        self._timer.start()

    def follow(self) -> None:
        """Move the window if the view left it; wait while a stroke is under way."""
        if self.layer.is_stroking:
            self._timer.start()
            return
        view, reason = self._view_and_reason()
        if not reason and not self.window.contains(view):
            self._move(_window_around(view, self._viewer.dims.displayed, self._shape))
        self._set_reason(reason)

    def reload(self, box: Box | None = None) -> None:
        """Show labels that changed elsewhere; None for all of them."""
        if self._committing:
            return
        if box is None:
            self.data.reload()
        elif box.overlaps(self.window):
            self.data.reload(box.intersection(self.window))
        if box is None or box.overlaps(self._drawn):
            self.layer.refresh(extent=False)

    def close_for(self, reason: str) -> None:
        """Step back, as something else is looked at; "" brings it again."""
        self._closed_for = reason
        self.follow()

    def restart(self) -> None:
        """Show the labels of another annotator or model."""
        self._move(self.window)
        self.follow()

    def close(self) -> None:
        """Let go of the session; nothing can be edited any more."""
        self._timer.stop()
        # A layer that goes while it paints would leave its brush circle on the canvas.
        self.reason = CLOSED
        self.layer.mode = "pan_zoom"
        self.layer.stroke_done.disconnect()
        self.layer.undo_wanted.disconnect()
        self.layer.redo_wanted.disconnect()

    @property
    def _drawn(self) -> Box:
        """What napari draws: of the window, the whole plane, seen or not."""
        hidden = hidden_axis(self._viewer)
        start, stop = list(self.window.start), list(self.window.stop)
        if hidden is not None:
            view = self._view
            start[hidden], stop[hidden] = view.start[hidden], view.stop[hidden]
        return Box(zyx(start), zyx(stop))

    @property
    def _view(self) -> Box:
        return visible_box(
            self._viewer, self._shape, self._voxel_size, origin=self._origin, depth=0
        )

    def _view_and_reason(self) -> tuple[Box, str]:
        view = self._view
        if self._viewer.dims.ndisplay == 3:
            return view, NOT_IN_3D
        if self._closed_for:
            return view, self._closed_for
        if refused := self._session.why_not("edit"):
            return view, refused
        if view.is_empty:
            return view, NOT_IN_VIEW
        if max(view.shape) > MAX_SIDE:
            return view, ZOOM_IN
        return view, ""

    def _move(self, window: Box) -> None:
        self.window = window
        self.data = self._session.composite(window)
        corner = np.asarray(window.start) * self._voxel_size + self._origin
        self.layer.show_window(self.data, corner)
        self.moved.emit()

    def _set_reason(self, reason: str) -> None:
        # Out of reach means not drawn: the pyramid below shows the same labels. While
        # the layer comes and goes napari changes its mode; a reason stands meanwhile.
        before, self.reason = self.reason, reason or self.reason
        unreachable = reason in (NOT_IN_3D, ZOOM_IN) or bool(self._closed_for)
        if unreachable and self.layer.visible:
            self._hidden_here = True
            self.layer.visible = False
        elif not unreachable and self._hidden_here:
            self._hidden_here = False
            self.layer.visible = True
        self.layer.editable = not reason
        self.reason = reason
        if reason != before:
            self.reason_changed.emit(reason)

    def _commit(self) -> None:
        if not self.data.has_pending:
            return
        self._committing = True
        try:
            mode = str(self.layer.mode)
            follow = self.layer.brush.follows and mode in ("paint", "erase")
            self._session.commit(self.data, _tool_name(mode), follow=follow)
        finally:
            self._committing = False
        if follow:
            self.layer.refresh(extent=False)

    def _on_visible(self, event: object = None) -> None:
        self.moved.emit()


def _tool_name(mode: str) -> str:
    return {"paint": "brush", "erase": "eraser"}.get(mode, mode)


def _window_around(view: Box, displayed: tuple[int, ...], shape: Zyx) -> Box:
    """Return whole chunks around a view, with room to pan and slices to scroll."""
    first_axis = max(displayed, default=2) - 2
    margin = [
        n // 8 if axis + first_axis in displayed else _DEPTH
        for axis, n in enumerate(view.shape)
    ]
    return view.grown(zyx(margin)).aligned(_CHUNK).clipped(shape)
