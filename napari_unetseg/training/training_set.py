"""What there is to learn from: which voxels are labelled, and with what.

A voxel without a label says nothing, and is not background. Labelled are the voxels
that somebody corrected, and all voxels of a region that somebody accepted as it was.
What they only hinted at (:mod:`napari_unetseg.training.hints`) is learned with a
weight, and never measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import UNSET, CorrectionStore, Reviewed
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.errors import TrainingError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.training.hints import Hints
from napari_unetseg.training.labelled_parts import labelled_parts
from napari_unetseg.training.stored_versions import StoredVersion

Source = Literal["corrected", "reviewed", "imported"]
TILE: Zyx = (16, 64, 64)


class Labels(Protocol):
    """Whatever knows the labels of a box."""

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; UNSET where nothing is known."""
        ...

    def drawn(self, box: Box) -> np.ndarray:
        """Return where somebody drew the labels, bool zyx; others were accepted."""
        ...

    def weighted(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return class ids with hints, uint8 zyx, and what each counts in learning.

        The weights are float32 zyx: 1 for labels, less for hints, 0 where nothing is
        known.
        """
        ...


@dataclass(frozen=True)
class Region:
    """A part of the volume that holds labels."""

    box: Box
    source: Source
    annotator: str

    @property
    def is_whole(self) -> bool:
        """Whether somebody looked at all of it, not only at what was changed."""
        return self.source == "reviewed"


@dataclass(frozen=True)
class TrainingSet:
    """Labelled regions and how to read them.

    Attributes
    ----------
    labels
        What everybody said, the last word winning.
    by_rater
        What each person said, by name; a network learns those that it has a head for.
    n_voxels
        Labelled voxels per class name; ``"background"`` counts too.
    stroke_ids
        The edits that the labels come from.
    rejected
        Boxes around rejected clicks: what was found there is background.
    """

    regions: tuple[Region, ...]
    labels: Labels
    n_voxels: Mapping[str, int]
    by_rater: Mapping[str, Labels] = field(default_factory=dict)
    stroke_ids: tuple[str, ...] = ()
    rejected: tuple[Box, ...] = ()

    def raters_among(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of ``names`` who labelled, in the same order."""
        return tuple(name for name in names if name in self.by_rater)

    def describe(self) -> str:
        """Say what there is, e.g. ``"1,204 voxels in 7 regions by Ana"``."""
        people = list(dict.fromkeys(r.annotator for r in self.regions if r.annotator))
        number = self.n_regions
        text = f"{sum(self.n_voxels.values()):,} voxels in {number} region"
        text += "" if number == 1 else "s"
        return f"{text} by {_listed(people)}" if people else text

    @property
    def n_regions(self) -> int:
        """How many regions there are, what lies in a reviewed one not counted.

        Those of several people at one place count each.
        """
        whole = {region.box for region in self.regions if region.is_whole}
        others = [region.box for region in self.regions if not region.is_whole]
        return len(whole) + sum(
            not any(box.contains(other) for box in whole) for other in others
        )


@dataclass(frozen=True)
class Accepted:
    """A region that somebody accepted, and the prediction that was seen then.

    Attributes
    ----------
    predictions
        None if there was no model: everything not labelled was background.
    """

    box: Box
    predictions: PredictionStore | None


@dataclass(frozen=True)
class CorrectedLabels:
    """Corrections, and within accepted regions the composite that was accepted."""

    corrections: CorrectionStore
    accepted: tuple[Accepted, ...]
    annotators: tuple[str, ...]
    hints: Hints | None = None

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; UNSET where nothing is known."""
        values = self.corrections.read_all(box, self.annotators)
        for region in reversed(self.accepted):  # the last look counts
            part = region.box.intersection(box)
            if not part.is_empty:
                composed = read_composite(self.corrections, region.predictions, part)
                target = values[part.relative_to(box).slices]
                np.copyto(target, composed, where=target == UNSET)
        return values

    def drawn(self, box: Box) -> np.ndarray:
        """Return where somebody drew the labels, bool zyx."""
        drawn: np.ndarray = self.corrections.read_all(box, self.annotators) != UNSET
        return drawn

    def weighted(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return class ids with hints, uint8 zyx, and weights, float32 zyx."""
        ids = self.read(box)
        weights = (ids != UNSET).astype(np.float32)
        if self.hints is not None:
            self.hints.fill(box, ids, weights)
        return ids, weights


@dataclass(frozen=True)
class ArrayLabels:
    """Dense labels in an array, zyx; all of it is labelled."""

    array: np.ndarray

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx."""
        return np.asarray(self.array[box.slices], dtype=np.uint8)

    def drawn(self, box: Box) -> np.ndarray:
        """Return that all of it was drawn, bool zyx."""
        return np.ones(box.shape, bool)

    def weighted(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return class ids, uint8 zyx, and a weight of 1 for all that are known."""
        ids = self.read(box)
        return ids, (ids != UNSET).astype(np.float32)


def collect(
    corrections: CorrectionStore,
    predictions: PredictionStore | None,
    classes: Sequence[ClassInfo],
    *,
    annotators: Sequence[str] = (),
    versions: Sequence[StoredVersion] = (),
    implied: float = 0.0,
) -> TrainingSet:
    """Return all labels of a project to date.

    Parameters
    ----------
    predictions
        Of any model version of the project; those of the others lie beside them.
    annotators
        Whose corrections count; everybody's if empty.
    versions
        What people may have seen: without it nobody hinted at anything.
    implied
        What a voxel counts that was seen beside an edit and left as it was.

    Raises
    ------
    TrainingError
        If there are no labels, or only one kind of them.
    """
    names = tuple(annotators) or tuple(corrections.annotators())
    folder = None if predictions is None else predictions.path.parent
    accepted = [
        (reviewed.annotator, Accepted(reviewed.box, seen))
        for reviewed, seen in accepted_regions(corrections, folder)
        if not annotators or reviewed.annotator in annotators
    ]
    chunks = [(name, box) for name in names for box in corrections.labelled_boxes(name)]
    regions = _corrected(corrections, chunks)
    regions += [Region(region.box, "reviewed", name) for name, region in accepted]

    def labels_of(people: tuple[str, ...]) -> CorrectedLabels:
        theirs = tuple(region for name, region in accepted if name in people)
        hints = Hints(corrections, versions, people, implied)
        return CorrectedLabels(corrections, theirs, people, hints)

    everybody = tuple(dict.fromkeys((*names, *(name for name, _ in accepted))))
    labels = labels_of(everybody)
    holding = [box for _, box in chunks] + [region.box for _, region in accepted]
    counts = _count(labels, holding, classes)
    check_counts(counts)
    active = [n for n in everybody if any(r.annotator == n for r in regions)]
    return TrainingSet(
        tuple(regions),
        labels,
        counts,
        {name: labels_of((name,)) for name in active},
        corrections.stroke_ids(names),
        () if labels.hints is None else labels.hints.rejected_boxes,
    )


def _corrected(
    corrections: CorrectionStore, chunks: Iterable[tuple[str, Box]]
) -> list[Region]:
    """Return where people worked, of the chunks that they labelled, each by name."""
    return [
        Region(part, "corrected", name)
        for name, box in chunks
        for part in labelled_parts(corrections.read(name, box) != UNSET, box)
    ]


def from_label_arrays(
    arrays: Mapping[str, np.ndarray], classes: Sequence[ClassInfo]
) -> TrainingSet:
    """Return a training set of dense labels, one array per rater, zyx.

    With one rater, that rater's labels are the truth; with several, their majority.
    """
    labels = ArrayLabels(majority(list(arrays.values())))
    shape = labels.array.shape
    boxes = [cell.clipped(shape) for cell in Box.whole(shape).cells(TILE)]
    regions = [Region(box, "imported", "") for box in boxes]
    by_rater = {name: ArrayLabels(array) for name, array in arrays.items()}
    return TrainingSet(
        tuple(regions),
        labels,
        _count(labels, boxes, classes),
        by_rater,
    )


def majority(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the most frequent label of each voxel; the first rater breaks ties."""
    best, votes = labels[0].copy(), np.zeros(labels[0].shape, np.uint8)
    for candidate in labels:
        count = np.sum([other == candidate for other in labels], axis=0, dtype=np.uint8)
        np.copyto(best, candidate, where=count > votes)
        np.maximum(votes, count, out=votes)
    return best


def accepted_regions(
    corrections: CorrectionStore, folder: Path | None
) -> Iterator[tuple[Reviewed, PredictionStore | None]]:
    """Yield accepted regions with the prediction that was seen, if it still exists.

    Parameters
    ----------
    folder
        Of the predictions of all model versions; None if there are none.
    """
    opened: dict[Path, PredictionStore] = {}
    for reviewed in corrections.reviewed():
        if not reviewed.is_confirmed:
            continue
        if reviewed.model_version is None:
            yield reviewed, None
        elif folder is not None:
            # What a later model says there was never accepted by anybody.
            path = folder / f"{reviewed.model_version}.zarr"
            if path not in opened and PredictionStore.exists(path):
                opened[path] = PredictionStore.open(path)
            if path in opened:
                yield reviewed, opened[path]


def check_counts(counts: Mapping[str, int]) -> None:
    """Make sure that there are two kinds of labels to tell apart.

    Raises
    ------
    TrainingError
        If not; the sentence says what to paint.
    """
    present = [name for name, n in counts.items() if n]
    if not present:
        raise TrainingError(
            "Nothing is labelled yet",
            do="Paint some voxels of every class, and some background, first.",
        )
    if len(present) == 1:
        other = (
            "some of the objects" if present == ["background"] else "some background"
        )
        raise TrainingError(
            f"All labels are {present[0]}, there is nothing to tell apart",
            do=f"Paint {other} too (the eraser paints background).",
        )


def _count(
    labels: Labels, holding: Iterable[Box], classes: Sequence[ClassInfo]
) -> dict[str, int]:
    """Return labelled voxels per class name; where boxes overlap, once."""
    counts = np.zeros(256, np.int64)
    boxes = list(dict.fromkeys(holding))
    for number, box in enumerate(boxes):
        values = labels.read(box)
        for earlier in boxes[:number]:
            common = earlier.intersection(box)
            if not common.is_empty:
                values[common.relative_to(box).slices] = UNSET
        counts += np.bincount(values.ravel(), minlength=256)
    named = {"background": int(counts[0])}
    return named | {info.name: int(counts[info.id]) for info in classes}


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
