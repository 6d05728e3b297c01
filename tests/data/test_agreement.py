from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from napari_unetseg.data.agreement import UNSET, agreement
from napari_unetseg.errors import Cancelled, LabelsError
from napari_unetseg.events import Progress, RunStarted


@pytest.fixture
def raters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.choice([0, 0, 1, 2], (6, 9, 10)).astype(np.uint8)
    raters = {}
    for name in ("Ana", "Bo", "Cy"):
        other = rng.choice([0, 1, 2], truth.shape).astype(np.uint8)
        raters[name] = np.where(rng.random(truth.shape) < 0.2, other, truth)
    return raters


def test_dice_is_that_of_sklearn(raters) -> None:
    result = agreement(raters, ("cell", "fibre"), tile=(4, 4, 4))

    pair = result["pairs"][1]
    assert pair["names"] == ["Ana", "Cy"]
    for class_id, name in ((1, "cell"), (2, "fibre")):
        a, c = raters["Ana"] == class_id, raters["Cy"] == class_id
        assert pair["dice"][name] == pytest.approx(f1_score(a.ravel(), c.ravel()))
    same = (raters["Ana"] == raters["Cy"]).mean()
    assert pair["percent_agreement"] == pytest.approx(same)


def test_kappa_of_a_table_done_by_hand() -> None:
    # Four voxels, three raters; votes for (0, 1): (3,0) (0,3) (1,2) (2,1).
    raters = {
        "a": np.array([[[0, 1, 0, 0]]], np.uint8),
        "b": np.array([[[0, 1, 1, 0]]], np.uint8),
        "c": np.array([[[0, 1, 1, 1]]], np.uint8),
    }
    result = agreement(raters)

    observed = (1 + 1 + 1 / 3 + 1 / 3) / 4
    assert result["percent_agreement"] == pytest.approx(observed)
    assert result["fleiss_kappa"] == pytest.approx((observed - 0.5) / 0.5)
    # With one class, the class against everything else is the whole.
    per_class = result["per_class"]["class 1"]["fleiss_kappa"]
    assert per_class == pytest.approx(result["fleiss_kappa"])


def test_kappa_of_two_balanced_raters_is_scotts_and_near_cohens(raters) -> None:
    two = {name: raters[name] for name in ("Ana", "Bo")}
    cohen = cohen_kappa_score(two["Ana"].ravel(), two["Bo"].ravel())

    assert agreement(two)["fleiss_kappa"] == pytest.approx(cohen, abs=0.005)


def test_tiles_do_not_matter(raters) -> None:
    assert agreement(raters, tile=(2, 5, 3)) == agreement(raters, tile=(64, 64, 64))


def test_unlabelled_voxels_are_left_out() -> None:
    a = np.array([[[0, 1, UNSET, 1]]], np.uint8)
    b = np.array([[[0, 1, 1, UNSET]]], np.uint8)
    result = agreement({"a": a, "b": b})

    assert result["n_voxels"] == 2
    assert result["fleiss_kappa"] == pytest.approx(1.0)
    assert result["pairs"][0]["dice"] == {"class 1": 1.0}


def test_what_cannot_be_computed_is_none() -> None:
    empty = np.zeros((2, 2, 2), np.uint8)
    result = agreement({"a": empty, "b": empty})

    assert result["fleiss_kappa"] is None
    assert result["mean_dice"] is None
    assert result["percent_agreement"] == 1.0
    assert json.loads(json.dumps(result)) == result


def test_leading_axes_of_length_one_are_looked_through(raters) -> None:
    deep = {name: array[None, None] for name, array in raters.items()}
    assert agreement(deep) == agreement(raters)


def test_tells_its_progress_and_stops(raters) -> None:
    events = []
    agreement(raters, tile=(3, 9, 10), on_event=events.append)
    assert events[0] == RunStarted("agreement", 2, subject="Ana, Bo, Cy")
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2]
    with pytest.raises(Cancelled):
        agreement(raters, is_cancelled=lambda: True)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (np.zeros((2, 2, 3), np.uint8), "another shape"),
        (np.zeros((2, 2, 2), np.float32), "no integers"),
        (np.full((2, 2, 2), 4711, np.uint32), "no classes"),
        (np.full((2, 2, 2), -1, np.int16), "no classes"),
        (np.zeros((3, 2, 2, 2), np.uint8), "channels"),
    ],
)
def test_labels_that_cannot_be_compared(second, sentence) -> None:
    with pytest.raises(LabelsError, match=sentence):
        agreement({"a": np.zeros((2, 2, 2), np.uint8), "b": second})


def test_one_rater_agrees_with_nobody() -> None:
    with pytest.raises(LabelsError, match="at least two"):
        agreement({"a": np.zeros((2, 2, 2), np.uint8)})
