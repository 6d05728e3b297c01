from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import zarr

from napari_unetseg.data.nodes import is_zarr, last_part, open_node
from napari_unetseg.errors import (
    MetadataError,
    UnsupportedFormatError,
    VolumeNotFoundError,
)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"There is nothing at .*gone"):
        open_node(tmp_path / "gone")


def test_a_file_is_no_zarr_folder(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(UnsupportedFormatError) as caught:
        open_node(path)
    assert str(caught.value) == (
        "notes.txt is no volume that can be opened, "
        "expected a zarr folder, a TIFF or a NIfTI file."
    )


@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 9}', "[]"])
def test_damaged_metadata_is_a_sentence(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / "image.zarr"
    path.mkdir()
    (path / name).write_text(content)
    with pytest.raises(
        MetadataError, match=r"The zarr metadata of image\.zarr is damaged, \S"
    ):
        open_node(path)


def test_metadata_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    path.mkdir()
    (path / "zarr.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(MetadataError, match="is damaged"):
        open_node(path)


def test_an_address_that_cannot_be_reached_is_a_sentence() -> None:
    with pytest.raises(
        (VolumeNotFoundError, UnsupportedFormatError), match="nowhere://volume can"
    ):
        open_node("nowhere://volume")


def test_the_last_part_of_an_address_is_its_name() -> None:
    assert last_part("https://example.org/data/brain.zarr/") == "brain.zarr"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_markers_make_a_zarr_folder(tmp_path: Path, zarr_format: Literal[2, 3]) -> None:
    path = tmp_path / "image.zarr"
    zarr.create_array(path, shape=(4, 4, 4), dtype="uint8", zarr_format=zarr_format)
    assert is_zarr(path)
    assert not is_zarr(tmp_path)
