"""The gate, where a new version of a model takes the place of the one in use, or not.

::

    regions  held out, labelled, learned by neither ──▶ is it better, and not by chance?
    probes   accepted before, or where the old one  ──▶ has it kept what was right?
             is sure
    both     ─────────────────────────────────────────▶ are all classes still found,
                                                        and its probabilities true?

Champion and challenger of model deployment; the margins are those of the project. A
version that does not pass stays, and can be used all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from napari_unetseg.config import PredictConfig, TrainConfig
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    Progress,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.predictor import Predictor
from napari_unetseg.models.verdict import Check, Verdict, kept, not_judged, promoted
from napari_unetseg.training.ancestry import learned_boxes
from napari_unetseg.training.bootstrap import Comparison, compare
from napari_unetseg.training.hold_out import (
    LEAST_TO_JUDGE,
    MIN_REGIONS_TO_JUDGE,
)
from napari_unetseg.training.probes import (
    N_PROBES,
    accepted_tiles,
    classes_to_judge,
    labelled_part,
    other_tiles,
    unseen_regions,
)
from napari_unetseg.training.rivals import Rivals
from napari_unetseg.training.training_set import TrainingSet

LEAST_GAIN = 0.005  # of the mean Dice: less is not worth another model
MOST_LOST = 0.01  # of the Dice on what was accepted before
LEAST_KEPT = 0.8  # Dice with the champion where that is sure
MOST_WORSE_ECE = 0.02
VANISHED = 0.1  # of the voxels of a class that the champion finds rightly


@dataclass(frozen=True)
class Contest:
    """Two versions, and where they are compared.

    Attributes
    ----------
    load
        Returns champion and challenger; called if there is something to compare on.
    names
        Of the champion, which is in use, and of the challenger.
    regions
        Labelled boxes that neither learned from; ``n_whole`` of them were reviewed.
    accepted, others
        Tiles on which nothing should be lost.
    n_labelled
        Regions that hold labels, learned or not.
    """

    volume: Volume
    normalisation: Normalisation
    training_set: TrainingSet
    classes: tuple[ClassInfo, ...]
    load: Callable[[], tuple[Predictor, Predictor]]
    names: tuple[str, str]
    regions: tuple[Box, ...]
    n_whole: int
    accepted: tuple[Box, ...]
    others: tuple[Box, ...]
    n_labelled: int


def contest_of(
    models: tuple[Path, Path],
    training_set: TrainingSet,
    *,
    volume: Volume,
    normalisation: Normalisation,
    classes: tuple[ClassInfo, ...],
    predictions: PredictionStore | None,
    config: TrainConfig,
    sample: np.ndarray | None = None,
) -> Contest:
    """Return where two versions are compared.

    Parameters
    ----------
    models
        Folders of the champion and of the challenger.
    predictions
        What the champion predicted so far.
    sample
        Normalised voxels czyx on which what runs a network is chosen.
    """
    learned = [box for folder in models for box in learned_boxes(folder, volume)]
    regions = unseen_regions(training_set, learned)
    whole = {region.box for region in training_set.regions if region.is_whole}
    accepted = accepted_tiles(training_set, regions)
    n_others = N_PROBES - len(accepted)

    def load() -> tuple[Predictor, Predictor]:
        how = PredictConfig(flips=1, device=config.device, threads=config.threads)
        champion = NetworkPredictor.load(models[0], config=how, sample=sample)
        # The same engine for both: they differ by what they learned and nothing else.
        same = PredictConfig.model_validate({**dict(how), "backend": champion.backend})
        return champion, NetworkPredictor.load(models[1], config=same)

    return Contest(
        volume=volume,
        normalisation=normalisation,
        training_set=training_set,
        classes=classes,
        load=load,
        names=(models[0].name, models[1].name),
        regions=regions,
        n_whole=sum(box in whole for box in regions),
        accepted=accepted,
        others=other_tiles(predictions, volume.shape, n_others),
        n_labelled=len({region.box for region in training_set.regions}),
    )


def judge(
    contest: Contest,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> Verdict:
    """Compare a challenger with the champion.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    champion, labels = contest.names[0], contest.training_set.labels
    if len(contest.regions) < LEAST_TO_JUDGE:
        return not_judged(champion, _too_few(contest))
    parts = [labelled_part(labels, box) for box in contest.regions]
    judged = classes_to_judge(labels, parts, len(contest.classes))
    if not judged.any():
        return not_judged(champion, _no_class(contest))
    rivals = _compared(contest, parts, judged, on_event, is_cancelled)
    found = compare(*rivals.on_regions())
    checks = (
        _better(found, contest),
        *_nothing_lost(rivals, contest),
        _all_found(rivals, contest.classes),
        _believable(rivals),
    )
    figures = _figures(found, rivals)
    failed = [check for check in checks if not check.passed]
    if not failed:
        return promoted(champion, checks[0].said, checks=checks, figures=figures)
    return kept(champion, failed[0].said, checks=checks, figures=figures)


