from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice
from napari_unetseg.app.thumbnails import thumbnail
from napari_unetseg.config import MODEL_DISAGREEMENT, TOTAL_UNCERTAINTY, Preferences
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist_item import WorkItem
from tests.helpers.predicted import predicted

BOXES = [Box((z, 0, 0), (z + 4, 16, 16)) for z in (0, 4, 8, 12)]


@pytest.fixture
def session(project_folder: Path) -> Iterator[Session]:
    """A session with four regions worth a look."""
    session = Session()
    session.open_project(project_folder)
    session.set_annotator("Ana")
    assert session._review is not None
    session._review.wait()
    session.poll()
    session._review.items = tuple(
        WorkItem(box, box.centre, 1, 0.5, "because") for box in BOXES
    )
    yield session
    session.close()


def states(session: Session) -> list[str]:
    assert session.project is not None
    return [region.state for region in session.project.corrections.reviewed()]


def test_a_picture_shows_the_slice_around_a_place(session: Session) -> None:
    assert session.project is not None
    volume = session.project.volume
    picture = thumbnail(volume, (3, 10, 20))
    assert picture is not None
    assert (picture.dtype, picture.shape) == (np.uint8, (42, 48))
    assert picture.min() == 0
    assert picture.max() == 255
    brightest = np.unravel_index(picture.argmax(), picture.shape)
    plane = volume.read(Box((3, 0, 0), (4, 42, 48)))[0, 0]
    assert plane[brightest] >= np.percentile(plane, 98)


def test_there_is_no_picture_of_a_chunk_that_cannot_be_read(session: Session) -> None:
    assert session.project is not None
    path = Path(session.project.volume.uri)
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"torn")
    assert thumbnail(session.project.volume, (3, 10, 20)) is None


def test_states_say_what_became_of_a_region(session: Session) -> None:
    first = session.next_item()
    assert first is not None
    second = session.accept_item()
    assert states(session) == ["accepted"]
    assert second is not None
    composite = session.composite(second.box)
    composite[:2, :2, :2] = 2
    session.commit(composite, "brush")
    session.accept_item()
    assert states(session) == ["accepted", "corrected"]
    session.skip_item()
    assert states(session) == ["accepted", "corrected", "skipped"]


def test_an_edit_elsewhere_is_no_correction(session: Session) -> None:
    item = session.next_item()
    assert item is not None
    other = next(o for o in session.worklist if not o.box.overlaps(item.box))
    composite = session.composite(other.box)
    composite[:2, :2, :2] = 2
    session.commit(composite, "brush")
    session.accept_item()
    assert states(session) == ["accepted"]


def test_what_each_annotator_looked_at_is_counted(session: Session) -> None:
    session.next_item()
    session.accept_item()
    session.accept_item()
    session.set_annotator("Bo")
    session.skip_item()
    progress = session.progress
    assert progress.by_annotator == {"Ana": 2, "Bo": 1}
    assert progress.by_state == {"accepted": 2, "skipped": 1}
    assert progress.by_class == {1: 3}
    assert progress.seconds is not None
    assert 0 <= progress.seconds < 60
    assert progress.total == 3


@pytest.fixture
def doubtful(
    project_with_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A session on a prediction that is in doubt here, and contradicts itself there."""
    monkeypatch.setattr("napari_unetseg.training.worklist_item.TILE_VOXELS", 2**11)
    with Project.open(project_with_model, read_only=True) as project:
        shape, path = project.volume.shape, project.prediction_path("v1")
    maps = {name: np.zeros(shape, np.uint8)
            for name in (TOTAL_UNCERTAINTY, MODEL_DISAGREEMENT)}  # fmt: skip
    for n in range(4):  # in four tiles, which are columns through the volume
        maps[TOTAL_UNCERTAINTY][:, 8 * n, 8 * n] = 200
    maps[MODEL_DISAGREEMENT][4:8, 40:44, 0:4] = 200
    predicted(path, np.full((2, *shape), 128, np.uint8), maps)
    session = Session(Preferences(annotator="Ana", worklist="uncertainty"))
    session.open_project(project_with_model)
    collect(session)
    yield session
    session.close()


def collect(session: Session) -> None:
    """Take over the ranking that is under way."""
    assert session._review is not None
    session._review.wait()
    assert session.is_ranking
    session.poll()
    assert not session.is_ranking


def test_what_comes_next_can_be_chosen(doubtful: Session) -> None:
    heard: list[int] = []
    doubtful.worklist_changed.connect(lambda: heard.append(len(doubtful.worklist)))
    assert len(doubtful.worklist) == 4
    doubtful.choose_strategy("models")
    assert (doubtful.worklist, heard) == ((), [0])
    collect(doubtful)
    (item,) = doubtful.worklist
    assert item.reason == "the model contradicts itself on cell"
    assert heard == [0, 1]
    assert doubtful.preferences.worklist == "models"
    assert doubtful.picture_of(item) is not None


def test_the_next_project_begins_with_what_was_chosen(doubtful: Session) -> None:
    assert doubtful.project is not None
    folder = doubtful.project.folder
    doubtful.choose_strategy("scan")
    doubtful.close()
    doubtful.open_project(folder)
    collect(doubtful)
    assert doubtful.worklist[0].reason == "next in scan order"


def test_what_cannot_be_ranked_by_is_refused_in_a_sentence(doubtful: Session) -> None:
    heard: list[Notice] = []
    doubtful.notice.connect(heard.append)
    before = doubtful.worklist
    doubtful.choose_strategy("raters")
    assert "no map of rater disagreement" in heard[0].text
    assert (doubtful.worklist, doubtful.preferences.worklist) == (before, "uncertainty")
    doubtful.set_preferences(doubtful.preferences.replace(worklist="raters"))
    assert "no map of rater disagreement" in doubtful.why_not("worklist")
    doubtful.close()
    assert doubtful.why_not_strategy("scan") == "Open a volume or a project first."


def test_a_list_that_is_done_is_filled_with_what_is_left(doubtful: Session) -> None:
    doubtful.choose_strategy("scan")
    collect(doubtful)
    first = [item.box for item in doubtful.worklist]
    assert len(first) == 12
    doubtful.next_item()
    for _ in first:
        doubtful.accept_item()
    assert doubtful.worklist == ()
    collect(doubtful)
    more = [item.box for item in doubtful.worklist]
    assert len(more) == 12
    assert not set(first) & set(more)


def test_what_is_reviewed_while_regions_are_looked_for_does_not_come_back(
    doubtful: Session,
) -> None:
    item = doubtful.next_item()
    assert item is not None
    assert doubtful._review is not None
    doubtful.refresh_worklist()
    doubtful._review.wait()  # it is found again, before it is reviewed
    doubtful.skip_item()
    doubtful.poll()
    assert len(doubtful.worklist) == 3
    assert item.box not in [other.box for other in doubtful.worklist]
