"""One writer per project: a lock that the operating system drops with the process."""

from __future__ import annotations

import getpass
import json
import os
import socket
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from napari_unetseg.errors import ProjectLockedError


class ProjectLock:
    """The right to write into a project folder.

    The lock itself is an operating-system lock on ``lock``; a small file beside it says
    who holds it. A killed process leaves the small file behind but never the lock.

    Raises
    ------
    ProjectLockedError
        If another process holds the lock; the sentence says who.
    OSError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._holder = folder / "lock.json"
        self._lock = FileLock(folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise ProjectLockedError(
                f"The project {folder.name} is open elsewhere, {self._describe()}",
                do="Close it there, or go on here read-only.",
            ) from None
        self._holder.write_text(json.dumps(_myself()))

    def release(self) -> None:
        """Give the right back; safe to call twice."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _describe(self) -> str:
        try:
            holder = json.loads(self._holder.read_text())
            return "by {user} on {host} since {since} (process {pid})".format(**holder)
        except (OSError, ValueError, KeyError):
            return "by another program"


def _myself() -> dict[str, str | int]:
    return {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }
