"""Steps that go wrong as asked, for runs whose blocks other processes take."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from napari_unetseg.errors import VoxelValueError
from napari_unetseg.geometry import Block
from napari_unetseg.inference.executors import Steps

FLAKY, BROKEN, DEADLY = 3, 5, 7


def troubled_steps(folder: Path) -> Steps:
    """Return steps that write a file per block, and have trouble with three of them.

    Reading block ``FLAKY`` fails twice, block ``BROKEN`` cannot be predicted, and
    ``DEADLY`` takes its process down.
    """
    return Steps(
        read=partial(_read, folder), predict=_predict, write=partial(_write, folder)
    )


def calm_steps(folder: Path) -> Steps:
    """Return steps that write a file per block."""
    return Steps(
        read=lambda block: block.index,
        predict=lambda content, _: content,
        write=partial(_write, folder),
    )


def no_steps() -> Steps:
    """Fail as a worker does that does not see the project."""
    raise FileNotFoundError("/nowhere/project.unetseg")


def _read(folder: Path, block: Block) -> int:
    tries = folder / f"tries-{block.index}"
    with tries.open("a") as stream:
        stream.write("x")
    if block.index == FLAKY and tries.stat().st_size <= 2:
        raise ConnectionResetError("the share is away")
    return block.index


def _predict(content: int, block: Block) -> int:
    if block.index == BROKEN:
        raise VoxelValueError("The voxels hold NaN")
    if block.index == DEADLY:
        os._exit(9)
    return content


def _write(folder: Path, block: Block, content: Any) -> None:
    (folder / str(block.index)).write_text(str(content))
