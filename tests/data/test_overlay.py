from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.journal import UNSET, Stroke, StrokeVoxels
from napari_unetseg.data.overlay import (
    Overlay,
    folder_name,
    paste,
)
from napari_unetseg.errors import DamagedOverlayError, DiskFullError
from napari_unetseg.geometry import Box, Zyx

SHAPE = (20, 40, 50)
CHUNK = (8, 16, 16)


def opened(folder: Path, annotator: str = "Ana", **options: Any) -> Overlay:
    options = {"shape": SHAPE, "dtype": "uint8", "chunk": CHUNK} | options
    overlay = Overlay.open(folder, annotator, voxel_size=(2.0, 1.0, 1.0), **options)
    assert overlay is not None
    return overlay


def row(box: Box, value: int, sequence: int = 1) -> tuple[Stroke, StrokeVoxels]:
    stroke = Stroke(sequence, "id", "edit", None, "Ana", "", "brush", None, box, 1, 0)
    n = box.n_voxels
    new = np.full(n, value, np.uint8)
    return stroke, StrokeVoxels(np.ones(box.shape, bool), np.zeros_like(new), new)


def chunk_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name.isdecimal()
    }


def test_nothing_is_said_at_first(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    assert (overlay.read(Box.whole(SHAPE)) == UNSET).all()
    assert chunk_files(tmp_path) == {}


def test_strokes_end_up_where_they_belong(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    expected = np.full(SHAPE, UNSET, np.uint8)
    rows = []
    for number, corner in enumerate([(0, 0, 0), (5, 10, 12), (14, 30, 41)], start=1):
        box = Box(corner, (corner[0] + 6, corner[1] + 9, corner[2] + 9))
        rows.append(row(box, number, number))
        expected[box.slices] = number
    overlay.apply(rows[:2])
    overlay.apply(rows[2:])
    np.testing.assert_array_equal(overlay.read(Box.whole(SHAPE)), expected)
    assert overlay.reached == 3


def test_background_stays_and_unset_takes_the_chunk_away(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    box = Box((0, 0, 0), (3, 3, 3))
    overlay.apply([row(box, 0)])
    assert (overlay.read(box) == 0).all()
    assert len(chunk_files(tmp_path)) == 1
    overlay.apply([row(box, UNSET, 2)])
    assert chunk_files(tmp_path) == {}


def test_only_chunks_under_the_mask_are_written(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    stroke, voxels = row(Box.whole(SHAPE), 1)
    voxels.mask[1:, :, :] = voxels.mask[:, 1:, :] = voxels.mask[:, :, 1:] = False
    overlay.apply([(stroke, StrokeVoxels(voxels.mask, voxels.old[:1], voxels.new[:1]))])
    assert len(chunk_files(tmp_path)) == 1


def test_readers_trust_what_is_written_writers_what_is_synced(tmp_path: Path) -> None:
    overlay = opened(tmp_path)
    overlay.apply([row(Box((0, 0, 0), (1, 1, 1)), 1, 7)])
    assert opened(tmp_path, read_only=True).reached == 7
    assert opened(tmp_path).reached == 0
    overlay.checkpoint()
    assert opened(tmp_path).reached == 7


def test_a_checkpoint_syncs_the_chunks_before_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = opened(tmp_path)
    overlay.apply([row(Box((0, 0, 0), (9, 1, 1)), 1, 7)])
    synced: list[tuple[list[str], int]] = []
    monkeypatch.setattr(
        "napari_unetseg.data.overlay._sync",
        lambda paths: synced.append(
            (sorted(p.relative_to(tmp_path).as_posix() for p in paths),
             opened(tmp_path).reached)
        ),
    )  # fmt: skip
    overlay.checkpoint()
    assert synced == [
        (["Ana.zarr/c/0/0/0", "Ana.zarr/c/1/0/0"], 0),
        (["Ana.zarr/zarr.json"], 7),
    ]
    overlay.checkpoint()
    assert len(synced) == 2


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_torn_chunk_is_said_and_not_shown(
    tmp_path: Path, content: bytes | None
) -> None:
    overlay = opened(tmp_path)
    overlay.apply([row(Box((0, 0, 0), (8, 16, 16)), 3)])
    (path,) = (tmp_path / "Ana.zarr" / "c").rglob("0/0/0")
    path.write_bytes(path.read_bytes()[:-3] if content is None else content)
    with pytest.raises(DamagedOverlayError, match=r"Ana.zarr are damaged"):
        overlay.read(Box((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text('{"zarr_format": 3}'),
        lambda path: path.write_text(path.read_text().replace("written", "w")),
        lambda path: path.unlink(),
    ],
)
def test_torn_metadata_is_begun_anew(tmp_path: Path, damage: Any) -> None:
    overlay = opened(tmp_path)
    overlay.apply([row(Box((0, 0, 0), (1, 1, 1)), 1, 7)])
    damage(tmp_path / "Ana.zarr" / "zarr.json")
    assert Overlay.open(
        tmp_path, "Ana", shape=SHAPE, dtype="uint8", chunk=CHUNK,
        voxel_size=(1, 1, 1), read_only=True,
    ) is None  # fmt: skip
    again = opened(tmp_path)
    assert again.reached == 0
    assert chunk_files(tmp_path) == {}


def test_another_shape_is_begun_anew(tmp_path: Path) -> None:
    opened(tmp_path)
    other: Zyx = (4, 5, 6)
    assert opened(tmp_path, shape=other).read(Box.whole(other)).shape == other


def test_chunks_are_no_larger_than_the_volume(tmp_path: Path) -> None:
    assert opened(tmp_path, chunk=(64, 64, 64)).chunk == SHAPE


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    overlay = opened(tmp_path)
    monkeypatch.setattr("zarr.storage._local._put", full)
    with pytest.raises(DiskFullError, match="disk is full, the labels"):
        overlay.apply([row(Box((0, 0, 0), (1, 1, 1)), 1, 7)])
    assert overlay.reached == 0


def test_names_of_people_become_folders() -> None:
    names = ["Ana", "ana", "Ana María", "Ana Maria", "../up", "", "李雷", "con", "a.b"]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(set(f) <= set(folders[0]) | set(map(chr, range(45, 123)))
               and "/" not in f and "." not in f for f in folders)  # fmt: skip
    assert folders[0] == "Ana"
    assert folder_name("x" * 300) != folder_name("x" * 301)


def test_a_folder_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    opened(tmp_path, "ana").apply([row(Box((0, 0, 0), (1, 1, 1)), 1)])
    # What a file system without capitals would do.
    (tmp_path / "ana.zarr").rename(tmp_path / "Ana.zarr")
    assert (opened(tmp_path, "Ana").read(Box.whole(SHAPE)) == UNSET).all()
    assert len(list(tmp_path.iterdir())) == 2


def test_paste_takes_only_what_both_boxes_share() -> None:
    values = np.zeros((4, 4, 4), np.uint8)
    at = Box((2, 2, 2), (6, 6, 6))
    mask = np.ones(at.shape, bool)
    mask[1, 1, 1] = False
    paste(values, Box((1, 1, 1), (5, 5, 5)), at, mask, np.full(at.shape, 5, np.uint8))
    assert values.sum() == 5 * (27 - 1)
    assert values[2, 2, 2] == 0 and values[3, 3, 3] == 5
    paste(values, Box((9, 9, 9), (13, 13, 13)), at, mask, values)
