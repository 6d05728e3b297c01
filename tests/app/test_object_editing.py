from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice
from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box, Zyx
from tests.helpers.painted import ball

SHAPE = (40, 160, 160)
WHOLE = Box.whole(SHAPE)
VOXEL_SIZE = (2.0, 1.0, 1.0)
# Two balls that touch, over the border of the chunks of the labels at z 16 and x 128.
LEFT, RIGHT = (16, 60, 118), (16, 60, 140)
LONELY = (34, 130, 30)


def predicted() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for centre in (LEFT, RIGHT):
        labels[ball(SHAPE, centre, 12, VOXEL_SIZE)] = 1
    labels[ball(SHAPE, LONELY, 9, VOXEL_SIZE)] = 2
    labels[0:5, 0:12, 0:12] = 1  # at the corner of the volume
    labels[0:3, 4:6, 4:6] = 0
    return labels


@pytest.fixture(scope="module")
def project_on_balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose prediction is two balls that touch, and two other objects."""
    folder = tmp_path_factory.mktemp("balls")
    create_image(
        folder / "image.zarr", shape=SHAPE, dtype="uint8", chunk=(16, 64, 64),
        voxel_size=VOXEL_SIZE, n_levels=1,
    )  # fmt: skip
    project = Project.create(
        folder / "balls.unetseg", folder / "image.zarr", class_names=("cell", "fibre")
    )
    labels = predicted()
    store = PredictionStore.create(
        project.prediction_path("v1"), shape=SHAPE, voxel_size=VOXEL_SIZE,
        chunk=(40, 160, 160), class_names=("cell", "fibre"), maps=(),
    )  # fmt: skip
    probability = np.stack([np.where(labels == n, 230, 10) for n in (1, 2)])
    store.write(
        Block(0, WHOLE, WHOLE), BlockPrediction(labels, probability.astype(np.uint8))
    )
    project.close()
    return project.folder


@pytest.fixture
def session(
    project_on_balls: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    session = Session()
    session.open_project(project_on_balls)
    session.set_annotator("Ana")
    # The version has a prediction but no weights.
    store = PredictionStore.open(session.project.prediction_path("v1"))
    session._predictions = store
    yield session
    while session.undo() is not None:
        pass
    session.close()


@pytest.fixture
def notices(session: Session) -> list[Notice]:
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    return heard


def labels_of(session: Session) -> np.ndarray:
    return read_composite(
        session.project.corrections, session.predictions, WHOLE, session.annotator
    )


def n_objects(session: Session, class_id: int) -> int:
    return ndimage.label(labels_of(session) == class_id, np.ones((3, 3, 3)))[1]


def paint(session: Session, box: Box, value: int) -> None:
    session.project.corrections.commit(
        box, np.ones(box.shape, bool), value, annotator="Ana", tool="brush"
    )


VERBS: dict[str, tuple[str, Callable[[Session], Stroke | None]]] = {
    "merge": ("merge", lambda s: s.merge_objects(LEFT, LONELY)),
    "split": ("split", lambda s: s.split_object([LEFT, RIGHT])),
    "split along": ("split", lambda s: s.split_along([(16, 40, 129), (16, 80, 129)])),
    "delete": ("delete", lambda s: s.delete_object(LEFT)),
    "relabel": ("relabel", lambda s: s.relabel_object(LEFT, 2)),
    "fill holes": ("fill holes", lambda s: s.fill_holes((4, 1, 1), axis=0)),
    "smooth": ("smooth", lambda s: s.smooth_object((4, 1, 1))),
    "grow": ("grow", lambda s: s.grow_object(LEFT, 3.0)),
    "shrink": ("shrink", lambda s: s.shrink_object(LEFT, 3.0)),
    "keep largest": ("keep largest", lambda s: s.keep_largest(WHOLE, 1)),
    "interpolate": ("interpolate", lambda s: s.interpolate_slices(WHOLE)),
    "copy slice": ("copy slice", lambda s: s.copy_slice(WHOLE, 20)),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_one_stroke_of_its_name_and_one_undo(
    session: Session, notices: list[Notice], name: str
) -> None:
    tool, verb = VERBS[name]
    for z in (20, 26):
        paint(session, Box((z, 100, 60), (z + 1, 120, 80)), 1)
    before, n_before = labels_of(session), session.project.corrections.n_strokes
    heard: list[Any] = []
    session.labels_changed.connect(heard.append)

    stroke = verb(session)

    assert notices == [] and stroke is not None
    assert (stroke.tool, stroke.annotator) == (tool, "Ana")
    assert session.project.corrections.n_strokes == n_before + 1
    assert heard == [stroke.box]
    changed = labels_of(session) != before
    assert changed.any()
    inside = np.zeros(SHAPE, bool)
    inside[stroke.box.slices] = True
    assert not changed[~inside].any()
    session.undo()
    np.testing.assert_array_equal(labels_of(session), before)


points = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
on_objects = st.one_of(st.sampled_from([LEFT, RIGHT, LONELY, (4, 1, 1)]), points)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_the_tools_undo_restores_every_voxel(
    session: Session, data: st.DataObject
) -> None:
    while session.undo() is not None:  # what an example that was given up has left
        pass
    states = [labels_of(session)]
    for _ in range(data.draw(st.integers(1, 3))):
        point, other = data.draw(on_objects), data.draw(on_objects)
        verb: Callable[[], Stroke | None] = data.draw(
            st.sampled_from([
                lambda p=point, o=other: session.merge_objects(p, o),
                lambda p=point, o=other: session.split_object([p, o]),
                lambda p=point, o=other: session.split_along(
                    [p, (p[0], *o[1:])]
                ),
                lambda p=point: session.delete_object(p),
                lambda p=point: session.relabel_object(p, 2),
                lambda p=point: session.smooth_object(p, 2.0),
                lambda p=point: session.grow_object(p, 2.0),
                lambda p=point: session.shrink_object(p, 2.0),
                lambda p=point: session.fill_holes(p, 0),
                lambda: session.keep_largest(WHOLE, 1),
                lambda: session.interpolate_slices(WHOLE, class_id=1),
                lambda p=point: session.copy_slice(WHOLE, p[0], class_id=2),
            ])
        )  # fmt: skip
        if verb() is not None:
            states.append(labels_of(session))
    for state in reversed(states[:-1]):
        assert session.undo() is not None
        np.testing.assert_array_equal(labels_of(session), state)
    assert session.undo() is None


def test_split_and_merge_across_chunks(session: Session) -> None:
    assert n_objects(session, 1) == 2
    session.split_object([LEFT, RIGHT])
    assert n_objects(session, 1) == 3
    session.merge_objects(LEFT, RIGHT)
    assert n_objects(session, 1) == 2


def test_verbs_take_the_chosen_class_if_none_is_named(session: Session) -> None:
    session.set_class(2)
    session.relabel_object(LEFT)
    assert labels_of(session)[LEFT] == labels_of(session)[RIGHT] == 2


def test_slices_are_interpolated_from_what_was_said_and_not_predicted(
    session: Session, notices: list[Notice]
) -> None:
    assert session.interpolate_slices(WHOLE, class_id=1) is None
    assert "Fewer than two slices in view" in notices[-1].text
    for z in (20, 26):
        paint(session, Box((z, 100, 60), (z + 1, 120, 80)), 1)
    stroke = session.interpolate_slices(WHOLE, class_id=1)
    assert stroke.box == Box((21, 100, 60), (26, 120, 80))


@pytest.mark.parametrize(
    ("verb", "level", "words"),
    [
        (
            lambda s: s.delete_object((30, 30, 100)),
            "info",
            "no object under the click",
        ),
        (lambda s: s.delete_object((99, 0, 0)), "info", "outside of the volume"),
        (lambda s: s.split_object([LEFT, LONELY]), "warning", "not on one object"),
        (lambda s: s.relabel_object(LEFT, 7), "warning", "no such class: got 7"),
        (lambda s: s.shrink_object(LEFT, 50), "warning", "Nothing would be left"),
        (lambda s: s.merge_objects(LEFT, RIGHT), "info", "one object already"),
        (lambda s: s.fill_holes(LEFT), "info", "no holes"),
        (lambda s: s.grow_object(LEFT, 0.5), "info", "less than a voxel"),
    ],
)
def test_what_cannot_be_done_is_a_notice_and_no_stroke(
    session: Session,
    notices: list[Notice],
    verb: Callable[[Session], Stroke | None],
    level: str,
    words: str,
) -> None:
    before = session.project.corrections.n_strokes
    assert verb(session) is None
    assert notices[-1].level == level and words in notices[-1].text
    assert session.project.corrections.n_strokes == before


@pytest.mark.parametrize("name", VERBS)
def test_a_read_only_project_says_who_holds_it(
    session: Session, project_on_balls: Path, name: str
) -> None:
    second = Session()
    second.open_project(project_on_balls)
    heard: list[Notice] = []
    second.notice.connect(heard.append)
    try:
        assert VERBS[name][1](second) is None
        assert heard[-1].level == "warning"
        assert heard[-1].text == second.project.held_by
    finally:
        second.close()


def test_without_a_project_a_verb_says_so() -> None:
    session = Session()
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    for _, verb in VERBS.values():
        assert verb(session) is None
    assert {notice.text for notice in heard} == {"Open a volume or a project first."}


HUGE: Zyx = (50_000, 100_000, 100_000)
HERE, BESIDE = (25_000, 50_000, 50_000), (25_000, 50_000, 50_060)


@pytest.fixture(scope="module")
def huge_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on an empty volume of half a petavoxel, in which two bars are."""
    folder = tmp_path_factory.mktemp("huge")
    create_image(
        folder / "image.zarr", shape=HUGE, dtype="uint8", chunk=(64, 128, 128),
        voxel_size=(1, 1, 1), n_levels=1,
    )  # fmt: skip
    project = Project.create(
        folder / "huge.unetseg", folder / "image.zarr", class_names=("cell", "fibre")
    )
    for centre in (HERE, BESIDE):
        bar = Box.around(centre, (200, 20, 20))
        project.corrections.commit(
            bar, np.ones(bar.shape, bool), 1, annotator="Ana", tool="brush"
        )
    project.close()
    return project.folder


