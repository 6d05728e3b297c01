from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.errors import TrainingError
from napari_unetseg.geometry import Block, Box
from napari_unetseg.training.training_set import (
    collect,
    from_label_arrays,
    majority,
)

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
Classes = tuple[ClassInfo, ...]


def paint(store: CorrectionStore, box: Box, value: int, annotator: str = "Ana") -> None:
    mask = np.ones(box.shape, bool)
    store.commit(box, mask, value, annotator=annotator, tool="brush")


def predicted(folder: Path, version: str, value: int) -> PredictionStore:
    store = PredictionStore.create(
        folder / f"{version}.zarr", shape=SHAPE, voxel_size=(1.0, 1.0, 1.0),
        chunk=(16, 16, 16), class_names=("cell", "fibre"), maps=(),
    )  # fmt: skip
    labels = np.full(SHAPE, value, np.uint8)
    store.write(
        Block(0, WHOLE, WHOLE), BlockPrediction(labels, np.zeros((2, *SHAPE), np.uint8))
    )
    return store


def test_unlabelled_voxels_are_no_background(
    corrections: CorrectionStore, classes: Classes
) -> None:
    paint(corrections, Box((0, 0, 0), (1, 4, 4)), 1)
    paint(corrections, Box((0, 8, 0), (1, 10, 4)), 0)
    found = collect(corrections, None, classes)
    assert found.n_voxels == {"background": 8, "cell": 16, "fibre": 0}
    assert np.count_nonzero(found.labels.read(WHOLE) != UNSET) == 24
    assert len(found.stroke_ids) == 2


def test_describe_names_the_people(
    corrections: CorrectionStore, classes: Classes
) -> None:
    paint(corrections, Box((0, 0, 0), (1, 16, 16)), 1)
    paint(corrections, Box((8, 32, 32), (16, 48, 48)), 0, "Bo")
    paint(corrections, Box((0, 0, 32), (1, 1, 33)), 0, "Cy")
    text = collect(corrections, None, classes).describe()
    assert text == "2,305 voxels in 3 regions by Ana, Bo and Cy"


def test_a_region_is_where_somebody_worked_and_not_the_whole_chunk(
    corrections: CorrectionStore, classes: Classes
) -> None:
    painted = Box((0, 0, 0), (1, 4, 4))
    paint(corrections, painted, 1)
    confirmed = Box((6, 32, 32), (7, 40, 40))
    paint(corrections, confirmed, 0)
    corrections.add_reviewed(confirmed, "Ana")
    found = collect(corrections, None, classes)
    boxes = [(region.box, region.is_whole) for region in found.regions]
    assert boxes == [(painted, False), (confirmed, False), (confirmed, True)]
    assert found.describe() == "80 voxels in 2 regions by Ana"


def test_only_the_chosen_annotators_count(
    corrections: CorrectionStore, classes: Classes
) -> None:
    paint(corrections, Box((0, 0, 0), (1, 4, 4)), 1)
    paint(corrections, Box((1, 0, 0), (2, 4, 4)), 0)
    paint(corrections, Box((2, 0, 0), (3, 4, 4)), 2, "Bo")
    found = collect(corrections, None, classes, annotators=("Ana",))
    assert found.n_voxels["fibre"] == 0
    assert found.raters_among(("Bo", "Ana")) == ("Ana",)


def test_every_person_is_a_rater_of_their_own(
    corrections: CorrectionStore, classes: Classes
) -> None:
    box = Box((0, 0, 0), (1, 4, 4))
    paint(corrections, box, 1, "Ana")
    paint(corrections, box, 0, "Bo")
    paint(corrections, Box((2, 0, 0), (3, 4, 4)), 2, "Bo")
    found = collect(corrections, None, classes)
    assert (found.by_rater["Ana"].read(box) == 1).all()
    assert (found.by_rater["Bo"].read(box) == 0).all()
    assert (found.labels.read(box) == 0).all(), "the last word wins"


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, "Nothing is labelled yet"), (1, "All labels are cell"),
     (0, "All labels are background")],
)  # fmt: skip
def test_too_few_kinds_of_labels_are_refused(
    corrections: CorrectionStore, classes: Classes, value: int | None, says: str
) -> None:
    if value is not None:
        paint(corrections, Box((0, 0, 0), (1, 4, 4)), value)
    with pytest.raises(TrainingError, match=says) as caught:
        collect(corrections, None, classes)
    assert "aint" in str(caught.value), "says what to do"


def test_an_accepted_region_is_what_was_seen_then(
    corrections: CorrectionStore, classes: Classes, tmp_path: Path
) -> None:
    predicted(tmp_path, "v1", 1)
    newer = predicted(tmp_path, "v2", 2)
    box = Box((0, 0, 0), (4, 4, 4))
    corrections.add_reviewed(box, "Ana", "v1")
    paint(corrections, Box((0, 0, 0), (1, 4, 4)), 0)
    found = collect(corrections, newer, classes)
    assert found.n_voxels == {"background": 16, "cell": 48, "fibre": 0}
    assert (found.by_rater["Ana"].read(box)[1:] == 1).all()


def test_a_lost_prediction_accepts_nothing(
    corrections: CorrectionStore, classes: Classes, tmp_path: Path
) -> None:
    newer = predicted(tmp_path, "v2", 2)
    corrections.add_reviewed(Box((0, 0, 0), (4, 4, 4)), "Ana", "v1")
    corrections.add_reviewed(Box((8, 0, 0), (9, 4, 4)), "Ana", "v2", "skipped")
    with pytest.raises(TrainingError, match="Nothing is labelled"):
        collect(corrections, newer, classes)


def test_what_was_decided_between_raters_accepts_no_prediction(
    corrections: CorrectionStore, classes: Classes, tmp_path: Path
) -> None:
    box = Box((0, 0, 0), (4, 4, 4))
    paint(corrections, Box((0, 0, 0), (1, 4, 4)), 1)
    paint(corrections, Box((1, 0, 0), (2, 4, 4)), 0)
    corrections.add_reviewed(box, "Ana", "v1", "decided")
    found = collect(corrections, predicted(tmp_path, "v1", 2), classes)
    assert found.n_voxels == {"background": 16, "cell": 16, "fibre": 0}


def test_accepting_without_a_model_means_background(
    corrections: CorrectionStore, classes: Classes
) -> None:
    paint(corrections, Box((0, 0, 0), (1, 4, 4)), 1)
    corrections.add_reviewed(Box((0, 0, 0), (2, 4, 4)), "Ana")
    assert collect(corrections, None, classes).n_voxels["background"] == 16


def test_overlapping_regions_are_counted_once(classes: Classes) -> None:
    arrays = {"Ana": np.ones((20, 70, 70), np.uint8)}
    arrays["Ana"][:, :10] = 0
    found = from_label_arrays(arrays, classes)
    assert sum(found.n_voxels.values()) == 20 * 70 * 70
    assert "by" not in found.describe()


def test_majority_breaks_ties_by_the_first() -> None:
    labels = [
        np.array(values, np.uint8) for values in ([1, 1, 0], [2, 0, 0], [2, 2, 0])
    ]
    assert majority(labels).tolist() == [2, 1, 0]
