"""What rater heads and their maps cost, and whether the maps add up."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.rater_models import Trained
from benchmarks.rater_sets import Case
from napari_unetseg.config import Backend
from napari_unetseg.data.classes import default_classes
from napari_unetseg.geometry import Block, Box
from napari_unetseg.models.backends.choice import Runners, compare
from napari_unetseg.models.backends.torch import fold_batch_norm, use_threads
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.registration import trial_image
from napari_unetseg.models.store import ModelCard, weights_path
from napari_unetseg.models.uncertainty import MemberSums
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights

RATERS = ("a", "b", "c")
TRIAL = (64, 64, 64)


def extra_time(*, quick: bool) -> dict[str, Any]:
    """Return by how much rater heads and maps slow a prediction down.

    The default network with three raters beside the same one without, on the backend
    that is chosen by itself, in turns; medians.
    """
    use_threads(0)
    shape = (96,) * 3 if quick else (128,) * 3
    repeats = 9 if quick else 25
    best = _fastest()
    found: dict[str, Any] = {"backend": best}
    for key, preset, flips in (("one_pass", "M", 1), ("two_flips", "M", 2),
                               ("one_pass_small_network", "S", 1)):  # fmt: skip
        pair = [_predictor(preset, names, flips, best) for names in ((), RATERS)]
        voxels = trial_image(pair[0].card.spec, shape, None)[0].numpy()
        seconds = np.array(_in_turns(pair, voxels, repeats))
        # Of each turn: what else the machine does meanwhile hits both alike.
        found[key] = float(np.median(seconds[:, 1] / seconds[:, 0]) - 1)
        found[f"{key}_seconds"] = np.median(seconds, axis=0).tolist()
    return found


def _network(preset: Any, n_raters: int) -> UNet:
    torch.manual_seed(0)
    spec = plan_network(
        voxel_size=(1.0, 1.0, 1.0), shape=(256,) * 3, n_raters=n_raters, preset=preset
    )
    network = UNet(spec).eval()
    fold_batch_norm(network)
    return network


def _fastest() -> Backend:
    """Return the backend that is chosen by itself here."""
    network = _network("M", len(RATERS))
    image = trial_image(network.spec, TRIAL, None)[:1]
    trials = compare(Runners(network, "cpu", image), image)
    return max(trials, key=lambda name: trials[name].mvoxel_per_s)


def _predictor(
    preset: Any, raters: tuple[str, ...], flips: Any, backend: Backend
) -> NetworkPredictor:
    network = _network(preset, len(raters))
    image = trial_image(network.spec, TRIAL, None)[:1]
    card = ModelCard(
        version="v1",
        spec=network.spec,
        classes=default_classes(("object",)),
        raters=raters,
    )
    runner = Runners(network, "cpu", image).make(backend)
    return NetworkPredictor(runner, card, flips=flips)


def _in_turns(
    predictors: list[NetworkPredictor], voxels: np.ndarray, repeats: int
) -> list[list[float]]:
    box = Box.whole(voxels.shape[1:])
    rows = []
    for _ in range(repeats + 2):
        row = []
        for predictor in predictors:
            start = time.perf_counter()
            predictor.predict(voxels, Block(0, box, box))
            row.append(time.perf_counter() - start)
        rows.append(row)
    return rows[2:]  # the first ones warm up


def identity_error(model: Trained, case: Case) -> float:
    """Return how far total is from rater + model + residual at the worst voxel.

    The total is computed anew in double precision from all members at once, the parts
    by the sums of the product, member by member.
    """
    network = UNet(model.card.spec).eval()
    load_weights(network, weights_path(model.folder, model.card))
    assert model.card.normalisation is not None
    voxels = model.card.normalisation.apply(case.image[None])
    image, members, sums = torch.from_numpy(voxels)[None], [], MemberSums()
    with torch.inference_mode():
        for axes in ((), (4,), (3,), (3, 4)):
            raters = network(image.flip(axes)).raters[0].softmax(1)
            members.append(raters.flip([axis - 1 for axis in axes]))
            sums.add(members[-1])
        parts = sums.result()
        mean = torch.stack(members).double().mean(dim=(0, 1))
        total = torch.special.entr(mean).sum(0) / np.log(len(mean))
        both = parts.rater + parts.model + parts.residual
        return float((total - both).abs().max())
