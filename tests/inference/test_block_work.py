from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.components import Components, find_components
from napari_unetseg.data.engine import Engine, one_by_one
from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.errors import Cancelled, VoxelValueError
from napari_unetseg.events import Event, Progress, ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.inference.block_work import ExecutorEngine
from napari_unetseg.inference.dask_executor import DaskExecutor
from napari_unetseg.inference.executors import Executor
from tests.helpers.label_volume import read_all_but_one, read_stored, stored

SHAPE: Zyx = (40, 48, 56)
TILE: Zyx = (16, 16, 32)
SPLITTINGS = [None, Splitting(0.7, (1.0, 1.0, 1.0))]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dask's own


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Balls of two classes, many of which touch."""
    rng = np.random.default_rng(4)
    z, y, x = np.indices(SHAPE)
    values = np.zeros(SHAPE, np.uint8)
    for number in range(40):
        cz, cy, cx = rng.uniform((0, 0, 0), SHAPE)
        inside = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= 36
        values[inside] = 1 + number % 2
    return stored(values, tmp_path / "labels.zarr")


@pytest.fixture
def find(tmp_path: Path, labels: Path) -> Callable[..., Components]:
    def find(
        engine: Engine,
        splitting: Splitting | None = None,
        read: Callable[[Box], np.ndarray] | None = None,
        scratch: str = "scratch",
        on_event: Callable[[Event], None] = ignore_event,
        is_cancelled: Callable[[], bool] = never_cancelled,
    ) -> Components:
        return find_components(
            read or partial(read_stored, labels),
            SHAPE,
            tmp_path / scratch,
            Steps("export", 90, on_event, is_cancelled),
            tile=TILE,
            splitting=splitting,
            engine=engine,
        )

    return find


def _assert_same(one: Components, other: Components) -> None:
    whole = Box.whole(SHAPE)
    np.testing.assert_array_equal(one.read(whole), other.read(whole))
    np.testing.assert_array_equal(one.class_of, other.class_of)
    np.testing.assert_array_equal(one.sizes, other.sizes)


@pytest.mark.parametrize("splitting", SPLITTINGS)
def test_objects_are_the_same_whoever_finds_them(
    find: Callable[..., Components],
    executor: Executor,
    cluster: DaskExecutor,
    splitting: Splitting | None,
) -> None:
    here = find(one_by_one, splitting, scratch="here")
    assert here.n_objects > 10
    threads = ExecutorEngine(executor, never_cancelled)
    _assert_same(here, find(threads, splitting, scratch="threads"))
    processes = ExecutorEngine(cluster, never_cancelled)
    _assert_same(here, find(processes, splitting, scratch="processes"))


def test_a_tile_that_cannot_be_read_ends_it_and_the_others_are_kept(
    find: Callable[..., Components], executor: Executor, labels: Path
) -> None:
    engine = ExecutorEngine(executor, never_cancelled)
    last = Box((32, 32, 32), SHAPE)
    with pytest.raises(VoxelValueError, match="cannot be read"):
        find(engine, read=partial(read_all_but_one, labels, last))
    events: list[Event] = []
    mended = find(engine, read=partial(read_stored, labels), on_event=events.append)
    _assert_same(mended, find(one_by_one, scratch="undisturbed"))
    assert len([e for e in events if isinstance(e, Progress)]) == 2 * 18


def test_tiles_are_found_once_more_only_if_they_are_missing(
    find: Callable[..., Components], executor: Executor, labels: Path
) -> None:
    engine = ExecutorEngine(executor, never_cancelled)
    last = Box((32, 32, 32), SHAPE)
    with pytest.raises(VoxelValueError):
        find(engine, read=partial(read_all_but_one, labels, last))
    everything_else = Box((0, 0, 0), (32, 48, 56))
    found = find(engine, read=partial(read_all_but_one, labels, everything_else))
    assert found.n_objects > 0


def test_a_cancel_ends_it(find: Callable[..., Components], executor: Executor) -> None:
    events: list[Event] = []

    def is_cancelled() -> bool:
        return len(events) > 5

    with pytest.raises(Cancelled):
        find(
            ExecutorEngine(executor, is_cancelled),
            on_event=events.append,
            is_cancelled=is_cancelled,
        )
    assert len(events) < 12
