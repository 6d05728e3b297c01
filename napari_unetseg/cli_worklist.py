"""The command that says which regions to look at next: worklist."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetseg.cli_options import add_options
from napari_unetseg.cli_parts import Result, add_project, command, config_of
from napari_unetseg.config import WorklistConfig


def add_worklist(commands: Any) -> None:
    """Add the command that lists regions."""
    parser = command(
        commands, "worklist", _worklist, "list the regions to look at next, and why",
        "napari-unetseg worklist embryo.unetseg",
        "napari-unetseg worklist embryo.unetseg --strategy raters --n 30 --json",
        about="Regions that were reviewed, or are mostly labelled, are left out.",
    )  # fmt: skip
    add_project(parser)
    add_options(parser, WorklistConfig)


def _worklist(arguments: argparse.Namespace, *_: Any) -> Result:
    config = config_of(arguments, WorklistConfig)
    from napari_unetseg.app import actions

    found = actions.worklist(arguments.project, config)
    return found if arguments.json else _in_short(found)


def _in_short(found: Result) -> Result:
    """Return one line per region."""
    rows = {
        f"z {z} y {y} x {x}": region["why"]
        for region in found["regions"]
        for z, y, x in [region["centre"]]
    }
    return {**found, "regions": rows}
