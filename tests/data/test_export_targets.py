from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unetseg.data.ome_zarr import read_image
from napari_unetseg.data.tiff_export import TiffWriter
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, DiskFullError, ExportError, ReadOnlyError
from napari_unetseg.events import (
    Progress,
    RunStarted,
)
from napari_unetseg.geometry import Box

SHAPE = (12, 40, 44)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_in_place_again_needs_overwrite(export, labels, volume) -> None:
    export(labels, volume, format="in-place")
    with pytest.raises(ExportError, match="already is something"):
        export(labels, volume, format="in-place")
    empty = np.zeros(SHAPE, np.uint8)

    export(empty, volume, format="in-place", overwrite=True)

    folder = Path(volume.uri) / "labels"
    assert not zarr.open_group(folder / "segmentation", mode="r")["0"][:].any()
    assert read_image(volume.uri).label_names == ("segmentation",)
    assert _names(folder) == ["segmentation", "zarr.json"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_in_place_names_stay_in_the_folder(export, labels, volume, name) -> None:
    with pytest.raises(ExportError, match="cannot have this name"):
        export(labels, volume, format="in-place", name=name)


def test_labels_have_no_place_beside_a_plain_array(export, labels, tmp_path) -> None:
    zarr.create_array(tmp_path / "plain.zarr", shape=SHAPE, dtype="uint8")
    with pytest.raises(ExportError, match="plain zarr array"):
        export(labels, Volume.open(tmp_path / "plain.zarr"), format="in-place")


def test_a_part_outside_is_refused(export, labels, volume, tmp_path) -> None:
    with pytest.raises(ExportError, match="outside"):
        export(
            labels,
            volume,
            target=tmp_path / "out.zarr",
            box=Box((99, 0, 0), (100, 1, 1)),
        )


@pytest.mark.parametrize(
    "choice",
    [
        {"format": "ome-zarr", "target": "out.zarr"},
        {"format": "in-place"},
        {"format": "tiff", "target": "out.tif"},
        {"format": "nifti", "target": "out.nii.gz", "kind": "objects"},
        {"format": "csv", "target": "out.csv"},
    ],
)
def test_a_stopped_export_leaves_nothing(
    export, labels, volume, tmp_path, choice
) -> None:
    if "target" in choice:
        choice = {**choice, "target": tmp_path / choice["target"]}
    before = sorted(tmp_path.rglob("*"))
    events: list[Any] = []
    export(labels, volume, events.append, **choice | {"overwrite": False})
    assert isinstance(events[0], RunStarted)
    assert [type(e) for e in events[1:]] == [Progress] * (len(events) - 1)
    assert events[-1].done == events[-1].total == events[0].total
    n_steps = events[0].total
    written = sorted(tmp_path.rglob("*"))
    content = {p: p.read_bytes() for p in written if p.is_file()}

    for last in (0, n_steps // 2, n_steps):
        done: list[Any] = []
        with pytest.raises(Cancelled, match="The export was stopped"):
            export(
                labels,
                volume,
                done.append,
                lambda last=last, done=done: len(done) > last,
                **choice | {"overwrite": True},
            )
        # What stood there before is still there, bit for bit.
        assert {
            p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
        } == content
    assert len(written) > len(before)


def test_a_stopped_first_export_leaves_no_labels_folder(export, labels, volume) -> None:
    with pytest.raises(Cancelled):
        export(labels, volume, is_cancelled=lambda: True, format="in-place")
    assert not (Path(volume.uri) / "labels").exists()


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    export, labels, volume, tmp_path, monkeypatch
) -> None:
    def full(self: Any, box: Box, values: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TiffWriter, "write", full)
    with pytest.raises(DiskFullError, match="disk is full"):
        export(labels, volume, format="tiff", target=tmp_path / "out.tif")
    assert _names(tmp_path) == ["image.zarr"]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({}, "needs a target"),
        ({"target": "out.tif"}, "ends in .zarr"),
        ({"target": "image.zarr"}, "lies in the volume"),
        ({"target": "image.zarr/labels/x.zarr"}, "lies in the volume"),
        ({"target": "nowhere/out.zarr"}, "does not exist"),
        ({"target": "taken.zarr"}, "already is something"),
        ({"target": "taken.zarr", "overwrite": True}, "holds no labels"),
        ({"target": "other.zarr", "overwrite": True}, "holds no labels"),
    ],
)
def test_targets_that_are_refused(
    export, make_image, labels, volume, tmp_path, choice, sentence
) -> None:
    (tmp_path / "taken.zarr").mkdir()
    (tmp_path / "taken.zarr" / "precious.txt").write_text("mine")
    make_image(tmp_path / "other.zarr")
    if "target" in choice:
        choice = {**choice, "target": tmp_path / choice["target"]}
    with pytest.raises(ExportError, match=sentence):
        export(labels, volume, **choice)
    assert (tmp_path / "taken.zarr" / "precious.txt").exists()
    assert (tmp_path / "other.zarr" / "zarr.json").exists()


def test_labels_of_another_shape_are_refused(export, volume, tmp_path) -> None:
    with pytest.raises(ExportError, match="do not fit"):
        export(np.zeros((2, 2, 2), np.uint8), volume, target=tmp_path / "o.zarr")


def test_a_read_only_image_is_refused_at_once(
    export, labels, volume, monkeypatch
) -> None:
    def refused(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    events: list[Any] = []
    with pytest.raises(ReadOnlyError, match="read-only"):
        export(labels, volume, events.append, format="in-place")
    assert events == []
