from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from napari_unetseg.models.spec import NetworkSpec


def test_the_total_stride_is_the_product_of_all_levels(
    make_spec: Callable[..., NetworkSpec],
) -> None:
    spec = make_spec(stem="patch", strides=((1, 2, 2), (2, 2, 2)))
    assert spec.stride == (2, 4, 4)
    assert spec.stride_at(0) == (1, 2, 2)
    assert spec.padded((3, 4, 5)) == (4, 4, 8)


def test_a_spec_survives_json(make_spec: Callable[..., NetworkSpec]) -> None:
    spec = make_spec(n_raters=3, enc="convnext", norm="channel")
    assert NetworkSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depths": (1,)}, "as many strides"),
        ({"strides": ((1, 1, 1), (3, 1, 1))}, "strides are 1 or 2"),
        ({"kernels": ((3, 3, 3), (5, 3, 3))}, "kernels are 1 or 3"),
        ({"strides": ((2, 2, 2), (2, 2, 2))}, "patch stem"),
        ({"in_channels": 0}, "in_channels"),
        ({"widths": (), "strides": (), "kernels": (), "depths": ()}, "one level"),
    ],
)
def test_impossible_networks_are_refused(
    make_spec: Callable[..., NetworkSpec], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        make_spec(**changes)


def test_full_resolution_may_have_a_norm_of_its_own(
    make_spec: Callable[..., NetworkSpec],
) -> None:
    spec = make_spec(stem="patch", fine_norm="shift")
    assert (spec.norm, spec.finest_norm) == ("batch", "shift")
    assert spec.is_fine_local
    assert not make_spec(stem="patch").is_fine_local
    assert not make_spec(fine_norm="shift").is_fine_local, "there is no such part"
    assert not make_spec(stem="patch", fine_norm="group").is_tile_invariant
    assert make_spec(head_kernel=(1, 3, 3)).fine_reach == (0, 2, 2)


def test_one_rater_is_no_rater(make_spec: Callable[..., NetworkSpec]) -> None:
    assert not make_spec(n_raters=1).has_raters
    assert make_spec(n_raters=2).has_raters


def test_only_norms_that_look_at_the_whole_patch_need_blending(
    make_spec: Callable[..., NetworkSpec],
) -> None:
    is_invariant = {
        norm: make_spec(norm=norm).is_tile_invariant
        for norm in ("batch", "channel", "none", "instance", "group")
    }
    assert [norm for norm, yes in is_invariant.items() if not yes] == [
        "instance",
        "group",
    ]
