"""Volumes behind an address, damaged chunks, and slips of the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    MissingChunkError,
    UnsupportedFormatError,
    VolumeError,
    VolumeNotFoundError,
)
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 40)
VOXELS = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)


@pytest.fixture
def volume_path(tmp_path: Path) -> Path:
    """A pyramid without a voxel of zero."""
    path = tmp_path / "a.zarr"
    group = create_image(
        path,
        shape=SHAPE,
        dtype="uint8",
        chunk=(8, 16, 16),
        voxel_size=(1.0, 1.0, 1.0),
        n_levels=2,
    )
    write_pyramid_block(group, Box.whole(SHAPE), VOXELS)
    return path


def test_a_box_outside_is_a_mistake_of_the_caller(volume_path: Path) -> None:
    with pytest.raises(ValueError, match="not inside a"):
        Volume.open(volume_path).read(Box((0, 0, 0), (13, 4, 4)))


def test_lazy_levels_are_read_forwards(volume_path: Path) -> None:
    fine, _ = Volume.open(volume_path).lazy_levels()
    np.testing.assert_array_equal(fine[-1, ..., 4:30:3], VOXELS[-1, :, 4:30:3])
    assert fine[0, 3:3].shape == (0, 40)
    with pytest.raises(IndexError, match="forwards"):
        fine[::-1]
    with pytest.raises(IndexError):
        fine[12]


def test_a_damaged_chunk_is_said(volume_path: Path) -> None:
    (volume_path / "0" / "c" / "0" / "0" / "0").write_bytes(b"torn")
    volume = Volume.open(volume_path)
    with pytest.raises(VolumeError, match="damaged chunk, level 0 cannot be read"):
        volume.read(Box.whole((8, 16, 16)))
    assert volume.read(Box((0, 16, 16), (8, 32, 32))).all()


def test_the_last_chunk_is_judged_by_cells_that_it_fills_in_part(
    volume_path: Path,
) -> None:
    (volume_path / "0" / "c" / "1" / "2" / "2").unlink()
    with pytest.raises(MissingChunkError, match=r"number 1\.2\.2 of level 0"):
        Volume.open(volume_path).read(Box((11, 39, 39), SHAPE))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve a folder on this machine only."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_is_read_like_a_folder(volume_path: Path, address: str) -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    volume = Volume.open(f"{address}/a.zarr")
    box = Box((0, 10, 10), (12, 20, 20))
    np.testing.assert_array_equal(volume.read(box)[0], VOXELS[box.slices])
    (volume_path / "0" / "c" / "0" / "2" / "2").unlink()
    with pytest.raises(MissingChunkError):
        volume.read(Box.whole(SHAPE))
    with pytest.raises(VolumeNotFoundError, match="no zarr at"):
        Volume.open(f"{address}/gone.zarr")


def test_an_address_that_nobody_answers_is_said() -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    with pytest.raises(VolumeNotFoundError, match="cannot be read"):
        Volume.open("http://127.0.0.1:9/a.zarr")


def test_a_missing_package_for_addresses_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("fsspec")

    monkeypatch.setattr(zarr, "open", refuse)
    with pytest.raises(UnsupportedFormatError, match=r"napari-unetseg\[remote\]"):
        Volume.open("s3://bucket/a.zarr")
