"""The commands about the versions of a model: models, promote, rollback, adapt."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetseg.cli_options import add_options
from napari_unetseg.cli_parts import Result, add_project, command, config_of
from napari_unetseg.config import AdaptConfig
from napari_unetseg.events import IsCancelled, OnEvent


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


def add_adapt(commands: Any) -> None:
    """Add the command that lets a model get used to the volume."""
    parser = command(
        commands, "adapt", _adapt, "let the model get used to the volume, no labels",
        "napari-unetseg adapt embryo.unetseg",
        "napari-unetseg adapt embryo.unetseg --model v1 --places 32",
        about="For networks with batch normalisation: what they remember of the images "
        "they learned from\nis replaced by what this volume looks like. It becomes a "
        "new version.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, AdaptConfig)


def _adapt(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, AdaptConfig)
    from napari_unetseg.app import actions

    return actions.adapt(arguments.project, config, on_event, is_cancelled)
