from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from napari_unetseg.models.planning import (
    SIZES,
    activation_bytes,
    kept_numbers,
    plan_network,
    plan_patch,
    training_bytes,
)
from napari_unetseg.models.unet import UNet


def test_coarse_sections_are_pooled_only_after_the_pixels_have_caught_up() -> None:
    spec = plan_network(voxel_size=(50, 4.6, 4.6), shape=(20, 1024, 1024))
    assert spec.strides[:3] == ((1, 2, 2),) * 3
    assert spec.strides[3] == (2, 2, 2)
    assert spec.kernels[:2] == ((1, 3, 3),) * 2
    assert spec.kernels[2:] == ((3, 3, 3),) * 2
    assert spec.head_kernel == (1, 3, 3)


def test_isotropic_data_are_halved_everywhere() -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(300, 300, 300))
    assert spec.strides == ((2, 2, 2),) * 4
    assert spec.stem == "patch"
    assert spec.stride == (16, 16, 16)


def test_twice_as_coarse_is_still_isotropic() -> None:
    spec = plan_network(voxel_size=(2, 1, 1), shape=(300, 300, 300))
    assert spec.strides[0] == (2, 2, 2)


def test_a_single_section_is_a_flat_network() -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(1, 512, 512))
    assert all(stride == (1, 2, 2) for stride in spec.strides)
    assert all(kernel == (1, 3, 3) for kernel in (*spec.kernels, spec.head_kernel))
    assert plan_patch(spec, (1, 512, 512))[0] == 1


def test_a_fine_flat_axis_does_not_count_as_the_finest() -> None:
    spec = plan_network(voxel_size=(0.1, 1, 1), shape=(1, 512, 512))
    assert spec.strides[0] == (1, 2, 2)


def test_a_small_volume_gets_fewer_levels() -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(35, 51, 35))
    assert spec.n_levels == 3
    tiny = plan_network(voxel_size=(1, 1, 1), shape=(4, 5, 6))
    assert tiny.stride == (1, 1, 1)
    assert UNet(tiny)(torch.zeros(2, 1, 4, 5, 6)).consensus.shape == (2, 2, 4, 5, 6)


@pytest.mark.parametrize("preset", ["S", "M", "L"])
def test_patches_are_whole_strides_within_the_preset(preset: str) -> None:
    for shape, size in [
        ((20, 1024, 1024), (50, 5, 5)),
        ((64, 200, 200), (1, 1, 1)),
        ((2000, 40, 2000), (1, 1, 1)),
    ]:
        spec = plan_network(voxel_size=size, shape=shape, preset=preset)  # type: ignore[arg-type]
        patch = plan_patch(spec, shape, preset)  # type: ignore[arg-type]
        assert all(p % s == 0 for p, s in zip(patch, spec.stride, strict=True))
        assert math.prod(patch) <= SIZES[preset].patch_voxels  # type: ignore[index]
        assert all(p <= n for p, n in zip(patch, spec.padded(shape), strict=True))


def test_weights_of_a_small_network_fit_into_six_megabytes() -> None:
    size = {
        preset: sum(
            p.numel()
            for p in UNet(
                plan_network(
                    voxel_size=(1, 1, 1),
                    shape=(99, 99, 99),
                    preset=preset,  # type: ignore[arg-type]
                    n_raters=4,
                    n_classes=3,
                )
            ).parameters()
        )
        for preset in ("S", "M")
    }
    assert 4 * size["S"] < 6e6
    assert 2 * size["M"] < 6e6
    assert size["S"] < size["M"]


@pytest.mark.parametrize("preset", SIZES)
@pytest.mark.parametrize("trunk", ["half", "full"])
def test_reversible_networks_are_as_large_as_plain_ones(
    preset: Any, trunk: Any
) -> None:
    counts = []
    for block in ("plain", "reversible"):
        spec = plan_network(
            voxel_size=(2, 1, 1),
            shape=(99, 99, 99),
            preset=preset,
            block=block,
            trunk=trunk,
        )
        counts.append(sum(p.numel() for p in UNet(spec).parameters()))
    assert counts[1] == pytest.approx(counts[0], rel=0.25)


def test_memory_grows_with_the_volume_and_the_raters() -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(99, 99, 99))
    rated = plan_network(voxel_size=(1, 1, 1), shape=(99, 99, 99), n_raters=40)
    small, large = (activation_bytes(spec, (n, n, n)) for n in (64, 128))
    assert large == 8 * small
    assert activation_bytes(rated, (64, 64, 64)) > small


# Preset M, patches of so many voxels on each side, as the benchmark found.
@pytest.mark.parametrize(
    ("block", "recompute", "measured"),
    [
        ("plain", False, {64: 0.21e9, 96: 0.60e9, 128: 1.18e9, 160: 2.43e9}),
        ("plain", True, {64: 0.11e9, 96: 0.37e9, 128: 0.85e9, 160: 1.63e9}),
        ("reversible", False, {64: 0.062e9, 96: 0.17e9, 128: 0.36e9, 160: 0.69e9}),
    ],
)
def test_a_step_takes_no_more_than_was_estimated(
    block: Any, recompute: bool, measured: dict[int, float]
) -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(512,) * 3, block=block)
    for side, n_bytes in measured.items():
        patch = (side, side, side)
        estimate = training_bytes(spec, patch, 1, recompute=recompute)
        assert n_bytes <= estimate <= 3 * n_bytes


def test_a_step_of_preset_m_keeps_120_numbers_per_voxel() -> None:
    spec = plan_network(voxel_size=(1, 1, 1), shape=(512,) * 3)
    assert kept_numbers(spec) == pytest.approx(120, abs=1)


def test_a_cell_of_the_coarsest_level_is_never_longer_than_32_voxels() -> None:
    for preset in ("S", "M", "L"):
        spec = plan_network(
            voxel_size=(1, 1, 1), shape=(999,) * 3, object_size=5000,
            preset=preset,  # type: ignore[arg-type]
        )  # fmt: skip
        assert spec.stride == (32, 32, 32)
