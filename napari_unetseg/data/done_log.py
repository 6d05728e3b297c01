"""Which blocks of a run are done: one line per block, appended after its voxels.

::

    {"fingerprint": {...}}                what the run is made of
    {"boot": "5ade…"}                     the computer, since it was last started
    {"block": 7, "state": "done"}         its voxels were written before
    {"block": 8, "state": "failed", "reason": "…"}
    {"block": 9, "state": "done", "levels": 1}    on the finest level only
    {"block": 10, "state": "done", "reason": "as v1 said"}
    {"levels": "all"}                     all above are on all levels
    {"synced": true}                      all above has reached the disk

That a chunk exists proves nothing: empty blocks write none, and a killed process may
leave half of them. A process that dies takes nothing back that it wrote; a computer
that does loses what had not reached the disk, so that blocks after the last
``synced`` line count only until the computer is started anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_unetseg.errors import RunMismatchError, explained_writing
from napari_unetseg.events import BlockState

SYNC_EVERY_S = 60.0
_KNOWN = {BlockState.DONE, BlockState.EMPTY, BlockState.FAILED}
_WHAT = "the log of the run"

Change = tuple[str, Any, Any]
"""A field of the fingerprint that may change from one value to another."""


class DoneLog:
    """The log of one prediction store, open to append.

    Attributes
    ----------
    states, reasons
        By index of the block; why it failed, or where a done one was taken from.
    finest_only
        Blocks whose coarse levels have not been written since.
    was_killed
        Whether the run before did not end by itself.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self.fingerprint: dict[str, Any] = _plain(fingerprint)
        self.states: dict[int, BlockState] = {}
        self.reasons: dict[int, str] = {}
        self.finest_only: set[int] = set()
        self.was_killed = False
        self._descriptor: int | None = None
        self._synced_at = time.monotonic()
        self._is_synced = True

    @classmethod
    def open(
        cls,
        path: Path | str,
        fingerprint: dict[str, Any],
        *,
        allowed: Sequence[Change] = (),
    ) -> Self:
        """Open the log of a run, or begin it.

        Parameters
        ----------
        fingerprint
            What the run is made of: model, input, parameters; plain values.
        allowed
            Changes that leave finished blocks as they are: field, from, to.

        Raises
        ------
        RunMismatchError
            If the log belongs to a run of something else; the sentence names the field.
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        log = cls(Path(path), fingerprint)
        with explained_writing(_WHAT, log.path):
            content = _read(log.path)
            if content.fingerprint is not None:
                _compare(content.fingerprint, log.fingerprint, allowed)
            log.states, log.reasons = content.states, content.reasons
            log.finest_only = content.finest_only
            log.was_killed = content.fingerprint is not None and not content.is_closed
            log.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            log._descriptor = os.open(log.path, flags, 0o644)
            try:
                log._begin(content)
            except BaseException:
                log.close()
                raise
        return log

    @staticmethod
    def read(
        path: Path | str,
    ) -> tuple[dict[str, Any] | None, dict[int, BlockState], dict[int, str]]:
        """Return fingerprint, states and reasons without opening to append.

        Raises
        ------
        RunMismatchError
            If the file is something else.
        """
        content = _read(Path(path))
        return content.fingerprint, content.states, content.reasons

    @property
    def kept(self) -> tuple[int, ...]:
        """Blocks that were taken from another prediction."""
        return tuple(i for i in self.reasons if self.states[i] is BlockState.DONE)

    def record(
        self,
        index: int,
        state: BlockState,
        reason: str = "",
        *,
        finest_only: bool = False,
    ) -> None:
        """Note how a block ended; its voxels have been written.

        Parameters
        ----------
        finest_only
            Whether its coarse levels are still to be written.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be noted; the log stays as it was.
        """
        line: dict[str, Any] = {"block": index, "state": state.value}
        if reason:
            line["reason"] = reason
        if finest_only and state is BlockState.DONE:
            line["levels"] = 1
        with explained_writing(_WHAT, self.path):
            self._append([line])
            self._is_synced = False
            if time.monotonic() - self._synced_at > SYNC_EVERY_S:
                self._sync()
        self.states[index] = state
        self.reasons.pop(index, None)
        if reason:
            self.reasons[index] = reason
        if "levels" in line:
            self.finest_only.add(index)

    def record_all_levels(self) -> None:
        """Note that the coarse levels of all blocks have been written."""
        with explained_writing(_WHAT, self.path):
            self._append([{"levels": "all"}])
        self.finest_only.clear()
        self._is_synced = False

    def reset(self, indices: Iterable[int]) -> None:
        """Note that blocks are to be done again."""
        known = [index for index in indices if index in self.states]
        todo = BlockState.PENDING.value
        with explained_writing(_WHAT, self.path):
            self._append([{"block": index, "state": todo} for index in known])
        for index in known:
            del self.states[index]
            self.reasons.pop(index, None)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # of a full disk; the blocks are noted
            self._sync()
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, content: _Content) -> None:
        """Cut off a torn line, say what is new about this run."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, content.n_bytes)
        lines: list[dict[str, Any]] = []
        if content.fingerprint != self.fingerprint:
            lines.append({"fingerprint": self.fingerprint})
        if content.boot != (boot := _boot_id()):
            # Written out, so that nobody has to know which blocks were lost then.
            lines += [{"block": i, "state": BlockState.PENDING} for i in content.lost]
            lines.append({"boot": boot})
        self._append(lines)

    def _sync(self) -> None:
        if self._is_synced:
            return
        getattr(os, "sync", lambda: None)()
        self._append([{"synced": True}])
        self._synced_at, self._is_synced = time.monotonic(), True

    def _append(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write whole lines or, if the disk is full, none."""
        if not lines:
            return
        if self._descriptor is None:
            raise ValueError(f"The log {self.path.name} is closed.")
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        before = os.fstat(self._descriptor).st_size
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise


@dataclass
class _Content:
    """What a log says; ``n_bytes`` is the length of the part that is whole."""

    fingerprint: dict[str, Any] | None = None
    boot: str | None = None
    states: dict[int, BlockState] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    n_bytes: int = 0
    unsynced: list[int] = field(default_factory=list)
    finest_only: set[int] = field(default_factory=set)
    is_closed: bool = False
    lost: list[int] = field(default_factory=list)

    def add(self, line: dict[str, Any]) -> None:
        self.is_closed = "synced" in line
        if "fingerprint" in line:
            self.fingerprint = dict(line["fingerprint"])
        elif "boot" in line:
            self.boot = line["boot"]
        elif "synced" in line:
            self.unsynced.clear()
        elif "block" not in line and line.get("levels") == "all":
            self.finest_only.clear()
        else:
            self._add_block(int(line["block"]), BlockState(line["state"]), line)

    def _add_block(self, index: int, state: BlockState, line: dict[str, Any]) -> None:
        self.reasons.pop(index, None)
        if state not in _KNOWN:
            self.states.pop(index, None)
            return
        self.states[index] = state
        self.unsynced.append(index)
        if "levels" in line:
            self.finest_only.add(index)
        if line.get("reason"):
            self.reasons[index] = str(line["reason"])

    def forget_lost(self) -> None:
        """Forget the blocks that a computer which went down may have lost."""
        if self.boot == _boot_id():
            return
        self.lost = [index for index in self.unsynced if index in self.states]
        for index in self.lost:
            self.states.pop(index, None)
            self.reasons.pop(index, None)


def _read(path: Path) -> _Content:
    content = _Content()
    for raw, line in _lines(path):
        try:
            content.add(line)
        except (KeyError, TypeError, ValueError):
            break
        if content.fingerprint is None:
            break
        content.n_bytes += len(raw)
    if content.fingerprint is None and path.exists() and b"\n" in path.read_bytes():
        raise RunMismatchError(
            f"The file {path} is no log of a prediction",
            do="Move it away and predict again.",
        )
    content.forget_lost()
    return content


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield lines up to the first one that a crash has torn."""
    if not path.exists():
        return
    for raw in path.read_bytes().splitlines(keepends=True):
        try:
            line = json.loads(raw)
        except ValueError:
            return
        if not raw.endswith(b"\n") or not isinstance(line, dict):
            return
        yield raw, line


def _boot_id() -> str | None:
    """Return what changes when the computer is started; None if nobody says it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _compare(
    known: dict[str, Any],
    wanted: dict[str, Any],
    allowed: Sequence[Change] = (),
    inside: str = "",
) -> None:
    for key in sorted(known.keys() | wanted.keys()):
        old, new = known.get(key), wanted.get(key)
        if old == new or (key, old, new) in allowed:
            continue
        name = f"{inside}{key.replace('_', ' ')}"
        if isinstance(old, dict) and isinstance(new, dict):
            _compare(old, new, allowed, f"{name}: ")
            continue
        raise RunMismatchError(
            f"These predictions were begun with another choice of {name}",
            got=_short(new),
            expected=_short(old),
            do="Choose the same to go on with them, or remove them to begin anew.",
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:8]}…"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
