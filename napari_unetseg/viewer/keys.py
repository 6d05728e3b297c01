"""All keys in one table, and how they reach the viewer.

A key is bound twice: on the viewer, where napari's layers go first, and on our editable
layer, where we go first. There a key that has nothing to do falls through to napari::

    key ──▶ editable layer, if active ──▶ napari's map of the active layer ──▶ viewer
                ours, first                     napari's                       ours
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from app_model.types import KeyBinding
from napari.layers import Labels

from napari_unetseg.viewer.editable import EditableLabels
from napari_unetseg.viewer.keys_dialog import KeysDialog
from napari_unetseg.viewer.panels.correct import CorrectPanel
from napari_unetseg.viewer.panels.review import ReviewPanel

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.viewer.main_widget import MainWidget


@dataclass(frozen=True)
class KeyRow:
    """One line of the table.

    Attributes
    ----------
    key
        As a person reads it: ``Shift+N``, or a range like ``1…9``.
    does
        What it does, for the dialog.
    action_id
        A method of :class:`KeyActions`; of a range each key is its argument.
    """

    key: str
    does: str
    action_id: str

    def bindings(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each key as napari spells it, and the arguments of its action."""
        first, _, last = self.key.partition("…")
        if not last:
            yield self.key.replace("+", "-"), ()
            return
        for number in range(int(first), int(last) + 1):
            yield str(number), (str(number),)


KEYS = (
    KeyRow("P", "predict the visible region", "predict_view"),
    KeyRow("T", "fine-tune the model on all corrections", "finetune"),
    KeyRow("N", "next region of the worklist", "next_item"),
    KeyRow("Shift+N", "region before", "previous_item"),
    KeyRow("A", "accept the region under review", "accept_item"),
    KeyRow("X", "skip the region under review", "skip_item"),
    KeyRow("B", "brush", "brush"),
    KeyRow("E", "eraser: what is erased counts as background", "eraser"),
    KeyRow("F", "fill", "fill"),
    KeyRow("C", "click tool: click finds, Shift+click cuts away", "click"),
    KeyRow("M", "merge: click two objects", "merge"),
    KeyRow("S", "split: click on each part, or draw a line across", "split"),
    KeyRow("I", "interpolate between labelled slices", "interpolate"),
    KeyRow(
        "Enter",
        "take the object that the click found; cut at the marks",
        "accept_preview",
    ),
    KeyRow(
        "Escape",
        "leave the object that the click found; forget the marks; end comparing",
        "leave_preview",
    ),
    KeyRow("[", "smaller brush, or smaller object after a click", "smaller"),
    KeyRow("]", "larger brush, or larger object after a click", "larger"),
    KeyRow("1…9", "class to paint", "choose_class"),
    KeyRow("D", "disagreement map on or off", "toggle_map"),
    KeyRow("R", "next rater: the labels as this rater would draw them", "next_rater"),
    KeyRow("W", "compared versions: both, the left one, the right one", "next_side"),
    KeyRow("O", "labels as outlines, or filled", "contours_only"),
    KeyRow("Ctrl+Z", "undo, whatever tool it was", "undo"),
    KeyRow("Ctrl+Shift+Z", "redo", "redo"),
    KeyRow("?", "this list", "show_keys"),
)


