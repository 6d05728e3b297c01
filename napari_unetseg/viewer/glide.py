"""A camera that glides: whoever sees where it goes knows where they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel

GLIDE_S = 0.3
_FRAME_MS = 15


class Glide:
    """Moves the camera of a viewer in some twenty small steps.

    Whatever moves the camera meanwhile ends it: the person comes first.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._timer = QTimer()
        self._timer.setInterval(_FRAME_MS)
        self._timer.timeout.connect(self._step)
        self._began = 0.0
        self._ends: tuple[np.ndarray, np.ndarray] = (np.zeros(4), np.zeros(4))
        self._last = np.zeros(4)

    def to(self, centre: tuple[float, ...], zoom: float) -> None:
        """Set off to a centre, as long as the camera's, and a zoom."""
        self._ends = self._now(), np.array([*centre, np.log(zoom)], dtype=float)
        self._last, self._began = self._ends[0], time.monotonic()
        self._timer.start()

    @property
    def is_moving(self) -> bool:
        """Whether it is on the way."""
        return self._timer.isActive()

    def settle(self) -> None:
        """Be there now."""
        if self.is_moving:
            self._set(1.0)

    def stop(self) -> None:
        """Stay where the camera is."""
        self._timer.stop()

    def _step(self) -> None:
        if not np.allclose(self._now(), self._last, rtol=1e-6, atol=1e-6):
            self.stop()
            return
        self._set(min(1.0, (time.monotonic() - self._began) / GLIDE_S))

    def _set(self, share: float) -> None:
        """Go to a share of the way, fast at first and slow at the end."""
        if share >= 1.0:
            self.stop()
        start, end = self._ends
        now = end - (end - start) * (1 - share) ** 3
        camera = self._viewer.scene.camera
        camera.center, camera.zoom = tuple(now[:-1]), float(np.exp(now[-1]))
        self._last = self._now()

    def _now(self) -> np.ndarray:
        camera: Any = self._viewer.scene.camera
        return np.array([*camera.center, np.log(camera.zoom)], dtype=float)
