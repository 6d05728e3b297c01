"""What raters would say of the voxel under the mouse, as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unetseg.data.predictions import PROBABILITY, RATER_PROBABILITY
from napari_unetseg.data.rater_probability import labels_at
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.prediction_levels import PredictionLevels

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.app.session import Session
    from napari_unetseg.data.predictions import PredictionStore
    from napari_unetseg.viewer.layers import SessionLayers

_DELAY_MS = 60
_CACHE_BYTES = 60_000_000


class RaterReadout:
    """Follows the mouse while somebody listens and there are several raters.

    Signals
    -------
    said
        The sentence; "" where there is nothing to say.
    """

    said = Signal(str)

    def __init__(
        self, viewer: ViewerModel, session: Session, layers: SessionLayers
    ) -> None:
        self._viewer, self._session, self._layers = viewer, session, layers
        self._levels = PredictionLevels(_CACHE_BYTES)
        self._last = ""
        self.is_on = False
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self._read)
        viewer.mouse_move_callbacks.append(self._on_move)
        session.predictions_changed.connect(self._on_predictions)

    def close(self) -> None:
        """Let go of session and viewer."""
        self._timer.stop()
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._session.predictions_changed.disconnect(self._on_predictions)

    def _on_move(self, viewer: ViewerModel, event: Any) -> None:
        if self.is_on and not self._timer.isActive():
            self._timer.start()

    def _on_predictions(self, box: Box | None) -> None:
        self._levels.forget(box)

    def _read(self) -> None:
        text = ""
        if self._viewer.dims.ndisplay == 2:
            point = self._layers.voxel_at(self._viewer.cursor.position)
            text = "" if point is None else self._sentence(point)
        if text != self._last:
            self._last = text
            self.said.emit(text)

    def _sentence(self, point: Zyx) -> str:
        store, project = self._session.predictions, self._session.project
        if store is None or project is None or len(store.rater_names) < 2:
            return ""
        try:
            of_raters = self._at(store, RATER_PROBABILITY, point)
            shares = self._at(store, PROBABILITY, point)
        except (UnetsegError, OSError):
            return ""
        return opinion(
            store.rater_names,
            labels_at(store.by_rater(of_raters)).ravel().tolist(),
            store.class_names,
            [float(v) / 255 for v in shares.ravel()],
        )

    def _at(self, store: PredictionStore, name: str, point: Zyx) -> np.ndarray:
        """Return all channels of an image at a voxel, (channel, 1, 1, 1)."""
        finest = self._levels.of(store, name)[0]
        here = (slice(p, p + 1) for p in point)
        return finest[(slice(0, finest.shape[0]), *here)]


def opinion(
    raters: Sequence[str],
    class_ids: Sequence[int],
    classes: Sequence[str],
    probability: Sequence[float],
) -> str:
    """Return what raters say of a voxel.

    Parameters
    ----------
    class_ids
        Of each rater; 0 is the background.
    probability
        Of each class, 0 to 1.

    Examples
    --------
    >>> opinion(["Ana", "Bo", "Cy"], [0, 1, 1], ["cell"], [0.62])
    'Bo and Cy include this in cell, Ana does not; p = 0.62'
    >>> opinion(["Ana", "Bo"], [0, 0], ["cell"], [0.04])
    'All say background; p(cell) = 0.04'
    """
    names = ("background", *classes)
    said = {
        number: [who for who, found in zip(raters, class_ids, strict=True)
                 if found == number]
        for number in dict.fromkeys(sorted(class_ids, reverse=True))
    }  # fmt: skip
    top = max(range(len(probability)), key=probability.__getitem__, default=0)
    shown = max(said) - 1 if max(said) else top
    share = f"{probability[shown]:.2f}" if probability else ""
    if len(said) == 1:
        which = f"p({names[shown + 1]})" if not max(said) else "p"
        return f"All say {names[max(said)]}; {which} = {share}"
    if len(said) == 2 and 0 in said:
        (inside,) = (number for number in said if number)
        verb = "includes" if len(said[inside]) == 1 else "include"
        does = "does not" if len(said[0]) == 1 else "do not"
        return (
            f"{_listed(said[inside])} {verb} this in {names[inside]}, "
            f"{_listed(said[0])} {does}; p = {share}"
        )
    parts = [f"{_listed(who)}: {names[number]}" for number, who in said.items()]
    return f"{', '.join(parts)}; p({names[shown + 1]}) = {share}"


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
