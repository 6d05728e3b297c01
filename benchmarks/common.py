"""What all benchmarks share: arguments, the machine, real data, the report.

Run one as ``python -m benchmarks.NAME [--quick] --json PATH``. A report holds the
machine, the figures, and targets with the value that was reached::

    {"machine": {…}, "figures": {…},
     "targets": [{"name": "…", "value": 0.93, "op": ">=", "bound": 0.9}]}
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}


class Target(NamedTuple):
    """A number that was measured and the bound that it should keep."""

    name: str
    value: float
    op: str
    bound: float

    @property
    def is_met(self) -> bool:
        """Whether the value keeps the bound."""
        return _OPERATORS[self.op](self.value, self.bound)


def parse_args(
    description: str,
    add: Callable[[argparse.ArgumentParser], object] | None = None,
) -> argparse.Namespace:
    """Return the arguments of a benchmark.

    Parameters
    ----------
    description
        One line for ``--help``.
    add
        Adds arguments of its own to the parser.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small and fast")
    parser.add_argument("--json", type=Path, metavar="PATH", help="report to write")
    if add is not None:
        add(parser)
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, memory, versions."""
    packages = ("numpy", "torch", "zarr", "openvino", "napari")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "python": platform.python_version(),
        "packages": {name: v for name in packages if (v := _version(name))},
    }


def shared_data(name: str) -> Path | None:
    """Return a folder of the real data beside the repository, if it is there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / name
    return folder if folder.exists() else None


def class_dice(
    found: np.ndarray, truth: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Return Dice per class over all voxels.

    Parameters
    ----------
    names
        Of the classes 1, 2, 3 and so on.
    """
    scores = {}
    for number, name in enumerate(names, start=1):
        mine, yours = found == number, truth == number
        total = int(mine.sum()) + int(yours.sum())
        scores[name] = 2 * int((mine & yours).sum()) / max(total, 1)
    return scores


def write_report(
    path: Path | None,
    figures: Mapping[str, Any],
    targets: Sequence[Target | Mapping[str, Any]] = (),
    *,
    quiet: bool = False,
) -> None:
    """Write the report, whole or not at all, and print the targets unless quiet."""
    rows = [Target(**t) if isinstance(t, Mapping) else t for t in targets]
    for row in [] if quiet else rows:
        mark = "met " if row.is_met else "MISS"
        print(f"{mark}  {row.name}: {row.value:.4g} {row.op} {row.bound:g}")
    if path is None:
        return
    report = {
        "machine": machine(),
        "figures": dict(figures),
        "targets": [row._asdict() for row in rows],
    }
    write_json(path, report)


def write_json(path: Path, value: object) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2), "utf-8")
    partial.replace(path)


def read_report(path: Path | None) -> dict[str, Any]:
    """Return the figures of an earlier report; nothing if there is none."""
    if path is None or not path.is_file():
        return {}
    figures: dict[str, Any] = json.loads(path.read_text("utf-8"))["figures"]
    return figures


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    n_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(n_bytes / 1e9, 1)
