"""Tells a running prediction where somebody looks, so that it goes on there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.layers import SessionLayers

if TYPE_CHECKING:
    from napari_unetseg.app.session import Session


class LookAhead:
    """Looks at the view now and then, and speaks when it has come to rest."""

    def __init__(self, session: Session, layers: SessionLayers) -> None:
        self._session, self._layers = session, layers
        self._seen: Box | None = None
        self._told: Zyx | None = None

    def tick(self) -> None:
        """Look once; costs nothing while nothing is predicted."""
        job = self._session.job
        if job.is_idle or job.verb != "predict":
            self._seen = self._told = None
            return
        before, self._seen = self._seen, self._layers.visible_box()
        seen = self._seen
        rests = seen is not None and seen == before and not seen.is_empty
        if rests and seen is not None and seen.centre != self._told:
            self._told = seen.centre
            self._session.look_at(seen.centre)
