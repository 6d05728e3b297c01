from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unetseg.data import done_log
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.errors import DiskFullError, ReadOnlyError, RunMismatchError
from napari_unetseg.events import BlockState

FINGERPRINT: dict[str, Any] = {
    "model": "5ad3" * 16,
    "volume": {"shape": [9, 9, 9], "dtype": "uint8"},
    "flips": 2,
    "missing_chunks": "fail",
}
DONE, EMPTY, FAILED = BlockState.DONE, BlockState.EMPTY, BlockState.FAILED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "v1.jsonl"


def test_what_was_recorded_is_there_when_opened_again(path: Path) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        assert log.states == {}
        log.record(3, DONE)
        log.record(1, EMPTY)
        log.record(2, FAILED, "A chunk is lost.")
    with DoneLog.open(path, FINGERPRINT) as log:
        assert log.states == {3: DONE, 1: EMPTY, 2: FAILED}
        assert log.reasons == {2: "A chunk is lost."}
    header, states, reasons = DoneLog.read(path)
    assert header == FINGERPRINT
    assert (states, reasons) == (log.states, log.reasons)


def test_a_line_is_on_disk_when_record_returns(path: Path) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(3, DONE)
        _, states, _ = DoneLog.read(path)
        assert states == {3: DONE}


def test_a_block_that_is_done_later_is_no_longer_failed(path: Path) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(2, FAILED, "A chunk is lost.")
        log.record(2, DONE)
        assert (log.states, log.reasons) == ({2: DONE}, {})
    assert DoneLog.read(path)[1:] == ({2: DONE}, {})


def test_blocks_can_be_reset(path: Path) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        for index in range(4):
            log.record(index, FAILED, "Why.")
        log.reset([1, 2, 99])
        assert set(log.states) == set(log.reasons) == {0, 3}
    assert set(DoneLog.read(path)[1]) == {0, 3}


def test_a_log_that_is_not_there_says_nothing(path: Path) -> None:
    assert DoneLog.read(path) == (None, {}, {})


@pytest.fixture(scope="module")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("log") / "whole.jsonl"
    with DoneLog.open(path, FINGERPRINT) as log:
        for index in range(5):
            log.record(index, DONE)
    return path.read_bytes()


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_log_torn_anywhere_keeps_its_whole_lines_and_goes_on(
    whole_log: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, len(whole_log) - 1))
    path = tmp_path / "torn.jsonl"
    path.write_bytes(whole_log[:length])
    lines = whole_log[:length].decode().splitlines(keepends=True)
    whole = {
        json.loads(line)["block"]
        for line in lines
        if line.endswith("\n") and '"block"' in line
    }
    with DoneLog.open(path, FINGERPRINT) as log:
        assert set(log.states) == whole
        log.record(77, DONE)
    assert set(DoneLog.read(path)[1]) == whole | {77}


def test_a_garbled_line_ends_what_is_believed(path: Path) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(0, DONE)
        log.record(1, DONE)
    lines = path.read_bytes().splitlines(keepends=True)
    for garbled in (b"\0\0\0\0\n", b'{"block": "seven"}\n', b"[]\n"):
        path.write_bytes(b"".join([*lines[:3], garbled, *lines[3:]]))
        with DoneLog.open(path, FINGERPRINT) as log:
            assert log.states == {0: DONE}


def test_a_file_that_is_no_log_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("z,y,x\n1,2,3\n")
    with pytest.raises(RunMismatchError, match=r"is no log of a prediction\. Move it"):
        DoneLog.open(path, FINGERPRINT)
    assert path.read_text() == "z,y,x\n1,2,3\n"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"flips": 4}, "another choice of flips: got 4, expected 2. Choose the same"),
        ({"missing_chunks": "fill"}, "of missing chunks: got fill, expected fail"),
        ({"model": "77" * 32}, "of model: got 77777777…, expected 5ad35ad3…"),
        (
            {"volume": {"shape": [8, 9, 9], "dtype": "uint8"}},
            r"of volume: shape: got \[8, 9, 9\], expected \[9, 9, 9\]",
        ),
    ],
)
def test_a_log_of_something_else_is_refused_and_says_of_what(
    path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(0, DONE)
    before = path.read_bytes()
    with pytest.raises(RunMismatchError, match=sentence):
        DoneLog.open(path, FINGERPRINT | changes)
    assert path.read_bytes() == before


def test_a_change_that_leaves_blocks_as_they_are_can_be_allowed(path: Path) -> None:
    allowed = [("missing_chunks", "fail", "fill")]
    fills = FINGERPRINT | {"missing_chunks": "fill"}
    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(0, DONE)
    with DoneLog.open(path, fills, allowed=allowed) as log:
        assert log.states == {0: DONE}
    assert DoneLog.read(path)[0] == fills
    with pytest.raises(RunMismatchError, match="got fail, expected fill"):
        DoneLog.open(path, FINGERPRINT, allowed=allowed)


def test_tuples_and_lists_are_the_same_fingerprint(path: Path) -> None:
    DoneLog.open(path, {"block": (1, 2, 3)}).close()
    DoneLog.open(path, {"block": [1, 2, 3]}).close()
    assert path.read_text().count("fingerprint") == 1


def test_a_full_disk_leaves_whole_lines(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def half(descriptor: int, content: bytes) -> int:
        if len(content) < 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:8])

    with DoneLog.open(path, FINGERPRINT) as log:
        log.record(0, DONE)
        with monkeypatch.context() as patch:
            patch.setattr(done_log.os, "write", half)
            with pytest.raises(DiskFullError, match="disk is full, the log of the run"):
                log.record(1, DONE)
        assert log.states == {0: DONE}
        log.record(2, DONE)
    assert DoneLog.read(path)[1] == {0: DONE, 2: DONE}


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write bit")
def test_a_folder_that_must_not_be_written_is_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(done_log.os, "open", refused)
    with pytest.raises(ReadOnlyError, match="log of the run could not be written"):
        DoneLog.open(path, FINGERPRINT)


def test_closing_twice_is_safe_and_a_closed_log_takes_nothing(path: Path) -> None:
    log = DoneLog.open(path, FINGERPRINT)
    log.close()
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.record(0, DONE)


def test_blocks_count_after_a_crash_of_the_computer_only_if_they_reached_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = "monday"
    monkeypatch.setattr(done_log, "_boot_id", lambda: boot)
    log = DoneLog.open(path, FINGERPRINT)
    log.record(0, DONE)
    log._synced_at -= done_log.SYNC_EVERY_S + 1
    log.record(1, DONE)  # a minute later
    log.record(2, DONE)
    os.close(log._descriptor or -1)  # the process is gone, the computer is not
    log._descriptor = None
    assert set(DoneLog.read(path)[1]) == {0, 1, 2}
    boot = "tuesday"  # now it is
    assert set(DoneLog.read(path)[1]) == {0, 1}
    with DoneLog.open(path, FINGERPRINT) as log:
        assert set(log.states) == {0, 1}
        log.record(5, DONE)
    assert set(DoneLog.read(path)[1]) == {0, 1, 5}
    boot = "wednesday"  # closed before, so nothing is lost
    assert set(DoneLog.read(path)[1]) == {0, 1, 5}
