"""The commands of the menus and of the command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari import current_viewer

from napari_unetseg.viewer.keys import KeyActions
from napari_unetseg.viewer.launch import main_widget

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget


def predict_view() -> None:
    """Predict what the canvas shows."""
    _run("predict_view")


def finetune() -> None:
    """Fine-tune the active model on all corrections."""
    _run("finetune")


def click_tool() -> None:
    """Choose the click tool."""
    _run("click")


def brush() -> None:
    """Choose the brush."""
    _run("brush")


def undo() -> None:
    """Take the last edit back, whatever tool made it."""
    _run("undo")


def show_keys() -> None:
    """Show all keys."""
    _run("show_keys")


def _run(action_id: str) -> None:
    window = _window()
    if window is not None:
        getattr(KeyActions(window), action_id)()


def _window() -> MainWidget | None:
    viewer = current_viewer()
    return None if viewer is None else main_widget(viewer)
