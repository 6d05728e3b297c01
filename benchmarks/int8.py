"""What quantising the shipped model to 8 bits gains, and what it costs.

NNCF quantises after the training, calibrated on other pieces of the phantom than the
one that is looked at, and OpenVINO runs the result. Beside it: the same network in 32
and in 16 bits, all compared with torch in float32 as ``auto`` does before it takes a
backend. Needs NNCF (``pip install nncf``), which the program itself does not.
"""

from __future__ import annotations

import itertools
import logging
import time
from typing import Any

import numpy as np
import torch

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.phantom import make_phantom
from napari_unetseg.models.backends import openvino as backend
from napari_unetseg.models.backends.choice import (
    LEAST_DICE,
    MOST_CHANGED,
    likeness,
)
from napari_unetseg.models.backends.torch import TorchRunner, fold_batch_norm
from napari_unetseg.models.store import read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights

SIDE = 128
DEPTH = 64


def pieces(n: int) -> list[np.ndarray]:
    """Return normalised pieces (1, 1, z, y, x) of one phantom."""
    card = read_card(DEFAULT_MODEL)
    image = make_phantom((DEPTH, SIDE, n * SIDE), seed=11).image
    normalisation = card.normalisation or Normalisation(low=(0.0,), high=(255.0,))
    voxels = normalisation.apply(image[None])[None]
    return [
        np.ascontiguousarray(voxels[..., i * SIDE : (i + 1) * SIDE]) for i in range(n)
    ]


def shipped() -> UNet:
    """Return the network of the shipped model as backends get it."""
    card = read_card(DEFAULT_MODEL)
    network = UNet(card.spec)
    load_weights(network, weights_path(DEFAULT_MODEL, card))
    fold_batch_norm(network.eval())
    return network


def quantised(network: UNet, seen: list[np.ndarray], preset: str, exact: bool) -> Any:
    """Return an OpenVINO model in 8 bits."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        backend.converted(lambda: network, network.spec),
        nncf.Dataset(seen),
        preset=nncf.QuantizationPreset(preset),
        subset_size=len(seen),
        fast_bias_correction=not exact,
    )


def measured(model: Any, network: UNet, precision: str, image: np.ndarray) -> Any:
    """Return speed, Dice of the labels and change of probabilities."""
    voxels = torch.from_numpy(image)
    n_classes = network.spec.n_channels_out
    runner = backend.OpenVinoRunner(
        model, network.spec, precision=precision, threads=torch.get_num_threads()
    )

    def probability(logits: torch.Tensor) -> torch.Tensor:
        return logits.reshape(-1, n_classes, *logits.shape[2:]).softmax(dim=1)

    with torch.inference_mode():
        exact = probability(TorchRunner(network)(voxels))
        found = probability(runner(voxels).clone())
        seconds = []
        for _ in range(4):
            started = time.perf_counter()
            runner(voxels)
            seconds.append(time.perf_counter() - started)
    dice, changed = likeness(exact, found)
    speed = image[0, 0].size / 1e6 / min(seconds)
    return {"mvox_per_s": speed, "labels_dice": dice, "changed_p999": changed}


def main() -> None:
    """Measure and write the report; the bounds are those of ``auto``."""
    arguments = parse_args("Speed and labels of the shipped model in 8 bits.")
    image, *seen = pieces(3 if arguments.quick else 7)
    network = shipped()
    plain = backend.converted(lambda: network, network.spec)
    figures = {
        precision: measured(plain, network, precision, image)
        for precision in ("fp32", "bf16")
    }
    for preset, exact in itertools.product(("mixed", "performance"), (False, True)):
        model = quantised(network, seen, preset, exact)
        name = f"int8, {preset}, {'full' if exact else 'fast'} bias correction"
        figures[name] = measured(model, network, "bf16", image)
    for name, figure in figures.items():
        print(f"{name:40} {figure}", flush=True)
    eight = [figure for name, figure in figures.items() if name.startswith("int8")]
    best = max(eight, key=lambda figure: figure["labels_dice"])
    targets = [
        Target("int8_labels_dice", best["labels_dice"], ">=", LEAST_DICE),
        Target("int8_changed_p999", best["changed_p999"], "<=", MOST_CHANGED),
    ]
    write_report(arguments.json, figures, targets)


if __name__ == "__main__":
    main()
