"""A hand that uses the window as a person does: with mouse and key events.

The demo and the tests share it, so what they show is what a person can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy import QtTest
from qtpy.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from napari import Viewer

# PyQt's stubs take its static methods for bound ones.
QTest: Any = QtTest.QTest
_LEFT = Qt.MouseButton.LeftButton
_PLAIN = Qt.KeyboardModifier.NoModifier
SETTLE_MS = 30


class TookTooLongError(TimeoutError):
    """Something that was waited for did not happen."""


class Hand:
    """Mouse and keyboard over one napari window."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._canvas = viewer.window._qt_viewer.canvas  # noqa: SLF001

    @property
    def canvas(self) -> QWidget:
        """The widget that shows the volume."""
        native: QWidget = self._canvas.native
        return native

    def position(self, world: Sequence[float]) -> QPoint:
        """Return the pixel of the canvas where a point of the shown slice is drawn.

        Parameters
        ----------
        world
            World coordinates of the point, zyx.
        """
        view = self._canvas.view
        shown = [world[axis] for axis in self._viewer.dims.displayed[-2:]]
        mapped = (view.transform * view.scene.transform).map(shown[::-1])
        x, y = np.asarray(mapped)[:2] / np.asarray(mapped)[3]
        return QPoint(round(float(x)), round(float(y)))

    def click(
        self,
        world: Sequence[float],
        modifiers: Qt.KeyboardModifier = _PLAIN,
    ) -> None:
        """Click on a point of the shown slice."""
        self.drag([world], modifiers)

    def move(self, world: Sequence[float]) -> None:
        """Move the mouse to a point of the shown slice, no button pressed."""
        QTest.mouseMove(self.canvas, self.position(world))
        self.rest()

    def drag(
        self,
        points: Sequence[Sequence[float]],
        modifiers: Qt.KeyboardModifier = _PLAIN,
    ) -> None:
        """Press at the first point, move along the others, release at the last."""
        pixels = [self.position(point) for point in points]
        QTest.mouseMove(self.canvas, pixels[0])
        self.rest()
        QTest.mousePress(self.canvas, _LEFT, modifiers, pixels[0])
        for pixel in pixels[1:]:
            QTest.mouseMove(self.canvas, pixel)
            self.rest(1)
        QTest.mouseRelease(self.canvas, _LEFT, modifiers, pixels[-1])
        self.rest()

    def roll(
        self,
        world: Sequence[float],
        steps: int,
        modifiers: Qt.KeyboardModifier = _PLAIN,
    ) -> None:
        """Turn the wheel over a point by this many notches, away if positive."""
        pixel = QPointF(self.position(world))
        turned = QWheelEvent(
            pixel,
            QPointF(self.canvas.mapToGlobal(pixel.toPoint())),
            QPoint(),
            QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton,
            modifiers,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.canvas, turned)
        self.rest()

    def press(
        self,
        key: Qt.Key,
        modifiers: Qt.KeyboardModifier = _PLAIN,
        *,
        pause_ms: int = SETTLE_MS,
    ) -> None:
        """Type a key while the canvas has the focus."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifiers)
        self.rest(pause_ms)

    def push(self, widget: QWidget) -> None:
        """Click in the middle of a button or another control."""
        QTest.mouseClick(widget, _LEFT, _PLAIN, widget.rect().center())
        self.rest()

    def type(self, widget: QWidget, text: str) -> None:
        """Type a text into a field."""
        widget.setFocus()
        QTest.keyClicks(widget, text)
        self.rest()

    def rest(self, milliseconds: int = SETTLE_MS) -> None:
        """Let the window work off its events, for at least this long."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()
        QApplication.processEvents()

    def wait_until(
        self, happened: Callable[[], bool], *, what: str, seconds: float = 60.0
    ) -> None:
        """Keep the window going until something has happened.

        Raises
        ------
        TookTooLongError
            If it has not within ``seconds``.
        """
        end = monotonic() + seconds
        while not happened():
            if monotonic() > end:
                raise TookTooLongError(f"Waited {seconds:g} s in vain for {what}.")
            self.rest(20)
