"""The line between two sides of the canvas, which is dragged; a name on either side.

::

    ┌──────────────────────────────────┐
    │      v1 · in use ┃ v2 · candidate│
    │                  ┃               │   the line lies over the canvas and takes the
    │                 ‹┃›              │   mouse where it is; beside it the canvas is
    │                  ┃               │   moved, zoomed and turned as ever
    └──────────────────────────────────┘
"""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QLabel, QWidget

LEFT, RIGHT, BOTH = "left", "right", "both"
_GRIP_PX, _TOP, _GAP = 22, 12, 10
_LEAST, _MOST = 0.03, 0.97
_DOT = " · "
_TIP = "Drag: one version to the left of the line, the other to the right."
_NAME = """QLabel { background: rgba(20, 22, 26, 190); color: white; padding: 3px 8px;
    border-radius: 4px; font-size: 10pt; font-weight: 600; }"""


class Divider(QObject):
    """Line and names over a canvas, for as long as two versions are compared.

    Signals
    -------
    moved
        The line is elsewhere, or the canvas has another size.
    """

    moved = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.share, self.shown = 0.5, BOTH
        self.line = _Line(canvas)
        self.line.dragged.connect(self._on_drag)
        self.names = {side: _name(canvas) for side in (LEFT, RIGHT)}
        self._texts = {LEFT: ("", ""), RIGHT: ("", "")}
        canvas.installEventFilter(self)
        self._place()

    def set_names(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Say which version is seen on either side, and what is to be said of it."""
        self._texts = {LEFT: left, RIGHT: right}
        self._place()

    def show_side(self, shown: str) -> None:
        """Show both sides and the line between them, or one of them alone."""
        self.shown = shown
        self._place()
        self.moved.emit()

    @property
    def edge(self) -> float:
        """Where the left side ends, in pixels of the canvas."""
        width = self._canvas.width()
        return {LEFT: float(width), RIGHT: 0.0}.get(self.shown, self.share * width)

    def remove(self) -> None:
        """Take line and names away."""
        self._canvas.removeEventFilter(self)
        for part in (self.line, *self.names.values()):
            part.hide()
            part.setParent(None)
            part.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the line where it is when the canvas becomes larger or smaller."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._place()
            self.moved.emit()
        return False

    def _on_drag(self, x: float) -> None:
        share = x / max(self._canvas.width(), 1)
        self.share = min(max(share, _LEAST), _MOST)
        self._place()
        self.moved.emit()

    def _place(self) -> None:
        width, height = self._canvas.width(), self._canvas.height()
        x = round(self.share * width)
        self.line.setGeometry(x - _GRIP_PX // 2, 0, _GRIP_PX, height)
        self.line.setVisible(self.shown == BOTH)
        for side, start, stop in ((LEFT, 0, self.edge), (RIGHT, self.edge, width)):
            self._place_name(side, round(start) + _GAP, round(stop) - _GAP)

    def _place_name(self, side: str, start: int, stop: int) -> None:
        """Write a name beside the line; the version alone where that is narrow."""
        name, room, version = self.names[side], stop - start, self._texts[side][0]
        whole = _DOT.join(self._texts[side])
        metrics = name.fontMetrics()
        frame = name.sizeHint().width() - metrics.horizontalAdvance(name.text())
        has_room = metrics.horizontalAdvance(whole) + frame <= room
        name.setText(whole if has_room else version)
        name.adjustSize()
        x = round(self.share * self._canvas.width())
        x = x - _GAP - name.width() if side == LEFT else x + _GAP
        name.move(max(start, min(x, stop - name.width())), _TOP)
        name.setVisible(bool(version) and name.width() <= room)


class _Line(QWidget):
    """The line with its grip; a drag says at which pixel of the canvas it is."""

    dragged = Signal(float)

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setToolTip(_TIP)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take the mouse: the canvas below does not move."""
        if event is not None:
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        if event is not None:
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the mouse."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.dragged.emit(self.x() + event.position().x())
            event.accept()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the line, dark at its edges to be seen on any image, and the grip."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, height = self.width() / 2, self.height()
        painter.fillRect(QRectF(middle - 2, 0, 4, height), QColor(0, 0, 0, 140))
        painter.fillRect(QRectF(middle - 1, 0, 2, height), QColor("white"))
        centre = QPointF(middle, height / 2)
        painter.setPen(QPen(QColor(0, 0, 0, 140), 1))
        painter.setBrush(QColor("white"))
        painter.drawEllipse(centre, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#30343c"))
        for way in (-1, 1):
            points = ((3 * way, -4), (3 * way, 4), (7 * way, 0))
            tip = [QPointF(centre.x() + x, centre.y() + y) for x, y in points]
            painter.drawPolygon(QPolygonF(tip))


def _name(canvas: QWidget) -> QLabel:
    name = QLabel(canvas)
    name.setTextFormat(Qt.TextFormat.PlainText)
    name.setStyleSheet(_NAME)
    name.ensurePolished()  # its font says how long a text is
    # The mouse goes through: below a name the canvas can be moved, too.
    name.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return name
