from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.events import BlockState, Outcome
from napari_unetseg.inference.executors import PipelineExecutor, SerialExecutor


def killed_after(n_blocks: int, child: Path, folder: Path, executor: str) -> list[int]:
    """Let a child predict, kill it without warning, return the blocks it told of."""
    process = subprocess.Popen(
        [sys.executable, str(child), str(folder), executor],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout as lines:
        told = [int(lines.readline()) for _ in range(n_blocks)]
        process.kill()
        told += [int(line) for line in lines if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
    return told


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("name", ["serial", "pipeline"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    make_run: Callable[[np.ndarray], Any],
    voxels: np.ndarray,
    child: Path,
    name: str,
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    killed, undisturbed = make_run(voxels), make_run(voxels)
    told: set[int] = set()
    for n_blocks in (1, 3):  # killed twice
        told |= set(killed_after(n_blocks, child, killed.path, name))
        _, states, _ = DoneLog.read(killed.path / "log.jsonl")
        assert told <= {i for i, state in states.items() if state is BlockState.DONE}
    assert 4 <= len(told) < 14
    rest = killed.go(PipelineExecutor())
    assert rest.outcome is Outcome.DONE
    assert 0 < rest.done <= 14 - len(told)
    undisturbed.go(SerialExecutor())
    assert_same_contents(killed.path / "v1.zarr", undisturbed.path / "v1.zarr")


def test_a_block_half_written_is_written_again(
    make_run: Callable[[np.ndarray], Any],
    voxels: np.ndarray,
    assert_same_contents: Callable[[Path, Path], None],
) -> None:
    run, undisturbed = make_run(voxels), make_run(voxels)
    run.go(SerialExecutor(), indices=range(7))
    # As if killed between two arrays of block 13: garbage where it belongs.
    for name in ("labels", "probability", "total_uncertainty"):
        run.store.levels(name)[0][..., 8:12, :, 384:400] = 99
        run.store.levels(name)[1][..., 4:6, :, 192:200] = 99
    run.go(PipelineExecutor())
    undisturbed.go(PipelineExecutor())
    assert_same_contents(run.path / "v1.zarr", undisturbed.path / "v1.zarr")
