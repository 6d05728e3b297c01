"""Where a model that learns is asked what it knew: places that nobody labelled.

There its parent alone has something to say (distillation). Without such places a
network that sees nothing but corrections forgets the rest: of what keeps it from that
rehearsal works best (https://arxiv.org/abs/2407.21216).
"""

from __future__ import annotations

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.predictions import LABELS, PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.training_set import Labels

N_PLACES = 32
_TRIED = 4  # times as many: some will be labelled


def unlabelled_places(
    predictions: PredictionStore | None,
    labels: Labels,
    shape: Zyx,
    patch: Zyx,
    rng: np.random.Generator,
) -> tuple[Zyx, ...]:
    """Return middles of patches without a label: in objects, or anywhere.

    Parameters
    ----------
    predictions
        What was predicted so far: every other place lies in an object.
    """
    anywhere = rng.integers(0, shape, (_TRIED * N_PLACES, 3))
    places = [zyx(at) for at in anywhere]
    if predictions is not None:
        coarse = np.argwhere(np.asarray(predictions.levels(LABELS)[-1][...]))
        factor = np.array(predictions.factors(LABELS)[-1])
        chosen = coarse[rng.permutation(len(coarse))[: len(places)]] * factor
        objects = [zyx(at) for at in chosen]
        places[: 2 * len(objects) : 2] = objects[: len(places[: 2 * len(objects) : 2])]
    found: list[Zyx] = []
    for place in places:
        if len(found) == N_PLACES:
            break
        box = Box.around(place, patch).clipped(shape)
        if (labels.read(box) == UNSET).all():
            found.append(place)
    return tuple(found)
