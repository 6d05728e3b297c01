from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.opening import Found, PathKind
from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice, SaveKind
from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    ExportConfig,
    Preferences,
    VoxelSize,
)
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import DiskFullError
from napari_unetseg.events import BlockState
from napari_unetseg.geometry import Box, zyx

PATIENCE_S = 120
WINDOW = Box((0, 0, 0), (16, 48, 48))


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


def wait(session: Session, happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE_S * 50):
        session.poll()
        if happened():
            return
        pause.wait(0.02)
    raise AssertionError(f"It has not happened; the job is {session.job}.")


def finish(session: Session) -> None:
    wait(session, lambda: session.job.is_idle)


def paint(session: Session, box: Box, value: int) -> None:
    composite = session.composite(WINDOW)
    composite[box.slices] = value
    session.commit(composite, "brush")


def test_a_volume_without_a_project_asks_for_its_classes(
    session: Session, phantom_path: Path
) -> None:
    asked: list[Found] = []
    session.classes_wanted.connect(asked.append)
    session.open_path(phantom_path)
    assert [found.path for found in asked] == [str(phantom_path)]
    assert asked[0].scale.voxel_size == Volume.open(phantom_path).voxel_size

    session.open_volume(asked[0].path, class_names=("cell", "fibre"))
    assert session.project is not None
    assert session.project.folder == phantom_path.with_suffix(".unetseg")


def test_a_volume_with_a_project_opens_that(
    session: Session, project_folder: Path, phantom_path: Path
) -> None:
    session.open_path(phantom_path)
    assert session.project is not None
    assert session.project.folder == project_folder


def test_a_wrong_path_becomes_a_notice(
    session: Session, notices: list[Notice], tmp_path: Path
) -> None:
    session.open_path(tmp_path / "nothing.zarr")
    assert session.project is None
    assert notices[-1].level == "error"
    assert "nothing.zarr" in notices[-1].text


def test_strokes_are_undone_and_redone_and_outlive_the_session(
    session: Session, project_folder: Path
) -> None:
    session.open_project(project_folder)
    box = Box((2, 4, 4), (3, 9, 9))
    paint(session, box, 1)
    assert session.composite(WINDOW)[2, 5, 5] == 1

    assert session.undo() is not None
    assert session.composite(WINDOW)[2, 5, 5] == 0
    assert not session.can_undo
    assert session.redo() is not None
    session.close()

    session.open_project(project_folder)
    assert session.annotator == "Ana"
    assert session.composite(WINDOW)[2, 5, 5] == 1
    assert session.can_undo


def test_back_to_a_stroke_and_one_out_of_many(
    session: Session, notices: list[Notice], project_folder: Path
) -> None:
    session.open_project(project_folder)
    for y in (4, 14, 24):
        paint(session, Box((2, y, 4), (3, y + 5, 9)), 1)
    first, second, third = session.project.corrections.strokes()
    changed: list[Box] = []
    session.labels_changed.connect(changed.append)

    assert len(session.undo_to(first)) == 2
    assert changed == [Box((2, 14, 4), (3, 29, 9))]
    assert len(session.redo_to(third)) == 2
    assert session.undo_stroke(second) is not None
    seen = session.composite(WINDOW)
    assert [seen[2, y + 1, 5] for y in (4, 14, 24)] == [1, 0, 1]

    assert session.undo_stroke(second) is None
    assert "taken back already" in notices[-1].text
    assert session.save_state.kind is SaveKind.SAVED


def test_a_damaged_journal_is_restored_and_the_person_is_told(
    session: Session, notices: list[Notice], project_folder: Path
) -> None:
    session.open_project(project_folder)
    paint(session, Box((2, 4, 4), (3, 9, 9)), 1)
    session.close()
    (project_folder / "journal.sqlite").write_bytes(b"garbage" * 1000)

    session.open_project(project_folder)
    assert [notice.level for notice in notices] == ["warning", "warning"]
    assert "The journal was damaged" in notices[0].text
    assert "25 voxels of Ana were missing" in notices[1].text
    assert session.composite(WINDOW)[2, 5, 5] == 1


