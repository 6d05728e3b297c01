from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from napari_unetseg.models.planning import (
    SIZES,
    activation_bytes,
    plan_network,
    plan_patch,
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
