"""The command about what correcting costs and brings: effort."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetseg.cli_options import add_options
from napari_unetseg.cli_parts import Result, add_project, command, config_of
from napari_unetseg.config import EffortConfig
from napari_unetseg.events import IsCancelled, OnEvent

_TOTAL = ("minutes", "n_strokes", "n_clicks", "n_voxels", "n_changed", "n_undone",
          "n_reviewed")  # fmt: skip
_OF_VERSION = ("minutes", "strokes", "n_voxels", "was_reference", "dice",
               "dice_elsewhere", "hce_per_mvoxel")  # fmt: skip
_REPORT = ("report", "csv", "json")


def add_effort(commands: Any) -> None:
    """Add the command that measures effort."""
    parser = command(
        commands, "effort", _effort, "measure what correcting cost and what it brought",
        "napari-unetseg effort embryo.unetseg",
        "napari-unetseg effort embryo.unetseg --out report --pause-s 60",
        about="Strokes, clicks, voxels and active minutes by person and model version; "
        "Dice and\nhuman correction effort (HCE) of each version on the reviewed "
        "regions, as JSON, CSV\nand a page to read.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, EffortConfig)


def _effort(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, EffortConfig)
    from napari_unetseg.app import actions

    found = actions.measure_effort(arguments.project, config, on_event, is_cancelled)
    return found if arguments.json else _in_short(found)


def _in_short(found: Result) -> Result:
    """Return what fits a terminal; the report has all of it."""
    short = {key: found["total"][key] for key in _TOTAL}
    short["strokes by tool"] = found["total"]["strokes"]
    for row in found["versions"]:
        if row["n_voxels"]:
            short[row["version"]] = {key: row[key] for key in _OF_VERSION}
    return short | {key: found[key] for key in _REPORT}
