"""Ways to say where raters would differ, from the default to what costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from benchmarks.rater_models import Trained, dropout
from benchmarks.rater_sets import Case
from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.rater_probability import masks_held_possible
from napari_unetseg.models.rater_metrics import disagreement

PASSES = 8  # of dropout
THRESHOLDS = (np.arange(16, dtype=np.float32) + 0.5) / 16
FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (1, 2))
ENSEMBLE = ("majority", "majority 2", "majority 3")


@dataclass(frozen=True)
class Answer:
    """What a method says about an image.

    Attributes
    ----------
    samples
        Masks (k, z, y, x).
    are_drawn
        Whether others could have been drawn as well.
    probability
        Of the object, zyx.
    label
        The one mask to show, zyx.
    doubt, disagreement
        Where the label may be wrong, and where raters would differ, zyx.
    """

    samples: np.ndarray
    are_drawn: bool
    probability: np.ndarray
    label: np.ndarray
    doubt: np.ndarray
    disagreement: np.ndarray


Models = Mapping[str, Trained]
Method = Callable[[Models, Sequence[Case]], Iterator[Answer]]


def _by_heads(name: str, *, are_drawn: bool) -> Method:
    def method(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
        for found in models[name].predict(cases):
            assert found.rater_probability is not None
            yield Answer(
                samples=masks_held_possible(found.rater_probability),
                are_drawn=are_drawn,
                probability=_probability(found),
                label=found.labels,
                doubt=found.maps[TOTAL_UNCERTAINTY],
                disagreement=found.maps[RATER_DISAGREEMENT],
            )

    return method


def deterministic(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield one network's mask of the majority, and its entropy."""
    for found in models["majority"].predict(cases):
        yield _averaged([_probability(found)], are_drawn=False)


def thresholds(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield masks by cutting the default's consensus at all heights."""
    for found in models["named"].predict(cases):
        p = _probability(found)
        samples = (p > THRESHOLDS[:, None, None, None]).astype(np.uint8)
        spread = 4 * p * (1 - p)
        yield Answer(samples, False, p, found.labels, spread, spread)


def flips(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield what four mirrored passes of the deterministic network say."""
    for case in cases:
        mirrored = [Case(np.flip(case.image, f).copy(), case.masks) for f in FLIPS]
        found = zip(models["majority"].predict(mirrored), FLIPS, strict=True)
        yield _averaged([np.flip(_probability(p), f) for p, f in found])


def with_dropout(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield what passes with dropout say, of a network that learned with it."""
    torch.manual_seed(0)
    for case in cases:
        with dropout(always=True):
            found = list(models["dropout"].predict([case] * PASSES))
        yield _averaged([_probability(p) for p in found], are_drawn=True)


def ensemble(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield what three deterministic networks say."""
    members = [models[name].predict(cases) for name in ENSEMBLE]
    for found in zip(*members, strict=True):
        yield _averaged([_probability(p) for p in found])


def boundary_band(width: float) -> Method:
    """Return the method that doubts what is near the border of the default's mask."""

    def method(models: Models, cases: Sequence[Case]) -> Iterator[Answer]:
        for found in models["named"].predict(cases):
            label = found.labels > 0
            band = band_around(label, width)
            p = _probability(found)
            yield Answer(found.labels[None], False, p, found.labels, band, band)

    return method


def band_around(mask: np.ndarray, width: float) -> np.ndarray:
    """Return 1 at the border of a mask, falling off like a Gaussian on both sides."""
    far = ndimage.distance_transform_edt(mask) + ndimage.distance_transform_edt(~mask)
    return np.asarray(np.exp(-0.5 * ((far - 0.5) / width) ** 2))


def _averaged(members: Sequence[np.ndarray], *, are_drawn: bool = False) -> Answer:
    """Return the masks of all members, their mean, and its spread."""
    p = np.mean(members, axis=0)
    samples = np.stack([member > 0.5 for member in members]).astype(np.uint8)
    spread = 4 * p * (1 - p)
    return Answer(samples, are_drawn, p, (p > 0.5).astype(np.uint8), spread, spread)


def _probability(found: BlockPrediction) -> np.ndarray:
    return found.probability[0].astype(np.float32) / 255


def votes(answer: Answer) -> np.ndarray | None:
    """Return where the masks of a method differ; None of a single one."""
    return disagreement(answer.samples) if len(answer.samples) > 1 else None


METHODS: dict[str, Method] = {
    "named": _by_heads("named", are_drawn=False),
    "mirrored": _by_heads("mirrored", are_drawn=False),
    "anonymous": _by_heads("anonymous", are_drawn=False),
    "latent": _by_heads("latent", are_drawn=True),
    "thresholds": thresholds,
    "deterministic": deterministic,
    "flips": flips,
    "dropout": with_dropout,
    "ensemble": ensemble,
}
