"""A real napari window, and a session on the small phantom in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers


@pytest.fixture
def make_viewer(make_napari_viewer: Callable[..., Viewer]) -> Callable[..., Viewer]:
    """Return a function that opens a napari window with a canvas of 600 × 800."""

    def make(**options: Any) -> Viewer:
        viewer = make_napari_viewer(**{"show": True, **options})
        viewer.window.resize(1100, 700)
        return viewer

    return make


@pytest.fixture
def session(project_folder: Path) -> Iterator[Session]:
    """A session with the small project open, edited by Ana."""
    from napari_unetseg.app.session import Session

    session = Session()
    session.open_project(project_folder)
    session.set_annotator("Ana")
    yield session
    session.close()


@pytest.fixture
def viewer(make_viewer: Callable[..., Viewer]) -> Viewer:
    """A napari window."""
    return make_viewer()


@pytest.fixture
def layers(viewer: Viewer, session: Session) -> Iterator[SessionLayers]:
    """The layers of the session in the window, ready to be painted on."""
    from napari_unetseg.viewer.layers import SessionLayers

    layers = SessionLayers(viewer, session)
    yield layers
    layers.close()
