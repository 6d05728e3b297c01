"""The plan of a training from nothing: scales, patch, batch, memory and time.

nnU-Net's rules (Isensee et al., Nature Methods 2021) for an ordinary computer: there
the patch fills a graphics card; here it also has to leave time for enough steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_unetseg.config import Preset, TrainConfig
from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.models.planning import (
    kept_numbers,
    patch_of,
    plan_network,
    plan_patch,
    training_bytes,
    widened,
)
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.training.length import steps_of

DRAWS = 8  # of a hidden style that a prediction shows
SMALLER: dict[Preset, Preset] = {"L": "M", "M": "S"}
LEAST_STEPS = 300  # in the time there is: if fewer, the network is smaller
S_PER_NUMBER = 4e-8  # that a step keeps, on one thread (benchmark training_memory)
LEAST_CELLS = 2  # of the coarsest level in a patch, where memory is small


@dataclass(frozen=True)
class Data:
    """What a plan has to know of a volume and its labels.

    Attributes
    ----------
    object_size
        Diameter of the objects in voxels of the plane, 0 if nobody knows.
    memory_bytes
        What may be used, None if that does not matter.
    """

    voxel_size: Sequence[float]
    shape: Zyx
    n_channels: int
    n_classes: int
    n_raters: int = 0
    object_size: float = 0.0
    memory_bytes: int | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """A network, and how it learns.

    Attributes
    ----------
    preset, asked
        Size of the network, and the one that was asked for.
    object_size
        As in the data.
    """

    spec: NetworkSpec
    preset: Preset
    asked: Preset
    patch: Zyx
    batch: int
    recompute: bool
    object_size: float

    @property
    def memory_bytes(self) -> int:
        """An upper estimate of the memory of one step."""
        return training_bytes(
            self.spec, self.patch, self.batch, recompute=self.recompute
        )

    def applied(self, config: TrainConfig) -> TrainConfig:
        """Return the config with what was planned."""
        return config.replace(
            preset=self.preset,
            patch=self.patch,
            batch=self.batch,
            recompute=self.recompute,
        )

    def said(self, config: TrainConfig) -> str:
        """Say the plan, as "5 scales, patches 16 × 128 × 128, at most 4 minutes"."""
        n_scales = self.spec.n_levels + (self.spec.stem == "patch")
        patch = " × ".join(str(n) for n in self.patch)
        noun = "scale" if n_scales == 1 else "scales"
        text = f"{n_scales} {noun}, patches {patch}, {_time_said(config)}"
        if self.object_size:
            text += f"; objects are some {self.object_size:.0f} voxels across"
        if self.preset != self.asked:
            text += f"; size {self.preset} instead of {self.asked}"
        return f"{text}."


def plan_training(config: TrainConfig, data: Data) -> TrainingPlan:
    """Return the plan for a new network.

    Raises
    ------
    MemoryBudgetError
        If not even the smallest network fits; with both numbers.
    """
    plan = _planned(config, data, config.preset)
    while plan.preset in SMALLER and not _has_time(plan, config):
        plan = _planned(config, data, SMALLER[plan.preset])
    if data.memory_bytes is None:
        return plan
    while plan.memory_bytes > data.memory_bytes:
        plan = _smaller(plan, config, data)
    return plan


def heads_of(config: TrainConfig, raters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the heads that learn from so many raters."""
    if len(raters) < 2:
        return ()
    if config.rater_kind == "named":
        return raters
    is_latent = config.rater_kind == "latent"
    n = config.styles or (DRAWS if is_latent else len(raters))
    noun = "draw" if is_latent else "style"
    return tuple(f"{noun} {number}" for number in range(1, n + 1))


def seconds_per_step(plan: TrainingPlan, threads: int) -> float:
    """Return about how long a step takes on a processor; a GPU is much faster."""
    voxels = math.prod(plan.patch) * plan.batch
    twice = 1.5 if plan.recompute else 1.0
    return twice * S_PER_NUMBER * kept_numbers(plan.spec) * voxels / threads


def _planned(config: TrainConfig, data: Data, preset: Preset) -> TrainingPlan:
    spec = plan_network(
        voxel_size=data.voxel_size,
        shape=data.shape,
        in_channels=data.n_channels,
        n_classes=data.n_classes,
        n_raters=data.n_raters,
        rater_kind=config.rater_kind if data.n_raters else "named",
        preset=preset,
        block=config.blocks,
        object_size=data.object_size,
    )
    usual = plan_patch(spec, data.shape, preset)
    patch = plan_patch(spec, data.shape, preset, object_size=data.object_size)
    chosen = config.patch or widened(patch, spec.stride, data.shape)
    is_larger = config.patch is None and math.prod(patch) > math.prod(usual)
    return TrainingPlan(
        spec=spec,
        preset=preset,
        asked=config.preset,
        patch=patch_of(chosen, spec.stride),
        batch=max(1, config.batch // 2) if is_larger else config.batch,
        recompute=config.recompute,
        object_size=data.object_size,
    )


def _has_time(plan: TrainingPlan, config: TrainConfig) -> bool:
    """Whether there is time for enough steps, or for all that were asked for."""
    if config.budget_s is None:
        return True
    threads = config.threads or max(2, (os.cpu_count() or 1) - 1)
    wanted = min(LEAST_STEPS, steps_of(config))
    return wanted * seconds_per_step(plan, threads) <= config.budget_s


def _smaller(plan: TrainingPlan, config: TrainConfig, data: Data) -> TrainingPlan:
    """Return a plan that needs less memory, with the least harm first."""
    if plan.batch > 1:
        return replace(plan, batch=plan.batch // 2)
    if not plan.recompute and plan.spec.enc != "reversible":
        return replace(plan, recompute=True)
    cells = [p // s for p, s in zip(plan.patch, plan.spec.stride, strict=True)]
    if config.patch is None and max(cells) > LEAST_CELLS:
        cells[cells.index(max(cells))] -= 1
        patch = (n * s for n, s in zip(cells, plan.spec.stride, strict=True))
        return replace(plan, patch=zyx(patch))
    if plan.preset in SMALLER:
        return _planned(config, data, SMALLER[plan.preset])
    raise MemoryBudgetError(
        "Training needs more memory than there is",
        got=f"{(data.memory_bytes or 0) / 1e9:.2f} GB",
        expected=f"at least {plan.memory_bytes / 1e9:.2f} GB",
        do="Close other programs, or choose a smaller patch.",
    )


def _time_said(config: TrainConfig) -> str:
    if config.budget_s is None:
        steps = steps_of(config)
        return "1 step" if steps == 1 else f"{steps:,} steps"
    if config.budget_s < 90:
        return f"at most {config.budget_s:.0f} seconds"
    return f"at most {config.budget_s / 60:.0f} minutes"
