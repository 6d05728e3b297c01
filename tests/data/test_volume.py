"""Reading box by box, and never mistaking what is lost for what is empty."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unetseg.data.ome_zarr import create_image, write_pyramid_block
from napari_unetseg.data.volume import COMPLETE, Volume, is_zarr
from napari_unetseg.errors import (
    MetadataError,
    MissingChunkError,
    UnsupportedFormatError,
    VolumeError,
    VolumeNotFoundError,
    VoxelValueError,
)
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 40)
VOXELS = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)


def _pyramid(path: Path, voxels: np.ndarray = VOXELS, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "shape": voxels.shape[-3:],
        "dtype": voxels.dtype,
        "chunk": (8, 16, 16),
        "voxel_size": (1.0, 1.0, 1.0),
        "n_levels": 2,
    }
    group = create_image(path, **(arguments | changes))
    write_pyramid_block(group, Box.whole(voxels.shape[-3:]), voxels)
    return path


def _plain(path: Path, voxels: np.ndarray, **options: Any) -> zarr.Array[Any]:
    array = zarr.create_array(
        path,
        shape=voxels.shape,
        dtype=voxels.dtype,
        chunks=tuple(min(8, n) for n in voxels.shape),
        **options,
    )
    array[...] = voxels
    return array


def test_a_box_is_what_was_written(tmp_path: Path) -> None:
    volume = Volume.open(_pyramid(tmp_path / "a.ome.zarr"))
    box = Box((3, 5, 10), (9, 40, 33))
    np.testing.assert_array_equal(volume.read(box)[0], VOXELS[box.slices])
    assert volume.read(Box.whole((6, 20, 20)), level=1).shape == (1, 6, 20, 20)
    assert (volume.name, volume.shape, volume.n_bytes) == ("a", SHAPE, VOXELS.size)


def test_a_box_outside_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    volume = Volume.open(_pyramid(tmp_path / "a.zarr"))
    with pytest.raises(ValueError, match="not inside"):
        volume.read(Box((0, 0, 0), (13, 4, 4)))


@pytest.mark.parametrize(
    ("shape", "zyx", "n_channels"),
    [
        ((20, 24), (1, 20, 24), 1),
        ((6, 20, 24), (6, 20, 24), 1),
        ((2, 6, 20, 24), (6, 20, 24), 2),
        ((3, 2, 6, 20, 24), (6, 20, 24), 2),
    ],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays_of_two_to_five_axes(
    tmp_path: Path,
    shape: tuple[int, ...],
    zyx: tuple[int, int, int],
    n_channels: int,
    zarr_format: int,
) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    _plain(tmp_path / "a.zarr", voxels, zarr_format=zarr_format)
    time_point = 1 if len(shape) == 5 else 0
    volume = Volume.open(tmp_path / "a.zarr", time_point=time_point)
    assert (volume.shape, volume.n_channels) == (zyx, n_channels)
    expected = (voxels[1] if len(shape) == 5 else voxels).reshape(n_channels, *zyx)
    np.testing.assert_array_equal(volume.read(Box.whole(zyx)), expected)


def test_a_time_point_must_be_there(tmp_path: Path) -> None:
    _plain(tmp_path / "a.zarr", np.ones((3, 1, 4, 9, 9), np.uint8))
    with pytest.raises(MetadataError, match="got 3, expected 0 to 2"):
        Volume.open(tmp_path / "a.zarr", time_point=3)


def test_opening_does_not_depend_on_the_size(tmp_path: Path) -> None:
    create_image(
        tmp_path / "huge.zarr",
        shape=(10_000, 10_000, 10_000),
        dtype="uint8",
        chunk=(64, 64, 64),
        voxel_size=(1.0, 1.0, 1.0),
    )
    started = time.perf_counter()
    volume = Volume.open(tmp_path / "huge.zarr")
    voxels = volume.read(Box((5000,) * 3, (5064,) * 3))
    assert time.perf_counter() - started < 1
    assert volume.n_bytes == 10**12
    assert not voxels.any()


def test_volumes_travel_as_their_address(tmp_path: Path) -> None:
    volume = Volume.open(_pyramid(tmp_path / "a.zarr"))
    volume.read(Box.whole((2, 2, 2)))
    assert len(pickle.dumps(volume)) < 1000
    again = pickle.loads(pickle.dumps(volume))
    assert again.fingerprint == volume.fingerprint


def test_a_file_has_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(UnsupportedFormatError, match="Convert it first"):
        Volume.open(tmp_path / "a.tif")
    with pytest.raises(VolumeNotFoundError, match="nothing at"):
        Volume.open(tmp_path / "gone.zarr")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_said_with_their_place(
    tmp_path: Path, value: float
) -> None:
    voxels = np.ones(SHAPE, np.float32)
    voxels[3, 20, 7] = value
    _plain(tmp_path / "a.zarr", voxels)
    volume = Volume.open(tmp_path / "a.zarr")
    with pytest.raises(VoxelValueError, match=r"z y x = \(3, 20, 7\)"):
        volume.read(Box((2, 10, 0), (6, 40, 40)))
    assert volume.read(Box((4, 0, 0), (12, 40, 40))).all()


class TestLostChunks:
    """What zarr leaves out is empty; what went missing is not."""

    def test_of_a_pyramid_are_known_from_the_coarser_level(
        self, tmp_path: Path
    ) -> None:
        voxels = VOXELS.copy()
        voxels[:8, :16, :16] = 0
        path = _pyramid(tmp_path / "a.zarr", voxels)
        volume = Volume.open(path)
        assert volume.missing_chunks(Box.whole(SHAPE)) == [(0, 0, 0)]
        assert not volume.read(Box.whole((8, 16, 16))).any()
        for index in ("0/1/1", "1/2/2"):  # one inside, one at the end of the volume
            (path / "0" / "c" / index).unlink()
        with pytest.raises(MissingChunkError, match=r"number 0\.1\.1 of level 0"):
            volume.read(Box((0, 16, 16), (8, 17, 17)))
        with pytest.raises(MissingChunkError, match=r"number 1\.2\.2 of level 0"):
            volume.read(Box((11, 39, 39), (12, 40, 40)))
        filled = volume.read(Box((0, 16, 16), (8, 17, 17)), missing="fill")
        assert not filled.any()
        assert volume.read(Box((0, 32, 0), (8, 40, 16))).all()

    def test_of_a_complete_image_are_all_that_are_absent(self, tmp_path: Path) -> None:
        voxels = np.zeros(SHAPE, np.uint8)
        marked: dict[str, Any] = {"attributes": {COMPLETE: True}, "n_levels": 1}
        path = _pyramid(tmp_path / "a.zarr", voxels, **marked)
        with pytest.raises(MissingChunkError):
            Volume.open(path).read(Box.whole(SHAPE))

    def test_of_a_plain_array_are_those_beside_others(self, tmp_path: Path) -> None:
        _plain(tmp_path / "a.zarr", VOXELS)
        (tmp_path / "a.zarr" / "c" / "0" / "1" / "2").unlink()
        volume = Volume.open(tmp_path / "a.zarr")
        with pytest.raises(MissingChunkError, match="leaves out empty ones"):
            volume.read(Box((0, 8, 16), (8, 16, 24)))
        with pytest.raises(OSError, match="lost a chunk"):
            volume.read(Box.whole(SHAPE))

    def test_an_array_without_any_chunk_is_empty(self, tmp_path: Path) -> None:
        _plain(tmp_path / "a.zarr", np.zeros(SHAPE, np.uint8))
        assert not Volume.open(tmp_path / "a.zarr").read(Box.whole(SHAPE)).any()

    def test_of_other_channels_and_times_count_by_themselves(
        self, tmp_path: Path
    ) -> None:
        voxels = np.ones((2, 2, 8, 8, 8), np.uint8)
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=voxels.shape, dtype="u1", chunks=(1, 1, 8, 8, 8)
        )
        array[...] = voxels
        (tmp_path / "a.zarr" / "c" / "1" / "1" / "0" / "0" / "0").unlink()
        box = Box.whole((8, 8, 8))
        assert Volume.open(tmp_path / "a.zarr").read(box).all()
        with pytest.raises(MissingChunkError, match=r"1\.1\.0\.0\.0"):
            Volume.open(tmp_path / "a.zarr", time_point=1).read(box)

    def test_of_shards_are_found_by_their_file(self, tmp_path: Path) -> None:
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=(16, 16, 32), dtype="u1",
            chunks=(8, 8, 8), shards=(16, 16, 16),
        )  # fmt: skip
        array[...] = 1
        volume = Volume.open(tmp_path / "a.zarr")
        assert volume.read(Box.whole(volume.shape)).all()
        (tmp_path / "a.zarr" / "c" / "0" / "0" / "1").unlink()
        assert volume.missing_chunks(Box.whole(volume.shape)) == [(0, 0, 1)]
        with pytest.raises(MissingChunkError):
            volume.read(Box((0, 0, 20), (8, 8, 24)))


def test_a_damaged_chunk_is_said(tmp_path: Path) -> None:
    path = _pyramid(tmp_path / "a.zarr")
    (path / "0" / "c" / "0" / "0" / "0").write_bytes(b"torn")
    volume = Volume.open(path)
    with pytest.raises(VolumeError, match="damaged chunk, level 0 cannot be read"):
        volume.read(Box.whole((8, 16, 16)))
    assert volume.read(Box((0, 16, 16), (8, 32, 32))).all()


@pytest.mark.parametrize("n_channels", [1, 2])
def test_lazy_levels_index_like_arrays(tmp_path: Path, n_channels: int) -> None:
    voxels = np.stack([VOXELS, VOXELS[::-1]])[:n_channels]
    path = _pyramid(tmp_path / "a.zarr", voxels, n_channels=n_channels)
    expected = voxels if n_channels == 2 else voxels[0]
    fine, coarse = Volume.open(path).lazy_levels()
    assert (fine.shape, fine.dtype, fine.ndim) == (expected.shape, "u1", expected.ndim)
    assert coarse.shape[-3:] == (6, 20, 20)
    assert fine.chunks[-3:] == (8, 16, 16)
    for index in (
        (Ellipsis, 3),
        (-1,),
        (slice(None), 5),
        (0, Ellipsis, slice(4, 30, 3)),
        (Ellipsis, slice(2, 9), slice(-5, None), slice(0, 0)),
    ):
        np.testing.assert_array_equal(fine[index], expected[index])
    np.testing.assert_array_equal(fine[1], expected[1])
    with pytest.raises(IndexError):
        fine[..., ::-1]
    with pytest.raises(IndexError):
        fine[99]


def test_what_is_a_zarr(tmp_path: Path) -> None:
    assert is_zarr(_pyramid(tmp_path / "a.zarr"))
    assert is_zarr("https://example.org/a.zarr")
    assert not is_zarr(tmp_path)


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


def test_an_address_is_read_like_a_folder(tmp_path: Path, address: str) -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    path = _pyramid(tmp_path / "a.zarr")
    volume = Volume.open(f"{address}/a.zarr")
    box = Box((0, 10, 10), (12, 20, 20))
    np.testing.assert_array_equal(volume.read(box)[0], VOXELS[box.slices])
    (path / "0" / "c" / "0" / "2" / "2").unlink()
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
