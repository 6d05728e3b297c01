from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.models.uncertainty import (
    APART,
    MemberSums,
    Uncertainty,
    entropy_of,
    quantised,
)


def summed(members: torch.Tensor) -> Uncertainty:
    sums = MemberSums()
    for member in members:
        sums.add(member)
    return sums.result()


@given(
    members=st.integers(1, 4),
    raters=st.integers(1, 4),
    classes=st.integers(2, 5),
    sharpness=st.floats(0.1, 20),
    seed=st.integers(0, 10_000),
)
def test_the_parts_add_up_and_are_never_negative(
    members: int, raters: int, classes: int, sharpness: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((members, raters, classes, 2, 2, 2), generator=generator)
    probability = torch.softmax(logits * sharpness, dim=2)
    maps = summed(probability)
    torch.testing.assert_close(
        maps.total, maps.rater + maps.model + maps.residual, atol=1e-6, rtol=0
    )
    for part in maps[:4]:
        assert part.min() >= 0
        assert part.max() <= 1
    torch.testing.assert_close(maps.by_rater, probability.mean(0))


def one_voxel(*probabilities: float) -> torch.Tensor:
    p = torch.tensor(probabilities)
    return torch.stack([1 - p, p], dim=1).view(len(p), 2, 1, 1, 1)


def test_two_sure_raters_who_contradict_each_other_are_all_rater_part() -> None:
    maps = summed(one_voxel(0.0, 1.0)[None])
    assert maps.rater.item() == pytest.approx(1)
    assert maps.total.item() == pytest.approx(1)
    assert maps.model.item() == maps.residual.item() == 0


def test_two_sure_passes_that_contradict_each_other_are_all_model_part() -> None:
    maps = summed(torch.stack([one_voxel(0.0), one_voxel(1.0)]))
    assert maps.model.item() == pytest.approx(1)
    assert maps.rater.item() == pytest.approx(0)


def test_of_doubt_within_each_rater_a_half_is_disagreement() -> None:
    maps = summed(one_voxel(0.5, 0.5)[None])
    assert maps.rater.item() == pytest.approx(APART)
    assert maps.residual.item() == pytest.approx(1 - APART)
    assert maps.model.item() == 0


def test_a_single_rater_disagrees_with_nobody() -> None:
    maps = summed(one_voxel(0.5)[None])
    assert maps.residual.item() == pytest.approx(1)
    assert maps.rater.item() == maps.model.item() == 0


def test_entropy_is_one_where_all_classes_are_equal_and_zero_where_sure() -> None:
    even = torch.full((1, 3, 1, 1, 1), 1 / 3)
    sure = torch.zeros((1, 3, 1, 1, 1))
    sure[:, 1] = 1
    assert entropy_of(even).item() == pytest.approx(1)
    assert entropy_of(sure).item() == 0
    half = torch.tensor([0.5, 0.5, 0.0]).view(1, 3, 1, 1, 1)
    assert entropy_of(half).item() == pytest.approx(math.log(2) / math.log(3))


def test_no_member_is_an_error() -> None:
    with pytest.raises(ValueError, match="No member"):
        MemberSums().result()


def test_quantised_rounds_to_the_nearest_step() -> None:
    values = torch.tensor([0.0, 0.5, 1.0, 1.1, 0.9999])
    assert quantised(values).tolist() == [0, 128, 255, 255, 255]
    coarse = quantised(torch.tensor([0.49, 0.51, 1.0]), steps=15)
    assert coarse.tolist() == [119, 136, 255]  # one half lies between two steps
