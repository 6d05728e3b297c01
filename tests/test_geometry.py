from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx

# A busy machine is no fault.
PATIENT = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def triples(low: int, high: int) -> st.SearchStrategy[Zyx]:
    number = st.integers(low, high)
    return st.tuples(number, number, number)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    start, shape = draw(triples(-9, 9)), draw(triples(1, 9))
    return Box(start, zyx(a + n for a, n in zip(start, shape, strict=True)))


@st.composite
def grids(draw: st.DrawFn) -> BlockGrid:
    stride = draw(triples(1, 4))
    block = zyx(s * m for s, m in zip(stride, draw(triples(1, 4)), strict=True))
    return BlockGrid(draw(triples(1, 24)), block, draw(triples(0, 5)), stride)


def voxels_of(box: Box) -> set[tuple[int, ...]]:
    ranges = (range(a, b) for a, b in zip(box.start, box.stop, strict=True))
    return set(itertools.product(*ranges))


@PATIENT
@given(boxes(), boxes())
def test_what_is_left_of_a_box_is_there_once(box: Box, hole: Box) -> None:
    pieces = [voxels_of(piece) for piece in box.minus(hole)]
    assert len(pieces) <= 6
    assert sum(map(len, pieces)) == len(set().union(*pieces))
    assert set().union(*pieces) == voxels_of(box) - voxels_of(hole)


@PATIENT
@given(grids())
def test_write_boxes_cover_every_voxel_exactly_once(grid: BlockGrid) -> None:
    written = np.zeros(grid.shape, int)
    for block in grid:
        written[block.write_box.slices] += 1
    assert (written == 1).all()


@PATIENT
@given(grids())
def test_write_boxes_begin_at_whole_blocks(grid: BlockGrid) -> None:
    for block in grid:
        assert all(
            a % b == 0 for a, b in zip(block.write_box.start, grid.block, strict=True)
        )


@PATIENT
@given(grids())
def test_read_boxes_hold_the_halo_as_far_as_the_volume_goes(grid: BlockGrid) -> None:
    for block in grid:
        wanted = block.write_box.grown(grid.halo).clipped(grid.shape)
        assert block.read_box.contains(wanted)
        assert Box.whole(grid.shape).contains(block.read_box)


@PATIENT
@given(grids())
def test_read_boxes_begin_on_the_stride_and_are_not_larger_than_needed(
    grid: BlockGrid,
) -> None:
    for block in grid:
        wanted = block.write_box.grown(grid.halo).clipped(grid.shape)
        for read, want, stride in zip(
            block.read_box.start, wanted.start, grid.stride, strict=True
        ):
            assert read % stride == 0
            assert 0 <= want - read < stride


@PATIENT
@given(grids())
def test_the_inner_box_cuts_the_write_box_out_of_what_was_read(
    grid: BlockGrid,
) -> None:
    volume = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    for block in grid:
        kept = volume[block.read_box.slices][block.inner.slices]
        np.testing.assert_array_equal(kept, volume[block.write_box.slices])


@PATIENT
@given(grids(), boxes())
def test_touching_names_the_blocks_that_share_a_voxel_with_a_box(
    grid: BlockGrid, box: Box
) -> None:
    expected = [block.index for block in grid if block.write_box.overlaps(box)]
    assert list(grid.touching(box)) == expected


@PATIENT
@given(grids())
def test_blocks_are_numbered_in_c_order(grid: BlockGrid) -> None:
    blocks = list(grid)
    assert [block.index for block in blocks] == list(range(len(grid)))
    corners = [block.write_box.start for block in blocks]
    assert corners == sorted(corners)


@PATIENT
@given(boxes(), boxes())
def test_an_intersection_holds_what_both_boxes_hold(one: Box, other: Box) -> None:
    both = one.intersection(other)
    assert voxels_of(both) == voxels_of(one) & voxels_of(other)
    assert one.overlaps(other) == (not both.is_empty)


@PATIENT
@given(boxes(), boxes())
def test_a_hull_contains_both_boxes(one: Box, other: Box) -> None:
    hull = one.hull(other)
    assert hull.contains(one)
    assert hull.contains(other)
    for axis in range(3):  # and it is not larger than that needs
        assert hull.start[axis] in (one.start[axis], other.start[axis])
        assert hull.stop[axis] in (one.stop[axis], other.stop[axis])


@PATIENT
@given(boxes(), boxes())
def test_a_box_contains_another_if_it_holds_all_its_voxels(
    one: Box, other: Box
) -> None:
    assert one.contains(other) == (voxels_of(other) <= voxels_of(one))


