from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled
from napari_unetseg.events import Event, Progress
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.models.verdict import Verdict
from napari_unetseg.training.gate import Contest, judge
from napari_unetseg.training.training_set import (
    ArrayLabels,
    Region,
    TrainingSet,
    from_label_arrays,
)

SHAPE: Zyx = (16, 48, 48)
CELLS = tuple(Box.whole(SHAPE).cells((16, 16, 16)))
Classes = tuple[ClassInfo, ...]
Judge = Callable[..., Verdict]


class Fake:
    """A model of which everybody knows what it says of every voxel."""

    halo: Zyx = (0, 0, 0)
    stride: Zyx = (1, 1, 1)
    n_channels = 1
    class_names: tuple[str, ...] = ("cell", "fibre")
    rater_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    mvoxel_per_s = 0.0

    def __init__(self, said: np.ndarray, chance: float = 0.99) -> None:
        self.said, self.chance = said, round(255 * chance)

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        labels = self.said[block.write_box.slices]
        is_class = np.stack([labels == 1, labels == 2])
        return BlockPrediction(labels, (is_class * self.chance).astype(np.uint8))

    def bytes_for(self, read_shape: Zyx) -> int:
        return 0


def worse(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Return labels of which a share is lost, the same share of every object voxel."""
    lost = np.random.default_rng(seed).random(labels.shape) < share
    return np.where(lost, 0, labels).astype(np.uint8)


@pytest.fixture
def contest(phantom_path: Path, truth: np.ndarray, classes: Classes) -> Contest:
    """Six regions that neither learned from, and tiles on which to lose nothing."""
    return Contest(
        volume=Volume.open(phantom_path),
        normalisation=Normalisation(low=(60.0,), high=(230.0,)),
        training_set=from_label_arrays({"Ana": truth}, classes),
        classes=classes,
        load=lambda: (Fake(worse(truth, 0.3)), Fake(truth)),
        names=("v1", "v2"),
        regions=CELLS[:6],
        n_whole=6,
        accepted=CELLS[6:8],
        others=(),
        n_labelled=9,
    )


@pytest.fixture
def decide(contest: Contest) -> Judge:
    def with_changes(champion: Any, challenger: Any, **changes: Any) -> Verdict:
        fields = vars(contest) | changes
        return judge(Contest(**fields | {"load": lambda: (champion, challenger)}))

    return with_changes


def test_a_better_version_is_promoted_and_says_why(contest: Contest) -> None:
    verdict = judge(contest)
    assert verdict.is_promoted
    assert verdict.champion == "v1"
    assert verdict.said.startswith("Better on 6 of 6 reviewed regions: Dice 0.8")
    assert verdict.said.endswith("→ 1.00.")
    assert all(check.passed for check in verdict.checks)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_the_same_version_is_not_promoted(decide: Judge, truth: np.ndarray) -> None:
    same = worse(truth, 0.2)
    verdict = decide(Fake(same), Fake(same))
    assert verdict.outcome == "kept"
    assert verdict.said.startswith("Kept as a candidate: not better: on 0 of 6")
    assert [check.name for check in verdict.checks if not check.passed] == ["better"]


def test_who_forgets_is_not_promoted(decide: Judge, truth: np.ndarray) -> None:
    forgot = truth.copy()
    for box in CELLS[6:8]:
        forgot[box.slices] = worse(forgot[box.slices], 0.3)
    champion = worse(truth, 0.2)
    for box in CELLS[6:8]:
        champion[box.slices] = truth[box.slices]
    verdict = decide(Fake(champion), Fake(forgot))
    assert verdict.outcome == "kept"
    assert "On regions that were right before it lost 0." in verdict.checks[1].said
    assert verdict.said.endswith(verdict.checks[1].said[1:])


def test_who_changes_what_was_certain_is_not_promoted(
    decide: Judge, truth: np.ndarray
) -> None:
    unlabelled = CELLS[8]
    some = truth.copy()
    some[unlabelled.slices] = 255
    labels = TrainingSet((Region(CELLS[0], "reviewed", "Ana"),), ArrayLabels(some), {})
    champion, challenger = worse(truth, 0.2), truth.copy()
    other_way_round = np.array([0, 2, 1], np.uint8)
    challenger[unlabelled.slices] = other_way_round[truth[unlabelled.slices]]
    fields = {"training_set": labels, "others": (unlabelled,), "accepted": ()}
    verdict = decide(Fake(champion), Fake(challenger), **fields)
    assert "Where v1 is sure it no longer agrees" in verdict.checks[1].said
    assert verdict.outcome == "kept"
    unsure = decide(Fake(champion, 0.9), Fake(challenger, 0.9), **fields)
    names = [check.name for check in unsure.checks]
    assert names == ["better", "sure", "classes", "calibration"]


def test_a_class_that_vanishes_keeps_a_version_out(
    decide: Judge, truth: np.ndarray
) -> None:
    cells_only = np.where(truth == 1, 1, 0).astype(np.uint8)
    champion = np.where(truth == 1, worse(truth, 0.9), worse(truth, 0.2))
    verdict = decide(Fake(champion), Fake(cells_only), accepted=())
    assert verdict.outcome == "kept"
    (gone,) = (check for check in verdict.checks if check.name == "classes")
    assert gone.said == "It no longer finds fibre."


def test_who_is_too_sure_is_not_promoted(decide: Judge, truth: np.ndarray) -> None:
    champion, challenger = worse(truth, 0.3), worse(truth, 0.2)
    verdict = decide(Fake(champion, 1.0), Fake(challenger, 0.6), accepted=())
    (believable,) = (c for c in verdict.checks if c.name == "calibration")
    assert not believable.passed
    assert "less reliable" in believable.said


def test_too_few_regions_say_how_many_are_missing(
    decide: Judge, truth: np.ndarray
) -> None:
    few = {"regions": CELLS[:2], "n_labelled": 6}
    verdict = decide(Fake(worse(truth, 0.9)), Fake(truth), **few)
    assert verdict.outcome == "not_judged"
    assert "2 more reviewed regions would allow a comparison with v1" in verdict.said
    one = decide(Fake(truth), Fake(truth), regions=CELLS[:2], n_labelled=20)
    assert "1 more reviewed region would" in one.said


def test_a_class_of_one_region_decides_nothing(
    decide: Judge, truth: np.ndarray
) -> None:
    has_fibre = [bool((truth[box.slices] == 2).any()) for box in CELLS]
    assert sum(has_fibre[:6]) < 3
    with_fibre = np.where(truth == 1, worse(truth, 0.2), truth)
    without = np.where(truth == 1, worse(truth, 0.2), worse(truth, 0.5))
    better = decide(Fake(without), Fake(with_fibre), accepted=())
    assert better.figures["gain"] == 0
    only_fibre = {"regions": CELLS[5:8], "accepted": ()}
    fibres = np.where(truth == 2, 2, 0).astype(np.uint8)
    fibres[CELLS[6].slices] = 0
    labels = from_label_arrays({"Ana": fibres}, ())
    none = decide(Fake(truth), Fake(truth), training_set=labels, **only_fibre)
    assert none.outcome == "not_judged"
    assert "Review more regions with objects in them" in none.said


def test_the_same_contest_has_the_same_end(contest: Contest) -> None:
    assert judge(contest) == judge(contest)


def test_it_says_how_far_it_is_and_can_be_stopped(contest: Contest) -> None:
    heard: list[Event] = []
    judge(contest, heard.append)
    assert heard[-1] == Progress(7, 8, "comparing with v1")
    with pytest.raises(Cancelled, match="v2 is kept as a candidate"):
        judge(contest, is_cancelled=lambda: True)
