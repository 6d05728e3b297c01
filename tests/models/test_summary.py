from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unetseg.config import MODEL_DISAGREEMENT
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.rater_probability import RATER_STEPS
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.backends import openvino, openvino_summary
from napari_unetseg.models.backends.openvino_summary import (
    OpenVinoSummary,
    slabs_of_rows,
    summary_model,
)
from napari_unetseg.models.backends.torch_summary import TorchSummary, slabs_of
from napari_unetseg.models.predictor import map_names
from napari_unetseg.models.summary import Outputs

PATIENT = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
SIDE = st.integers(1, 9)
STEP = 255 // RATER_STEPS
SHAPES = st.tuples(SIDE, SIDE, SIDE)
INNER = Box((1, 2, 3), (11, 20, 30))
SHAPE: Zyx = (12, 24, 31)


def outputs(n_raters: int, n_classes: int, n_passes: int = 1) -> Outputs:
    names = map_names(n_raters=n_raters, n_members=n_passes)
    return Outputs(n_classes, n_raters, n_passes, names)


def logits(wanted: Outputs, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    n_channels = (1 + wanted.n_raters) * wanted.n_classes
    return 3 * torch.randn(1, n_channels, *SHAPE, generator=generator)


def by_torch(wanted: Outputs, *passes: torch.Tensor) -> BlockPrediction | None:
    summary = TorchSummary(wanted, INNER)
    for values in passes:
        summary.add(values)
    return summary.result()


def by_openvino(
    wanted: Outputs, values: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> BlockPrediction | None:
    pytest.importorskip("openvino")
    # Small, so that there are several slabs and planes that are cut.
    monkeypatch.setattr(openvino_summary, "SLAB_VOXELS", 700)
    model = summary_model(openvino._imported(), wanted)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino._core().compile_model(model, "CPU", options)
    summary = OpenVinoSummary(compiled, wanted, INNER)
    summary.add(values)
    return summary.result()


@pytest.mark.parametrize(("n_raters", "n_classes"), [(0, 2), (2, 2), (3, 4)])
def test_openvino_sums_up_as_torch_does(
    n_raters: int, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = outputs(n_raters, n_classes)
    values = logits(wanted)
    exact, fast = by_torch(wanted, values), by_openvino(wanted, values, monkeypatch)
    assert exact is not None
    assert fast is not None
    np.testing.assert_array_equal(fast.labels, exact.labels)
    assert set(np.unique(exact.labels)) == set(range(n_classes))
    if not n_raters:
        assert fast.rater_probability is exact.rater_probability is None
    assert fast.maps.keys() == exact.maps.keys() == set(wanted.map_names)
    pairs = [(fast.probability, exact.probability)]
    pairs += [(fast.maps[name], exact.maps[name]) for name in exact.maps]
    if fast.rater_probability is not None and exact.rater_probability is not None:
        assert fast.rater_probability.shape[:2] == (n_raters, n_classes - 1)
        steps = [one.rater_probability // STEP for one in (fast, exact)]
        np.testing.assert_array_equal(steps[1] * STEP, exact.rater_probability)
        pairs += [(steps[0], steps[1])]
    for got, expected in pairs:
        assert np.abs(got.astype(int) - expected).max() <= 1
        assert (got == expected).mean() > 0.99
        assert expected.std() > 1


@pytest.mark.parametrize("channel", [0, 3, 5])
def test_a_value_that_is_no_number_is_not_passed_on(
    channel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = outputs(2, 2)
    values = logits(wanted)
    values[0, channel, 5, 6, 7] = torch.nan
    assert by_torch(wanted, values) is None
    assert by_openvino(wanted, values, monkeypatch) is None


def test_several_passes_are_averaged_and_their_disagreement_is_seen() -> None:
    wanted = outputs(0, 2, n_passes=2)
    certain = torch.full((1, 2, *SHAPE), -5.0)
    certain[:, 1] = 5
    same = by_torch(wanted, certain, certain)
    assert same is not None
    assert (same.labels == 1).all()
    assert not same.maps[MODEL_DISAGREEMENT].any()
    other = by_torch(wanted, certain, certain.flip(1))
    assert other is not None
    assert set(np.unique(other.probability)) <= {127, 128}
    assert (other.maps[MODEL_DISAGREEMENT] > 250).all()


@PATIENT
@given(SHAPES, st.integers(9, 200))
def test_slabs_of_rows_follow_each_other_and_are_full(
    shape: Zyx, n_voxels: int
) -> None:
    slabs = list(slabs_of_rows(shape, n_voxels))
    places = np.arange(np.prod(shape)).reshape(shape)
    taken = [[places[box.slices].ravel() for box in slab] for slab in slabs]
    np.testing.assert_array_equal(
        np.concatenate([part for slab in taken for part in slab]), places.ravel()
    )
    sizes = [sum(map(len, slab)) for slab in taken]
    assert all(n_voxels - shape[2] < size <= n_voxels for size in sizes[:-1])


@PATIENT
@given(SHAPES, st.integers(1, 200))
def test_slabs_cover_a_box_once(shape: Zyx, n_voxels: int) -> None:
    box = Box.whole(shape).shifted((3, 4, 5))
    seen = np.zeros([n + 6 for n in shape], int)
    slabs = slabs_of(box, n_voxels)
    for slab in slabs:
        seen[slab.slices] += 1
        assert slab.n_voxels <= max(n_voxels, shape[2])
    assert (seen[box.slices] == 1).all()
    assert seen.sum() == box.n_voxels
    assert all(a.start < b.start for a, b in pairwise(slabs))
