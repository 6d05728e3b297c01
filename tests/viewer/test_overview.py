from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unetseg.app.project import Project
from napari_unetseg.app.status import Notice
from napari_unetseg.data.lazy_level import LazyLevel
from napari_unetseg.data.pyramid import downsample_labels, downsample_mean
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import zyx
from napari_unetseg.viewer.chunk_cache import ChunkCache
from napari_unetseg.viewer.layers import FILLS_IN
from napari_unetseg.viewer.overview import Overview
from napari_unetseg.viewer.shown_levels import (
    overview_factors,
    shown_levels,
    shown_shapes,
)

if TYPE_CHECKING:
    from napari import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unetseg.viewer.main_widget import MainWidget

SHAPE, CHUNK = (16, 1100, 1200), (8, 256, 256)
ALL = (slice(None),) * 3
PATIENCE_MS = 60_000


@pytest.fixture
def plain(tmp_path: Path) -> Volume:
    """A plain zarr array, too large for one look, without a pyramid."""
    path = tmp_path / "plain.zarr"
    array = zarr.create_array(path, shape=SHAPE, chunks=CHUNK, dtype="uint8")
    array[:] = np.random.default_rng(0).integers(1, 255, SHAPE, dtype=np.uint8)
    return Volume.open(path)


def whole(overview: Overview, number: int) -> np.ndarray:
    level = overview.levels[number]
    return level[tuple(slice(0, n) for n in level.shape)]


def settle(overview: Overview, qtbot: QtBot, number: int) -> np.ndarray:
    """Look at a level until nothing is missing."""

    def is_there() -> bool:
        return bool(whole(overview, number).all())

    qtbot.waitUntil(is_there, timeout=PATIENCE_MS)
    return whole(overview, number)


def test_a_volume_that_is_read_at_once_needs_none(phantom_path: Path) -> None:
    volume = Volume.open(phantom_path)
    levels, overview = shown_levels(volume, ChunkCache())
    assert overview is None
    assert len(levels) == len(volume.levels)
    assert shown_shapes(volume) == [
        (level.shape, factor)
        for level, factor in zip(volume.levels, volume.factors, strict=True)
    ]


def test_levels_are_empty_first_and_then_means(plain: Volume, qtbot: QtBot) -> None:
    levels, overview = shown_levels(plain, ChunkCache())
    assert overview is not None
    factors = overview_factors(plain)
    assert [level.shape for level in levels] == [s for s, _ in shown_shapes(plain)]
    assert not whole(overview, 0).any()
    shown = settle(overview, qtbot, 0)
    image = plain.array()[:]
    np.testing.assert_array_equal(shown, downsample_mean(image, factors[0]))
    overview.close()


def test_one_look_fills_the_coarser_levels_too(plain: Volume, qtbot: QtBot) -> None:
    _, overview = shown_levels(plain, ChunkCache())
    assert overview is not None
    settle(overview, qtbot, 0)
    coarser = overview.levels[1]
    assert coarser.grid.extent == overview.levels[0].grid.extent
    image = plain.array()[:].astype(int)
    mean = downsample_mean(image, overview_factors(plain)[1])
    assert np.abs(whole(overview, 1).astype(int) - mean).max() <= 1


def test_changes_are_told_after_something_was_read(plain: Volume, qtbot: QtBot) -> None:
    _, overview = shown_levels(plain, ChunkCache())
    assert overview is not None
    heard: list[int] = []
    overview.changed.connect(lambda: heard.append(1))
    whole(overview, 2)
    qtbot.waitUntil(lambda: bool(heard), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not overview.is_busy, timeout=PATIENCE_MS)


def test_what_fell_out_of_memory_is_read_again(plain: Volume, qtbot: QtBot) -> None:
    cache = ChunkCache()
    _, overview = shown_levels(plain, cache)
    assert overview is not None
    before = settle(overview, qtbot, 1)
    cache.clear()
    assert not whole(overview, 1).any()
    np.testing.assert_array_equal(settle(overview, qtbot, 1), before)


def test_nothing_is_read_after_closing(plain: Volume, qtbot: QtBot) -> None:
    _, overview = shown_levels(plain, ChunkCache())
    assert overview is not None
    whole(overview, 0)
    overview.close()
    qtbot.waitUntil(lambda: not overview._is_reading, timeout=PATIENCE_MS)
    assert overview._done.qsize() < np.prod(overview.levels[0].grid.n_tiles)


def test_a_damaged_chunk_is_left_dark_and_named_in_the_log(
    plain: Volume, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(plain.uri) / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    _, overview = shown_levels(plain, ChunkCache())
    assert overview is not None

    def rest_is_there() -> bool:
        shown = whole(overview, 0)
        return bool(shown[:4].all() and not overview.is_busy)

    qtbot.waitUntil(rest_is_there, timeout=PATIENCE_MS)
    assert not whole(overview, 0)[4:, :128, :128].any()
    assert "damaged chunk" in caplog.text


def test_labels_keep_their_numbers(tmp_path: Path, qtbot: QtBot) -> None:
    labels = np.zeros((4, 64, 64), np.uint16)
    labels[:, ::7] = 300
    array = zarr.create_array(
        tmp_path / "l.zarr", shape=labels.shape, chunks=(4, 32, 32), dtype="uint16"
    )
    array[:] = labels
    overview = Overview(array, [zyx((2, 2, 2))], ChunkCache(), reduce=downsample_labels)
    whole(overview, 0)
    qtbot.waitUntil(lambda: whole(overview, 0).any(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not overview.is_busy, timeout=PATIENCE_MS)
    np.testing.assert_array_equal(
        whole(overview, 0), downsample_labels(labels, zyx((2, 2, 2)))
    )


def test_channels_are_kept_apart(tmp_path: Path, qtbot: QtBot) -> None:
    image = np.ones((2, 4, 64, 64), np.uint8)
    image[1] = 9
    array = zarr.create_array(
        tmp_path / "c.zarr", shape=image.shape, chunks=(1, 4, 32, 32), dtype="uint8"
    )
    array[:] = image
    overview = Overview(array, [zyx((2, 2, 2))], ChunkCache())
    shown = settle(overview, qtbot, 0)
    np.testing.assert_array_equal(shown, image[:, ::2, ::2, ::2])


def test_the_window_never_waits_for_a_terabyte(
    dock: MainWidget,
    viewer: Viewer,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "large.zarr"
    zarr.create_array(path, shape=(10_000,) * 3, chunks=(64, 128, 128), dtype="uint8")
    read: list[int] = []
    original: Callable[[LazyLevel, Any], np.ndarray] = LazyLevel.__getitem__

    def recorded(level: LazyLevel, index: Any) -> np.ndarray:
        voxels = original(level, index)
        if current_thread() is main_thread():
            read.append(voxels.size)
        return voxels

    monkeypatch.setattr(LazyLevel, "__getitem__", recorded)
    folder = tmp_path / "large.unetseg"
    Project.create(folder, path, class_names=("cell",)).close()
    heard: list[Notice] = []
    dock.session.notice.connect(heard.append)
    dock.session.open_project(folder)
    dock.layers.settle()
    assert [notice.text for notice in heard] == [FILLS_IN]
    image = viewer.layers["image"]
    assert image.data_level > 0
    assert len({len(viewer.layers[name].data) for name in ("image", "prediction")}) == 1
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: bool(read), timeout=PATIENCE_MS)
    # A screen full of chunks at the most, where a plane of them is 6 GB.
    assert max(read) <= 2**26
