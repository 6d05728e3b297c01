"""Options of the command line, made from the fields of the config models.

Descriptions, choices, defaults and limits stand in :mod:`napari_unetseg.config` once;
here they become ``--options`` and back again a validated config.
"""

from __future__ import annotations

import argparse
import math
import types
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from napari_unetseg.config import Config
from napari_unetseg.geometry import Box, zyx

C = TypeVar("C", bound=Config)


def add_options(
    parser: argparse.ArgumentParser, model: type[Config], *, skip: Collection[str] = ()
) -> None:
    """Add an option for every field of a config, but for those in ``skip``."""
    group = parser.add_argument_group("options of the work")
    for name, field in model.model_fields.items():
        if name not in skip:
            group.add_argument(
                _flag(name),
                dest=name,
                default=argparse.SUPPRESS,
                help=_help(field),
                **_how_to_read_field(name, field),
            )


def read_config(
    parser: argparse.ArgumentParser,
    model: type[C],
    arguments: Mapping[str, Any],
    **more: Any,
) -> C:
    """Return the config that the given options make; others keep their defaults.

    A value outside its limits ends the program as a usage error.
    """
    given = {name: arguments[name] for name in model.model_fields if name in arguments}
    try:
        return model.model_validate({**given, **more})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        parser.error(f"argument {_flag(name)}: {first['msg']}: got {first['input']}")


def names(text: str) -> tuple[str, ...]:
    """Read names that are separated by commas; none empty, none twice."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be different names, separated by commas"
        )
    return found


def lengths(text: str) -> tuple[float, ...]:
    """Read three lengths, zyx: numbers greater than zero with commas between."""
    found: tuple[float, ...] = _three(float)(text)
    if not all(math.isfinite(n) and n > 0 for n in found):
        raise argparse.ArgumentTypeError(f"{text!r} should be greater than zero")
    return found


def box(text: str) -> Box:
    """Read ``z0:z1,y0:y1,x0:x1``: the stops do not belong to the box."""
    try:
        axes = [part.split(":") for part in text.split(",")]
        starts, stops = zip(*((int(a), int(b)) for a, b in axes), strict=True)
        found = Box(zyx(starts), zyx(stops))
    except ValueError:
        found = None
    if found is None or found.is_empty or min(found.start) < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be z0:z1,y0:y1,x0:x1 in voxels, such as 0:64,0:256,0:256"
        )
    return found


def gigabytes(text: str) -> float:
    """Read a size such as ``2GB``, ``500MB``, ``1.5GiB`` or ``2``; without unit GB."""
    number = text.strip().lower().removesuffix("b").rstrip()
    for unit, size in _UNITS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), size
            break
    else:
        factor = 1.0
    try:
        return float(number) * factor
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a size, such as 2GB or 500MB"
        ) from None


# Longer units first: the last letters of one may be another.
_UNITS = {"gi": 2**30 / 1e9, "mi": 2**20 / 1e9, "ti": 2**40 / 1e9,
          "g": 1.0, "m": 1e-3, "t": 1e3}  # fmt: skip


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_gb").replace("_", "-")


def _help(field: FieldInfo) -> str:
    text = (field.description or "").replace("%", "%%")
    if field.default in (None, (), False):
        return text
    default = field.default
    shown = {True: "yes"}.get(default, default) if default is True else default
    return f"{text} [default: {shown}]"


def _plain_type(annotation: Any) -> Any:
    """Take ``Annotated`` and ``| None`` off a type."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [a for a in get_args(annotation) if a is not type(None)]
        return _plain_type(kept[0])
    return annotation


def _how_to_read_field(name: str, field: FieldInfo) -> dict[str, Any]:
    if name.endswith("_gb"):
        return {"type": gigabytes, "metavar": "SIZE"}
    return _how_to_read(_plain_type(field.annotation))


def _how_to_read(kind: Any) -> dict[str, Any]:
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind is Box:
        return {"type": box, "metavar": "Z0:Z1,Y0:Y1,X0:X1"}
    if kind in (int, float, str, Path):
        metavar = {int: "N", float: "NUMBER", str: "NAME", Path: "PATH"}[kind]
        return {"type": kind, "metavar": metavar}
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return {"type": type(choices[0]), "choices": choices}
    if get_origin(kind) is tuple:
        return _how_to_read_tuple(get_args(kind))
    raise TypeError(f"No option can be made of the type {kind}.")


def _how_to_read_tuple(parts: tuple[Any, ...]) -> dict[str, Any]:
    if parts == (str, ...):
        return {"type": names, "metavar": "A,B"}
    return {"type": _three(parts[0]), "metavar": "Z,Y,X"}


def _three(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def read(text: str) -> tuple[Any, ...]:
        try:
            z, y, x = (kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} should be three numbers z,y,x, such as 64,128,128"
            ) from None
        return z, y, x

    return read
