"""How much memory a prediction takes: it must not depend on the volume.

Each prediction runs in a process of its own; what counts is the most memory that the
process ever had. Volumes are sparse on disk, and of the large ones only a few blocks
are predicted.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import Target, parse_args, write_report
from benchmarks.prediction_job import make_job, make_volume
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.inference.run import predict_job

SIDE = 256
BLOCKS = 3
ALLOWED_GB = 2.0


def predict_some(volume: str, folder: str, shape: Zyx, choices: dict[str, Any]) -> None:
    """Predict the middle of a volume; write what it took. Runs in a child."""
    whole = Box.whole(shape)
    middle = Box.around(whole.centre, (SIDE,) * 3).intersection(whole)
    job = make_job(
        Path(volume), Path(folder), box=middle, missing_chunks="fill", **choices
    )
    n_done = 0

    def count(event: object) -> None:
        nonlocal n_done
        n_done += type(event).__name__ == "BlockDone"

    summary = predict_job(job, count, lambda: n_done >= BLOCKS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    header = json.loads(job.log_path.read_text().splitlines()[0])["fingerprint"]
    figures = {
        "peak_gb": peak / 1e9,
        "block": header["block"],
        "blocks": summary.done + summary.empty,
        "backend": summary.backend,
    }
    Path(folder, "figures.json").write_text(json.dumps(figures))


def measured(folder: Path, shape: Zyx, **choices: Any) -> dict[str, Any]:
    """Return what a prediction took."""
    volume = folder / f"{'x'.join(map(str, shape))}.zarr"
    if not volume.exists():
        filled = Box.around(Box.whole(shape).centre, (SIDE,) * 3)
        make_volume(volume, shape, zyx_box(filled, shape))
    with tempfile.TemporaryDirectory(dir=folder) as target:
        child = multiprocessing.get_context("spawn").Process(
            target=predict_some, args=(str(volume), target, shape, choices)
        )
        child.start()
        child.join()
        if child.exitcode != 0:
            raise RuntimeError(f"The prediction ended with {child.exitcode}.")
        figures: dict[str, Any] = json.loads(Path(target, "figures.json").read_text())
    figures |= {"shape": list(shape), **choices}
    print(figures, flush=True)
    return figures


def zyx_box(box: Box, shape: Zyx) -> Box:
    """Return a box moved to whole chunks inside a volume."""
    start = zyx(max(0, a // 64 * 64) for a in box.start)
    return Box(start, zyx(a + SIDE for a in start)).clipped(shape)


def main() -> None:
    """Measure by volume and by allowance."""
    arguments = parse_args(__doc__.splitlines()[0])
    shapes: list[Zyx] = [(256,) * 3, (512,) * 3, (1024, 2048, 2048)]
    allowances = (1.0, 2.0) if arguments.quick else (1.0, 2.0, 4.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        by_volume = [measured(folder, shape, memory_gb=ALLOWED_GB) for shape in shapes]
        by_allowance = [measured(folder, shapes[1], memory_gb=gb) for gb in allowances]
    peaks = [figures["peak_gb"] for figures in by_volume]
    within = all(
        figures["peak_gb"] <= figures["memory_gb"]
        for figures in (*by_volume, *by_allowance)
    )
    figures = {"by_volume": by_volume, "by_allowance": by_allowance}
    targets = [
        Target("peak_ratio_largest_to_smallest", max(peaks) / min(peaks), "<=", 1.10),
        Target("within_allowance", float(within), "==", 1.0),
    ]
    write_report(arguments.json, figures, targets)


if __name__ == "__main__":
    main()
