"""Train the model that ships with the package: ``python -m … --out FOLDER``.

It learns from phantoms of many seeds under standard light, from three raters at once.
The sample is a phantom of another seed under other light, so there is something to
correct.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from napari_unetseg.config import TrainConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import (
    CLASS_NAMES,
    RATERS,
    VOXEL_SIZE_UM,
    make_phantom,
)
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import Event, StepDone
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.training.finetune import TrainJob, train
from napari_unetseg.training.training_set import from_label_arrays

N_PHANTOMS = 6
PHANTOM_SHAPE: Zyx = (64, 128, 128)
FIRST_SEED = 1000  # far from the sample's
STEPS = 600


def main(arguments: list[str] | None = None) -> int:
    """Train, and put card and weights where they are asked for."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        job = _job(Path(scratch), options)
        card = train(job, _report)
        target: Path = options.out
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(job.models_dir / card.version, target)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--budget-s", type=float, default=None, help="seconds at most")
    parser.add_argument("--preset", choices=["S", "M", "L"], default="S")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def _job(scratch: Path, options: argparse.Namespace) -> TrainJob:
    phantoms = [
        make_phantom(PHANTOM_SHAPE, seed=FIRST_SEED + number)
        for number in range(N_PHANTOMS)
    ]
    # One long volume of all phantoms: the loop trains on one volume at a time.
    image = np.concatenate([phantom.image for phantom in phantoms])
    raters = {
        name: np.concatenate([phantom.raters[name] for phantom in phantoms])
        for name in RATERS
    }
    path = scratch / "phantoms.zarr"
    box = Box.whole(image.shape)
    group = create_image(
        path,
        shape=box.shape,
        dtype="uint8",
        chunk=(32, 64, 64),
        voxel_size=VOXEL_SIZE_UM,
        unit="micrometer",
    )
    write_pyramid_block(group, box, image)
    classes = default_classes(CLASS_NAMES)
    return TrainJob(
        volume_uri=str(path),
        time_point=0,
        training_set=from_label_arrays(raters, classes),
        models_dir=scratch / "models",
        version="default",
        classes=classes,
        normalisation=estimate_normalisation(Volume.open(path)),
        raters=RATERS,
        config=TrainConfig(
            steps=options.steps,
            budget_s=options.budget_s,
            preset=options.preset,
            seed=options.seed,
        ),
        name="phantom",
        description="Cells and fibres of the phantom, drawn as Ana, Bo and Cy do.",
    )


def _report(event: Event) -> None:
    if isinstance(event, StepDone) and event.dice:
        dice = ", ".join(f"{name} {value:.3f}" for name, value in event.dice.items())
        sys.stderr.write(
            f"step {event.step}: loss {event.loss:.3f}, Dice {dice}, "
            f"{event.seconds:.0f} s\n"
        )


if __name__ == "__main__":
    sys.exit(main())
