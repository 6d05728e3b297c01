"""Which blocks of a run are done: one line per block, appended after its voxels.

The first line says what the run was made of. A block counts as done when its line is
there; its voxels were written before. That a chunk exists proves nothing: empty blocks
write none, and a killed process may leave half of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from napari_unetseg.errors import RunMismatchError, explained_writing
from napari_unetseg.events import BlockState

_KNOWN = {BlockState.DONE, BlockState.EMPTY, BlockState.FAILED}


class DoneLog:
    """The log of one prediction store, open to append.

    Attributes
    ----------
    states, reasons
        By index of the block; reasons for failed ones only.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.states: dict[int, BlockState] = {}
        self.reasons: dict[int, str] = {}
        self._file: IO[str] | None = None

    @classmethod
    def open(cls, path: Path | str, fingerprint: dict[str, Any]) -> Self:
        """Open the log of a run, or begin it.

        Parameters
        ----------
        fingerprint
            What the run is made of: model, input, parameters; plain values.

        Raises
        ------
        RunMismatchError
            If the log belongs to a run of something else; the sentence names the field.
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        path = Path(path)
        log = cls(path, json.loads(json.dumps(fingerprint)))
        header, log.states, log.reasons, n_bytes = _read(path)
        if header is not None:
            _compare(header, log.fingerprint)
        with explained_writing("the log of the run", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                os.truncate(path, n_bytes)  # a line torn by a crash
            log._file = path.open("a")
            if header is None:
                log._append({"fingerprint": log.fingerprint})
        return log

    @staticmethod
    def read(
        path: Path | str,
    ) -> tuple[dict[str, Any] | None, dict[int, BlockState], dict[int, str]]:
        """Return fingerprint, states and reasons without opening to append."""
        header, states, reasons, _ = _read(Path(path))
        return header, states, reasons

    def record(self, index: int, state: BlockState, reason: str = "") -> None:
        """Note how a block ended; on disk when this returns."""
        line: dict[str, Any] = {"block": index, "state": state.value}
        if reason:
            line["reason"] = reason
        with explained_writing("the log of the run", self.path):
            self._append(line)
        self.states[index] = state
        self.reasons.pop(index, None)
        if reason:
            self.reasons[index] = reason

    def reset(self, indices: Iterable[int]) -> None:
        """Note that blocks are to be done again."""
        for index in indices:
            if self.states.pop(index, None) is not None:
                self.reasons.pop(index, None)
                self._append({"block": index, "state": BlockState.TODO.value})

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _read(
    path: Path,
) -> tuple[dict[str, Any] | None, dict[int, BlockState], dict[int, str], int]:
    """Return header, states, reasons and the length of the part that is whole."""
    header: dict[str, Any] | None = None
    states: dict[int, BlockState] = {}
    reasons: dict[int, str] = {}
    n_bytes = 0
    if not path.exists():
        return header, states, reasons, n_bytes
    for raw in path.read_bytes().splitlines(keepends=True):
        line = _parse(raw)
        if line is None:
            break
        n_bytes += len(raw)
        if header is None:
            header = line.get("fingerprint")
            continue
        index, state = int(line["block"]), BlockState(line["state"])
        reasons.pop(index, None)
        if state in _KNOWN:
            states[index] = state
        else:
            states.pop(index, None)
        if line.get("reason"):
            reasons[index] = str(line["reason"])
    return header, states, reasons, n_bytes if header is not None else 0


def _parse(raw: bytes) -> dict[str, Any] | None:
    """Return a whole line, None for one torn by a crash."""
    if not raw.endswith(b"\n"):
        return None
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _compare(known: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key in sorted(known.keys() | wanted.keys()):
        if known.get(key) != wanted.get(key):
            raise RunMismatchError(
                f"The prediction was begun with another {key.replace('_', ' ')}",
                got=wanted.get(key),
                expected=known.get(key),
                do="Use the same choice to go on, or another model version.",
            )
