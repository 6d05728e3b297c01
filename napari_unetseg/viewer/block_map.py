"""The blocks of a prediction as a map: one small plan of cells per layer of blocks.

Too many blocks for the room are merged: a cell then stands for 2³, 4³, … blocks and
fills from below as they are done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QEvent, QPoint, QRectF, QSize
from qtpy.QtGui import (
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx
from napari_unetseg.viewer.block_cells import draw_cell, draw_state, plan_cells

NAMES = {
    BlockState.PENDING: "to do",
    BlockState.DONE: "done",
    BlockState.EMPTY: "empty",
    BlockState.RUNNING: "running",
    BlockState.FAILED: "failed",
}
_CODES = {
    BlockState.PENDING: 0,
    BlockState.DONE: 1,
    BlockState.EMPTY: 2,
    BlockState.RUNNING: 3,
    BlockState.FAILED: 4,
}
_STATES: tuple[BlockState, ...] = tuple(_CODES)
_LEGEND_LINE = 16


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
        return _STATES[int(self._states[index])]

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
        for place in product(*(range(n) for n in self._plan.cells)):
            cell = zyx(place)
            left, top = self._plan.corner(cell)
            share = {state: float(part[cell]) for state, part in shares.items()}
            # Fainter: to do, but not what the last run was asked for.
            is_faint = share[BlockState.PENDING] == 1 and not wanted[cell]
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
            if not count and state not in (BlockState.DONE, BlockState.PENDING):
                continue
            text = f"{count:,} {NAMES[state]}"
            width = 16 + metrics.horizontalAdvance(text) + 10
            if left and left + width > max(self.width(), 60):
                left, top = 0, top + _LEGEND_LINE
            entries.append((left, top, state, text))
            left += width
        return entries
