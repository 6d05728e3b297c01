"""napari's preferences page of the plugin, as one frozen value.

The page is described in ``napari.yaml``, one property for every field of
:class:`~napari_unetseg.config.Preferences`; napari draws it and keeps the values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from napari.settings import get_plugin_settings
from pydantic import BaseModel, ValidationError

from napari_unetseg.config import Preferences

PLUGIN = "napari-unetseg"
_LOG = logging.getLogger(__name__)


def read_preferences() -> Preferences:
    """Return what the person chose in napari's preferences."""
    try:
        return Preferences.model_validate(dict(_values()))
    except ValidationError as error:
        _LOG.warning("the preferences are not understood, using defaults: %s", error)
        return Preferences()


def keep_preference(name: str, value: object) -> None:
    """Change a preference for good; nothing happens where napari keeps none."""
    settings = _settings()
    for _, page in settings or ():
        if isinstance(page, BaseModel) and name in type(page).model_fields:
            setattr(page, name, value)


class PreferencesLink:
    """Tells of every change of the page until it is closed.

    Parameters
    ----------
    on_change
        Called with the preferences as they are now.
    """

    def __init__(self, on_change: Callable[[Preferences], None]) -> None:
        self._on_change = on_change
        self._settings = _settings()
        if self._settings is not None:
            self._settings.events.changed.connect(self._changed)

    def close(self) -> None:
        """Tell of nothing any more."""
        if self._settings is not None:
            self._settings.events.changed.disconnect(self._changed)
            self._settings = None

    def _changed(self, event: object = None) -> None:
        self._on_change(read_preferences())


def _settings() -> Any | None:
    """Return napari's settings of the plugin, None where it is not registered."""
    found: Mapping[str, Any] = get_plugin_settings()
    return found.get(PLUGIN)


def _values() -> Iterator[tuple[str, object]]:
    settings = _settings()
    for _, page in settings or ():
        if isinstance(page, BaseModel):
            yield from page
