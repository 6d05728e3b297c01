"""Two small views along the other axes, which follow the canvas."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.errors import UnetsegError
from napari_unetseg.viewer.class_colormap import class_colors
from napari_unetseg.viewer.panels.panel import Connections
from napari_unetseg.viewer.side_planes import SidePlane, picture, side_planes
from napari_unetseg.viewer.visible_box import hidden_axis

if TYPE_CHECKING:
    from napari_unetseg.viewer.panels.panel import Parts

HEIGHT = 130
_RATIO = 0.4  # height of a picture as a share of its width
_DELAY_MS, _POLL_MS = 120, 30
_LINE = QColor(255, 255, 255, 110)
_LOG = logging.getLogger(__name__)
_TIP = "Click to go there."


class SideView(QWidget):
    """One plane; where the canvas is, is marked by two lines.

    Signals
    -------
    clicked
        The voxel that was clicked, zyx.
    """

    clicked = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setToolTip(_TIP)
        self.plane: SidePlane | None = None
        self._image: QImage | None = None

    def show_plane(self, plane: SidePlane, rgb: np.ndarray) -> None:
        """Show a picture (down, across, 3) of a plane."""
        self.plane = plane
        height, width = rgb.shape[:2]
        kind = QImage.Format.Format_RGB888
        # The copy has its own pixels: the first one only points into the array.
        self._image = QImage(rgb.tobytes(), width, height, 3 * width, kind).copy()
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.plane = self._image = None
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the picture, the lines and the names of the axes."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        if self._image is None or self.plane is None:
            return
        frame = self._frame(self.plane)
        painter.drawImage(frame, self._image)
        across, down = self.plane.place
        painter.setPen(QPen(_LINE))
        x = frame.left() + across * frame.width()
        y = frame.top() + down * frame.height()
        painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
        painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
        painter.setPen(QColor("white"))
        name = f"{'zyx'[self.plane.across]}–{'zyx'[self.plane.down]}"
        painter.drawText(6, 16, name)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Say which voxel was clicked."""
        if event is None or self.plane is None:
            return
        if event.button() == Qt.MouseButton.LeftButton:
            at, frame = event.position(), self._frame(self.plane)
            across = (at.x() - frame.left()) / frame.width()
            down = (at.y() - frame.top()) / frame.height()
            self.clicked.emit(self.plane.voxel_at(across, down))

    def _frame(self, plane: SidePlane) -> QRectF:
        """Return where the picture is drawn: as large as fits, not distorted."""
        width = min(self.width(), self.height() / plane.aspect)
        height = width * plane.aspect
        left, top = (self.width() - width) / 2, (self.height() - height) / 2
        return QRectF(left, top, width, height)


class SideViews(QWidget):
    """The two planes; read in a thread, and only while somebody sees them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._viewer, self._session = parts.viewer, parts.session
        self._layers = parts.layers
        self.views = (SideView(), SideView())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for view in self.views:
            column.addWidget(view)
            view.clicked.connect(self._layers.centre_on)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="unetseg-side")
        self._reading: Future[list[tuple[SidePlane, np.ndarray]]] | None = None
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_DELAY_MS)
        self._delay.timeout.connect(self._read)
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL_MS)
        self._poll.timeout.connect(self._collect)
        self._connections = Connections()
        session = self._session
        for signal in (session.labels_changed, session.predictions_changed,
                       session.project_changed, session.model_changed):  # fmt: skip
            self._connections.add(signal, self.follow)
        for emitter in self._what_moves():
            emitter.connect(self.follow)

    def follow(self, *_: object) -> None:
        """Show where the canvas is now, soon."""
        if self.isVisible():
            self._delay.start()

    def close_views(self) -> None:
        """Let go of viewer and session."""
        self._delay.stop()
        self._poll.stop()
        self._connections.close()
        for emitter in self._what_moves():
            emitter.disconnect(self.follow)
        self._reader.shutdown(cancel_futures=True)

    def _what_moves(self) -> tuple[Any, ...]:
        camera, dims = self._viewer.scene.camera.events, self._viewer.dims.events
        return camera.center, camera.zoom, dims.current_step, dims.order

    def _read(self) -> None:
        if self._reading is not None:
            self._delay.start()  # one after the other
            return
        planes = self._planes()
        project = self._session.project
        if project is None or not planes:
            for view in self.views:
                view.clear()
            return
        draw = partial(
            picture,
            volume=project.volume,
            corrections=project.corrections,
            predictions=self._session.predictions,
            annotator=self._session.annotator,
            limits=self._layers.contrast_limits,
            colors=class_colors(project.classes),
        )
        self._reading = self._reader.submit(
            lambda: [(plane, draw(plane)) for plane in planes]
        )
        self._poll.start()

    def _collect(self) -> None:
        if self._reading is None or not self._reading.done():
            return
        self._poll.stop()
        reading, self._reading = self._reading, None
        try:
            pictures = reading.result()
        except (UnetsegError, OSError) as error:
            _LOG.info("the side views cannot be read: %s", error)
            return
        for view, (plane, rgb) in zip(self.views, pictures, strict=False):
            view.show_plane(plane, rgb)

    def _planes(self) -> tuple[SidePlane, ...]:
        hidden, view = hidden_axis(self._viewer), self._layers.visible_box(depth=0)
        project = self._session.project
        if project is None or hidden is None or view is None or view.is_empty:
            return ()
        return side_planes(
            view,
            self._layers.point,
            hidden,
            shape=project.volume.shape,
            voxel_size=project.volume.voxel_size,
            height=_RATIO,
        )
