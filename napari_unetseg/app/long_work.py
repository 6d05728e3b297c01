"""The session's long work: one child process, folded into signals as it speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from napari_unetseg.app.jobs import JobRunner
from napari_unetseg.app.status import JobStatus, Notice, ProgressMeter
from napari_unetseg.config import Config, TrainConfig
from napari_unetseg.errors import UnetsegError
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    Event,
    LearnsFrom,
    Message,
    RunFinished,
    StepDone,
)
from napari_unetseg.geometry import Zyx


class Listener(Protocol):
    """Who hears of the work: one method per thing that happens."""

    def on_status(self, status: JobStatus) -> None:
        """Take what the job is at."""

    def on_plan(self, plan: BlocksPlanned) -> None:
        """Take the grid of a prediction that begins."""

    def on_block(self, index: int, state: BlockState, event: BlockDone | None) -> None:
        """Take the new state of a block; ``event`` once it has ended."""

    def on_learns(self, learns: LearnsFrom) -> None:
        """Take what a training learns from."""

    def on_step(self, step: StepDone) -> None:
        """Take a training step."""

    def on_notice(self, notice: Notice) -> None:
        """Take a sentence for the person."""

    def on_finished(self, verb: str, finished: RunFinished) -> None:
        """Take the end of the job; a new one may start from here."""


class LongWork:
    """Starts jobs for the session and passes on what they say."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._runner = JobRunner()
        self._meter = ProgressMeter()
        self.last_plan: BlocksPlanned | None = None
        self.block_states: dict[int, BlockState] = {}
        self.steps: list[StepDone] = []

    @property
    def status(self) -> JobStatus:
        """What the running job is at."""
        return self._meter.status

    def start(self, verb: str, config: Config, **paths: Path | str) -> None:
        """Start a job.

        Raises
        ------
        UnetsegError
            If another one is still running.
        """
        if not self.status.is_idle:
            raise UnetsegError(
                f"A {self.status.verb} job is still running",
                do="Wait until it has finished, or cancel it.",
            )
        if verb == "train":
            self.steps = []
        self._runner.start(verb, config, **paths)
        limit_s = config.budget_s if isinstance(config, TrainConfig) else None
        self._listener.on_status(self._meter.start(verb, limit_s))

    def note_by_itself(self) -> None:
        """Say that nobody asked for the job that has just been started."""
        self._listener.on_status(self._meter.by_itself())

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if not self.status.is_idle:
            self._runner.cancel()
            self._listener.on_status(self._meter.cancelling())

    def look_at(self, voxel: Zyx) -> None:
        """Tell a running prediction where somebody looks."""
        if self.status.verb == "predict":
            self._runner.look_at(voxel)

    def poll(self) -> None:
        """Pass on what the job said since the last call."""
        events = self._runner.poll()
        for event in events:
            self._take(event)
        if events and not isinstance(events[-1], RunFinished):
            self._listener.on_status(self.status)

    def forget_blocks(self) -> None:
        """Drop the grid: other predictions are shown now."""
        self.last_plan, self.block_states = None, {}

    def show_blocks(self, plan: BlocksPlanned) -> None:
        """Take a grid that an earlier run left on disk."""
        self.last_plan, self.block_states = plan, dict(plan.states)
        self._listener.on_plan(plan)

    def close(self) -> None:
        """End whatever runs; what it wrote stays."""
        self._runner.close()
        self._meter = ProgressMeter()
        self.forget_blocks()

    def _take(self, event: Event) -> None:
        verb = self.status.verb
        self._meter.take(event)
        match event:
            case BlocksPlanned():
                self.show_blocks(event)
            case BlockStarted():
                self._set_block(event.index, BlockState.RUNNING, None)
            case BlockDone():
                self._set_block(event.index, event.state, event)
            case LearnsFrom():
                self._listener.on_learns(event)
            case StepDone():
                self.steps.append(event)
                self._listener.on_step(event)
            case Message():
                self._listener.on_notice(Notice(event.level, event.text))
            case RunFinished():
                self._settle_blocks()
                self._listener.on_status(self.status)
                self._listener.on_finished(verb, event)

    def _set_block(
        self, index: int, state: BlockState, event: BlockDone | None
    ) -> None:
        self.block_states[index] = state
        self._listener.on_block(index, state, event)

    def _settle_blocks(self) -> None:
        """Put blocks back that a stopped run had begun."""
        begun = [i for i, s in self.block_states.items() if s is BlockState.RUNNING]
        for index in begun:
            self._set_block(index, BlockState.PENDING, None)
