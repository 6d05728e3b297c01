"""A real napari window, and a session on the small phantom in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from napari import Viewer
    from qtpy.QtWidgets import QApplication

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers
    from napari_unetseg.viewer.main_widget import MainWidget


@pytest.fixture
def make_viewer(make_napari_viewer: Callable[..., Viewer]) -> Callable[..., Viewer]:
    """Return a function that opens a napari window of its own."""

    def make(**options: Any) -> Viewer:
        viewer = make_napari_viewer(**{"show": True, **options})
        viewer.window.resize(1100, 700)
        return viewer

    return make


@pytest.fixture(scope="session")
def _new_window(qapp: QApplication) -> Callable[[], Viewer]:
    """Open a window as napari does; what it registers is registered once.

    Napari's fixture has a register of its own, and lets napari forget afterwards that
    the real one is filled.
    """
    import napari
    from napari import plugins
    from napari._qt import qt_main_window

    register_plugins = functools.cache(plugins._initialize_plugins)
    register_actions = functools.cache(qt_main_window.init_qactions)

    def open_window() -> Viewer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plugins, "_initialize_plugins", register_plugins)
            patch.setattr(qt_main_window, "init_qactions", register_actions)
            return napari.Viewer(show=True, show_welcome_screen=False)

    return open_window


@pytest.fixture(scope="module")
def _module_viewer(
    qapp: QApplication, _new_window: Callable[[], Viewer]
) -> Iterator[Viewer]:
    """One window for the tests of a module: opening and closing takes seconds."""
    from napari._qt.qt_viewer import QtViewer
    from napari.settings import get_settings

    get_settings().application.confirm_close_window = False
    viewer = _new_window()
    viewer.window.resize(1100, 700)
    with pytest.MonkeyPatch.context() as patch:
        # napari collects all garbage for every layer that goes: a second per test.
        patch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=lambda: 0))
        yield viewer
        viewer.close()
    qapp.processEvents()
    # napari's own fixture insists that no window was open before it.
    QtViewer._instances.clear()


@pytest.fixture
def viewer(_module_viewer: Viewer, qapp: QApplication) -> Iterator[Viewer]:
    """An empty napari window, as if it had just been opened."""
    viewer = _module_viewer
    yield viewer
    viewer.layers.clear()
    viewer.dims.ndisplay = 2
    viewer.dims.order = tuple(sorted(viewer.dims.order))
    viewer.keymap.clear()
    viewer.mouse_drag_callbacks.clear()
    viewer.reset_view()
    qapp.processEvents()


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
def layers(viewer: Viewer, session: Session) -> Iterator[SessionLayers]:
    """The layers of the session in the window, ready to be painted on."""
    from napari_unetseg.viewer.layers import SessionLayers

    layers = SessionLayers(viewer, session)
    layers.settle()
    yield layers
    layers.close()


@pytest.fixture
def dock(viewer: Viewer, session: Session) -> Iterator[MainWidget]:
    """The dock on the session, in the window."""
    from napari_unetseg.viewer.main_widget import MainWidget

    dock = MainWidget(viewer, session)
    dock.layers.settle()
    viewer.window.add_dock_widget(dock, name="dock", area="right")
    yield dock
    dock.close_parts()
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
