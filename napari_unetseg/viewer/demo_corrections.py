"""The tour of corrections: one object by click, cut, joined, drawn on, and taken back.

Each step leaves a picture; at the end everything is as it was before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from scipy import ndimage

from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.viewer.hand import Hand

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.interactive.objects import LabelledObject
    from napari_unetseg.viewer.main_widget import MainWidget

_CTRL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_ZOOM_IN = 3.0
_APART = 4  # slices between the two that are drawn


class CorrectionTour:
    """What a person does to one object, with mouse and keys.

    Parameters
    ----------
    picture
        Takes a picture of the window, under a name.
    """

    def __init__(
        self,
        viewer: Viewer,
        window: MainWidget,
        hand: Hand,
        picture: Callable[[str], None],
    ) -> None:
        self._viewer, self._window, self._hand = viewer, window, hand
        self._picture = picture
        self._session, self._layers = window.session, window.layers
        self._taken = 0

    def run(self, box: Box) -> str:
        """Correct the largest object of a box that was predicted."""
        found = self._largest_object(box)
        centre = found.box.centre
        before = self._n_strokes
        camera = self._viewer.scene.camera
        zoom, middle = camera.zoom, camera.center
        self._look_at(centre)
        camera.zoom = zoom * _ZOOM_IN
        self._hand.rest(400)
        self._click(found)
        self._split_and_merge(found)
        self._interpolate(found, box)
        n_done = self._n_strokes - before
        self._undo(n_done)
        camera.zoom, camera.center = zoom, middle
        self._hand.rest(300)
        return f"{n_done} edits made, and taken back"

    # --- the steps ---------------------------------------------------------------

    def _click(self, found: LabelledObject) -> None:
        """Find the object by a click, cut something away, take it."""
        inside = self._deepest(found)
        self._hand.press(Qt.Key.Key_C)
        self._hand.click(self._world(inside))
        self._shoot("click")
        preview = self._session.preview
        if preview is None:
            raise LookupError(f"The click at {inside} found nothing.")
        side = self._side(preview.box, preview.mask, inside)
        self._hand.click(self._world(side), _SHIFT)
        self._shoot("negative-click")
        self._hand.press(Qt.Key.Key_Return)
        self._settle()

    def _split_and_merge(self, found: LabelledObject) -> None:
        """Cut the object with a line, then make the parts one again."""
        z, y, x = self._deepest(found)
        rows = np.flatnonzero(self._slice_of(found, z).any(axis=1)) + found.box.start[1]
        above, below = (z, int(rows[0]) - 3, x), (z, int(rows[-1]) + 3, x)
        self._hand.press(Qt.Key.Key_S)
        line = np.linspace(above, below, 12)
        self._hand.drag([self._world(point) for point in line])
        self._settle()
        self._shoot("split")
        columns = np.flatnonzero(self._slice_of(found, z)[y - found.box.start[1]])
        first, last = (int(c) + found.box.start[2] for c in columns[[0, -1]])
        self._hand.press(Qt.Key.Key_M)
        self._hand.click(self._world((z, y, (first + x) // 2)))
        self._hand.click(self._world((z, y, (last + x) // 2)))
        self._settle()
        self._shoot("merge")

    def _interpolate(self, found: LabelledObject, box: Box) -> None:
        """Draw in two slices where nothing is, and have those between filled."""
        z, y, x = self._empty_place(found, box)
        self._hand.press(Qt.Key.Key_B)
        for number in (0, 1):
            self._show_slice(z + number * _APART)
            drawn = [(z + number * _APART, y, x + dx) for dx in range(-6, 7, 2)]
            self._hand.drag([self._world(point) for point in drawn])
        self._shoot("drawn")
        self._show_slice(z + _APART // 2)
        self._hand.press(Qt.Key.Key_I)
        self._settle()
        self._shoot("interpolated")

    def _undo(self, n: int) -> None:
        """Take everything back."""
        left = self._n_strokes - n
        for _ in range(n):
            self._hand.press(Qt.Key.Key_Z, _CTRL)
        self._hand.rest(300)
        if self._n_strokes != left:
            raise RuntimeError(f"{self._n_strokes} strokes stayed, expected {left}.")
        self._shoot("undone")

    # --- what the steps are made of ----------------------------------------------

    @property
    def _n_strokes(self) -> int:
        project = self._session.project
        assert project is not None
        return project.corrections.n_strokes

    def _largest_object(self, box: Box) -> LabelledObject:
        predictions = self._session.predictions
        assert predictions is not None
        labels, _ = ndimage.label(predictions.read_labels(box) == 1)
        sizes = np.bincount(labels.ravel())[1:]
        if not len(sizes):
            raise LookupError("Nothing was predicted here.")
        depth = ndimage.distance_transform_edt(labels == sizes.argmax() + 1)
        inside = _place(depth)
        point = zyx(p + s for p, s in zip(inside, box.start, strict=True))
        found = self._session.find_object(point)
        if found is None:
            raise LookupError(f"There is no object at {point}.")
        return found

    def _deepest(self, found: LabelledObject) -> Zyx:
        """Return the voxel of the object that is farthest from its border."""
        depth = ndimage.distance_transform_edt(np.pad(found.mask, 1))[1:-1, 1:-1, 1:-1]
        return zyx(p + s for p, s in zip(_place(depth), found.box.start, strict=True))

    def _side(self, box: Box, mask: np.ndarray, inside: Zyx) -> Zyx:
        """Return a voxel of a mask near its border, in the row of another."""
        z, y, _ = inside
        row = mask[z - box.start[0], y - box.start[1]]
        return z, y, int(np.flatnonzero(row)[-3]) + box.start[2]

    def _empty_place(self, found: LabelledObject, box: Box) -> Zyx:
        """Return a voxel of the lower slice that has most room, near the object."""
        z = self._deepest(found)[0] - _APART // 2
        around = found.box.grown((0, 30, 30)).intersection(box)
        slab = Box(
            (z, *around.start[1:]), (z + _APART + 1, *around.stop[1:])
        ).intersection(box)
        predictions = self._session.predictions
        assert predictions is not None
        free = ~predictions.read_labels(slab).any(axis=0)
        room = ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(room.argmax()), room.shape)
        return z, int(y) + slab.start[1], int(x) + slab.start[2]

    def _slice_of(self, found: LabelledObject, z: int) -> np.ndarray:
        plane: np.ndarray = found.mask[z - found.box.start[0]]
        return plane

    def _look_at(self, point: Zyx) -> None:
        self._layers.centre_on(point)
        self._hand.rest(200)

    def _show_slice(self, z: int) -> None:
        while (at := self._viewer.dims.current_step[0]) != z:
            self._hand.press(Qt.Key.Key_Right if z > at else Qt.Key.Key_Left)

    def _settle(self) -> None:
        """Wait for an edit that is worked out in the background."""
        self._hand.wait_until(lambda: not self._session.thinking, what="the edit")
        self._hand.rest(250)

    def _world(self, point: tuple[float, ...] | np.ndarray) -> tuple[float, ...]:
        project = self._session.project
        assert project is not None
        level = project.volume.levels[0]
        sizes, origin = np.array(level.voxel_size), np.array(level.translation)
        return tuple(float(v) for v in np.asarray(point) * sizes + origin)

    def _shoot(self, name: str) -> None:
        self._hand.rest(250)
        self._taken += 1
        self._picture(f"correcting-{self._taken}-{name}")


def _place(values: np.ndarray) -> Zyx:
    """Return where the largest value is."""
    return zyx(int(v) for v in np.unravel_index(int(values.argmax()), values.shape))
