from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from napari_unetseg.config import (
    MAPS,
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
    WorklistStrategy,
)
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.errors import MissingMapError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.training.worklist import rank_regions
from napari_unetseg.training.worklist_item import WorkItem, tile_for
from tests.helpers.predicted import predicted

SHAPE = (16, 48, 48)
TILE = (8, 16, 16)
FIRST, SECOND = Box((0, 0, 0), (8, 16, 16)), Box((8, 32, 32), (16, 48, 48))
THIRD = Box((0, 16, 16), (8, 32, 32))
STRATEGIES = get_args(WorklistStrategy)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> PredictionStore:
    """Doubt about cells in two regions, about a fibre in a third, weaker one.

    Raters differ most on the second region, mirrored passes on the third.
    """
    doubt, raters, models, labels = (np.zeros(SHAPE, np.uint8) for _ in range(4))
    probability = np.zeros((2, *SHAPE), np.uint8)
    for box, value in ((FIRST, 200), (SECOND, 150)):
        doubt[box.slices], probability[0][box.slices] = value, 128
        labels[box.slices] = 1
    doubt[THIRD.slices] = probability[1][THIRD.slices] = 100
    labels[THIRD.slices] = 2
    raters[FIRST.slices], raters[SECOND.slices] = 51, 102
    models[SECOND.slices], models[THIRD.slices] = 51, 102
    maps = {RATER_DISAGREEMENT: raters, MODEL_DISAGREEMENT: models,
            TOTAL_UNCERTAINTY: doubt}  # fmt: skip
    path = tmp_path_factory.mktemp("predictions") / "v1.zarr"
    return predicted(path, probability, maps, labels)


def ranked(
    predictions: PredictionStore, corrections: CorrectionStore, **options: Any
) -> tuple[WorkItem, ...]:
    usual = {"tile": TILE, "volume_shape": predictions.shape}
    options = usual | {"strategy": "uncertainty"} | options
    return rank_regions(predictions, corrections, **options)


def boxes(items: tuple[WorkItem, ...]) -> list[Box]:
    return [item.box for item in items]


def label(store: CorrectionStore, box: Box, version: str | None = None) -> None:
    store.commit(
        box, np.ones(box.shape, bool), 1, annotator="Ana", tool="brush",
        model_version=version,
    )  # fmt: skip


def have_rounds(store: CorrectionStore, n: int) -> None:
    """Let so many versions have been corrected, far from all doubt."""
    for number in range(n):
        store.add_reviewed(Box((0, 40, 0), (1, 41, 1)), "Ana", f"old{number}")


def in_columns(tmp_path: Path, *values: int, p: int = 255) -> PredictionStore:
    """A row of tiles two tiles apart, each in doubt all over, all about cells."""
    shape = (8, 16, 32 * len(values))
    doubt = np.zeros(shape, np.uint8)
    probability = np.zeros((2, *shape), np.uint8)
    for place, value in enumerate(values):
        doubt[:, :, 32 * place : 32 * place + 16] = value
    probability[0] = p
    return predicted(tmp_path / "v1.zarr", probability, {TOTAL_UNCERTAINTY: doubt})


