"""Which chunks of an overlay hold labels, so that a file that is gone is noticed.

zarr takes a missing chunk for one that nobody wrote into. The names of those that were
written are kept in ``chunks.txt`` beside them, as of the last checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_NAME = "chunks.txt"


class StoredChunks:
    """The names of the chunks with labels, such as ``c/0/2/1``.

    Parameters
    ----------
    folder
        Of the overlay.
    is_new
        Whether all rows are applied again, which writes every chunk.
    """

    def __init__(self, folder: Path, *, is_new: bool) -> None:
        self._folder = folder
        self._names: set[str] = set()
        if not is_new and is_listed(folder):
            self._names.update((folder / _NAME).read_text("utf-8").split())
        elif not is_new:  # an overlay from before there were lists
            self._names.update(self.on_disk())

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def on_disk(self) -> list[str]:
        """Return the names of the files that are there."""
        files = (p for p in self._folder.glob("c/*/*/*") if p.name.isdecimal())
        return sorted(p.relative_to(self._folder).as_posix() for p in files)

    def note(self, names: Iterable[str]) -> None:
        """Take over which of the chunks just written are files: UNSET alone is none."""
        known = self._names.copy()
        for name in names:
            if (self._folder / name).exists():
                self._names.add(name)
            else:
                self._names.discard(name)
        if known - self._names:  # else a program killed now would miss them
            self.save()

    def first_gone(self, names: Iterable[str]) -> str | None:
        """Return a chunk among these that should be there and is not."""
        for name in names:
            if name in self._names and not (self._folder / name).exists():
                return name
        return None

    def save(self) -> None:
        """Write the list, whole or not at all; on disk when this returns."""
        partial = self._folder / f"{_NAME}.partial"
        with partial.open("w", encoding="utf-8") as file:
            file.write("\n".join(sorted(self._names)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._folder / _NAME)


def is_listed(folder: Path) -> bool:
    """Whether the chunks of an overlay were ever listed."""
    return (folder / _NAME).is_file()
