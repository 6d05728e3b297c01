from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_unetseg.app.lock import ProjectLock
from napari_unetseg.errors import ProjectLockedError

HOLD = """
import sys
from pathlib import Path
from napari_unetseg.app.lock import ProjectLock
lock = ProjectLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_holds_the_project(tmp_path: Path) -> None:
    with _holder(tmp_path) as process:
        with pytest.raises(ProjectLockedError, match=f"process {process.pid}"):
            ProjectLock(tmp_path)
        process.kill()


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    with _holder(tmp_path) as process:
        process.kill()
        process.wait()

    lock = ProjectLock(tmp_path)
    assert (tmp_path / "lock.json").exists()
    lock.release()
    lock.release()
    assert not (tmp_path / "lock.json").exists()
