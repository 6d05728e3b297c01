"""How blocks are laid out as cells, and the sign of every state.

::

    z 0      z 1      z 2          □ to do     outline, grey
    ■ ■ ■    ■ ● □    □ □ □        ● running   disc, blue
    ■ ■ ·    □ □ □    □ ✗ □        ■ done      square, green
                                   · empty     small and light
                                   ✗ failed    square, red, with a cross
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen

from napari_unetseg.events import BlockState
from napari_unetseg.geometry import Zyx, zyx

COLORS = {
    BlockState.PENDING: "#8a8f98",
    BlockState.RUNNING: "#4a8ff0",
    BlockState.DONE: "#3aa76d",
    BlockState.EMPTY: "#aab1bb",
    BlockState.FAILED: "#d64541",
}
_LARGEST, _SMALLEST, _MAX_HEIGHT, _GAP = 14, 6, 150, 6


@dataclass(frozen=True)
class Plan:
    """Where the cells are drawn.

    Attributes
    ----------
    cells
        Cells along z, y, x.
    merged
        Blocks per cell along each axis.
    side
        Pixels of a cell.
    per_row
        Layers side by side.
    """

    cells: Zyx
    merged: int
    side: int
    per_row: int

    @property
    def height(self) -> int:
        """Pixels of all layers together."""
        rows = -(-self.cells[0] // self.per_row)
        return rows * (self.cells[1] * self.side + _GAP) - _GAP

    def corner(self, cell: Zyx) -> tuple[int, int]:
        """Return the pixel where a cell begins."""
        z, y, x = cell
        row, column = divmod(z, self.per_row)
        return (
            column * (self.cells[2] * self.side + _GAP) + x * self.side,
            row * (self.cells[1] * self.side + _GAP) + y * self.side,
        )

    def cell_at(self, left: int, top: int) -> Zyx | None:
        """Return the cell under a pixel."""
        width = self.cells[2] * self.side + _GAP
        height = self.cells[1] * self.side + _GAP
        column, x = left // width, left % width // self.side
        row, y = top // height, top % height // self.side
        z = row * self.per_row + column
        inside = column < self.per_row and x < self.cells[2] and y < self.cells[1]
        return (z, y, x) if inside and 0 <= z < self.cells[0] else None


def plan_cells(counts: Zyx, width: int) -> Plan:
    """Return the largest cells that fit, merging blocks if they would be too small."""
    merged = 1
    while True:
        cells = zyx(-(-n // merged) for n in counts)
        for side in range(_LARGEST, _SMALLEST - 1, -1):
            if cells[2] * side > width:
                continue
            per_row = (width + _GAP) // (cells[2] * side + _GAP)
            plan = Plan(cells, merged, side, max(1, min(per_row, cells[0])))
            if plan.height <= _MAX_HEIGHT:
                return plan
        merged *= 2


def draw_cell(
    painter: QPainter, place: QRectF, share: Mapping[BlockState, float]
) -> None:
    """Draw a cell by the shares of its blocks: what is urgent wins."""
    for state in (BlockState.FAILED, BlockState.RUNNING):
        if share[state]:
            draw_state(painter, place, state)
            return
    if share[BlockState.EMPTY] == 1:
        draw_state(painter, place, BlockState.EMPTY)
    elif not share[BlockState.PENDING]:
        draw_state(painter, place, BlockState.DONE)
    else:
        draw_state(painter, place, BlockState.PENDING)
        draw_share(painter, place, 1 - share[BlockState.PENDING])


def draw_state(painter: QPainter, place: QRectF, state: BlockState) -> None:
    """Draw the sign of a state: told apart by shape as well as by colour."""
    color = QColor(COLORS[state])
    inner = place.adjusted(1.5, 1.5, -1.5, -1.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    match state:
        case BlockState.PENDING:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(color, 1))
            painter.drawRect(inner)
        case BlockState.RUNNING:
            painter.drawEllipse(inner)
        case BlockState.EMPTY:
            third = place.width() * 0.34
            painter.drawEllipse(place.adjusted(third, third, -third, -third))
        case BlockState.DONE:
            painter.drawRect(place.adjusted(1, 1, -1, -1))
        case BlockState.FAILED:
            painter.drawRect(place.adjusted(1, 1, -1, -1))
            painter.setPen(QPen(QColor("white"), max(1.0, place.width() / 8)))
            cross = place.adjusted(3, 3, -3, -3)
            painter.drawLine(cross.topLeft(), cross.bottomRight())
            painter.drawLine(cross.topRight(), cross.bottomLeft())


def draw_share(painter: QPainter, place: QRectF, share: float) -> None:
    """Fill a cell from below as far as its blocks are done."""
    if share <= 0:
        return
    inner = place.adjusted(2, 2, -2, -2)
    inner.setTop(inner.bottom() - inner.height() * share)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(COLORS[BlockState.DONE]))
    painter.drawRect(inner)
