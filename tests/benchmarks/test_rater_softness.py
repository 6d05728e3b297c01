from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.rater_sets import Case
from benchmarks.rater_softness import drawn_apart
from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.models.uncertainty import APART

SHAPE = (8, 8, 8)


@dataclass(frozen=True)
class Unsure:
    """Two heads that are both unsure everywhere."""

    def predict(self, cases: Sequence[Case]) -> Iterator[BlockPrediction]:
        for _ in cases:
            whole = np.full(SHAPE, 255, np.uint8)
            maps = {
                TOTAL_UNCERTAINTY: whole,
                RATER_DISAGREEMENT: (whole * APART).astype(np.uint8),
            }
            yield BlockPrediction(whole // 255, whole[None] // 2, maps, None)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_share_of_unsure_voxels_on_which_raters_differ_is_found(
    share: float,
) -> None:
    masks = np.ones((2, *SHAPE), np.uint8)
    masks[1, : round(share * SHAPE[0])] = 0
    case = Case(np.zeros(SHAPE, np.float32), masks)
    found = drawn_apart(cast("Any", Unsure()), [case])
    assert found["share"] == pytest.approx(share, abs=0.01)
