"""Events as lines of JSON: what a child process says to the one that started it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, get_args

from pydantic import TypeAdapter

from napari_unetseg.events import Event

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(Event)
}


def to_line(event: Event) -> str:
    """Return the event as one line without its line break."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, default=str)


def from_line(line: str) -> Event:
    """Return the event that :func:`to_line` wrote.

    Raises
    ------
    ValueError
        If the line is no event.
    """
    content = json.loads(line)
    try:
        adapter = _ADAPTERS[content.pop("event")]
    except (KeyError, AttributeError, TypeError):
        raise ValueError(f"Not an event: {line[:80]!r}.") from None
    event: Event = adapter.validate_python(content)
    return event
