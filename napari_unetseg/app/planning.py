"""The plan for a new model of a project, made before the training starts."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unetseg.app.project import Project
from napari_unetseg.config import TrainConfig
from napari_unetseg.geometry import Box
from napari_unetseg.inference.memory import available_bytes
from napari_unetseg.training.object_size import object_size
from napari_unetseg.training.plan import Data, TrainingPlan, heads_of, plan_training
from napari_unetseg.training.training_set import CorrectedLabels, Labels, TrainingSet


def plan_from_labels(
    project: Project, config: TrainConfig, labels: TrainingSet
) -> TrainingPlan:
    """Return the plan from volume, labels, free memory and the time there is.

    Raises
    ------
    MemoryBudgetError
        If the memory does not suffice for any network.
    """
    boxes = list(dict.fromkeys(region.box for region in labels.regions))
    raters = labels.raters_among(project.raters)
    return _plan(project, config, labels.labels, boxes, raters)


def plan_said(project: Project, config: TrainConfig) -> str:
    """Say what a training would be now; quick, as only a few labels are looked at.

    Raises
    ------
    MemoryBudgetError
        If the memory does not suffice for any network.
    """
    store = project.corrections
    people = config.annotators or tuple(store.annotators())
    labels = CorrectedLabels(store, (), people)
    boxes = [box for name in people for box in store.labelled_boxes(name)]
    raters = tuple(name for name in project.raters if name in people)
    return _plan(project, config, labels, boxes, raters).said(config)


def _plan(
    project: Project,
    config: TrainConfig,
    labels: Labels,
    boxes: Sequence[Box],
    raters: tuple[str, ...],
) -> TrainingPlan:
    volume, n_classes = project.volume, len(project.classes)
    data = Data(
        voxel_size=volume.voxel_size,
        shape=volume.shape,
        n_channels=volume.n_channels,
        n_classes=n_classes,
        n_raters=len(heads_of(config, raters)),
        object_size=object_size(labels, boxes, volume.shape, n_classes),
        memory_bytes=available_bytes() // 2,
    )
    return plan_training(config, data)
