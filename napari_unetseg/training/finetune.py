"""Training from sparse labels: a new network, or one that goes on from a parent.

Both are the same loop: patches around labelled voxels, a loss that sees these voxels
only, and a running mean of the weights, which is what is kept.
"""

from __future__ import annotations

import copy
import math
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.config import TrainConfig, VoxelSize
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, TrainingError
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    RunStarted,
    StepDone,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.backends.torch import (
    choose_device,
    give_back_at_once,
    has_fast_bf16,
    use_threads,
)
from napari_unetseg.models.registration import register_version
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import ModelCard, ModelStore
from napari_unetseg.models.unet import Output, UNet
from napari_unetseg.models.verdict import NOT_COMPARED
from napari_unetseg.training.ancestry import learned_boxes, learned_so_far
from napari_unetseg.training.calibration import (
    Answers,
    calibration_report,
    collected,
    fit_temperature,
)
from napari_unetseg.training.dataset import Batch, Patches
from napari_unetseg.training.losses import (
    IGNORE,
    Parent,
    consensus_target,
    deep_loss,
    masked_loss,
)
from napari_unetseg.training.plan import TrainingPlan
from napari_unetseg.training.rater_losses import rater_loss
from napari_unetseg.training.starting_network import starting_network
from napari_unetseg.training.training_set import TrainingSet