class KeyActions:
    """What the keys do; a method returns False if it had nothing to do."""

    def __init__(self, window: MainWidget) -> None:
        self._window = window
        self._session = window.session
        self._layers, self._edits = window.layers, window.edits
        self._click_tool, self._swipe = window.edits.click_tool, window.swipe

    def predict_view(self) -> None:
        """Predict what the canvas shows."""
        self._session.predict(self._layers.visible_box())

    def finetune(self) -> None:
        """Fine-tune the active model."""
        self._session.finetune()

    def next_item(self) -> None:
        """Go to the next region of the worklist."""
        self._go_to(self._session.next_item())

    def previous_item(self) -> None:
        """Go to the region before."""
        self._go_to(self._session.previous_item())

    def accept_item(self) -> None:
        """Accept the region under review and go to the next."""
        self._go_to(self._session.accept_item())

    def skip_item(self) -> None:
        """Skip the region under review and go to the next."""
        self._go_to(self._session.skip_item())

    def brush(self) -> None:
        """Choose the brush."""
        self._edits.set_tool("brush")

    def eraser(self) -> None:
        """Choose the eraser."""
        self._edits.set_tool("eraser")

    def fill(self) -> None:
        """Choose the bucket."""
        self._edits.set_tool("fill")

    def click(self) -> None:
        """Choose the click tool."""
        self._edits.set_tool("click")

    def merge(self) -> None:
        """Choose the tool that merges objects."""
        self._edits.set_tool("merge")

    def split(self) -> None:
        """Choose the tool that splits an object."""
        self._edits.set_tool("split")

    def interpolate(self) -> None:
        """Fill the slices between labelled ones."""
        panel = self._window.panels["correct"]
        if isinstance(panel, CorrectPanel) and not self._session.why_not("edit"):
            panel.objects.act_on_slices("interpolate")

    def accept_preview(self) -> bool:
        """Take the previewed object, or cut at the marks."""
        if not self._click_tool.has_preview:
            return self._edits.object_tool.finish()
        self._click_tool.accept()
        return True

    def leave_preview(self) -> bool:
        """Leave the previewed object, forget the marks, or end comparing."""
        if self._click_tool.has_preview:
            self._click_tool.leave()
            return True
        if self._edits.object_tool.is_waiting:
            self._edits.object_tool.forget()
            return True
        was_on = bool(self._swipe.shown)
        self._swipe.stop()
        return was_on

    def smaller(self) -> None:
        """Shrink the previewed object, else the brush."""
        if self._click_tool.has_preview:
            self._click_tool.smaller()
        else:
            self._edits.step_brush(-1)

    def larger(self) -> None:
        """Grow the previewed object, else the brush."""
        if self._click_tool.has_preview:
            self._click_tool.larger()
        else:
            self._edits.step_brush(1)

    def choose_class(self, number: str) -> bool:
        """Choose a class by its number, if there is one."""
        project = self._session.project
        if project is None or int(number) > len(project.classes):
            return False
        self._session.set_class(int(number))
        return True

    def toggle_map(self) -> None:
        """Show or hide the disagreement map."""
        self._layers.toggle_map()

    def next_rater(self) -> bool:
        """Show the labels as the next rater would draw them."""
        review = self._window.panels["review"]
        assert isinstance(review, ReviewPanel)
        return review.raters.view.step()

    def next_side(self) -> bool:
        """Show the next of the versions that are compared."""
        return self._swipe.step()

    def contours_only(self) -> None:
        """Show labels as outlines, or filled."""
        self._layers.toggle_contours_only()

    def undo(self) -> None:
        """Take the last edit back."""
        self._session.undo()

    def redo(self) -> None:
        """Do the last undone edit again."""
        self._session.redo()

    def show_keys(self) -> None:
        """Show all keys."""
        KeysDialog(KEYS, self._window.window()).open()

    def _go_to(self, item: Any) -> None:
        if item is not None:
            self._layers.go_to(item.box)


class BoundKeys:
    """The keys of one window while it is open; :meth:`close` gives them back."""

    def __init__(self, viewer: Viewer, window: MainWidget) -> None:
        self._viewer, self._layers = viewer, window.layers
        actions = KeyActions(window)
        self._bindings: dict[str, Callable[[], object]] = {
            key: partial(getattr(actions, row.action_id), *arguments)
            for row in KEYS
            for key, arguments in row.bindings()
        }
        for key, action in self._bindings.items():
            viewer.bind_key(key, _on_viewer(action), overwrite=True)
        self._layers.changed.connect(self._bind_layer)
        self._bind_layer()

    def close(self) -> None:
        """Unbind all keys."""
        self._layers.changed.disconnect(self._bind_layer)
        for key in self._bindings:
            self._viewer.bind_key(key, None)

    def _bind_layer(self) -> None:
        layer = self._layers.editable
        if layer is None:
            return
        for key, action in self._bindings.items():
            layer.bind_key(key, _on_layer(action, key), overwrite=True)


def bind_keys(viewer: Viewer, window: MainWidget) -> BoundKeys:
    """Bind the table to a viewer and to the editable layer."""
    return BoundKeys(viewer, window)


# napari asks the functions in a keymap for their names: partial objects have none.


def _on_viewer(action: Callable[[], object]) -> Callable[[Viewer], None]:
    def run(viewer: Viewer) -> None:
        action()

    return run


def _on_layer(
    action: Callable[[], object], key: str
) -> Callable[[EditableLabels], None]:
    """Do what the key does here; if there is nothing to do, what napari does."""
    napari_action = Labels.class_keymap.get(KeyBinding.validate(key))

    def run(layer: EditableLabels) -> None:
        if action() is False and callable(napari_action):
            napari_action(layer)

    return run
