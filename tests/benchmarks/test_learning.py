from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.learning import needed_regions, summary, targets, vnc_rounds
from benchmarks.learning_arms import Plan, is_used, kept
from benchmarks.learning_gate import at_random
from benchmarks.learning_sets import another_look
from benchmarks.pixel_forest import Forest
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box


def row(regions: int, dice: float, newest: float | None = None) -> dict[str, Any]:
    learned = dice if newest is None else newest
    return {
        "round": regions, "regions": regions, "voxels": 10 * regions,
        "minutes": 1.0, "dice": {"a": dice - 0.1, "b": dice + 0.1},
        "dice_of_newest": {"a": learned, "b": learned},
        "dice_on_corrected": {"a": dice, "b": dice},
    }  # fmt: skip


@pytest.fixture
def figures() -> dict[str, Any]:
    """One study on the nerve cord: 0.5 → 0.6 after five regions, 0.7 after nine."""
    study = {
        "set": "vnc", "seed": 0,
        "ours": {"rows": [row(3, 0.55), row(5, 0.6), row(9, 0.7)], "probe_dice": 0.88},
        "naive": {"dice": {"a": 0.6}, "probe_dice": 0.7},
        "scratch": {"dice": {"a": 0.4}},
        "forest": {"dice": {"a": 0.3}},
        "dense": {"dice": {"a": 0.8, "b": 0.6}},
        "random": {"rows": [row(5, 0.65), row(9, 0.65)]},
        "scan": {"rows": [row(5, 0.5), row(9, 0.6)]},
    }  # fmt: skip
    parent = {"dice": {"a": 0.5, "b": 0.5}, "probe_dice": 0.9, "voxels_open": 3000}
    found: dict[str, Any] = {"parents": {"vnc": parent}, "studies": [study]}
    return found


def test_targets_follow_from_the_figures(figures: dict[str, Any]) -> None:
    figures["null"] = [{"promoted": n == 1} for n in range(10)]
    figures["round"] = {"seconds": 30.0}
    figures["memory"] = [{"variant": "plain", "peak_gb": 2.0},
                         {"variant": "reversible", "peak_gb": 0.5}]  # fmt: skip
    figures["summary"] = summary(figures)
    figures["regions_needed"] = needed_regions(figures)

    found = {target.name: target for target in targets(figures)}

    assert {name: target.value for name, target in found.items()} == pytest.approx(
        {
            "sparse_over_dense": 1.0,
            "five_regions_gain": 0.1,
            "retention_drop": 0.02,
            "null_promotions": 1,
            "worklist_vs_scan": 5 / 9,
            "worklist_vs_foreground_random": 5 / (10 / 3),
            "round_seconds": 30.0,
            "reversible_memory_ratio": 0.25,
        }
    )
    assert found["null_promotions"].bound == 1
    assert not found["retention_drop"].is_met


def test_the_summary_says_what_every_arm_reached(figures: dict[str, Any]) -> None:
    assert summary(figures)["vnc"] == pytest.approx(
        {
            "parent": 0.5, "ours": 0.7, "ours_newest": 0.7, "ours_after_5": 0.6,
            "naive": 0.6, "scratch": 0.4, "forest": 0.3, "dense": 0.7,
            "ours_on_corrected": 0.7, "corrected_share": 0.03, "retention_drop": 0.02,
            "naive_retention_drop": 0.2, "minutes": 1.0,
            "ours_newest_by_random": 0.65, "ours_newest_by_scan": 0.6,
        }
    )  # fmt: skip


def test_regions_are_worth_what_was_learned_from_them_though_it_is_not_used(
    figures: dict[str, Any],
) -> None:
    before = needed_regions(figures)
    for arm in ("ours", "random", "scan"):
        for each in figures["studies"][0][arm]["rows"]:
            each["dice"] = {"a": 0.5, "b": 0.5}
    assert needed_regions(figures) == before


def test_what_was_not_measured_has_no_target(figures: dict[str, Any]) -> None:
    for name in ("dense", "random", "scan"):
        del figures["studies"][0][name]
    figures["summary"] = summary(figures)
    figures["regions_needed"] = needed_regions(figures)

    assert [t.name for t in targets(figures)] == ["five_regions_gain", "retention_drop"]


def test_rounds_are_told_with_the_work_that_they_took(figures: dict[str, Any]) -> None:
    assert vnc_rounds(figures)[1] == {
        "seed": 0, "round": 5, "regions": 5, "voxels": 50, "minutes": 1.0, "dice": 0.6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rounds", "n_regions", "expected"),
    [(3, 21, [5, 13, 21]), (2, 12, [5, 12]), (3, 6, [5, 6]), (3, 4, [4])],
)
def test_rounds_begin_with_five_regions_and_end_with_all(
    rounds: int, n_regions: int, expected: list[int]
) -> None:
    plan = Plan(1, rounds, 1, 1, 1, 1)

    assert plan.up_to(n_regions) == expected


def test_what_is_kept_is_done_again_for_another_plan_only(tmp_path: Path) -> None:
    path, done = tmp_path / "set" / "arm.json", []

    def work() -> dict[str, Any]:
        done.append(len(done))
        return {"dice": len(done)}

    short, long = Plan(1, 1, 1, 1, 1, 1), Plan(1, 1, 1, 9, 1, 1)
    found = [kept(path, plan, work)["dice"] for plan in (short, short, long, long)]

    assert found == [1, 1, 2, 2]


def test_a_version_is_used_unless_it_was_found_no_better() -> None:
    checks = ["Better on 3 of 3 held-out regions"]

    assert is_used({"promoted": True, "checks": checks})
    assert is_used({"promoted": False, "checks": []})
    assert not is_used({"promoted": False, "checks": checks})


def test_labels_at_random_are_as_frequent_as_the_prediction() -> None:
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, :5, :10], labels[0, 10:, 20:] = 1, 2
    drawn = at_random(labels, np.random.default_rng(0))

    assert np.bincount(drawn.ravel()).tolist() == np.bincount(labels.ravel()).tolist()
    assert (drawn == labels).mean() < 0.75


def test_another_look_is_darker_and_always_the_same() -> None:
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8), (4, 50, 100))
    seen = another_look(ramp, gamma=2.0, blur=0.5, noise=0.02)

    # The middle of the range, half as bright as before.
    assert seen[..., 50].mean() == pytest.approx(255 * 0.25, abs=4)
    np.testing.assert_array_equal(
        seen, another_look(ramp, gamma=2.0, blur=0.5, noise=0.02)
    )


@pytest.mark.parametrize("by_section", [True, False])
def test_a_forest_finds_what_it_was_shown(by_section: bool) -> None:
    truth = np.zeros((4, 24, 24), np.uint8)
    truth[:, 8:16, 8:16] = 1
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    labels = np.full(truth.shape, UNSET, np.uint8)
    labels[1] = truth[1]
    box = Box((2, 4, 4), (4, 20, 20))

    forest = Forest(
        (truth + noise).astype(np.float32), trees=10, by_section=by_section, jobs=1
    )
    found = forest.predict(labels, box, seed=0)

    assert found.shape == box.shape
    assert (found == truth[box.slices]).mean() > 0.95
