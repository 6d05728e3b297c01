"""What the six cards share: the parts of the window, and when to look at them again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import SignalInstance

from napari_unetseg.viewer.card import Card
from napari_unetseg.viewer.style import Palette

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.edits import EditTools
    from napari_unetseg.viewer.layers import SessionLayers
    from napari_unetseg.viewer.swipe import Swipe


@dataclass(frozen=True)
class Parts:
    """What a card may reach of the window."""

    viewer: Viewer
    session: Session
    layers: SessionLayers
    edits: EditTools
    swipe: Swipe


class Connections:
    """Signals that are let go of together."""

    def __init__(self) -> None:
        self._known: list[tuple[SignalInstance, Callable[..., Any]]] = []

    def add(self, signal: SignalInstance, slot: Callable[..., Any]) -> None:
        """Connect and remember."""
        signal.connect(slot)
        self._known.append((signal, slot))

    def close(self) -> None:
        """Disconnect all."""
        for signal, slot in self._known:
            signal.disconnect(slot, missing_ok=True)
        self._known.clear()


class Panel(Card):
    """A card that shows a part of the session and keeps no state of its own.

    Signals only mark it; what they have in common is shown once, at the next
    :meth:`refresh_if_marked`. So a thousand events cost one look.
    """

    name: ClassVar[str]
    hears: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parts: Parts) -> None:
        super().__init__(self.name)
        self.viewer, self.session = parts.viewer, parts.session
        self.layers, self.edits = parts.layers, parts.edits
        self.connections = Connections()
        self._is_marked = True
        for signal in ("project_changed", "job_changed", *self.hears):
            self.connections.add(getattr(self.session, signal), self.mark)

    def mark(self, *_: object) -> None:
        """Look again soon."""
        self._is_marked = True

    def refresh_if_marked(self) -> None:
        """Look again if something has changed."""
        if self._is_marked:
            self._is_marked = False
            self.refresh()

    @abstractmethod
    def refresh(self) -> None:
        """Show what the session says now."""

    def set_palette(self, palette: Palette) -> None:
        """Take other colours where the style sheet does not reach."""

    def close_panel(self) -> None:
        """Let go of the session."""
        self.connections.close()
