"""The steps of a training, from the first batch to the weights that are kept."""

from __future__ import annotations

import copy
import math
import time
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.errors import Cancelled, TrainingError
from napari_unetseg.events import IsCancelled, OnEvent, StepDone
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.backends.torch import choose_device, has_fast_bf16
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.statistics import keep_statistics
from napari_unetseg.models.unet import Output, UNet
from napari_unetseg.training.best_so_far import BestSoFar
from napari_unetseg.training.calibration import Answers, collected
from napari_unetseg.training.dataset import Batch, Patches
from napari_unetseg.training.layers import freeze_encoder, learns_all
from napari_unetseg.training.length import steps_of
from napari_unetseg.training.losses import (
    IGNORE,
    Parent,
    consensus_target,
    deep_loss,
    masked_loss,
)
from napari_unetseg.training.rater_losses import rater_loss

if TYPE_CHECKING:
    from napari_unetseg.training.finetune import TrainJob

RATES = {"new": 2e-3, "home": 1e-3, "rehearsing": 5e-4, "careful": 1e-4}
WARM_UP = 0.05
MEASURED = 12  # times in a training: each costs as much as a few steps
LEAST_MEASURED = 50  # held-out voxels of a class: with fewer its Dice says nothing
MEAN_DECAY = 0.97
WEIGHT_DECAY = 1e-4


Kind = Literal["new", "home", "rehearsing", "careful"]


class End(StrEnum):
    """How a training ended."""

    FINISHED = "finished"
    STOPPED = "stopped"


class Loop:
    """The steps of one training.

    Parameters
    ----------
    network, patches, job
        What learns, from what, and how.
    kind
        Which says how fast it learns, and what keeps it from forgetting: a new network,
        one that was made from these labels, one that rehearses, or one that has nothing
        but small steps and the parent's word on unlabelled voxels.
    on_event, is_cancelled
        Who hears of it, and who may stop it.

    Attributes
    ----------
    mean
        The running mean of the weights, which is what is kept.
    n_steps
        How many steps there are to be.
    step, loss
        How many steps were made, and the loss of the last one.
    dice
        Of the weights that are kept, by class, on held-out labels.
    kept_step
        The step whose weights are kept.
    end
        How it ended.
    """

    def __init__(
        self,
        network: UNet,
        patches: Patches,
        job: TrainJob,
        kind: Kind,
        on_event: OnEvent,
        is_cancelled: IsCancelled,
    ) -> None:
        config = job.config
        self._device = torch.device(choose_device(config.device))
        self._network = network.to(self._device).train()
        self.mean = copy.deepcopy(network).eval()
        self._parent = None if job.parent_dir is None else Parent(network)
        if self._parent is not None:
            keep_statistics(network)
        self.learns_all = self._parent is None or learns_all(config, job.training_set)
        if not self.learns_all:
            freeze_encoder(network)
        self._patches, self._job = patches, job
        is_new = self._parent is None
        self.n_steps = steps_of(config, None if is_new else job.training_set)
        self._on_event, self._is_cancelled = on_event, is_cancelled
        self._kind, self._rate = kind, config.learning_rate or RATES[kind]
        self._optimizer = torch.optim.AdamW(
            [value for value in network.parameters() if value.requires_grad],
            lr=self._rate,
            weight_decay=WEIGHT_DECAY if self._parent is None else 0.0,
        )
        self._in_16_bits = has_fast_bf16(self._device) and may_use_16_bits(
            network.spec, patches.patch, self._device
        )
        self._held_out = patches.held_out_patches()
        self._started = time.monotonic()
        self._best = BestSoFar()
        self.loss = math.nan
        self.dice: dict[str, float] = {}
        self.step = self.kept_step = 0
        self.end = End.FINISHED

    @property
    def seconds(self) -> float:
        """How long it has been training."""
        return time.monotonic() - self._started

    def run(self) -> None:
        """Train until steps or time are used up, or it is stopped.

        Held-out labels do not end it: a few slices say too little about a few steps.

        Raises
        ------
        Cancelled
            If it was stopped before anything was measured.
        """
        config = self._job.config
        measured = 0
        while self._progress() < 1:
            if self._is_cancelled():
                if not measured:
                    raise Cancelled(
                        "The training was stopped", do="No model was added."
                    )
                self.end = End.STOPPED
                break
            self._set_rate(self._progress())
            self.loss = self._one_step(self._patches.draw(config.batch))
            self.step += 1
            last = self._progress() >= 1
            dice = {}
            if last or self._progress() * MEASURED >= measured + 1:
                measured = int(self._progress() * MEASURED)
                dice = self.dice = self._measure()
                self._best.take(self.step, dice, self.mean)
            total = self.step if last else self.n_steps
            self._on_event(StepDone(self.step, total, self.loss, dice, self.seconds))
        self._choose()

    def _choose(self) -> None:
        """Keep the last weights; of a training that was stopped, the best so far."""
        self.kept_step = self.step
        if self._best.dice and self.end is End.STOPPED:
            self._best.restore(self.mean)
            self.kept_step, self.dice = self._best.step, self._best.dice

    def _progress(self) -> float:
        done, budget = self.step / self.n_steps, self._job.config.budget_s
        return max(done, self.seconds / budget) if budget else done

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
        weight = batch.weight.to(self._device)
        said_weight = batch.rater_weights.to(self._device)
        target = consensus_target(everybody, said, n_classes, said_weight)
        loss = masked_loss(output.consensus, target, weight)
        loss = loss + deep_loss(output.aux, target, weight)
        if output.raters is not None:
            loss = loss + rater_loss(
                self._network.spec.rater_kind,
                output.raters,
                everybody=everybody,
                said=said,
                silent=self._patches.silent_raters,
                target=target,
                weight=weight,
                said_weight=said_weight,
                is_new=self._parent is None,
            )
        if self._parent is None:
            return loss
        loss = loss + self._parent.pull(self._network)
        with self._autocast():
            if self._kind == "rehearsing":
                loss = loss + self._parent.rehearsal(image, output, target)
            elif self._kind == "careful":
                loss = loss + self._parent.distillation(image, output, target)
        return loss

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
