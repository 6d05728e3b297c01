"""The sample in napari's File menu."""

from __future__ import annotations

from typing import Any

from napari import current_viewer

from napari_unetseg.viewer.launch import main_widget


def open_sample() -> list[tuple[Any, ...]]:
    """Open the sample project in the dock; it is made the first time.

    Returns
    -------
    list
        Empty: the layers come from the session.
    """
    viewer = current_viewer()
    if viewer is not None:
        main_widget(viewer).session.open_sample()
    return []
