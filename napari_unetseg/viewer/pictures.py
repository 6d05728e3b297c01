"""Arrays of grey values as small pictures with a coloured frame."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap

_SIDE, _FRAME = 80, 4  # twice as sharp as they are drawn


def grey_icon(values: np.ndarray, color: str | None = None) -> QIcon:
    """Return grey values, uint8 (y, x), as a picture; framed in a colour if given."""
    height, width = values.shape
    kind = QImage.Format.Format_Grayscale8
    image = QImage(values.tobytes(), width, height, width, kind)
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.black)
    painter = QPainter(pixmap)
    painter.drawImage(QRectF(0, 0, _SIDE, _SIDE), image)
    if color is not None:
        painter.setPen(QPen(QColor(color), _FRAME))
        painter.drawRect(QRectF(_FRAME / 2, _FRAME / 2, _SIDE - _FRAME, _SIDE - _FRAME))
    painter.end()
    return QIcon(pixmap)
