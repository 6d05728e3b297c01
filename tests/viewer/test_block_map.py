from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QRectF, Qt
from qtpy.QtGui import QImage, QPainter

from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.block_cells import draw_cell, draw_state, plan_cells
from napari_unetseg.viewer.block_map import BlockMap

pytestmark = pytest.mark.gui
PLAN = BlocksPlanned((2, 2, 3), (8, 16, 16), tuple(range(12)))
SHAPE = (16, 32, 40)


@pytest.fixture
def blocks(qtbot: QtBot) -> BlockMap:
    blocks = BlockMap()
    qtbot.addWidget(blocks)
    blocks.resize(300, 100)
    blocks.set_plan(PLAN, {0: BlockState.DONE, 5: BlockState.FAILED}, SHAPE)
    blocks.show()
    return blocks


def drawn(state: BlockState) -> np.ndarray:
    """The sign of a state as grey values: what is left without any colour."""
    image = QImage(14, 14, QImage.Format.Format_Grayscale8)
    image.fill(40)
    painter = QPainter(image)
    draw_state(painter, QRectF(0, 0, 14, 14), state)
    painter.end()
    return pixels(image)


def pixels(image: QImage) -> np.ndarray:
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    flat = np.frombuffer(bits, dtype=np.uint8).reshape(image.height(), -1)
    return flat[:, : image.width()].astype(float)


def test_states_differ_in_shape_not_only_in_colour(qtbot: QtBot) -> None:
    signs = {state: drawn(state) for state in BlockState}
    inked = {state: np.abs(sign - 40) > 25 for state, sign in signs.items()}
    for one, other in combinations(BlockState, 2):
        differing = (inked[one] != inked[other]).sum()
        if {one, other} == {BlockState.DONE, BlockState.FAILED}:
            # the same square; the cross inside tells them apart
            differing = (np.abs(signs[one] - signs[other]) > 60).sum()
        assert differing >= 8, (one, other)


@given(
    counts=st.tuples(*[st.integers(1, 60)] * 3),
    width=st.integers(200, 500),
)
def test_all_cells_fit(counts: tuple[int, int, int], width: int) -> None:
    plan = plan_cells(counts, width)
    assert plan.height <= 150
    assert all(c * plan.merged >= n for c, n in zip(plan.cells, counts, strict=True))
    last = tuple(n - 1 for n in plan.cells)
    left, top = plan.corner(last)
    assert left + plan.side <= width
    assert plan.cell_at(left + 1, top + 1) == last


def test_counts_know_the_blocks_that_nobody_named(blocks: BlockMap) -> None:
    assert blocks.counts[BlockState.PENDING] == 10
    assert blocks.counts[BlockState.DONE] == 1
    blocks.set_state(1, BlockState.RUNNING)
    assert blocks.counts[BlockState.RUNNING] == 1
    assert blocks.n_blocks == 12


def test_the_tooltip_names_the_block_and_why_it_failed(blocks: BlockMap) -> None:
    blocks.reason_of = {5: "A chunk is missing."}.__getitem__
    assert blocks.text_of((0, 0, 0)) == "block 0 · z 0:8 y 0:16 x 0:16 · done"
    assert blocks.text_of((0, 1, 2)).endswith("failed\nA chunk is missing.")
    assert "x 32:40" in blocks.text_of((0, 1, 2))


def test_a_click_says_which_box(blocks: BlockMap, qtbot: QtBot) -> None:
    boxes: list[Box] = []
    blocks.clicked.connect(boxes.append)
    left, top = blocks._plan.corner((1, 0, 1))
    qtbot.mouseClick(blocks, Qt.MouseButton.LeftButton, pos=QPoint(left + 3, top + 3))
    assert boxes == [Box((8, 0, 16), (16, 16, 32))]


def test_no_plan_takes_no_room(blocks: BlockMap) -> None:
    assert blocks.height() > 0
    blocks.set_plan(None, {})
    assert blocks.n_blocks == 0
    assert blocks.isHidden()


def test_many_blocks_are_merged_and_still_told(blocks: BlockMap) -> None:
    n = 40 * 60 * 60
    plan = BlocksPlanned((40, 60, 60), (8, 8, 8), tuple(range(n)))
    blocks.set_plan(plan, {0: BlockState.FAILED, 1: BlockState.DONE}, (320, 480, 480))
    merged = blocks._plan.merged
    assert merged > 1
    text = blocks.text_of((0, 0, 0))
    assert text == f"{merged**3} blocks: {merged**3 - 2} to do, 1 done, 1 failed"
    shares = blocks._shares()
    assert shares[BlockState.FAILED][0, 0, 0] == pytest.approx(1 / merged**3)
    assert sum(part[-1, -1, -1] for part in shares.values()) == pytest.approx(1)


def test_a_cell_fills_from_below_as_its_blocks_are_done(qtbot: QtBot) -> None:
    image = QImage(12, 12, QImage.Format.Format_Grayscale8)
    image.fill(0)
    painter = QPainter(image)
    share = dict.fromkeys(BlockState, 0.0)
    share |= {BlockState.DONE: 0.5, BlockState.PENDING: 0.5}
    draw_cell(painter, QRectF(0, 0, 12, 12), share)
    painter.end()
    column = pixels(image)[:, 6]
    assert column[8] > 60
    assert column[4] == 0


def test_what_changed_is_painted(blocks: BlockMap) -> None:
    before = blocks.grab().toImage()
    blocks.set_state(3, BlockState.RUNNING)
    blocks.draw()
    assert blocks.grab().toImage() != before
