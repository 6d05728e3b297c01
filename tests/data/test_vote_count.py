from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings, ratings_of
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.vote_count import Margin, count_votes
from napari_unetseg.data.vote_patterns import PatternTable
from napari_unetseg.errors import Cancelled, LabelsError, MemoryBudgetError
from napari_unetseg.events import Progress, ignore_event
from napari_unetseg.geometry import Box

SHAPE = (9, 14, 12)


def random_ratings(seed: int, voxel_size=(1.0, 1.0, 1.0)) -> Ratings:
    rng = np.random.default_rng(seed)
    labels = {}
    for name in ("Ana", "Bo", "Cy"):
        values = np.zeros(SHAPE, np.uint8)
        for _ in range(3):
            z, y, x = (int(rng.integers(0, n)) for n in SHAPE)
            values[z : z + 2, y : y + 3, x : x + 2] = rng.choice([1, 2, UNSET])
        labels[name] = values
    return ratings_of(labels, voxel_size, "micrometer")


def near_by_hand(ratings: Ratings, margin: Margin) -> PatternTable:
    """Every voxel against every object voxel, in the whole volume."""
    values = ratings.read(Box.whole(ratings.shape))
    objects = np.any([(v != 0) & (v != UNSET) for v in values], axis=0)
    size = np.array(ratings.voxel_size_um if margin.is_um else (1, 1, 1))
    places = np.argwhere(objects) * size
    everywhere = np.argwhere(np.ones(ratings.shape)) * size
    far = np.full(len(everywhere), np.inf)
    for place in places:
        far = np.minimum(far, np.linalg.norm(everywhere - place, axis=1))
    kept = (far <= margin.radius + 1e-9).reshape(ratings.shape)
    cut = [v[kept].reshape(1, 1, -1) for v in values]
    return PatternTable.of(ratings.names, cut)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    block=st.tuples(*[st.integers(1, 15)] * 3),
    radius=st.sampled_from([0.0, 1.0, 2.5, 4.0]),
    is_um=st.booleans(),
)
def test_any_block_size_counts_the_same(seed, block, radius, is_um) -> None:
    ratings = random_ratings(seed, (2.0, 1.0, 0.7))
    margin = Margin(radius, is_um)
    regions = {"corner": Box((0, 0, 0), (3, 5, 5)), "middle": Box((2, 3, 1), (8, 9, 9))}
    found = count_votes(ratings, margin=margin, regions=regions, block=block)

    values = ratings.read(Box.whole(SHAPE))
    assert found.whole == PatternTable.of(ratings.names, values)
    assert found.near == near_by_hand(ratings, margin)
    for name, box in regions.items():
        cut = [v[box.slices] for v in values]
        assert found.regions[name] == PatternTable.of(ratings.names, cut)


def test_what_nobody_stored_is_counted_without_reading(tmp_path: Path) -> None:
    arrays = {}
    for name, fill in (("Ana", UNSET), ("Bo", 0)):
        arrays[name] = zarr.create_array(
            tmp_path / name, shape=(64, 64, 64), chunks=(16, 16, 16), dtype="uint8",
            fill_value=fill,
        )  # fmt: skip
    arrays["Bo"][3:5, 3:5, 3:5] = 1
    ratings = ratings_of(arrays)
    read: list[Box] = []
    rater = ratings.raters["Bo"]
    rater.read = lambda box, read_it=rater.read: (read.append(box), read_it(box))[1]  # type: ignore[method-assign]
    region = {"far": Box((40, 40, 40), (64, 64, 60))}
    found = count_votes(ratings, block=(16, 16, 16), margin=Margin(2), regions=region)

    assert found.whole.votes == {(UNSET, 0): 64**3 - 8, (UNSET, 1): 8}
    assert found.regions["far"].votes == {(UNSET, 0): 24 * 24 * 20}
    assert found.near.n_voxels == 8 + 6 * 4 * 2 + 12 * 2 + 8
    assert {box.start for box in read} <= {
        (z, y, x) for z in (0, 14) for y in (0, 14) for x in (0, 14)
    }


def test_a_volume_that_is_one_object_is_near_all_over(tmp_path: Path) -> None:
    arrays = {
        name: zarr.create_array(
            tmp_path / name, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint8",
            fill_value=1,
        )
        for name in ("a", "b")
    }  # fmt: skip
    found = count_votes(ratings_of(arrays), block=(4, 4, 4))
    assert found.near == found.whole == PatternTable(("a", "b"), {(1, 1): 512})


def test_progress_is_told_and_can_be_stopped() -> None:
    events = []
    steps = Steps("agreement", 4, events.append, lambda: False)
    count_votes(random_ratings(0), block=(9, 7, 6), steps=steps)
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2, 3, 4]
    stopped = Steps("agreement", 4, ignore_event, lambda: True)
    with pytest.raises(Cancelled):
        count_votes(random_ratings(0), steps=stopped)


def test_a_region_outside_the_volume_is_refused() -> None:
    with pytest.raises(LabelsError, match="region top is not inside"):
        count_votes(random_ratings(0), regions={"top": Box((0, 0, 0), (10, 2, 2))})


def test_a_margin_that_does_not_fit_into_memory_is_refused(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(512, 512, 512), chunks=(64, 64, 64), dtype="uint8"
    )
    ratings = ratings_of({"a": array, "b": array}, (0.1, 0.1, 0.1), "micrometer")
    with pytest.raises(MemoryBudgetError, match="margin of 20 µm .* is too wide"):
        count_votes(ratings, margin=Margin(20, is_um=True))
    assert count_votes(ratings, margin=Margin(1, is_um=True)).near.n_voxels == 0


def test_margins_say_what_they_are() -> None:
    assert [str(Margin(5)), str(Margin(2.5, is_um=True))] == ["5 voxels", "2.5 µm"]
    assert Margin(2.5, is_um=True).halo((1.0, 0.5, 3.0)) == (2, 5, 0)
