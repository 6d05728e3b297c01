from __future__ import annotations

from pathlib import Path

import pytest

from napari_unetseg.data.stored_chunks import StoredChunks, is_listed


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_was_written_and_is_gone_is_named(tmp_path: Path) -> None:
    chunks = StoredChunks(tmp_path, is_new=True)
    make(tmp_path, "c/0/0/0", "c/0/0/1")
    chunks.note(["c/0/0/0", "c/0/0/1", "c/0/0/2"])
    assert chunks.first_gone(["c/0/0/0", "c/0/0/1", "c/0/0/2"]) is None
    (tmp_path / "c/0/0/1").unlink()
    assert chunks.first_gone(["c/0/0/0"]) is None
    assert chunks.first_gone(["c/0/0/0", "c/0/0/1"]) == "c/0/0/1"


def test_the_list_outlives_the_program(tmp_path: Path) -> None:
    chunks = StoredChunks(tmp_path, is_new=True)
    make(tmp_path, "c/0/0/0")
    chunks.note(["c/0/0/0"])
    chunks.save()
    assert is_listed(tmp_path)
    (tmp_path / "c/0/0/0").unlink()
    again = StoredChunks(tmp_path, is_new=False)
    assert again.first_gone(["c/0/0/0"]) == "c/0/0/0"


def test_a_chunk_that_was_emptied_is_not_missed_by_a_killed_program(
    tmp_path: Path,
) -> None:
    chunks = StoredChunks(tmp_path, is_new=True)
    make(tmp_path, "c/0/0/0")
    chunks.note(["c/0/0/0"])
    chunks.save()
    (tmp_path / "c/0/0/0").unlink()
    chunks.note(["c/0/0/0"])  # written, and nothing but UNSET
    again = StoredChunks(tmp_path, is_new=False)
    assert again.first_gone(["c/0/0/0"]) is None and "c/0/0/0" not in again


@pytest.mark.parametrize(("is_new", "known"), [(True, False), (False, True)])
def test_without_a_list_the_files_count_unless_all_is_written_anew(
    tmp_path: Path, is_new: bool, known: bool
) -> None:
    make(tmp_path, "c/0/0/0", "c/0/0/0.partial", "zarr.json")
    chunks = StoredChunks(tmp_path, is_new=is_new)
    assert ("c/0/0/0" in chunks) is known
    assert chunks.on_disk() == ["c/0/0/0"]
