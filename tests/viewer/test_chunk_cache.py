from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.chunk_cache import CachedArray, ChunkCache


class Counting:
    """An array that counts how often it is read."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.values, self.chunks = values, chunks
        self.shape, self.dtype = values.shape, values.dtype
        self.n_reads = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        self.n_reads += 1
        return self.values[key]


@pytest.fixture
def source() -> Counting:
    values = np.arange(9 * 20 * 21, dtype=np.uint16).reshape(9, 20, 21)
    return Counting(values, (4, 8, 8))


_BOUNDS = st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 21))


@given(_BOUNDS, _BOUNDS)
def test_any_part_equals_the_array(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    values = np.arange(9 * 20 * 21, dtype=np.uint16).reshape(9, 20, 21)
    cached = CachedArray(Counting(values, (4, 8, 8)), ChunkCache(1000))
    key = tuple(slice(min(m, n), max(m, n)) for m, n in zip(a, b, strict=True))
    np.testing.assert_array_equal(cached[key], values[key])
    np.testing.assert_array_equal(cached[key], values[key])


def test_slices_of_one_chunk_are_one_read(source: Counting) -> None:
    cached = CachedArray(source, ChunkCache())
    for z in range(4):
        np.testing.assert_array_equal(cached[z : z + 1, :, :], source.values[z : z + 1])
    assert source.n_reads == 1


def test_forgotten_box_is_read_anew_and_nothing_else(source: Counting) -> None:
    cached = CachedArray(source, ChunkCache())
    before = cached[:, :, :].copy()
    source.values = source.values + 1
    cached.forget(Box((0, 0, 0), (1, 1, 1)))
    after = cached[:, :, :]
    np.testing.assert_array_equal(after[:4, :8, :8], before[:4, :8, :8] + 1)
    np.testing.assert_array_equal(after[4:], before[4:])


def test_boxes_are_finest_voxels_on_every_level(source: Counting) -> None:
    cached = CachedArray(source, ChunkCache(), factor=(1, 2, 2))
    before = cached[:, :, :].copy()
    source.values = source.values + 1
    cached.forget(Box((0, 16, 16), (1, 17, 17)))
    after = cached[:, :, :]
    np.testing.assert_array_equal(after[:4, 8:16, 8:16], before[:4, 8:16, 8:16] + 1)
    np.testing.assert_array_equal(after[:4, :8, :8], before[:4, :8, :8])


def test_channels_come_first() -> None:
    values = np.arange(2 * 4 * 8 * 8, dtype=np.uint16).reshape(2, 4, 8, 8)
    source = Counting(values, (1, 4, 4, 4))
    cached = CachedArray(source, ChunkCache())
    np.testing.assert_array_equal(cached[1:2, 0:2, :, :], values[1:2, 0:2])
    cached.forget(Box((0, 0, 0), (4, 8, 8)))
    n_reads = source.n_reads
    assert cached[1:2, 0:1, :, :].shape == (1, 1, 8, 8)
    assert source.n_reads == n_reads + 1


def test_memory_is_limited(source: Counting) -> None:
    cache = ChunkCache(max_bytes=2000)
    cached = CachedArray(source, cache)
    np.testing.assert_array_equal(cached[:, :, :], source.values)
    assert cache.n_bytes <= 2000
