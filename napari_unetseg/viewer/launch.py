"""Starting napari with the dock, and finding the dock of a window."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.project import Project
    from napari_unetseg.viewer.main_widget import MainWidget

DOCK_NAME = "U-Net segmentation"
DOCK_WIDTH = 380
_SETTLED_MS = 2000


def launch(path: str | Path | None = None) -> int:
    """Open a window, with a project or volume in it, until the person closes it.

    Returns
    -------
    int
        The exit code of the program.
    """
    build_window(path)
    napari.run()
    return 0


def build_window(
    path: str | Path | None = None, *, show: bool = True
) -> tuple[Viewer, MainWidget]:
    """Return a napari window with the dock in it."""
    viewer = napari.Viewer(title="napari-unetseg", show=show)
    window = main_widget(viewer)
    gc.collect()
    window.session.project_changed.connect(_spare_what_is_open)
    if path is not None:
        window.session.open_path(path)
    return viewer, window


def _spare_what_is_open(project: Project | None) -> None:
    """Take what is loaded and open out of all garbage collections until it closes.

    Each would look through it for a tenth of a second, in the middle of a stroke; and
    napari starts one for every layer that goes.
    """
    if project is None:
        gc.unfreeze()
        gc.collect()
    else:
        QTimer.singleShot(_SETTLED_MS, gc.freeze)


def main_widget(viewer: Viewer) -> MainWidget:
    """Return the dock of a viewer; it is made if there is none yet."""
    from napari_unetseg.viewer.main_widget import MainWidget

    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, MainWidget):
            return widget
    window = MainWidget(viewer)
    dock: QDockWidget = viewer.window.add_dock_widget(
        window, name=DOCK_NAME, area="right", allowed_areas=["right", "left"]
    )
    main_window = dock.parent()
    if isinstance(main_window, QMainWindow):
        main_window.resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    return window
