from __future__ import annotations

import math

import pytest

from napari_unetseg.config import TrainConfig
from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.geometry import Zyx
from napari_unetseg.training.plan import (
    LEAST_STEPS,
    Data,
    heads_of,
    plan_training,
    seconds_per_step,
)

USUAL = TrainConfig(threads=2)


def data(
    shape: Zyx = (300, 300, 300),
    voxel_size: tuple[float, float, float] = (1, 1, 1),
    *,
    object_size: float = 0.0,
    memory_bytes: int | None = None,
) -> Data:
    return Data(
        voxel_size=voxel_size, shape=shape, n_channels=1, n_classes=1,
        object_size=object_size, memory_bytes=memory_bytes,
    )  # fmt: skip


def test_isotropic_data_get_cubes() -> None:
    plan = plan_training(USUAL, data(object_size=30))
    assert plan.patch == (64, 64, 64)
    assert (plan.batch, plan.spec.n_levels, plan.recompute) == (2, 4, False)
    assert plan.said(USUAL) == (
        "5 scales, patches 64 × 64 × 64, 400 steps; objects are some 30 voxels across."
    )


def test_thick_sections_get_flat_patches() -> None:
    plan = plan_training(USUAL, data((20, 1024, 1024), (50, 4.6, 4.6)))
    z, y, x = plan.patch
    assert y == x
    assert z <= 4 * plan.spec.stride[0]
    assert y >= 8 * z


def test_a_tiny_volume_gets_a_patch_that_fits() -> None:
    plan = plan_training(USUAL, data((5, 20, 20), object_size=100))
    assert plan.patch[1:] == (20, 20)
    assert plan.patch[0] <= 5
    assert plan.spec.n_levels <= 2


@pytest.mark.parametrize(
    ("shape", "voxel_size"),
    [((300, 300, 300), (1, 1, 1)), ((20, 1024, 1024), (50.0, 4.6, 4.6))],
)
def test_huge_objects_get_another_scale_and_larger_patches(
    shape: Zyx, voxel_size: tuple[float, float, float]
) -> None:
    usual = plan_training(USUAL, data(shape, voxel_size))
    huge = plan_training(USUAL, data(shape, voxel_size, object_size=150))
    assert huge.spec.n_levels == usual.spec.n_levels + 1
    assert min(huge.patch[1:]) >= 3 * huge.spec.stride[1]
    assert math.prod(huge.patch) <= 4 * 64**3
    assert huge.batch == 1


def test_small_objects_change_nothing() -> None:
    assert plan_training(USUAL, data(object_size=5)).patch == (64, 64, 64)


def test_small_memory_is_met_with_the_least_harm_first() -> None:
    free = plan_training(USUAL, data()).memory_bytes
    plans = [
        plan_training(USUAL, data(memory_bytes=int(share * free)))
        for share in (1.0, 0.6, 0.45, 0.3, 0.04)
    ]
    assert [plan.batch for plan in plans] == [2, 1, 1, 1, 1]
    assert [plan.recompute for plan in plans] == [False, False, True, True, True]
    patches = [math.prod(plan.patch) for plan in plans]
    assert patches[:3] == [64**3] * 3
    assert patches[2] > patches[3] > patches[4]
    assert plans[4].preset == "S"
    assert "size S instead of M" in plans[4].said(plans[4].applied(USUAL))
    for plan, share in zip(plans, (1.0, 0.6, 0.45, 0.3, 0.04), strict=True):
        assert plan.memory_bytes <= share * free


def test_no_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(MemoryBudgetError, match=r"got 0\.00 GB, expected at least 0\."):
        plan_training(USUAL, data(memory_bytes=1000))


def test_a_patch_that_somebody_chose_stays() -> None:
    config = USUAL.replace(patch=(32, 32, 32))
    plan = plan_training(config, data(object_size=200, memory_bytes=10**8))
    assert plan.patch == (32, 32, 32)
    assert plan.preset == "M"


def test_little_time_makes_the_network_smaller() -> None:
    plan = plan_training(USUAL, data())
    enough = LEAST_STEPS * seconds_per_step(plan, 2)
    in_time = USUAL.replace(budget_s=1.1 * enough)
    assert plan_training(in_time, data()).preset == "M"
    assert plan_training(USUAL.replace(budget_s=0.9 * enough), data()).preset == "S"
    few = USUAL.replace(budget_s=0.9 * enough, steps=10)
    assert plan_training(few, data()).preset == "M"


@pytest.mark.parametrize(
    ("budget_s", "said"),
    [(240.0, "at most 4 minutes"), (80.0, "at most 80 seconds"), (None, "400 steps")],
)
def test_it_says_how_long_it_takes(budget_s: float | None, said: str) -> None:
    config = USUAL.replace(budget_s=budget_s, preset="S")
    assert plan_training(config, data()).said(config).endswith(f"{said}.")


def test_heads_are_the_raters_or_draws() -> None:
    assert heads_of(USUAL, ("Ana",)) == ()
    assert heads_of(USUAL, ("Ana", "Bo")) == ("Ana", "Bo")
    latent = USUAL.replace(rater_kind="latent", styles=3)
    assert heads_of(latent, ("Ana", "Bo")) == ("draw 1", "draw 2", "draw 3")
