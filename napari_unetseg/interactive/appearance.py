"""What the object looks like, learnt from the prompts: for where no network knows it.

A small classifier, ridge regression on features and their squares to 1 and -1, that is
learnt anew with each prompt within milliseconds::

    click   a ball around it is the object, what is far most likely is not
    box     its core is the object, what is outside of it is not

Both are wrong in places: what is far may be of the same kind, the core may miss. So the
classifier judges its own examples, and is learnt again from what it confirms, as in
GrabCut (Rother et al., 2004). Further clicks move it by little, as they may mean what
looks the same and is something else; :mod:`.log_odds` has the last word around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.evidence import Evidence
from napari_unetseg.interactive.examples import (
    ALL,
    GREY,
    Examples,
    error,
    learnt,
    scores,
)
from napari_unetseg.interactive.image_features import ImageFeatures
from napari_unetseg.interactive.prompts import (
    BoxPrompt,
    Click,
    Prompt,
    drawn_around,
    marked,
    thinned,
)

# Lengths in finest voxels.
_FIRST_BALL = 4.0  # people click first into the middle of an object
_LATER_BALL = 1.2  # and then at its border, on what was missed by little
_FAR = 16.0  # from here on most is background
_NEAR = 40.0  # to here there may be more of the object
_FADES_FROM, _FADES_OVER = 24.0, 96.0  # a score of 1 is 0 when it has faded

_N_SAMPLES = 3000
_FEW = 30  # samples: of a small volume less than this is far
_MOST_MARKS = 64  # those beside them look the same
_YES, _NO = 0.1, 0.2  # weight of a further click; of the first it is 1
_CONFIRMED = 0.3  # score from which a voxel is taken for the object
_REFUTED = -0.3
_CORE = 0.35  # of the ellipsoid that fits into a box: squared share of its radius
_LENIENT = 0.05  # borders look less like the object than its middle does
_STEEP = 1.25  # evidence per score: all or none at 1 / _STEEP
_UNCLEAR, _HOPELESS = 0.2, 0.8  # mean squared errors; 1 knows nothing


def by_appearance(
    features: ImageFeatures, prompts: Sequence[Prompt], around: Box, class_id: int
) -> Evidence:
    """Return how much voxels look like the marked ones and unlike what is around.

    Parameters
    ----------
    around
        Holds the object: what was drawn around it, or some of what is around clicks.

    Raises
    ------
    NothingHereError
        If what is marked looks like everything around it.
    """
    known = features.look_around(around)
    inside = [point for point in marked(prompts)[0] if known.holds(point)]
    is_boxed = any(isinstance(prompt, BoxPrompt) for prompt in prompts)
    examples = _examples(features, prompts, known)
    if is_boxed:
        drawn = drawn_around(prompts, features.shape)
        learn = _in_box(features, examples, drawn, around, known)
    else:
        learn = _around(features, examples, inside, known)
    classifier = _plainest(learn)

    def read(box: Box) -> np.ndarray:
        score = features.weighted(box, classifier[1:])
        score += np.float32(classifier[0] + _LENIENT)
        if not is_boxed:
            score -= _fading(box, inside, features.size)
        score *= np.float32(127.5 * _STEEP)
        score += np.float32(127.5)
        np.clip(score, 0, 255, out=score)
        evidence: np.ndarray = np.rint(score).astype(np.uint8)
        return evidence

    return Evidence(read, 1.0, class_id, "image")


# --- examples ----------------------------------------------------------------------


def _examples(
    features: ImageFeatures, prompts: Sequence[Prompt], known: Box
) -> list[Examples]:
    """Return what clicks and lines say; a first one says more than all later ones."""
    inside, outside = marked(prompts)
    first = prompts[0]
    begun = set() if isinstance(first, BoxPrompt) else set(first.points)
    ball = _FIRST_BALL if isinstance(first, Click) else _LATER_BALL
    later = [point for point in inside if point not in begun]
    balls = [
        ([point for point in inside if point in begun], ball, 1, 1.0),
        (later, _LATER_BALL, 1, min(1.0, _YES * len(later))),
        (outside, _LATER_BALL, -1, min(1.0, _NO * len(outside))),
    ]
    return [
        Examples(features.at(_near(points, radius, features.size, known)), side, weight)
        for points, radius, side, weight in balls
    ]


def _near(points: list[Zyx], radius: float, size: np.ndarray, known: Box) -> np.ndarray:
    """Return the known voxels near points, int (n, zyx)."""
    reach = np.floor(radius / size).astype(int)
    ball = np.indices(zyx(2 * reach + 1)).reshape(3, -1).T - reach
    ball = ball[((ball * size) ** 2).sum(axis=1) <= radius**2]
    centres = np.array(thinned(points, _MOST_MARKS), int).reshape(-1, 1, 3)
    voxels = (centres + ball).reshape(-1, 3)
    near: np.ndarray = voxels[_held(voxels, known)]
    return near


def _held(voxels: np.ndarray, box: Box) -> np.ndarray:
    """Return which voxels a box holds, bool (n,)."""
    start, stop = np.array(box.start), np.array(box.stop)
    held: np.ndarray = np.all((voxels >= start) & (voxels < stop), axis=1)
    return held


def _cloud(box: Box) -> np.ndarray:
    """Return voxels all over a box, always the same."""
    draw = np.random.default_rng(0).integers
    return draw(box.start, box.stop, (_N_SAMPLES, 3))


# --- learning ----------------------------------------------------------------------

_Learn = Callable[[slice], tuple[np.ndarray, list[Examples]]]


def _plainest(learn: _Learn) -> np.ndarray:
    """Return the classifier that looks at the grey alone if that tells enough.

    Measured better where it does: coarse features blur where the border is.

    Raises
    ------
    NothingHereError
        If nothing tells the object from what is around it.
    """
    classifier, confirmed = learn(GREY)
    if error(classifier, confirmed) > _UNCLEAR:
        classifier, confirmed = learn(ALL)
    if error(classifier, confirmed) > _HOPELESS:
        raise NothingHereError(
            "What is here looks like everything around it",
            do="Draw a line through the object or a box around it, or paint it.",
        )
    return classifier


def _around(
    features: ImageFeatures,
    examples: list[Examples],
    inside: Sequence[Zyx],
    known: Box,
) -> _Learn:
    """Return what learns from clicks and lines, and from what is around them."""
    cloud = _cloud(known)
    marks = np.array(thinned(list(inside), _MOST_MARKS))
    apart = ((cloud[:, None] - marks) * features.size) ** 2
    distance = np.sqrt(apart.sum(axis=-1).min(axis=1))
    far = cloud[distance > _FAR]
    if len(far) < _FEW:
        far = cloud[distance > _FIRST_BALL]
    around = Examples(features.at(far), -1)
    near = Examples(features.at(cloud[distance < _NEAR]), 1, 0.5)
    first, *later = examples

    def learn(columns: slice) -> tuple[np.ndarray, list[Examples]]:
        classifier = learnt([*examples, around], columns)
        confirmed = [
            replace(first.only(scores(first, classifier) > 0), weight=0.5),
            near.only(scores(near, classifier) > _CONFIRMED),
            around.only(scores(around, classifier) < _CONFIRMED),
        ]
        return learnt([*confirmed, *later], columns), confirmed

    return learn


def _in_box(
    features: ImageFeatures,
    examples: list[Examples],
    drawn: Box,
    limits: Box,
    known: Box,
) -> _Learn:
    """Return what learns from the middle of a box and what is outside of it."""
    cloud = _cloud(drawn)
    middle = (np.add(drawn.start, drawn.stop) - 1) / 2
    apart = (((cloud - middle) / (np.array(drawn.shape) / 2)) ** 2).sum(axis=1)
    within = Examples(features.at(cloud), 1)
    beyond = _cloud(known)
    outside = Examples(features.at(beyond[~_held(beyond, limits)]), -1)

    def learn(columns: slice) -> tuple[np.ndarray, list[Examples]]:
        confirmed = [within.only(apart < _CORE), outside]
        classifier = learnt([*confirmed, *examples], columns)
        for _ in range(2):
            score = scores(within, classifier)
            own = ((score > 0) & (apart < 1)) | ((score > -0.5) & (apart < _CORE))
            other = within.looks[score < _REFUTED]
            rest = replace(outside, looks=np.concatenate([outside.looks, other]))
            confirmed = [within.only(own), rest]
            classifier = learnt([*confirmed, *examples], columns)
        return classifier, confirmed

    return learn


# --- evidence ----------------------------------------------------------------------


def _fading(box: Box, inside: Sequence[Zyx], size: np.ndarray) -> np.ndarray:
    """Return what the score of far voxels loses, float32 zyx.

    The distance is from the box of the marked voxels, which takes one pass.
    """
    first, last = np.min(inside, axis=0), np.max(inside, axis=0)
    squares = []
    for axis, length in enumerate(size):
        line = np.arange(box.start[axis], box.stop[axis])
        beyond = np.maximum(first[axis] - line, line - last[axis])
        squares.append((np.maximum(0, beyond) * length).astype(np.float32) ** 2)
    z, y, x = squares
    far: np.ndarray = np.sqrt(z[:, None, None] + y[:, None] + x)
    far -= np.float32(_FADES_FROM)
    far /= np.float32(_FADES_OVER)
    np.maximum(far, 0, out=far)
    return far
