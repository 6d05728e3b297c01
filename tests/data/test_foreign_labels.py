from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_unetseg.data import file_sources, foreign_labels
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.foreign_labels import ValueMap, open_labels
from napari_unetseg.errors import LabelsError, VolumeNotFoundError
from napari_unetseg.geometry import Box

NAMES = ("nerve", "vessel")
VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
BOX = Box((0, 1, 1), (2, 3, 3))


def applied(values: list[float], **choices) -> list[int]:
    return ValueMap.of(NAMES, **choices).applied(np.array(values)).tolist()


def test_values_are_class_ids_without_a_map() -> None:
    assert applied([0, 1, 2]) == [0, 1, 2]
    assert applied([False, True]) == [0, 1]


def test_a_map_says_what_values_mean() -> None:
    pairs = ("255=vessel", "0=background", "70000=nerve", "-1=unlabelled")
    assert applied([255, 0, 70000, -1], pairs=pairs) == [2, 0, 1, UNSET]
    assert applied([255.0, 0.0], pairs=pairs) == [2, 0]


def test_all_values_but_zero_can_be_one_class() -> None:
    assert applied([0, 1, 17], only="vessel") == [0, 2, 2]
    assert applied([0, 1, 17], only="vessel", partial=0) == [UNSET, 2, 2]
    assert applied([0, 1, 9], partial=9) == [0, 1, UNSET]


@pytest.mark.parametrize(
    ("values", "choices", "sentence"),
    [
        ([0, 3], {}, "value 3 of these labels"),
        ([0, 0.5], {}, "value 0.5"),
        ([0, 7], {"pairs": ("0=background",)}, "what the value 7"),
        ([0], {"pairs": ("0=bone",)}, "no such class"),
        ([0], {"pairs": ("nerve",)}, "not understood"),
        ([0], {"only": "bone"}, "no such class"),
        ([0], {"only": "nerve", "pairs": ("0=background",)}, "either a map or"),
    ],
)
def test_values_without_a_meaning_are_refused(values, choices, sentence) -> None:
    with pytest.raises(LabelsError, match=sentence):
        applied(values, **choices)


def _zarr(path: Path) -> None:
    array = zarr.create_array(path, shape=VALUES.shape, chunks=(1, 2, 2), dtype="uint8")
    array[:] = VALUES


def _tiff(path: Path) -> None:
    tifffile.imwrite(path, VALUES, metadata={"axes": "ZYX"})


def _nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VALUES.T, np.eye(4)), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("labels.zarr", _zarr), ("labels.tif", _tiff), ("labels.nii.gz", _nifti)],
)
def test_all_formats_are_read_by_boxes(tmp_path: Path, name, write) -> None:
    write(tmp_path / name)
    labels = open_labels(tmp_path / name)
    assert labels.shape == (2, 3, 4)
    assert (labels.read(BOX) == VALUES[BOX.slices]).all()


@pytest.mark.parametrize(("held", "n_reads"), [(12, 2), (24, 1), (5, 4)])
def test_files_are_read_slab_by_slab(tmp_path, monkeypatch, held, n_reads) -> None:
    _tiff(tmp_path / "labels.tif")
    reads: list[tuple[int, int]] = []
    source = file_sources.open_source(tmp_path / "labels.tif")
    read = source.read

    def noted(start: int, stop: int, rows: slice) -> np.ndarray:
        reads.append((start, stop))
        return read(start, stop, rows)

    watched = replace(source, read=noted)
    monkeypatch.setattr(foreign_labels, "open_source", lambda path: watched)
    monkeypatch.setattr(foreign_labels, "SLAB_BYTES", held)
    labels = open_labels(tmp_path / "labels.tif")
    for box in Box.whole((2, 3, 4)).cells((1, 2, 4)):
        cell = box.clipped((2, 3, 4))
        assert (labels.read(cell) == VALUES[cell.slices]).all()
    assert len(reads) == n_reads


def test_chunks_that_a_sparse_store_left_out_are_its_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "sparse.zarr"
    array = zarr.create_array(path, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint8")
    array[0, 0, 0] = 1
    assert open_labels(path).read(Box.whole((8, 8, 8))).sum() == 1


def test_what_is_not_there_and_what_has_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError):
        open_labels(tmp_path / "nothing.zarr")
    path = tmp_path / "rgb.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.uint8), np.eye(4)), path)
    with pytest.raises(LabelsError, match="several channels"):
        open_labels(path)