def _compared(
    contest: Contest,
    parts: Sequence[Box],
    judged: np.ndarray,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> Rivals:
    """Let both predict everywhere, and count."""
    rivals = Rivals(*contest.load(), judged)
    labels = contest.training_set.labels
    work = [
        *((rivals.add_region, box) for box in parts),
        *((rivals.add_accepted, box) for box in contest.accepted),
        *((rivals.add_other, box) for box in contest.others),
    ]
    champion, challenger = contest.names
    for number, (add, box) in enumerate(work):
        if is_cancelled():
            raise Cancelled(
                "The comparison was stopped",
                do=f"{challenger} is kept as a candidate.",
            )
        on_event(Progress(number, len(work), f"comparing with {champion}"))
        add(contest.volume, contest.normalisation, labels, box)
    return rivals


def _too_few(contest: Contest) -> str:
    """Say how many regions are missing, and what to do."""
    missing = max(
        MIN_REGIONS_TO_JUDGE - contest.n_labelled,
        LEAST_TO_JUDGE - len(contest.regions),
    )
    champion, challenger = contest.names
    noun = "region" if missing == 1 else "regions"
    return (
        f"{missing} more reviewed {noun} would allow a comparison with {champion}. "
        f"Review them and fine-tune again, or use {challenger} and see."
    )


def _no_class(contest: Contest) -> str:
    return (
        f"No class has enough labels in {LEAST_TO_JUDGE} of the held-out regions. "
        "Review more regions with objects in them and fine-tune again, or use "
        f"{contest.names[1]} and see."
    )


def _better(found: Comparison, contest: Contest) -> Check:
    noun = "reviewed regions" if contest.n_whole == found.n else "held-out regions"
    on = f"on {found.n_better} of {found.n} {noun}"
    dice = f"Dice {found.champion:.2f} → {found.challenger:.2f}"
    if found.gain < LEAST_GAIN:
        better = "Not better" if found.gain <= 0 else "Hardly better"
        return Check(name="better", passed=False, said=f"{better}: {on} only, {dice}.")
    if not found.is_clear:
        said = f"Better {on} only, which may be chance: {dice}."
        return Check(name="better", passed=False, said=said)
    return Check(name="better", passed=True, said=f"Better {on}: {dice}.")


def _nothing_lost(rivals: Rivals, contest: Contest) -> Sequence[Check]:
    """Return what became of what was accepted, and of what the champion was sure of."""
    checks = []
    before = rivals.on_accepted()
    if before is not None:
        lost = before[0] - before[1]
        passed = lost <= MOST_LOST
        said = (
            f"On regions that were right before it lost {lost:.2f}: "
            f"Dice {before[0]:.2f} → {before[1]:.2f}."
            if not passed
            else f"What was right before still is: Dice {before[0]:.2f} → "
            f"{before[1]:.2f}."
        )
        checks.append(Check(name="accepted", passed=passed, said=said))
    same = rivals.same_where_sure()
    if same is not None:
        passed = same >= LEAST_KEPT
        how = "it agrees" if passed else "it no longer agrees"
        said = f"Where {contest.names[0]} is sure {how}: Dice {same:.2f} with it."
        checks.append(Check(name="sure", passed=passed, said=said))
    return checks


def _all_found(rivals: Rivals, classes: Sequence[ClassInfo]) -> Check:
    before, after = rivals.rightly_found()
    gone = [
        info.name
        for info, old, new in zip(classes, before, after, strict=True)
        if old and new < VANISHED * old
    ]
    said = (
        f"It no longer finds {' and '.join(gone)}." if gone else "It finds all classes."
    )
    return Check(name="classes", passed=not gone, said=said)


def _believable(rivals: Rivals) -> Check:
    before, after = rivals.calibration_errors()
    passed = after - before <= MOST_WORSE_ECE
    how = "as reliable as before" if passed else "less reliable"
    said = f"Its probabilities are {how}: calibration error {before:.2f} → {after:.2f}."
    return Check(name="calibration", passed=passed, said=said)


def _figures(found: Comparison, rivals: Rivals) -> dict[str, object]:
    accepted, errors = rivals.on_accepted(), rivals.calibration_errors()
    return {
        **asdict(found),
        "gain": found.gain,
        "accepted": None if accepted is None else list(accepted),
        "same_where_sure": rivals.same_where_sure(),
        "ece": list(errors),
    }