NEW_RATE, FINE_RATE = 2e-3, 5e-4
WARM_UP = 0.05
MEASURED = 12  # times in a training: each costs as much as a few steps
LEAST_MEASURED = 50  # held-out voxels of a class: with fewer its Dice says nothing
MEAN_DECAY = 0.97
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class TrainJob:
    """All that a training needs.

    Attributes
    ----------
    parent_dir
        Folder of the version to go on from; None for a new network.
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
    raters: tuple[str, ...] = ()
    config: TrainConfig = field(default_factory=TrainConfig)
    name: str = ""
    description: str = ""
    half: bool = False
    scale: VoxelSize | None = None
    plan: TrainingPlan | None = None


def train(
    job: TrainJob,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> ModelCard:
    """Train and register a model version.

    Raises
    ------
    TrainingError
        If the labels have classes that the parent does not know, or the loss is lost.
    Cancelled
        If somebody asked to stop; nothing is registered.
    """
    torch.manual_seed(job.config.seed)
    use_threads(job.config.threads)
    volume = Volume.open(job.volume_uri, time_point=job.time_point, scale=job.scale)
    network, heads, patch = starting_network(job, volume)
    network.recomputes = job.config.recompute
    if network.recomputes or network.spec.is_fine_local:
        give_back_at_once()
    patches = Patches(
        volume,
        job.normalisation,
        job.training_set,
        raters=heads
        if network.spec.rater_kind == "named"
        else job.training_set.raters_among(job.raters),
        patch=patch,
        seed=job.config.seed,
        learned=learned_boxes(job.parent_dir, job.volume_uri),
        mirror=job.config.mirror,
    )
    on_event(RunStarted("train", job.config.steps, subject=job.version))
    loop = _Loop(network, patches, job, on_event, is_cancelled)
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
        training=_provenance(job, loop) | learned_so_far(job, patches),
        metrics={"dice": dict(loop.dice), "loss": loop.loss},
        temperature=temperature,
        calibration=calibration_report(answers, temperature),
        gate=NOT_COMPARED,
        sample=patches.sample(),
        half=job.half,
    )


class _Loop:
    """The steps of one training."""

    def __init__(
        self,
        network: UNet,
        patches: Patches,
        job: TrainJob,
        on_event: OnEvent,
        is_cancelled: IsCancelled,
    ) -> None:
        config = job.config
        self._device = torch.device(choose_device(config.device))
        self._network = network.to(self._device).train()
        self.mean = copy.deepcopy(network).eval()
        self._parent = None if job.parent_dir is None else Parent(network)
        self._patches, self._job = patches, job
        self._on_event, self._is_cancelled = on_event, is_cancelled
        self._rate = config.learning_rate or (NEW_RATE if job.parent_dir is None
                                              else FINE_RATE)  # fmt: skip
        self._optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=self._rate,
            weight_decay=WEIGHT_DECAY if self._parent is None else 0.0,
        )
        self._in_16_bits = has_fast_bf16(self._device) and may_use_16_bits(
            network.spec, patches.patch, self._device
        )
        self._held_out = patches.held_out_patches()
        self._started = time.monotonic()
        self.loss = math.nan
        self.dice: dict[str, float] = {}
        self.step = 0

    @property
    def seconds(self) -> float:
        """How long it has been training."""
        return time.monotonic() - self._started

    def run(self) -> None:
        """Train until the steps or the time are used up."""
        config = self._job.config
        measured = 0
        while self._progress() < 1:
            if self._is_cancelled():
                raise Cancelled("The training was stopped", do="No model was added.")
            self._set_rate(self._progress())
            self.loss = self._one_step(self._patches.draw(config.batch))
            self.step += 1
            last = self._progress() >= 1
            dice = {}
            if last or self._progress() * MEASURED >= measured + 1:
                measured = int(self._progress() * MEASURED)
                dice = self.dice = self._measure()
            total = config.steps if not last else self.step
            self._on_event(StepDone(self.step, total, self.loss, dice, self.seconds))

    def _progress(self) -> float:
        config = self._job.config
        done = self.step / config.steps
        return max(done, self.seconds / config.budget_s) if config.budget_s else done

    def _set_rate(self, progress: float) -> None:
        """Warm up, then follow a cosine down to nothing."""
        if progress < WARM_UP:
            factor = 0.1 + 0.9 * progress / WARM_UP
        else:
            factor = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * factor

    def _one_step(self, batch: Batch) -> float:
        image = batch.image.to(self._device)
        with self._autocast():
            output = self._network(image, deep=True)
        loss = self._loss(output, batch, image)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                "The loss is no number any more",
                do="Try a smaller learning rate, or check the volume's voxels.",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimizer.step()
        self._follow_mean()
        return value

    def _loss(self, output: Output, batch: Batch, image: Tensor) -> Tensor:
        """Return the loss of all heads, and what a parent has to say."""
        n_classes = output.consensus.shape[1]
        everybody, said = batch.target.to(self._device), batch.raters.to(self._device)
        target = consensus_target(everybody, said, n_classes)
        loss = masked_loss(output.consensus, target) + deep_loss(output.aux, target)
        if output.raters is not None:
            loss = loss + rater_loss(
                self._network.spec.rater_kind,
                output.raters,
                everybody=everybody,
                said=said,
                silent=self._patches.silent_raters,
                target=target,
                is_new=self._parent is None,
            )
        if self._parent is None:
            return loss
        with self._autocast():
            kept = self._parent.distillation(image, output, target)
        return loss + kept + self._parent.pull(self._network)

    @torch.no_grad()
    def _follow_mean(self) -> None:
        """Keep a running mean of the weights; early steps count less and less."""
        decay = min(MEAN_DECAY, (1 + self.step) / (10 + self.step))
        current = self._network.state_dict()
        for key, value in self.mean.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[key], 1 - decay)
            else:
                value.copy_(current[key])

    @torch.inference_mode()
    def _measure(self) -> dict[str, float]:
        """Return Dice per class on held-out labels, for classes with enough of them."""
        n = len(self._job.classes) + 1
        both, labelled, size = np.zeros(n), np.zeros(n), np.zeros(n)
        for batch in self._held_out:
            with self._autocast():
                logits = self.mean(batch.image.to(self._device)).consensus
            known = batch.target != IGNORE
            found = logits.argmax(1).cpu()[known].numpy()
            truth = batch.target[known].numpy()
            both += np.bincount(truth[truth == found], minlength=n)[:n]
            labelled += np.bincount(truth, minlength=n)[:n]
            size += np.bincount(found, minlength=n)[:n]
        return {
            info.name: float(2 * both[info.id] / (labelled[info.id] + size[info.id]))
            for info in self._job.classes
            if labelled[info.id] >= LEAST_MEASURED
        }

    @torch.inference_mode()
    def answers(self) -> Answers:
        """Return what the network says where no ancestor ever learned."""
        n_classes = self._network.spec.n_channels_out
        pairs = []
        for batch in self._patches.held_out_patches(only_unseen=True):
            with self._autocast():
                logits = self.mean(batch.image.to(self._device)).consensus
            target = consensus_target(batch.target, batch.raters, n_classes)
            pairs.append((logits.cpu(), target))
        return collected(pairs, n_classes)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(
            self._device.type, torch.bfloat16, enabled=self._in_16_bits
        )


def may_use_16_bits(spec: NetworkSpec, patch: Zyx, device: torch.device) -> bool:
    """Whether gradients in bfloat16 are right for patches of this shape.

    On processors the gradient of a kernel of depth 3 on a grid of depth 2 is computed
    from memory that nobody wrote (oneDNN as of torch 2.13): garbage, or no number.
    """
    if device.type != "cpu":
        return True
    depths = [patch[0]] if spec.head_kernel[0] == 3 else []
    for level, kernel in enumerate(spec.kernels):
        if kernel[0] == 3:
            depths.append(patch[0] // spec.stride_at(level)[0])
    return 2 not in depths


def _provenance(job: TrainJob, loop: _Loop) -> dict[str, Any]:
    labels = job.training_set
    return {
        "strokes": list(labels.stroke_ids),
        "labels": labels.describe(),
        "voxels": dict(labels.n_voxels),
        "steps": loop.step,
        "seconds": round(loop.seconds, 1),
        "seed": job.config.seed,
        "config": job.config.model_dump(mode="json"),
        **({} if job.plan is None else {"plan": job.plan.said(job.config)}),
    }
