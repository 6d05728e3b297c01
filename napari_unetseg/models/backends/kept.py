"""What was found out about this machine, kept for the next start.

Losing it costs seconds, so nothing here ever fails.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import platformdirs

_LOG = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder, which need not exist."""
    return Path(platformdirs.user_cache_dir("napari-unetseg", appauthor=False))


def read_json(path: Path, key: str) -> dict[str, Any]:
    """Return what is kept under a key, {} if nothing is."""
    value = _read(path).get(key)
    return value if isinstance(value, dict) else {}


def keep_json(path: Path, key: str, value: dict[str, Any]) -> None:
    """Keep a value under a key; the file is replaced as a whole."""
    known = {**_read(path), key: value}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(known, indent=1))
        partial.replace(path)
    except OSError as error:
        _LOG.info("%s is not kept: %s", path.name, error)


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
