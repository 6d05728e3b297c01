from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.export_target import ExportedImage
from napari_unetseg.data.object_table import ObjectMeasures, TableWriter
from napari_unetseg.data.steps import Steps
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box


def _ball(shape, centre, radius) -> np.ndarray:
    grid = np.indices(shape).reshape(3, -1).T - np.asarray(centre)
    return ((grid**2).sum(axis=1) <= radius**2).reshape(shape)


def test_sums_do_not_depend_on_the_tiles() -> None:
    ids = np.random.default_rng(0).integers(0, 5, (6, 7, 8)).astype(np.uint32)
    whole, tiled = ObjectMeasures(4), ObjectMeasures(4)
    whole.add(Box.whole(ids.shape), ids)
    for cell in Box.whole(ids.shape).cells((4, 3, 5)):
        box = cell.clipped(ids.shape)
        tiled.add(box, ids[box.slices])

    np.testing.assert_array_equal(whole.n_voxels, tiled.n_voxels)
    np.testing.assert_array_equal(whole.start, tiled.start)
    np.testing.assert_array_equal(whole.stop, tiled.stop)
    for number in range(1, 5):
        np.testing.assert_allclose(whole.centroid(number), tiled.centroid(number))
        expected = np.argwhere(ids == number).mean(axis=0)
        np.testing.assert_allclose(whole.centroid(number), expected)


def test_a_ball_has_three_equal_axes_of_its_diameter() -> None:
    measures = ObjectMeasures(1)
    ball = _ball((31, 31, 31), (15, 15, 15), 12)
    measures.add(Box.whole(ball.shape), ball.astype(np.uint32))

    np.testing.assert_allclose(
        measures.axis_lengths(1, (0.5, 0.5, 0.5)), [12.0] * 3, rtol=0.03
    )


def test_axes_follow_the_voxel_size() -> None:
    measures = ObjectMeasures(1)
    ball = _ball((31, 31, 31), (15, 15, 15), 12)
    measures.add(Box.whole(ball.shape), ball.astype(np.uint32))

    longest, _, shortest = measures.axis_lengths(1, (4.0, 1.0, 1.0))
    assert longest == pytest.approx(4 * shortest)


def test_rows_are_physical(tmp_path) -> None:
    image = ExportedImage(
        name="cells",
        shape=(4, 10, 10),
        dtype=np.dtype("uint32"),
        voxel_size=(2.0, 0.5, 0.5),
        origin=(100.0, 0.0, 0.0),
        unit="micrometer",
        classes=default_classes(["cell", "fibre"]),
        kind="objects",
        chunk=(4, 10, 10),
        box=Box((50, 0, 0), (54, 10, 10)),
        class_of_object=np.array([0, 2, 1], np.uint8),
    )
    ids = np.zeros(image.shape, np.uint32)
    ids[1:3, 2:4, 2:6] = 1
    ids[0, 0, 0] = 2
    writer = TableWriter(tmp_path / "t.csv", image)
    writer.write(Box.whole(image.shape), ids)
    writer.finish(Steps("export", 0, ignore_event, never_cancelled))

    with (tmp_path / "t.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["object"], first["class_id"], first["class"]) == ("1", "2", "fibre")
    assert float(first["volume_um3"]) == 16 * 0.5
    diameter = float(first["equivalent_diameter_um"])
    assert math.pi / 6 * diameter**3 == pytest.approx(8.0, rel=1e-5)
    assert float(first["centroid_z_um"]) == 100 + 1.5 * 2
    assert float(first["centroid_y_um"]) == 2.5 * 0.5
    assert [first[f"start_{a}"] for a in "zyx"] == ["51", "2", "2"]
    assert [first[f"stop_{a}"] for a in "zyx"] == ["53", "4", "6"]
    assert (first["touches_edge"], second["touches_edge"]) == ("0", "1")
    assert second["class"] == "cell"
