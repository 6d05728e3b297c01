from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block, Box, Zyx, zyx

WHOLE = Box((0, 0, 0), (16, 48, 48))


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    session.set_annotator("Ana")
    yield session
    session.close()


@pytest.fixture
def notices(session: Session) -> list[Notice]:
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    return heard


@pytest.fixture
def truth(phantom_path: Path) -> np.ndarray:
    labels: np.ndarray = Volume.open(phantom_path / "labels" / "truth").read(WHOLE)[0]
    return labels


def predict(project_with_model: Path, truth: np.ndarray) -> None:
    """Write the truth as the prediction of the model."""
    with Project.open(project_with_model) as project:
        assert project.active_model is not None
        store = PredictionStore.create(
            project.prediction_path(project.active_model),
            shape=WHOLE.shape,
            voxel_size=project.volume.voxel_size,
            chunk=(16, 16, 16),
            class_names=project.class_names,
            maps=(),
        )
        probability = np.stack([200 * (truth == k) for k in (1, 2)]).astype(np.uint8)
        store.write(Block(0, WHOLE, WHOLE), BlockPrediction(truth, probability))


@pytest.fixture
def predicted(project_with_model: Path, truth: np.ndarray) -> Path:
    """A closed project in which the network is right everywhere."""
    predict(project_with_model, truth)
    return project_with_model


def inside(truth: np.ndarray, class_id: int = 1) -> Zyx:
    """Return a voxel in the middle of a cell."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(truth == class_id)
    return zyx(np.unravel_index(depth.argmax(), depth.shape))


def rejected(session: Session) -> list[tuple[Zyx, int]]:
    assert session.project is not None
    return session.project.corrections.rejected_clicks()


def test_a_click_works_before_there_is_a_model(
    session: Session, notices: list[Notice], project_folder: Path, truth: np.ndarray
) -> None:
    session.open_project(project_folder)
    session.set_class(2)
    session.click(inside(truth))
    assert session.preview is not None, notices
    assert session.preview.found_by == "image"
    assert session.preview.class_id == 2
    stroke = session.accept_preview()
    assert stroke is not None
    assert session.preview is None


def test_a_click_finds_what_the_network_knows(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    point = inside(truth)
    session.click(point)
    assert session.preview is not None
    assert session.preview.found_by == "prediction"
    found = np.zeros(WHOLE.shape, bool)
    found[session.preview.box.slices] = session.preview.mask
    assert found[point]
    assert (truth[found] == 1).all()


def test_an_object_that_is_left_is_remembered_and_a_taken_one_is_not(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    point = inside(truth)
    session.click(point)
    session.accept_preview()
    assert rejected(session) == []
    session.click(point)
    session.click((0, 0, 0), positive=False)
    session.leave_preview()
    assert session.preview is None
    assert rejected(session) == [(point, 1)]
    session.leave_preview()  # there is nothing any more
    assert rejected(session) == [(point, 1)]


def test_another_annotator_rejects_nothing(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    session.click(inside(truth))
    session.set_annotator("Bo")
    assert session.preview is None
    assert rejected(session) == []


def test_brightness_that_is_left_says_nothing_about_the_network(
    session: Session, project_folder: Path, truth: np.ndarray
) -> None:
    session.open_project(project_folder)
    session.click(inside(truth))
    session.leave_preview()
    assert rejected(session) == []


def test_who_only_reads_may_look_and_leaves_no_trace(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    with Project.open(predicted):
        session.open_project(predicted)
        session.click(inside(truth))
        assert session.preview is not None
        session.leave_preview()
        assert rejected(session) == []


def test_boxes_and_scribbles_are_prompts_too(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    z, y, x = inside(truth)
    box = Box.around((z, y, x), (7, 7, 7)).clipped(WHOLE.shape)
    session.draw_box(box)
    assert session.preview is not None
    assert box.contains(session.preview.box)
    session.drop_preview()

    session.scribble(((z, y, x - 1), (z, y, x + 1)))
    assert session.preview is not None
    with_line = session.preview.n_voxels
    session.scribble(((z, y - 1, x), (z, y + 1, x)), positive=False)
    assert session.preview.n_voxels < with_line


def test_a_click_on_nothing_is_a_sentence_and_keeps_the_preview(
    session: Session, notices: list[Notice], predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    session.click(inside(truth))
    kept = session.preview
    session.click(inside(truth), positive=False)
    assert "leave nothing" in notices[-1].text
    assert session.preview is kept


def test_a_ray_picks_the_first_that_is_probable(
    session: Session, predicted: Path, truth: np.ndarray
) -> None:
    session.open_project(predicted)
    _, y, x = inside(truth)
    column = np.flatnonzero(truth[:, y, x])
    assert session.pick((0, y, x), (1, 0, 0)) == (column[0], y, x)
    assert session.pick((0, y, x), (-1, 0, 0)) == (column[-1], y, x)
    assert session.pick((0, y + 1000, x), (1, 0, 0)) is None


def test_without_predictions_a_ray_picks_the_brightest(
    session: Session, project_folder: Path
) -> None:
    session.open_project(project_folder)
    assert session.project is not None
    image = session.project.volume.read(WHOLE)[0]
    assert session.pick((0, 20, 30), (1, 0, 0)) == (image[:, 20, 30].argmax(), 20, 30)
