from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.ratings import AnnotatorRater, Ratings
from napari_unetseg.geometry import Box
from napari_unetseg.training.adjudication import REASON, disputed_regions

SHAPE = (16, 96, 96)
TILE = (8, 16, 16)
SMALL, LARGE = Box((2, 4, 4), (4, 8, 8)), Box((3, 68, 68), (7, 78, 76))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    """Ana and Bo agree on background, but for a small and a large object of Bo's."""
    store = CorrectionStore.open(
        tmp_path, shape=SHAPE, voxel_size=(1, 1, 1), chunk=(8, 32, 32)
    )
    for name in ("Ana", "Bo"):
        paint(store, Box.whole(SHAPE), 0, name)
    paint(store, SMALL, 1, "Bo")
    paint(store, LARGE, 2, "Bo")
    yield store
    store.close()


def paint(store: CorrectionStore, box: Box, value: int, who: str) -> None:
    mask = np.ones(box.shape, bool)
    store.commit(box, mask, value, annotator=who, tool="brush")


def disputed(store: CorrectionStore, **choices):
    raters = {name: AnnotatorRater(store, name) for name in ("Ana", "Bo")}
    return disputed_regions(
        Ratings(raters), store, adjudicator="Zoe", tile=TILE, **choices
    )


def test_the_region_with_most_disagreement_comes_first(store) -> None:
    large, small = disputed(store)
    assert (large.class_id, small.class_id) == (2, 1)
    total = SMALL.n_voxels + LARGE.n_voxels
    assert large.score == pytest.approx(LARGE.n_voxels / total)
    assert small.score == pytest.approx(SMALL.n_voxels / total)
    for item, box in ((large, LARGE), (small, SMALL)):
        assert item.reason == REASON
        assert item.box.contains(box)
        assert box.holds(item.centre)
    assert len(disputed(store, n=1)) == 1


def test_tiles_that_touch_are_one_region(store) -> None:
    crossing = Box((6, 28, 4), (10, 36, 8))  # over the seams of four tiles
    paint(store, crossing, 1, "Bo")
    items = [item for item in disputed(store) if item.box.overlaps(crossing)]
    assert len(items) == 1
    assert items[0].box.contains(crossing)


def test_a_large_web_falls_apart_into_tiles(store) -> None:
    paint(store, Box((0, 40, 0), (16, 44, 96)), 1, "Bo")
    items = disputed(store, n=100)
    assert {item.box.shape for item in items} == {TILE}
    assert len(items) == 2 * 6 + 2


def test_what_the_adjudicator_labelled_does_not_come_back(store) -> None:
    paint(store, LARGE, 2, "Zoe")
    (left,) = disputed(store)
    assert left.box.contains(SMALL)
    assert left.score == 1.0
    paint(store, SMALL, 0, "Zoe")
    assert disputed(store) == ()
    store.undo("Zoe")
    assert len(disputed(store)) == 1


def test_a_closed_region_comes_back_only_if_a_rater_changed_it(store) -> None:
    large, small = disputed(store)
    store.add_reviewed(large.box, "Zoe", state="skipped")
    store.add_reviewed(small.box, "Ana")  # is not the one who decides
    assert [item.box for item in disputed(store)] == [small.box]
    paint(store, Box((3, 68, 68), (4, 69, 69)), 1, "Ana")
    assert {item.box for item in disputed(store)} == {large.box, small.box}


def test_missing_votes_are_no_disagreement(tmp_path) -> None:
    store = CorrectionStore.open(
        tmp_path, shape=SHAPE, voxel_size=(1, 1, 1), chunk=(8, 32, 32)
    )
    paint(store, LARGE, 2, "Bo")
    paint(store, SMALL, 1, "Ana")
    assert disputed(store) == ()
    store.close()


def test_raters_who_agree_leave_nothing_to_decide(store) -> None:
    paint(store, SMALL, 1, "Ana")
    paint(store, LARGE, 2, "Ana")
    assert disputed(store) == ()
