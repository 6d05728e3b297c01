from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.geometry import BlockGrid, Zyx
from napari_unetseg.inference import memory
from napari_unetseg.inference.memory import (
    COMFORTABLE_READ,
    LARGEST_READ,
    available_bytes,
    largest_read,
    output_chunk,
    plan_grid,
)

GB = 10**9
CHUNK: Zyx = (32, 64, 64)
powers = st.sampled_from([1, 2, 4, 8, 16])
triples = st.tuples


def bytes_for(shape: Zyx) -> int:
    return 100 * math.prod(shape)


def plan(shape: Zyx, *, halo: int = 16, gb: float = 8.0, **options: Zyx) -> BlockGrid:
    return plan_grid(
        shape,
        chunk=options.pop("chunk", CHUNK),
        halo=(halo, halo, halo),
        stride=(8, 8, 8),
        bytes_for=bytes_for,
        memory_bytes=int(gb * GB),
        wanted=options.pop("wanted", None),
    )


@given(
    shape=triples(*(st.integers(1, 5000),) * 3),
    stride=triples(powers, powers, powers),
)
def test_a_chunk_is_whole_strides_and_no_larger_than_needed(
    shape: Zyx, stride: Zyx
) -> None:
    for c, n, s in zip(output_chunk(shape, stride), shape, stride, strict=True):
        assert c % s == 0
        assert math.log2(c / s).is_integer()  # so that pyramid levels divide it
        assert s <= c <= 64
        assert c == s or c < 2 * n


@given(
    shape=triples(*(st.integers(1, 3000),) * 3),
    halo=triples(*(st.integers(0, 40),) * 3),
    stride=triples(powers, powers, powers),
    gb=st.floats(0.5, 8),
)
def test_the_planned_block_is_whole_chunks_and_fits(
    shape: Zyx, halo: Zyx, stride: Zyx, gb: float
) -> None:
    chunk = output_chunk(shape, stride)
    grid = plan_grid(
        shape,
        chunk=chunk,
        halo=halo,
        stride=stride,
        bytes_for=bytes_for,
        memory_bytes=int(gb * GB),
    )
    assert not any(b % c for b, c in zip(grid.block, chunk, strict=True))
    assert bytes_for(largest_read(grid)) <= gb * GB
    assert output_chunk(shape, stride, grid.block) == chunk
    assert grid.block == chunk or math.prod(largest_read(grid)) <= LARGEST_READ
    # The estimate holds for the blocks there are.
    corners = {0, len(grid) // 2, len(grid) - 1}
    for index in corners:
        read = grid[index].read_box.shape
        assert all(r <= m for r, m in zip(read, largest_read(grid), strict=True))


def test_a_small_block_has_small_chunks() -> None:
    assert output_chunk((500, 900, 900), (8, 8, 8), (16, 20, 999)) == (16, 32, 64)
    assert output_chunk((3, 900, 900), (1, 8, 8), (16, 128, 128)) == (4, 64, 64)


def test_a_small_volume_is_one_block() -> None:
    assert len(plan((64, 192, 192))) == 1


def test_a_block_takes_seconds_and_not_minutes() -> None:
    grid = plan((2000, 8000, 8000), halo=8, gb=500)
    assert math.prod(largest_read(grid)) <= COMFORTABLE_READ
    assert math.prod(grid.block) > math.prod(largest_read(grid)) / 2


def test_a_wide_halo_makes_blocks_larger() -> None:
    grid = plan((2000, 8000, 8000), halo=32, gb=500)
    assert COMFORTABLE_READ < math.prod(largest_read(grid)) <= LARGEST_READ


def test_a_thin_volume_is_one_block_if_that_saves_the_halo() -> None:
    # 6 million voxels, which is more than comfortable: two blocks would read more.
    assert len(plan((8, 880, 880), halo=100, gb=500)) == 1
    assert len(plan((8, 880, 880), halo=8, gb=500)) > 1


def test_less_memory_makes_blocks_smaller() -> None:
    large, small = plan((500, 900, 900)), plan((500, 900, 900), gb=0.1)
    assert math.prod(small.block) < math.prod(large.block)
    assert bytes_for(largest_read(small)) <= 0.1 * GB


def test_what_can_never_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(
        MemoryBudgetError,
        match=r"32 × 64 × 64 voxels needs more memory than is allowed: got 0\.01 GB, "
        r"expected at least 0\.06 GB\. Allow more memory",
    ):
        plan((500, 900, 900), gb=0.01)


def test_a_block_that_somebody_chose_is_taken_and_checked() -> None:
    assert plan((500, 900, 900), wanted=(40, 100, 64)).block == (64, 128, 64)
    assert plan((20, 900, 900), wanted=(999, 64, 64)).block == (32, 64, 64)
    with pytest.raises(MemoryBudgetError, match="512 × 512 × 512"):
        plan((999, 900, 900), wanted=(512, 512, 512))


def test_planning_a_volume_of_terabytes_asks_little() -> None:
    asked: list[Zyx] = []

    def counted(shape: Zyx) -> int:
        asked.append(shape)
        return bytes_for(shape)

    plan_grid(
        (20_000, 40_000, 40_000),
        chunk=CHUNK,
        halo=(8, 8, 8),
        stride=(8, 8, 8),
        bytes_for=counted,
        memory_bytes=8 * GB,
    )
    assert len(asked) < 500


def test_there_is_some_memory() -> None:
    assert 10**7 < available_bytes() < 10**14


def test_the_limit_of_a_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    without = available_bytes()
    (tmp_path / "memory.max").write_text("30000000\n")
    (tmp_path / "memory.current").write_text("10000000\n")
    assert available_bytes() == 20_000_000 < without
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() > 20_000_000
