"""The demo: with a guided tour for a person, or by itself where nobody looks on."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import napari
from rich.console import Console
from rich.table import Table

from napari_unetseg.app.opening import user_data
from napari_unetseg.errors import UnetsegError
from napari_unetseg.viewer.demo_run import DemoRun
from napari_unetseg.viewer.demo_scene import prepare
from napari_unetseg.viewer.launch import build_window

LEAST_GAIN = 0.02
_LOG = logging.getLogger(__name__)


def run_demo(
    volume: Path | None = None,
    output: Path = Path("demo-output"),
    *,
    headless: bool = False,
) -> int:
    """Show the whole loop.

    Parameters
    ----------
    volume
        A zarr volume to show it on; the sample if None.
    output
        Folder for pictures, exported labels and ``summary.json``; headless only.
    headless
        Use the window by mouse and key events, without a person.

    Returns
    -------
    int
        0; 1 if a step failed or the model did not improve.
    """
    if headless:
        return _run_by_itself(volume, output.resolve())
    _, window = build_window(volume)
    if volume is None:
        window.session.open_sample(user_data() / "demo")
        window.start_tour()
    napari.run()
    return 0


def _run_by_itself(volume: Path | None, output: Path) -> int:
    console = Console(stderr=True)
    try:
        demo = DemoRun(prepare(volume, output), output)
    except UnetsegError as error:
        console.print(f"[red]{error}[/]")
        return 1
    failure = ""
    try:
        demo.run()
    except Exception as error:  # noqa: BLE001 (any failed step is told and ends the demo)
        _LOG.debug("the demo failed", exc_info=True)
        failure = f"{type(error).__name__}: {error}"
        traceback.print_exc(file=sys.stderr)
    finally:
        demo.close()
    console.print(_table(demo))
    if failure:
        console.print(f"[red]Failed: {failure}[/]")
        return 1
    gain = demo.summary["dice_after"] - demo.summary["dice_before"]
    if gain < LEAST_GAIN:
        console.print(f"[red]Dice rose by {gain:.3f} only.[/]")
        return 1
    return 0


def _table(demo: DemoRun) -> Table:
    table = Table("step", "what happened", "seconds")
    for step in demo.steps:
        table.add_row(step.title, step.said, f"{step.seconds:.1f}")
    if "dice_after" in demo.summary:
        before, after = demo.summary["dice_before"], demo.summary["dice_after"]
        table.add_row(
            "Dice", f"{before:.3f} → {after:.3f} (voxels nobody labelled)", ""
        )
        table.add_row("all", "", f"{demo.summary['seconds']:.1f}")
    return table