def test_what_the_model_doubts_comes_class_by_class(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    have_rounds(corrections, 4)  # hardly any chance
    cell, fibre, second = ranked(predictions, corrections)
    assert boxes((cell, fibre, second)) == [FIRST, THIRD, SECOND]
    assert (cell.class_id, fibre.class_id) == (1, 2)
    assert cell.score == pytest.approx(200 * 128 / 255**2)
    assert cell.reason == "unsure about cell"
    assert fibre.reason == "unsure about fibre"
    # The third turn is doubt alone: 150 / 255.
    assert second.reason == "unsure of all, most of cell"
    assert {item.map_name for item in (cell, fibre, second)} == {TOTAL_UNCERTAINTY}
    assert all(item.box.holds(item.centre) for item in (cell, fibre, second))


def test_two_thirds_of_the_list_are_for_the_classes(
    tmp_path: Path, corrections: CorrectionStore
) -> None:
    # Twelve tiles of doubt about cells; the most doubtful six look like no class.
    doubt = np.zeros((8, 16, 32 * 12), np.uint8)
    probability = np.zeros((2, *doubt.shape), np.uint8)
    for place in range(12):
        here = np.s_[:, :, 32 * place : 32 * place + 16]
        doubt[here] = 250 if place < 6 else 200
        probability[0][here] = 3 if place < 6 else 128
    predictions = predicted(
        tmp_path / "v1.zarr", probability, {TOTAL_UNCERTAINTY: doubt}
    )
    items = ranked(predictions, corrections, n=9)
    looks_like_none = [item.centre[2] < 6 * 32 for item in items]
    assert looks_like_none == [False, False, True] * 3


def test_chance_is_the_same_for_the_same_seed_and_shrinks_with_the_rounds(
    tmp_path: Path, corrections: CorrectionStore
) -> None:
    predictions = in_columns(tmp_path, *range(120, 250, 10))
    lists = [ranked(predictions, corrections, seed=s, n=4) for s in (0, 0, 1, 2)]
    assert lists[0] == lists[1]
    assert len({tuple(boxes(items)) for items in lists}) > 1
    best = Box((0, 0, 32 * 12), (8, 16, 32 * 12 + 16))
    have_rounds(corrections, 4)
    firsts = {ranked(predictions, corrections, seed=s, n=1)[0].box for s in range(3)}
    assert firsts == {best}


def test_a_review_elsewhere_does_not_stir_the_list(
    tmp_path: Path, corrections: CorrectionStore
) -> None:
    predictions = in_columns(tmp_path, *range(120, 250, 10))
    before = boxes(ranked(predictions, corrections, n=13))
    corrections.add_reviewed(before[4], "Ana", "v1")
    after = boxes(ranked(predictions, corrections, n=13))
    assert set(after) == set(before) - {before[4]}
    assert after[:4] == before[:4]


def test_regions_are_a_tile_apart(tmp_path: Path, corrections: CorrectionStore) -> None:
    # One doubtful thing astride the border of two tiles, a weaker one far away.
    doubt = np.zeros((8, 16, 64), np.uint8)
    doubt[3:5, 6:10, 12:20] = 250
    doubt[3:5, 6:10, 56:60] = 100
    probability = np.full((2, *doubt.shape), 128, np.uint8)
    predictions = predicted(
        tmp_path / "v1.zarr", probability, {TOTAL_UNCERTAINTY: doubt}
    )
    items = ranked(predictions, corrections)
    assert sorted(item.centre[2] // 16 for item in items) in ([0, 3], [1, 3])
    # What is left of it comes when the first part is settled.
    for item in items:
        corrections.add_reviewed(item.box, "Ana", "v1")
    (rest,) = ranked(predictions, corrections)
    assert {rest.box, *boxes(items)} == {
        Box((0, 0, x), (8, 16, x + 16)) for x in (0, 16, 48)
    }


@pytest.mark.parametrize(
    ("strategy", "places", "reason"),
    [("raters", [SECOND, FIRST], "raters would disagree on cell"),
     ("models", [THIRD, SECOND], "the model contradicts itself on fibre"),
     ("scan", [FIRST, THIRD, SECOND], "next in scan order")],
)  # fmt: skip
def test_each_strategy_has_its_own_order(
    predictions: PredictionStore,
    corrections: CorrectionStore,
    strategy: str,
    places: list[Box],
    reason: str,
) -> None:
    items = ranked(predictions, corrections, strategy=strategy)
    assert boxes(items) == places
    assert items[0].reason == reason
    score = {"scan": ""}.get(strategy, " · 0.40")
    assert items[0].why == f"{reason}{score}"


def test_random_regions_lie_inside_objects_and_at_their_borders(
    tmp_path: Path, corrections: CorrectionStore
) -> None:
    labels = np.zeros((8, 32, 128), np.uint8)
    labels[2:6, 4:28, 4:60], labels[2:6, 4:28, 100:124] = 1, 2
    nothing = np.zeros(labels.shape, np.uint8)
    probability = np.zeros((2, *labels.shape), np.uint8)
    predictions = predicted(
        tmp_path / "v1.zarr", probability, {TOTAL_UNCERTAINTY: nothing}, labels
    )
    lists = [
        ranked(predictions, corrections, strategy="random", seed=s, n=4)
        for s in range(4)
    ]
    for items in lists:
        inside, border, fibre, *_ = items
        assert inside.reason == "at random, inside cell"
        assert border.reason == "at random, border of cell"
        z, y, x = border.centre
        around = labels[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        assert (around == 0).any()
        for item in items:
            assert labels[item.centre] == item.class_id
        assert fibre.reason == "at random, inside fibre"
    assert len({tuple(item.centre for item in items) for items in lists}) > 2
    again = ranked(predictions, corrections, strategy="random", seed=0, n=4)
    assert again == lists[0]


@pytest.mark.parametrize(
    ("strategy", "state"),
    [("uncertainty", "accepted"), ("raters", "corrected"), ("models", "skipped"),
     ("random", "decided"), ("scan", "accepted")],
)  # fmt: skip
def test_what_was_reviewed_does_not_come_back(
    predictions: PredictionStore,
    corrections: CorrectionStore,
    strategy: str,
    state: str,
) -> None:
    assert SECOND in boxes(ranked(predictions, corrections, strategy=strategy))
    corrections.add_reviewed(SECOND, "Ana", "v0", state)
    left = boxes(ranked(predictions, corrections, strategy=strategy))
    assert left
    assert SECOND not in left


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_list_ends_when_all_is_settled(
    predictions: PredictionStore, corrections: CorrectionStore, strategy: str
) -> None:
    label(corrections, FIRST)  # most of it
    label(corrections, Box((9, 33, 33), (10, 35, 35)), "v1")  # a correction of v1
    corrections.add_reviewed(THIRD.grown(2), "Ana", "v1")
    assert ranked(predictions, corrections, strategy=strategy) == ()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_predicted_is_no_work(
    tmp_path: Path, corrections: CorrectionStore, strategy: str
) -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    probability = np.zeros((2, *SHAPE), np.uint8)
    maps = dict.fromkeys(MAPS, nothing)
    predictions = predicted(tmp_path / "v1.zarr", probability, maps)
    assert ranked(predictions, corrections, strategy=strategy) == ()


@pytest.mark.parametrize(
    ("strategy", "do"),
    [("uncertainty", "Predict again."), ("raters", "several raters"),
     ("models", "two mirrored passes")],
)  # fmt: skip
def test_a_map_that_is_missing_is_said(
    tmp_path: Path, corrections: CorrectionStore, strategy: str, do: str
) -> None:
    predictions = predicted(
        tmp_path / "v1.zarr", np.zeros((2, *SHAPE), np.uint8), maps={}
    )
    with pytest.raises(MissingMapError, match=r"has no map of .*\. ") as caught:
        ranked(predictions, corrections, strategy=strategy)
    assert do in str(caught.value)
    assert ranked(predictions, corrections, strategy="random") == ()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_a_huge_volume_only_a_coarse_level_is_read(
    tmp_path: Path,
    corrections: CorrectionStore,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
) -> None:
    monkeypatch.setattr("napari_unetseg.training.worklist_maps.MAX_VOXELS", 2**12)
    shape: Zyx = (64, 256, 256)
    place = Box((40, 40, 8), (56, 56, 24))
    values, labels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    values[place.slices], labels[place.slices] = 250, 1
    probability = np.stack([values, np.zeros_like(values)])
    maps = dict.fromkeys(MAPS, values)
    predictions = predicted(
        tmp_path / "v1.zarr", probability, maps, labels, chunk=(32, 64, 64)
    )
    assert predictions.n_levels == 2
    for name in predictions.names:  # the finest voxels are gone
        for chunk in (Path(predictions.levels(name)[0].store_path.store.root)
                      .glob("**/0/c/**/*")):  # fmt: skip
            if chunk.is_file():
                chunk.write_bytes(b"torn")
    items = ranked(predictions, corrections, strategy=strategy, tile=(16, 16, 16))
    assert items
    assert all(place.grown(2).holds(item.centre) for item in items)
    for item in items:
        corrections.add_reviewed(item.box, "Ana", "v1")
    left = ranked(predictions, corrections, strategy=strategy, tile=(16, 16, 16))
    assert not {*boxes(items)} & {*boxes(left)}


@pytest.mark.parametrize(
    ("voxel_size", "tile"),
    [((1.0, 1.0, 1.0), (32, 64, 64)), ((50.0, 4.6, 4.6), (8, 128, 128)),
     ((0.5, 1.0, 1.0), (32, 64, 64))],
)  # fmt: skip
def test_regions_are_flat_where_sections_are_thick(
    voxel_size: tuple[float, float, float], tile: Zyx
) -> None:
    assert tile_for(voxel_size) == tile
