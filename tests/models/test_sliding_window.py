from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.models.sliding_window import (
    blended,
    gaussian_weight,
    patch_boxes,
)


@given(
    cells=st.tuples(*[st.integers(1, 9)] * 3),
    patch_cells=st.tuples(*[st.integers(1, 4)] * 3),
    stride=st.sampled_from([(1, 1, 1), (1, 2, 2), (2, 4, 4)]),
)
def test_patches_cover_the_block_and_start_on_strides(
    cells: tuple[int, int, int],
    patch_cells: tuple[int, int, int],
    stride: tuple[int, int, int],
) -> None:
    shape = tuple(n * s for n, s in zip(cells, stride, strict=True))
    patch = tuple(n * s for n, s in zip(patch_cells, stride, strict=True))
    covered = np.zeros(shape, bool)
    for box in patch_boxes(shape, patch, stride):
        covered[box.slices] = True
        assert all(a % s == 0 for a, s in zip(box.start, stride, strict=True))
        assert all(b <= n for b, n in zip(box.stop, shape, strict=True))
    assert covered.all()


def test_a_network_that_looks_at_single_voxels_is_reproduced() -> None:
    image = torch.randn(1, 1, 8, 12, 20)
    answer = blended(
        lambda x: torch.cat([x + 1, 2 * x], 1), image, (4, 4, 8), (2, 2, 2)
    )
    torch.testing.assert_close(answer, torch.cat([image + 1, 2 * image], 1))


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_patches_may_come_several_at_a_time(batch: int) -> None:
    image = torch.randn(1, 2, 8, 12, 20)
    sizes: list[int] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return torch.cumsum(x, -1)  # depends on the patch

    one = blended(network, image, (4, 4, 8), (2, 2, 2))
    n_patches = len(sizes)
    sizes.clear()
    many = blended(network, image, (4, 4, 8), (2, 2, 2), batch=batch)
    torch.testing.assert_close(many, one)
    assert sum(sizes) == n_patches
    assert max(sizes) == min(batch, n_patches)


def test_patches_that_disagree_fade_into_each_other() -> None:
    calls: list[int] = []

    def count(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return torch.full_like(x, float(len(calls)))

    answer = blended(count, torch.zeros(1, 1, 1, 1, 32), (1, 1, 16), (1, 1, 2))
    line = answer[0, 0, 0, 0]
    assert len(calls) == 3
    assert line[0] == 1
    assert line[-1] == 3
    assert (line.diff() >= -1e-6).all()
    assert line.diff().max() < 0.5


def test_weights_are_highest_in_the_middle_and_never_zero() -> None:
    weight = gaussian_weight((1, 5, 8))
    assert weight.shape == (1, 5, 8)
    assert weight[0, 2].argmax() in (3, 4)
    assert weight.min() > 0


def test_a_block_smaller_than_the_patch_is_one_patch() -> None:
    boxes = patch_boxes((2, 4, 4), (8, 8, 8), (2, 2, 2))
    assert [box.shape for box in boxes] == [(2, 4, 4)]
