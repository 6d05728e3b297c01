"""Several raters in the session: real threads, a real child process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zarr

from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.training.adjudication import REASON

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
PATIENCE_S = 120
OBJECT = Box((4, 10, 10), (10, 30, 30))


def label_image(path: Path, box: Box, value: int = 1) -> Path:
    array = zarr.create_array(path, shape=SHAPE, chunks=(16, 24, 24), dtype="uint8")
    array[box.slices] = value
    return path


@pytest.fixture
def session(project_folder: Path) -> Iterator[Session]:
    session = Session()
    session.set_annotator("Zoe")
    session.open_project(project_folder)
    yield session
    session.close()


@pytest.fixture
def notices(session: Session) -> list[Notice]:
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    return heard


@pytest.fixture
def rated(session: Session, tmp_path: Path) -> Session:
    """A session with three raters; Cy's object is larger."""
    for name, margin in (("Ana", 0), ("Bo", 0), ("Cy", 2)):
        path = label_image(tmp_path / f"{name}.zarr", OBJECT.grown(margin))
        session.import_rater(path, name)
        assert session._import is not None
        session._import.join()
        session.poll()
    return session


def until(session: Session, is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE_S * 50):
        session.poll()
        if is_so():
            return
        pause.wait(0.02)
    raise AssertionError(f"It has not happened; the job is {session.job}.")


def test_an_import_becomes_labels_and_says_so(session, notices, tmp_path) -> None:
    changed: list[Any] = []
    session.labels_changed.connect(changed.append)
    path = label_image(tmp_path / "ana.zarr", OBJECT, value=255)
    session.import_rater(path, "Ana", map=("255=fibre", "0=unlabelled"))
    until(session, lambda: bool(notices))

    assert notices == [Notice("info", "Imported 2,400 voxels as labels of Ana.")]
    assert changed == [None]
    assert session.rater_matrix() == {
        "Ana": {"background": 0, "cell": 0, "fibre": 2400}
    }
    assert session.project is not None
    said = session.project.corrections.read("Ana", OBJECT)
    assert (said == 2).all()


def test_an_import_that_does_not_fit_is_one_sentence(session, notices, tmp_path):
    path = label_image(tmp_path / "ana.zarr", OBJECT, value=77)
    session.import_rater(path, "Ana")
    until(session, lambda: bool(notices))
    assert notices[0].level == "error"
    assert "the value 77 of ana means" in notices[0].text
    assert session.rater_matrix() == {}


def test_raters_are_compared_in_another_process(rated) -> None:
    heard: list[dict[str, Any]] = []
    rated.raters_compared.connect(heard.append)
    rated.compare_raters(margin=2, regions={"the object": OBJECT})
    until(rated, lambda: bool(heard))

    (found,) = heard
    assert found["names"] == ["Ana", "Bo", "Cy"]
    assert found["margin"] == "2 voxels"
    assert found["regions"]["the object"]["n_voxels"] == OBJECT.n_voxels
    assert found["pairs"][0]["dice"] == {"cell": 1.0}
    assert Path(found["report"]).parent == rated.project.folder / "agreement"
    kept = json.loads(Path(found["json"]).read_text("utf-8"))
    assert kept["fleiss_kappa"] == found["fleiss_kappa"]


def test_the_consensus_is_written_into_the_project(rated) -> None:
    heard: list[dict[str, Any]] = []
    rated.consensus_made.connect(heard.append)
    rated.make_consensus("staple")
    until(rated, lambda: bool(heard))

    target = Path(heard[0]["target"])
    assert target == rated.project.folder / "consensus" / "staple.zarr"
    said = Volume.open(target).read(WHOLE, missing="fill")[0]
    assert (said[OBJECT.slices] == 1).all()
    assert said.sum() == OBJECT.n_voxels


def test_where_raters_disagree_is_decided_once(rated, notices) -> None:
    rated.adjudicate()
    until(rated, lambda: bool(rated.worklist))
    assert rated.is_adjudicating
    item = rated.next_item()
    assert item.reason == REASON
    assert OBJECT.grown(2).holds(item.centre) and not OBJECT.holds(item.centre)
    n = len(rated.worklist)
    rated.accept_item()
    assert len(rated.worklist) == n - 1
    note = rated.project.corrections.reviewed()[0]
    assert (note.annotator, note.state) == ("Zoe", "decided")

    heard: list[bool] = []
    rated.worklist_changed.connect(lambda: heard.append(True))
    rated.refresh_worklist()
    until(rated, lambda: bool(heard))
    assert item.box not in [other.box for other in rated.worklist]
    rated.stop_adjudicating()
    until(rated, lambda: not rated.worklist)
    assert not rated.is_adjudicating


def test_what_cannot_be_done_now_is_said_beforehand(session, notices, tmp_path) -> None:
    session.compare_raters()
    session.adjudicate()
    assert "Two people must have labelled" in notices[0].text
    assert "two raters besides you" in notices[1].text
    assert not session.is_adjudicating
    session.import_rater(label_image(tmp_path / "a.zarr", OBJECT), "Ana")
    until(session, lambda: len(notices) > 2)
    assert "Two people" in session.why_not("make_consensus")
    session.close()
    assert session.why_not("import_rater") == "Open a volume or a project first."


def test_closing_ends_an_import(session, tmp_path) -> None:
    path = label_image(tmp_path / "a.zarr", OBJECT)
    session.import_rater(path, "Ana")
    session.close()
    assert not session.is_importing