@PATIENT
@given(boxes(), triples(1, 5))
def test_cells_cover_a_box_and_every_one_touches_it(box: Box, step: Zyx) -> None:
    cells = list(box.cells(step))
    covered = set().union(*(voxels_of(cell) for cell in cells))
    assert voxels_of(box) <= covered
    assert len(covered) == sum(cell.n_voxels for cell in cells)
    assert all(cell.overlaps(box) and cell.shape == step for cell in cells)


@PATIENT
@given(boxes(), triples(1, 5))
def test_aligning_moves_each_side_by_less_than_a_step(box: Box, step: Zyx) -> None:
    whole = box.aligned(step)
    for a, b, start, stop, s in zip(
        whole.start, whole.stop, box.start, box.stop, step, strict=True
    ):
        assert a % s == 0
        assert b % s == 0
        assert 0 <= start - a < s
        assert 0 <= b - stop < s


@PATIENT
@given(boxes(), triples(1, 5))
def test_a_coarser_box_holds_the_box(box: Box, step: Zyx) -> None:
    coarse = box.coarser(step)
    cells = zip(coarse.start, coarse.stop, step, strict=True)
    fine = [(a * s, b * s) for a, b, s in cells]
    assert Box(zyx(a for a, _ in fine), zyx(b for _, b in fine)) == box.aligned(step)


@PATIENT
@given(boxes(), triples(-5, 5))
def test_shifting_there_and_back_changes_nothing(box: Box, offset: Zyx) -> None:
    back = zyx(-o for o in offset)
    assert box.shifted(offset).shifted(back) == box
    assert box.shifted(offset).shape == box.shape
    assert box.relative_to(box) == Box.whole(box.shape)


@PATIENT
@given(boxes())
def test_a_box_survives_being_an_index(box: Box) -> None:
    assert Box.from_slices(box.slices) == box
    assert box.holds(box.centre)
    assert not box.holds(box.stop)
    assert box.n_voxels == len(voxels_of(box))


@PATIENT
@given(triples(0, 9), triples(1, 9))
def test_a_box_around_a_voxel_has_it_in_the_middle(centre: Zyx, shape: Zyx) -> None:
    box = Box.around(centre, shape)
    assert box.shape == shape
    assert box.centre == centre


def test_a_margin_may_differ_per_axis() -> None:
    box = Box((4, 4, 4), (6, 6, 6))
    assert box.grown(1) == Box((3, 3, 3), (7, 7, 7))
    assert box.grown((0, 1, 2)) == Box((4, 3, 2), (6, 7, 8))


def test_a_box_that_ends_before_it_starts_is_empty() -> None:
    box = Box((3, 0, 0), (2, 5, 5))
    assert box.shape == (0, 5, 5)
    assert box.is_empty


def test_a_box_outside_the_volume_is_cut_to_nothing() -> None:
    assert Box((9, 9, 9), (12, 12, 12)).clipped((4, 4, 4)).is_empty
    assert BlockGrid((4, 4, 4), (2, 2, 2)).touching(Box((9, 9, 9), (12, 12, 12))) == ()


def test_a_box_says_its_axes() -> None:
    assert str(Box((0, 1, 2), (3, 4, 5))) == "z 0:3 y 1:4 x 2:5"


def test_three_numbers_are_made_plain_integers() -> None:
    assert all(type(value) is int for value in zyx(np.array([1, 2, 3])))
    with pytest.raises(ValueError, match="not enough values"):
        zyx((1, 2))


def test_boxes_blocks_and_grids_travel_between_processes() -> None:
    grid = BlockGrid((9, 9, 9), (4, 4, 4), (1, 1, 1), (2, 2, 2))
    copy = pickle.loads(pickle.dumps(grid))
    assert copy == grid
    assert copy[3] == grid[3]
    assert isinstance(copy[3], Block)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shape": (0, 4, 4)}, "Lengths of a grid must be positive"),
        ({"block": (4, 0, 4)}, "Lengths of a grid must be positive"),
        ({"halo": (0, -1, 0)}, "A halo cannot be negative"),
        ({"stride": (3, 1, 1)}, "A block must be whole strides"),
    ],
)
def test_an_impossible_grid_is_refused(changes: dict[str, Zyx], sentence: str) -> None:
    fields = {"shape": (8, 8, 8), "block": (4, 4, 4)} | changes
    with pytest.raises(ValueError, match=sentence):
        BlockGrid(**fields)


@pytest.mark.parametrize("index", [-1, 8])
def test_a_block_beyond_the_grid_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=f"Block {index} of 8"):
        BlockGrid((8, 8, 8), (4, 4, 4))[index]
