"""The commands about the versions of a model: models, promote, rollback."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetseg.cli_parts import Result, add_project, command


def add_models(commands: Any) -> None:
    """Add the command that lists the versions."""
    parser = command(
        commands, "models", _models, "list the versions of the model of a project",
        "napari-unetseg models embryo.unetseg",
        about="One is in use, others were used before; candidates were trained and did "
        "not prove better\nthan the one in use, or could not be compared with it.",
    )  # fmt: skip
    add_project(parser)


def _models(arguments: argparse.Namespace, *_: Any) -> Result:
    from napari_unetseg.app import actions

    return actions.models(arguments.project)


def add_promote(commands: Any) -> None:
    """Add the command that puts a version to use."""
    parser = command(
        commands, "promote", _promote, "use a version of the model from now on",
        "napari-unetseg promote embryo.unetseg v3",
        about="Predictions of all versions are kept; so are corrections.",
    )  # fmt: skip
    add_project(parser)
    parser.add_argument("version", help="The version, such as v3.")


def _promote(arguments: argparse.Namespace, *_: Any) -> Result:
    from napari_unetseg.app import actions

    return actions.promote(arguments.project, arguments.version)


def add_rollback(commands: Any) -> None:
    """Add the command that goes back to the version before."""
    parser = command(
        commands, "rollback", _roll_back, "use the version again that was used before",
        "napari-unetseg rollback embryo.unetseg",
        about="The version that was in use stays and can be used again.",
    )  # fmt: skip
    add_project(parser)


def _roll_back(arguments: argparse.Namespace, *_: Any) -> Result:
    from napari_unetseg.app import actions

    return actions.roll_back(arguments.project)
