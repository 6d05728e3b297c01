"""The blocks of a prediction as a map: one small plan of cells per layer of blocks.

::

    z 0      z 1      z 2          □ to do     outline, grey
    ■ ■ ■    ■ ● □    □ □ □        ● running   disc, blue
    ■ ■ ·    □ □ □    □ ✗ □        ■ done      square, green
                                   · empty     small and light
                                   ✗ failed    square, red, with a cross

Too many blocks for the room are merged: a cell then stands for 2³, 4³, … blocks and
fills from below as they are done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QEvent, QPoint, QRectF, QSize, Qt
from qtpy.QtGui import (
    QColor,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

COLORS = {
    BlockState.TODO: "#8a8f98",
    BlockState.RUNNING: "#4a8ff0",
    BlockState.DONE: "#3aa76d",
    BlockState.EMPTY: "#aab1bb",
    BlockState.FAILED: "#d64541",
}
NAMES = {
    BlockState.TODO: "to do",
    BlockState.DONE: "done",
    BlockState.EMPTY: "empty",
    BlockState.RUNNING: "running",
    BlockState.FAILED: "failed",
}
_CODES = {
    BlockState.TODO: 0,
    BlockState.DONE: 1,
    BlockState.EMPTY: 2,
    BlockState.RUNNING: 3,
    BlockState.FAILED: 4,
}
_STATES = tuple(_CODES)
_LARGEST, _SMALLEST, _MAX_HEIGHT, _GAP = 14, 6, 150, 6
_LEGEND_LINE = 16


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


class BlockMap(QWidget):
    """Shows what is known of every block.

    Signals
    -------
    clicked
        The person pressed a block; its box in voxels.
    """

    clicked = Signal(Box)

    def __init__(self) -> None:
        super().__init__()
        self._planned: BlocksPlanned | None = None
        self._states = np.zeros(0, dtype=np.uint8)
        self._is_selected = np.zeros(0, dtype=bool)
        self._shape: Zyx = (1, 1, 1)
        self._plan = plan_cells((1, 1, 1), 300)
        self._is_drawn = True
        self.reason_of: Callable[[int], str] = lambda _index: ""
        self.setToolTip("The blocks of the prediction. Click one to go there.")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._arrange()

    @property
    def counts(self) -> dict[BlockState, int]:
        """How many blocks are in each state."""
        n = np.bincount(self._states, minlength=len(_CODES))
        return {state: int(n[code]) for state, code in _CODES.items()}

    @property
    def n_blocks(self) -> int:
        """How many blocks the volume has."""
        return len(self._states)

    def set_plan(
        self,
        planned: BlocksPlanned | None,
        states: Mapping[int, BlockState],
        shape: Zyx = (1, 1, 1),
    ) -> None:
        """Show another grid; None for no grid."""
        self._planned, self._shape = planned, shape
        n_blocks = 0 if planned is None else math.prod(planned.counts)
        self._states = np.zeros(n_blocks, dtype=np.uint8)
        self._is_selected = np.zeros(n_blocks, dtype=bool)
        if planned is not None:
            self._is_selected[list(planned.selected)] = True
        for index, state in states.items():
            self._states[index] = _CODES[state]
        self.setVisible(n_blocks > 0)
        self._arrange()

    def set_state(self, index: int, state: BlockState) -> None:
        """Take the new state of one block; :meth:`draw` shows it."""
        if index < len(self._states):
            self._states[index] = _CODES[state]
            self._is_drawn = False

    def draw(self) -> None:
        """Show what has changed since the last time."""
        if not self._is_drawn:
            self._arrange()

    def state_of(self, index: int) -> BlockState:
        """Return what is shown of a block."""
        return _STATES[self._states[index]]

    def box_of(self, index: int) -> Box:
        """Return the voxels of a block."""
        assert self._planned is not None
        return BlockGrid(self._shape, self._planned.block)[index].write_box

    def blocks_in(self, cell: Zyx) -> list[int]:
        """Return the blocks that a cell stands for."""
        if self._planned is None:
            return []
        n, merged = self._planned.counts, self._plan.merged
        ranges = (
            range(c * merged, min((c + 1) * merged, count))
            for c, count in zip(cell, n, strict=True)
        )
        return [(z * n[1] + y) * n[2] + x for z, y, x in product(*ranges)]

    def text_of(self, cell: Zyx) -> str:
        """Return what the tooltip says of a cell."""
        blocks = self.blocks_in(cell)
        if len(blocks) != 1:
            counts = Counter(self.state_of(i) for i in blocks)
            parts = (f"{counts[s]} {name}" for s, name in NAMES.items() if counts[s])
            return f"{len(blocks)} blocks: {', '.join(parts)}"
        index = blocks[0]
        text = f"block {index} · {self.box_of(index)} · {NAMES[self.state_of(index)]}"
        if self.state_of(index) is BlockState.FAILED:
            text = f"{text}\n{self.reason_of(index)}".rstrip()
        return text

    # --- Qt ----------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return the height that all cells and the legend need."""
        return QSize(300, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Find the cells that fit."""
        self._arrange()

    def event(self, event: QEvent | None) -> bool:
        """Show the tooltip of the block under the mouse."""
        if isinstance(event, QHelpEvent):
            cell = self._cell_at(event.pos())
            text = self.toolTip() if cell is None else self.text_of(cell)
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to the block that was pressed."""
        cell = None if event is None else self._cell_at(event.position().toPoint())
        if cell is not None and (blocks := self.blocks_in(cell)):
            self.clicked.emit(self.box_of(blocks[len(blocks) // 2]))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw all cells and the legend."""
        if self._planned is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        side = self._plan.side
        shares, wanted = self._shares(), self._merged(self._is_selected) > 0
        for cell in product(*(range(n) for n in self._plan.cells)):
            left, top = self._plan.corner(cell)
            share = {state: float(part[cell]) for state, part in shares.items()}
            # Fainter: to do, but not what the last run was asked for.
            is_faint = share[BlockState.TODO] == 1 and not wanted[cell]
            painter.setOpacity(0.4 if is_faint else 1.0)
            draw_cell(painter, QRectF(left, top, side, side), share)
        painter.setOpacity(1.0)
        painter.setPen(self.palette().windowText().color())
        for left, top, state, text in self._legend():
            draw_state(painter, QRectF(left, top + 2, 12, 12), state)
            painter.setPen(self.palette().windowText().color())
            painter.drawText(left + 16, top + 12, text)
        painter.end()

    def _shares(self) -> dict[BlockState, np.ndarray]:
        """Return per state which part of each cell's blocks is in it."""
        whole = self._merged(np.ones_like(self._is_selected))
        return {
            state: self._merged(self._states == code) / whole
            for state, code in _CODES.items()
        }

    def _merged(self, flags: np.ndarray) -> np.ndarray:
        """Count the blocks with a flag per cell."""
        assert self._planned is not None
        merged, cells = self._plan.merged, self._plan.cells
        grid = flags.reshape(self._planned.counts).astype(np.float32)
        after = [
            (0, c * merged - n)
            for c, n in zip(cells, self._planned.counts, strict=True)
        ]
        padded = np.pad(grid, after)
        z, y, x = cells
        parts = padded.reshape(z, merged, y, merged, x, merged)
        counted: np.ndarray = parts.sum(axis=(1, 3, 5))
        return counted

    def _cell_at(self, point: QPoint) -> Zyx | None:
        if self._planned is None:
            return None
        return self._plan.cell_at(point.x(), point.y())

    def _arrange(self) -> None:
        self._is_drawn = True
        if self._planned is None:
            self.setFixedHeight(0)
            return
        self._plan = plan_cells(self._planned.counts, max(self.width(), 60))
        below = self._legend()
        lines = (below[-1][1] - self._plan.height) // _LEGEND_LINE + 1 if below else 0
        height = self._plan.height + lines * _LEGEND_LINE + 6
        if height != self.minimumHeight():
            self.setFixedHeight(height)
        self.update()

    def _legend(self) -> list[tuple[int, int, BlockState, str]]:
        """Return left, top, state and text of every entry, wrapped to the width."""
        metrics = self.fontMetrics()
        left, top = 0, self._plan.height + 5
        entries = []
        for state, count in self.counts.items():
            if not count and state not in (BlockState.DONE, BlockState.TODO):
                continue
            text = f"{count:,} {NAMES[state]}"
            width = 16 + metrics.horizontalAdvance(text) + 10
            if left and left + width > max(self.width(), 60):
                left, top = 0, top + _LEGEND_LINE
            entries.append((left, top, state, text))
            left += width
        return entries


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
    elif not share[BlockState.TODO]:
        draw_state(painter, place, BlockState.DONE)
    else:
        draw_state(painter, place, BlockState.TODO)
        draw_share(painter, place, 1 - share[BlockState.TODO])


def draw_state(painter: QPainter, place: QRectF, state: BlockState) -> None:
    """Draw the sign of a state: told apart by shape as well as by colour."""
    color = QColor(COLORS[state])
    inner = place.adjusted(1.5, 1.5, -1.5, -1.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    match state:
        case BlockState.TODO:
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
