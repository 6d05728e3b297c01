from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.ratings import (
    AnnotatorRater,
    ArrayRater,
    Ratings,
    adjudicators,
    ratings_of,
)
from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box

EMPTY = np.zeros((2, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (np.zeros((2, 2, 3), np.uint8), "another shape"),
        (np.zeros((2, 2, 2), np.float32), "no integers"),
        (np.zeros((3, 2, 2, 2), np.uint8), "channels"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(second, sentence) -> None:
    with pytest.raises(LabelsError, match=sentence):
        ratings_of({"a": EMPTY, "b": second})


@pytest.mark.parametrize(
    "values",
    [np.full((2, 2, 2), 4711, np.uint32), np.full((2, 2, 2), -1, np.int16)],
)
def test_ids_of_objects_are_no_classes(values) -> None:
    with pytest.raises(LabelsError, match="no classes"):
        ArrayRater("b", values).read(Box.whole((2, 2, 2)))


def test_one_rater_agrees_with_nobody() -> None:
    with pytest.raises(LabelsError, match="at least two"):
        ratings_of({"a": EMPTY})


def test_bools_and_leading_axes_are_read() -> None:
    deep = np.ones((1, 1, 2, 3, 4), bool)
    rater = ArrayRater("a", deep)
    assert rater.shape == (2, 3, 4)
    assert (rater.read(Box((0, 1, 1), (2, 3, 3))) == np.ones((2, 2, 2))).all()
    plane = ArrayRater("a", np.eye(3, dtype=np.uint8))
    assert plane.shape == (1, 3, 3)
    assert plane.read(Box((0, 0, 0), (1, 1, 2))).tolist() == [[[1, 0]]]


def test_a_box_without_chunks_is_known_without_reading(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(1, 8, 8, 8), chunks=(1, 4, 4, 4), dtype="uint8",
        fill_value=UNSET,
    )  # fmt: skip
    array[0, 0, 0, 0] = 2
    rater = ArrayRater("a", array)
    assert rater.value_all_over(Box((0, 0, 0), (5, 5, 5))) is None
    assert rater.value_all_over(Box((4, 0, 0), (8, 8, 8))) == UNSET
    assert ArrayRater("b", array[:]).value_all_over(Box((4, 0, 0), (8, 8, 8))) is None


def test_annotators_are_raters_and_what_they_left_out_may_be_background(
    tmp_path: Path,
) -> None:
    store = CorrectionStore.open(
        tmp_path, shape=(8, 8, 8), voxel_size=(1, 1, 1), chunk=(4, 4, 4)
    )
    box = Box((0, 0, 0), (2, 2, 2))
    store.commit(box, np.ones((2, 2, 2), bool), 1, annotator="Ana", tool="brush")
    raters = {name: AnnotatorRater(store, name) for name in ("Ana", "Bo")}
    around, far = Box((0, 0, 0), (3, 2, 2)), Box((4, 4, 4), (8, 8, 8))

    missing = Ratings(raters, unlabelled="missing")
    assert missing.read(around)[0][:, 0, 0].tolist() == [1, 1, UNSET]
    assert missing.values_all_over(far) == (UNSET, UNSET)
    assert missing.values_all_over(around) is None
    both = Box((1, 1, 1), (7, 7, 7))  # a chunk with labels, and others
    assert (missing.read(both)[0] == store.read("Ana", both)).all()
    background = Ratings(raters, unlabelled="background")
    assert background.read(around)[0][:, 0, 0].tolist() == [1, 1, 0]
    assert background.values_all_over(far) == (0, 0)
    store.close()


def test_lengths_are_in_micrometres_where_the_unit_is_known() -> None:
    labels = {"a": EMPTY, "b": EMPTY}
    in_nm = ratings_of(labels, (40.0, 8.0, 8.0), "nanometer")
    assert in_nm.voxel_size_um == pytest.approx((0.04, 0.008, 0.008))
    assert in_nm.length_unit == "µm"
    unknown = ratings_of(labels, (2.0, 1.0, 1.0))
    assert unknown.voxel_size_um == (2.0, 1.0, 1.0)
    assert unknown.length_unit == "units of the voxel size"


def test_who_only_decided_between_raters_is_none(tmp_path: Path) -> None:
    shape, region = (8, 32, 32), Box((0, 0, 0), (4, 8, 8))
    store = CorrectionStore.open(
        tmp_path, shape=shape, voxel_size=(1.0, 1.0, 1.0), chunk=(8, 16, 16)
    )
    ones = np.ones(region.shape, np.uint8)

    def edit(box: Box, annotator: str) -> None:
        store.commit(box, ones > 0, ones, annotator=annotator, tool="brush")

    edit(region, "Ana")
    edit(region, "Zoe")
    assert adjudicators(store) == ()
    store.add_reviewed(region, "Zoe", None, "decided")
    store.add_reviewed(region, "Ana", None, "accepted")
    assert adjudicators(store) == ("Zoe",)
    edit(Box((4, 16, 16), (8, 24, 24)), "Zoe")
    assert adjudicators(store) == ()
    store.close()
