from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.session import Session
from napari_unetseg.app.thumbnails import thumbnail
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist import WorkItem

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
