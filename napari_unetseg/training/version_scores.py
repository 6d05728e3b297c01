"""How good each model version is on the regions that somebody reviewed.

The labels of a region are corrections over the prediction that was accepted there::

    region accepted over v2      ┌──────────────────┐
                                 │ v2 ▓▓▓▓ corrected│   v1, v3: compared with all of it
                                 └──────────────────┘   v2: was the reference itself

So the version that was shown is right by construction wherever nobody corrected it,
and looks better than it is. How many voxels that concerns is counted, and Dice is given
once more over the other regions alone. A version may also have learned from regions
reviewed before it was made: these are counted too. Only voxels that a version has
predicted count for it, each once, however many regions hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.hce import EPSILON, GAMMA, HumanEffort, human_effort
from napari_unetseg.data.steps import Steps
from napari_unetseg.events import IsCancelled, OnEvent, ignore_event, never_cancelled
from napari_unetseg.geometry import Box, zyx
from napari_unetseg.training.stored_versions import StoredVersion
from napari_unetseg.training.training_set import Accepted, CorrectedLabels

PART_VOXELS, PART_EDGE = 2**24, 4096


@dataclass(frozen=True)
class LookedAt:
    """A region that somebody accepted.

    Attributes
    ----------
    version
        Whose prediction was shown; None without a model.
    when
        When it was accepted.
    """

    region: Accepted
    version: str | None
    when: datetime


@dataclass
class VersionScore:
    """What was counted of one version.

    Attributes
    ----------
    n_voxels
        Reviewed voxels that it has predicted.
    n_own
        Of these, where its own prediction, accepted as it was, is the reference.
    n_learned
        Of these, in regions that were reviewed before it was made.
    n_elsewhere
        Of these, in regions that were not accepted over its prediction.
    overlap, overlap_elsewhere
        By class id: voxels (shared, predicted, labelled); int64 (256, 3).
    effort
        By class id.
    """

    n_voxels: int = 0
    n_own: int = 0
    n_learned: int = 0
    n_elsewhere: int = 0
    overlap: np.ndarray = field(default_factory=lambda: np.zeros((256, 3), np.int64))
    overlap_elsewhere: np.ndarray = field(
        default_factory=lambda: np.zeros((256, 3), np.int64)
    )
    effort: dict[int, HumanEffort] = field(default_factory=dict)

    def dice(self, class_id: int) -> float | None:
        """Return the Dice of a class; None if neither has it."""
        return _dice(self.overlap[class_id])

    def dice_elsewhere(self, class_id: int) -> float | None:
        """Return the same over regions that were not accepted over its prediction."""
        return _dice(self.overlap_elsewhere[class_id])


@dataclass(frozen=True)
class Measure:
    """How effort is measured: see :func:`napari_unetseg.data.hce.human_effort`."""

    class_ids: tuple[int, ...]
    axis: int = 0
    gamma: int = GAMMA
    epsilon: float = EPSILON


def score_versions(
    corrections: CorrectionStore,
    looked_at: Sequence[LookedAt],
    versions: Sequence[StoredVersion],
    measure: Measure,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, VersionScore]:
    """Compare the predictions of versions with reviewed regions, part by part.

    Parts are whole slices, unless these are larger than ``PART_EDGE``: then outlines
    are cut at the seams, and the effort is a little larger.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    scores = {version.version: VersionScore() for version in versions}
    parts = [(n, p) for n, one in enumerate(looked_at)
             for p in _parts(one.region.box, measure.axis)]  # fmt: skip
    steps = Steps("measure_effort", len(parts), on_event, is_cancelled,
                  subject="versions", noun="The comparison of versions")  # fmt: skip
    for number, box in parts:
        steps.check()
        reviewed = _Part.read(corrections, looked_at, number, box)
        if reviewed.is_new.any():
            for version in versions:
                _score(scores[version.version], version, reviewed, looked_at, measure)
        steps.done()
    return scores


@dataclass(frozen=True)
class _Part:
    """A part of a region.

    Attributes
    ----------
    number
        Of the region.
    labels
        What is right there, uint8 zyx.
    is_new
        What no earlier region holds, bool zyx.
    is_corrected
        What somebody drew, bool zyx.
    last_look
        Number of the last region that holds a voxel, int32 zyx.
    """

    number: int
    box: Box
    labels: np.ndarray
    is_new: np.ndarray
    is_corrected: np.ndarray
    last_look: np.ndarray

    @classmethod
    def read(
        cls,
        corrections: CorrectionStore,
        looked_at: Sequence[LookedAt],
        number: int,
        box: Box,
    ) -> _Part:
        near = [n for n, one in enumerate(looked_at) if one.region.box.overlaps(box)]
        last_look = np.full(box.shape, number, np.int32)
        is_new = np.ones(box.shape, bool)
        for n in near:
            inside = looked_at[n].region.box.intersection(box).relative_to(box).slices
            last_look[inside] = n
            if n < number:
                is_new[inside] = False
        people = tuple(corrections.annotators())
        accepted = tuple(looked_at[n].region for n in near)
        labels = CorrectedLabels(corrections, accepted, people).read(box)
        is_corrected = corrections.read_all(box, people) != UNSET
        return cls(number, box, labels, is_new, is_corrected, last_look)


def _score(
    score: VersionScore,
    version: StoredVersion,
    part: _Part,
    looked_at: Sequence[LookedAt],
    measure: Measure,
) -> None:
    """Add what a version says about a part."""
    counted = part.is_new & version.predicted(part.box)
    if not counted.any():
        return
    said = version.predictions.read_labels(part.box)
    over_it = [one.version == version.version for one in looked_at]
    was_shown = np.array(over_it)[part.last_look]
    # What is new here was first looked at in this very region.
    may_be_learned = looked_at[part.number].when <= version.created
    n_voxels = int(np.count_nonzero(counted))
    score.n_voxels += n_voxels
    score.n_own += int(np.count_nonzero(counted & was_shown & ~part.is_corrected))
    score.n_learned += n_voxels if may_be_learned else 0
    score.n_elsewhere += int(np.count_nonzero(counted & ~was_shown))
    score.overlap += _overlap(said, part.labels, counted)
    score.overlap_elsewhere += _overlap(said, part.labels, counted & ~was_shown)
    found = human_effort(
        said, part.labels, measure.class_ids, counted=counted, axis=measure.axis,
        gamma=measure.gamma, epsilon=measure.epsilon,
    )  # fmt: skip
    for class_id, effort in found.items():
        score.effort[class_id] = score.effort.get(class_id, HumanEffort()) + effort


def _overlap(said: np.ndarray, labels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return by class id how many voxels are shared, predicted, labelled; (256, 3)."""
    said, labels = said[where], labels[where]
    counts = (said[said == labels], said, labels)
    return np.stack([np.bincount(ids, minlength=256) for ids in counts], axis=1)


def _dice(overlap: np.ndarray) -> float | None:
    shared, predicted, labelled = (int(n) for n in overlap)
    total = predicted + labelled
    return 2 * shared / total if total else None


def _parts(box: Box, axis: int) -> Iterator[Box]:
    """Yield parts of a box that fit into memory: some slices each."""
    if box.is_empty:
        return
    edges = [min(n, PART_EDGE) for n in box.shape]
    edges[axis] = 1
    n_slices = max(1, PART_VOXELS // int(np.prod(edges)))
    edges[axis] = min(n_slices, max(1, box.shape[axis]))
    for cell in Box.whole(box.shape).cells(zyx(edges)):
        yield cell.clipped(box.shape).shifted(box.start)
