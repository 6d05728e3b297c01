"""What all commands are made with: their parser, a project, a config."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from napari_unetseg.cli_options import C, read_config
from napari_unetseg.events import IsCancelled, OnEvent

Result: TypeAlias = dict[str, Any]
Run: TypeAlias = Callable[[argparse.Namespace, OnEvent, IsCancelled], Result]


def examples(*lines: str) -> str:
    """Return the end of a help text."""
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def command(
    commands: Any,
    name: str,
    run: Run,
    summary: str,
    *lines: str,
    about: str = "",
    is_long: bool = False,
) -> argparse.ArgumentParser:
    """Add a command with its examples and the options that all have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.\n{about}".strip(),
        epilog=examples(*lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true",
                        help="Print one JSON document.")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="Show no progress.")
    parser.add_argument("--debug", action="store_true",
                        help="Show where an error came from.")  # fmt: skip
    parser.set_defaults(run=run, parser=parser, is_long=is_long)
    return parser


def add_project(parser: argparse.ArgumentParser) -> None:
    """Add the folder of a project."""
    parser.add_argument("project", type=Path, help="Folder that ends in .unetseg.")


def config_of(arguments: argparse.Namespace, model: type[C], **more: Any) -> C:
    """Return the config that the arguments of a command make."""
    return read_config(arguments.parser, model, vars(arguments), **more)