def test_a_full_disk_turns_the_mark_and_keeps_the_stroke(
    session: Session,
    notices: list[Notice],
    project_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.open_project(project_folder)
    composite = session.composite(WINDOW)
    composite[2, 4:9, 4:9] = 1

    def full(*_: object, **__: object) -> None:
        raise DiskFullError("The disk is full", do="Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(CorrectionStore, "commit", full)
        assert session.commit(composite, "brush") is None
    assert session.save_state.kind is SaveKind.NOT_SAVED
    assert session.save_state.do == "Free some space."
    assert "The disk is full" in notices[-1].text

    assert session.commit(composite, "brush") is not None
    assert session.save_state.kind is SaveKind.SAVED


def test_what_cannot_be_done_says_why(
    session: Session, notices: list[Notice], project_folder: Path
) -> None:
    assert session.why_not("predict") == "Open a volume or a project first."
    session.open_project(project_folder)

    session.predict()
    assert "train a new one" in notices[-1].text
    assert "Label a few slices first" in session.why_not("train")
    assert session.why_not("undo") == "There is nothing to undo."
    assert session.why_not("cancel") == "Nothing is running."
    assert session.why_not("click") == ""


def test_a_read_only_project_refuses_edits_with_its_reason(
    session: Session, notices: list[Notice], project_folder: Path
) -> None:
    with Project.open(project_folder):
        session.open_project(project_folder)
        assert "is open elsewhere" in notices[-1].text
        paint(session, Box((0, 0, 0), (1, 2, 2)), 1)
        assert "is open elsewhere" in notices[-1].text
        assert session.project is not None
        assert session.project.corrections.n_strokes == 0


def test_the_whole_loop_without_a_window(
    session: Session,
    notices: list[Notice],
    project_with_model: Path,
    phantom_path: Path,
    tmp_path: Path,
) -> None:
    session.open_project(project_with_model)
    session.predict(Box((0, 0, 0), (16, 48, 24)), flips=1)
    finish(session)
    assert session.predictions is not None
    assert session.block_states

    truth = Volume.open(phantom_path / "labels" / "truth").read(WINDOW)[0]
    assert session.project is not None
    plane = Box((8, 0, 0), (9, 48, 48))
    session.project.corrections.commit(
        plane,
        np.ones(plane.shape, bool),
        truth[plane.slices],
        annotator="Ana",
        tool="brush",
    )

    versions: list[object] = []
    session.model_changed.connect(versions.append)
    session.finetune(steps=2)
    finish(session)
    assert session.project.active_model == "v1"
    assert "v2: Kept as a candidate" in notices[-1].text
    assert notices[-1].level == "info"
    assert "7 more reviewed regions would allow" in notices[-1].text
    assert versions == []

    session.use_version("v2")
    assert versions == ["v2"]
    assert session.job.verb == "predict", "what was on show is predicted again"
    finish(session)
    session.go_back()
    assert session.project.active_model == "v1"
    session.go_back()
    assert session.project.active_model == "v1", "there is nothing older"
    session.use_version("v2")
    assert session.job.is_idle, "its prediction is there already"
    session.export(ExportConfig(target=tmp_path / "out.zarr"))
    finish(session)

    out = Volume.open(tmp_path / "out.zarr").read(WINDOW)[0]
    np.testing.assert_array_equal(out[8], truth[8])


def test_blocks_that_fail_are_a_warning_that_says_why(
    session: Session,
    notices: list[Notice],
    phantom_path: Path,
    model_dir: Path,
    tmp_path: Path,
) -> None:
    image, shape = tmp_path / "torn.zarr", (16, 48, 48)
    array = create_image(
        image, shape=shape, dtype="uint8", chunk=(16, 16, 16), voxel_size=(1, 1, 1),
        n_levels=1,
    )["0"]  # fmt: skip
    array[...] = Volume.open(phantom_path).read(Box.whole(shape))[0]
    (image / "0" / "c" / "0" / "2" / "2").unlink()
    Project.create(
        tmp_path / "torn.unetseg", image, class_names=("cell", "fibre")
    ).close()
    session.open_project(tmp_path / "torn.unetseg")
    session.import_model(model_dir)

    session.predict(flips=1, block=(16, 16, 16))
    finish(session)
    failed = [i for i, s in session.block_states.items() if s is BlockState.FAILED]
    assert 0 < len(failed) < 9
    assert notices[-1].level == "warning"
    assert "failed. The volume torn has lost a chunk" in notices[-1].text

    before, n_heard = dict(session.block_states), len(notices)
    session.predict(only_failed=True)
    wait(session, lambda: len(notices) > n_heard and session.job.is_idle)
    assert session.block_states == before


def test_a_prediction_goes_on_as_it_was_begun_whatever_is_usual_now(
    session: Session, project_with_model: Path, notices: list[Notice]
) -> None:
    session.open_project(project_with_model)
    corner = Box((0, 0, 0), (16, 16, 16))
    session.predict(corner, flips=4, block=(16, 16, 16))
    finish(session)
    n_before = len(session.block_states)

    session.set_preferences(session.preferences.replace(flips=1))
    assert session.usual_prediction()["flips"] == 4
    session.predict()
    finish(session)
    assert len(session.block_states) > n_before
    assert not [notice for notice in notices if notice.level == "error"]


def test_another_model_brings_its_own_predictions(
    session: Session, project_with_model: Path, model_dir: Path
) -> None:
    session.open_project(project_with_model)
    session.predict(flips=1)
    finish(session)
    assert session.predictions is not None

    session.import_model(model_dir)
    assert session.project is not None
    assert session.project.active_model == "v2"
    assert session.predictions is None
    assert session.block_states == {}
    session.set_active_model("v1")
    assert session.predictions is not None
    assert session.block_states


def test_a_file_is_converted_and_then_opened(session: Session, tmp_path: Path) -> None:
    import tifffile

    voxels = np.full((4, 16, 16), 5, "uint8")
    tifffile.imwrite(tmp_path / "s.tif", voxels, imagej=True, metadata={"axes": "ZYX"})
    asked: list[Found] = []
    session.classes_wanted.connect(asked.append)
    session.open_path(tmp_path / "s.tif")
    assert asked == [
        Found(PathKind.FILE, str(tmp_path / "s.tif"), tmp_path / "s.unetseg", None)
    ]
    scale = VoxelSize(voxel_size=(50.0, 4.0, 4.0), unit="nanometer")
    session.open_volume(asked[0].path, class_names=("cell",), scale=scale)
    finish(session)
    assert session.project is not None
    assert session.project.volume.uri == str(tmp_path / "s.zarr")
    assert session.project.volume.voxel_size == (50.0, 4.0, 4.0)
    assert not list(tmp_path.glob("*.partial"))


def test_preferences_are_the_options_that_nobody_gave(project_with_model: Path) -> None:
    session = Session(Preferences(annotator="Cleo", finetune_steps=2, flips=1))
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    try:
        session.open_project(project_with_model)
        assert session.annotator == "Cleo"
        paint(session, Box((2, 2, 2), (6, 20, 20)), 1)
        paint(session, Box((2, 2, 2), (4, 20, 20)), 0)
        session.finetune(batch=1)
        finish(session)
        session.use_version("v2")
        assert heard[-1].text == "v2 is ready: let it predict (P)."
        assert session.project is not None
        card = session.project.models.card("v2")
        assert card.training["steps"] == 2
        session.predict(WINDOW)
        finish(session)
        assert MODEL_DISAGREEMENT not in session.predictions.map_names
    finally:
        session.close()


def test_a_stroke_follows_the_prediction_if_there_is_one(
    session: Session, project_with_model: Path
) -> None:
    session.open_project(project_with_model)
    session.set_annotator("Ana")
    assert "Predict this region first" in session.why_not("follow")
    session.predict(flips=1)
    finish(session)
    assert session.why_not("follow") == ""
    assert session.predictions is not None
    probability = session.predictions.read_probability(WINDOW)[0]
    best = Box.around(
        zyx(int(i) for i in np.unravel_index(probability.argmax(), WINDOW.shape)),
        (1, 24, 24),
    ).clipped(WINDOW.shape)
    composite = session.composite(WINDOW)
    composite[best.slices] = 1
    composite.touch(best, np.ones(best.shape, bool), 1)
    stroke = session.commit(composite, "brush", follow=True)
    assert stroke is not None
    under = probability[best.slices]
    threshold = np.clip(0.5 * np.percentile(under, 90) / 255, 0.2, 0.5)
    if np.percentile(under, 90) < 255 * 0.1:
        assert stroke.n_voxels == best.n_voxels
    else:
        assert stroke.n_voxels == np.count_nonzero(under >= 255 * threshold)
