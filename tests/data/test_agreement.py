from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_unetseg.data.agreement import agreement
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings, ratings_of
from napari_unetseg.data.vote_count import Margin
from napari_unetseg.errors import Cancelled
from napari_unetseg.events import Progress, RunStarted
from napari_unetseg.geometry import Box


@pytest.fixture
def raters() -> Ratings:
    rng = np.random.default_rng(1)
    truth = rng.choice([0, 0, 1, 2], (6, 9, 10)).astype(np.uint8)
    raters = {}
    for name in ("Ana", "Bo", "Cy"):
        other = rng.choice([0, 1, 2], truth.shape).astype(np.uint8)
        raters[name] = np.where(rng.random(truth.shape) < 0.2, other, truth)
    return ratings_of(raters)


def two(a: list[int], b: list[int]) -> Ratings:
    values = [np.array(v, np.uint8).reshape(1, 1, -1) for v in (a, b)]
    return ratings_of(dict(zip("ab", values, strict=True)))


def test_every_measure_of_every_part_is_there(raters) -> None:
    region = {"top": Box((0, 0, 0), (3, 9, 10))}
    found = agreement(raters, ("cell",), regions=region)

    assert found["names"] == ["Ana", "Bo", "Cy"]
    assert found["classes"] == ["cell", "class 2"]
    for part in (found, found["near"], found["regions"]["top"]):
        assert 0 < part["fleiss_kappa"] < 1
        assert 0 < part["krippendorff_alpha"] < 1
        assert [pair["names"] for pair in part["pairs"]] == [
            ["Ana", "Bo"], ["Ana", "Cy"], ["Bo", "Cy"],
        ]  # fmt: skip
        assert set(part["per_class"]["cell"]) >= {"fleiss_kappa", "mean_dice"}
        assert 0 < part["pairs"][0]["class_kappa"]["cell"] < 1
    assert found["regions"]["top"]["n_voxels"] == 270
    assert len(found["raters"]) == len(found["surface_distances"]) == 6
    assert json.loads(json.dumps(found)) == found


def test_tiles_do_not_matter(raters) -> None:
    parts = agreement(raters, block=(2, 5, 3), margin=Margin(1))
    assert parts == agreement(raters, margin=Margin(1))


def test_unlabelled_voxels_are_left_out() -> None:
    result = agreement(two([0, 1, UNSET, 1], [0, 1, 1, UNSET]))
    assert (result["n_voxels"], result["n_any"]) == (2, 4)
    assert result["fleiss_kappa"] == pytest.approx(1.0)
    assert result["pairs"][0]["dice"] == {"class 1": 1.0}


def test_what_was_left_out_can_be_background() -> None:
    a, b = ([1, UNSET, UNSET], [1, 1, UNSET])
    assert agreement(two(a, b))["mean_dice"] == 1.0
    painted = replace(two(a, b), unlabelled="background")
    result = agreement(painted)
    assert (result["n_voxels"], result["unlabelled"]) == (3, "background")
    assert result["mean_dice"] == pytest.approx(2 / 3)


def test_patterns_are_named_and_the_most_frequent_comes_first() -> None:
    result = agreement(two([1, 1, 0, UNSET], [1, 1, 1, 1]), ("cell",))
    assert result["patterns"][0] == {
        "votes": ["cell", "cell"], "n_voxels": 2, "disagreement": 0.0,
    }  # fmt: skip
    assert {tuple(p["votes"]): p["disagreement"] for p in result["patterns"][1:]} == {
        ("background", "cell"): 1.0,
        ("not labelled", "cell"): 0.0,
    }


def test_what_cannot_be_computed_is_none() -> None:
    result = agreement(two([0, 0], [0, 0]))
    assert result["fleiss_kappa"] is None
    assert result["mean_dice"] is None
    assert result["percent_agreement"] == 1.0
    assert json.loads(json.dumps(result)) == result


def test_tells_its_progress_and_stops(raters) -> None:
    events = []
    agreement(raters, block=(3, 9, 10), on_event=events.append)
    # Two blocks, once for votes and once for surfaces.
    assert events[0] == RunStarted("agreement", 4, subject="Ana, Bo, Cy")
    assert [e.done for e in events if isinstance(e, Progress)] == list(range(1, 5))
    with pytest.raises(Cancelled):
        agreement(raters, is_cancelled=lambda: True)
