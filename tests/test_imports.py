"""What stays unimported: torch outside the engine, napari and Qt outside the window."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("torch", "napari", "qtpy", "PyQt6", "PySide6", "dask")


def _imported_by(code: str, *packages: str) -> list[str]:
    """Run code in a fresh interpreter and return which packages it imported."""
    program = (
        f"{code}\nimport sys\nprint([p for p in {packages!r} if p in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: list[str] = eval(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "module",
    [
        "napari_unetseg",
        "napari_unetseg.app.session",
        "napari_unetseg.inference.run",
        "napari_unetseg.models.store",
        "napari_unetseg.models.spec",
        "napari_unetseg.models.predictor",
        "napari_unetseg.training.training_set",
        "napari_unetseg.training.worklist",
        "napari_unetseg.data.export",
        "napari_unetseg.cli",
    ],
)
def test_is_free_of_torch_and_of_the_window(module: str) -> None:
    assert _imported_by(f"import {module}", *_HEAVY) == []


@pytest.mark.parametrize("arguments", [["--help"], ["export", "--help"]])
def test_help_is_free_of_everything_heavy(arguments: list[str]) -> None:
    code = (
        "import contextlib, io\n"
        "from napari_unetseg.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert main({arguments!r}) == 0"
    )
    heavy = (*_HEAVY, "zarr", "numpy", "scipy", "skimage", "tifffile", "rich")
    assert _imported_by(code, *heavy) == []


def test_the_package_is_almost_nothing() -> None:
    assert _imported_by("import napari_unetseg", "numpy", "pydantic", "zarr") == []
