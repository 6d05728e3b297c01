from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.events import nobody_looks
from napari_unetseg.geometry import BlockGrid
from napari_unetseg.inference.order import nearest_first

LINE = BlockGrid((1, 1, 70), (1, 1, 10))
EVERY = tuple(range(7))


def test_without_anybody_the_middle_comes_first() -> None:
    order = [block.index for block in nearest_first(LINE, EVERY, nobody_looks)]
    assert order == [3, 2, 4, 1, 5, 0, 6]
    order = [block.index for block in nearest_first(LINE, (0, 1, 2), nobody_looks)]
    assert order == [1, 0, 2]


def test_what_comes_next_is_near_to_where_one_looks_now() -> None:
    looks = iter([None, (0, 0, 65), (0, 0, 65), (0, 0, 0), (0, 0, 0)])
    order = nearest_first(LINE, EVERY, lambda: next(looks, None))
    assert [block.index for block in order] == [3, 6, 5, 0, 1, 2, 4]


def test_nothing_wanted_is_nothing_given() -> None:
    assert list(nearest_first(LINE, (), nobody_looks)) == []


@given(
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    voxel=st.tuples(*[st.integers(-5, 40)] * 3),
)
def test_every_block_comes_once_and_never_a_nearer_one_later(
    shape: tuple[int, int, int], voxel: tuple[int, int, int]
) -> None:
    grid = BlockGrid(shape, (7, 8, 9))
    order = list(nearest_first(grid, range(len(grid)), lambda: voxel))
    assert sorted(block.index for block in order) == list(range(len(grid)))
    far = [
        sum((a - b) ** 2 for a, b in zip(block.write_box.centre, voxel, strict=True))
        for block in order
    ]
    assert far == sorted(far)
