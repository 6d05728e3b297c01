"""Training from sparse labels: a new network, or one that goes on from a parent.

Both are the same loop: patches around labelled voxels, a loss that sees these voxels
only, and a running mean of the weights, which is what is kept. A fine-tuning begins
anew from the *origin*, with all corrections to date::

    v1 ──────┬────────────┐          v2 and v3 both begin with the weights of v1;
    origin   └▶ v2 ─ ─ ─ ─└▶ v3      v3 stands below v2, whose place it may take

Who goes on from the last version instead gives the oldest corrections most steps
(Cellpose 2.0, Nature Methods 2022, trains anew from its model for that reason).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_unetseg.config import TrainConfig, VoxelSize
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.backends.torch import give_back_at_once, use_threads
from napari_unetseg.models.exemplars import MOST
from napari_unetseg.models.registration import register_version
from napari_unetseg.models.store import ModelCard, ModelStore, read_card
from napari_unetseg.models.verdict import NOT_COMPARED
from napari_unetseg.training.ancestry import (
    learned_boxes,
    learned_so_far,
    was_made_of,
)
from napari_unetseg.training.calibration import calibration_report, fit_temperature
from napari_unetseg.training.dataset import Patches
from napari_unetseg.training.loop import Kind, Loop
from napari_unetseg.training.plan import TrainingPlan
from napari_unetseg.training.rehearsal import exemplars_of, rehearsed_patches
from napari_unetseg.training.starting_network import starting_network
from napari_unetseg.training.training_set import TrainingSet


@dataclass(frozen=True)
class TrainJob:
    """All that a training needs.

    Attributes
    ----------
    parent_dir
        Folder of the version whose place the new one may take; None for a new network.
    start_dir
        Folder of the version whose weights it begins with; the parent's if None.
    predictions
        What the parent has predicted, to find objects that nobody labelled.
    raters
        Raters that the project knows; a new network learns those who labelled.
    half
        Store the weights with 16 bits.
    scale
        The voxel size, if somebody knows better than the volume's metadata.
    plan
        Of a new network; made from the volume alone if missing.
    """

    volume_uri: str
    time_point: int
    training_set: TrainingSet
    models_dir: Path
    version: str
    classes: tuple[ClassInfo, ...]
    normalisation: Normalisation
    parent_dir: Path | None = None
    start_dir: Path | None = None
    predictions: PredictionStore | None = None
    raters: tuple[str, ...] = ()
    config: TrainConfig = field(default_factory=TrainConfig)
    name: str = ""
    description: str = ""
    half: bool = False
    scale: VoxelSize | None = None
    plan: TrainingPlan | None = None

    @property
    def begins_with(self) -> Path | None:
        """Folder of the version whose weights it begins with."""
        return self.start_dir or self.parent_dir


def train(
    job: TrainJob,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> ModelCard:
    """Train and register a model version.

    Who stops it keeps what was best so far: that is registered as any other version,
    and its card says so.

    Raises
    ------
    TrainingError
        If the labels have classes that the parent does not know, or the loss is lost.
    Cancelled
        If somebody stopped it before anything was measured; nothing is registered.
    """
    torch.manual_seed(job.config.seed)
    use_threads(job.config.threads)
    volume = Volume.open(job.volume_uri, time_point=job.time_point, scale=job.scale)
    network, heads, patch = starting_network(job, volume)
    network.recomputes = job.config.recompute
    if network.recomputes or network.spec.is_fine_local:
        give_back_at_once()
    is_named = network.spec.rater_kind == "named"
    raters = heads if is_named else job.training_set.raters_among(job.raters)
    is_at_home = was_made_of(job.begins_with, job.training_set)
    known = rehearsed_patches(job.begins_with, volume.n_channels)
    rehearsed = known if job.config.rehearse and not is_at_home else ()
    patches = _patches(job, volume, raters, patch, rehearsed)
    kind = _kind_of(job, is_at_home=is_at_home, rehearses=bool(rehearsed))
    loop = Loop(network, patches, job, kind, on_event, is_cancelled)
    on_event(RunStarted("train", loop.n_steps, subject=job.version))
    loop.run()
    answers = loop.answers()
    temperature = fit_temperature(answers)
    return register_version(
        ModelStore(job.models_dir),
        loop.mean,
        version=job.version,
        classes=job.classes[: network.spec.n_classes],
        raters=heads,
        name=job.name,
        description=job.description,
        parent=None if job.parent_dir is None else job.parent_dir.name,
        normalisation=job.normalisation,
        voxel_size=volume.voxel_size,
        patch=patch,
        training=_provenance(job, loop) | learned_so_far(job, patches, volume),
        metrics={"dice": dict(loop.dice), "loss": loop.loss},
        temperature=temperature,
        calibration=calibration_report(answers, temperature),
        gate=NOT_COMPARED,
        sample=patches.sample(),
        exemplars=exemplars_of(patches.exemplars(MOST), known, patch),
        expected_halo=_halo_of(job.begins_with),
        half=job.half,
    )


def _kind_of(job: TrainJob, *, is_at_home: bool, rehearses: bool) -> Kind:
    if job.parent_dir is None:
        return "new"
    if is_at_home:
        return "home"
    return "rehearsing" if rehearses else "careful"


def _halo_of(folder: Path | None) -> Zyx:
    return (0, 0, 0) if folder is None else read_card(folder).halo


def _patches(
    job: TrainJob,
    volume: Volume,
    raters: tuple[str, ...],
    patch: Zyx,
    rehearsed: tuple[np.ndarray, ...],
) -> Patches:
    return Patches(
        volume,
        job.normalisation,
        job.training_set,
        raters=raters,
        patch=patch,
        seed=job.config.seed,
        learned=learned_boxes(job.parent_dir, volume),
        mirror=job.config.mirror,
        rehearsed=rehearsed,
    )


def _provenance(job: TrainJob, loop: Loop) -> dict[str, Any]:
    labels, begins_with = job.training_set, job.begins_with
    return {
        "strokes": list(labels.stroke_ids),
        "labels": labels.describe(),
        "voxels": dict(labels.n_voxels),
        "rejected_clicks": len(labels.rejected),
        "began_with": None if begins_with is None else begins_with.name,
        "layers": "all" if loop.learns_all else "decoder",
        "end": loop.end.value,
        "steps": loop.step,
        "kept_step": loop.kept_step,
        "seconds": round(loop.seconds, 1),
        "seed": job.config.seed,
        "config": job.config.model_dump(mode="json"),
        **({} if job.plan is None else {"plan": job.plan.said(job.config)}),
    }