@pytest.mark.parametrize(
    "verb",
    [
        lambda s: s.merge_objects(HERE, BESIDE),
        lambda s: s.split_object([HERE, (25_090, 50_000, 50_000)]),
        lambda s: s.split_along([(25_000, 49_980, 50_000), (25_000, 50_020, 50_000)]),
        lambda s: s.delete_object(HERE),
        lambda s: s.smooth_object(HERE),
        lambda s: s.grow_object(HERE, 5.0),
        lambda s: s.shrink_object(HERE, 5.0),
        lambda s: s.interpolate_slices(Box.around(HERE, (400, 400, 400)), axis=2),
    ],
)
def test_what_is_read_stays_near_the_object_in_a_huge_volume(
    huge_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: Callable[[Session], Stroke | None],
) -> None:
    read: list[Box] = []
    store_read = CorrectionStore.read

    def noted(store: CorrectionStore, annotator: str, box: Box) -> np.ndarray:
        read.append(box)
        return store_read(store, annotator, box)

    session = Session()
    try:
        session.open_project(huge_project)
        session.set_annotator("Ana")
        paint(session, Box.around((25_000, 50_000, 50_020), (20, 20, 1)), 1)
        monkeypatch.setattr(CorrectionStore, "read", noted)
        assert verb(session) is not None
        session.undo()
        session.undo()
    finally:
        session.close()
    assert len(read) <= 12
    # The bars, the gap and the room around them.
    near = Box((24_700, 49_800, 49_800), (25_300, 50_200, 50_300))
    assert all(near.contains(box) for box in read)
    assert sum(box.n_voxels for box in read) < 2**24
