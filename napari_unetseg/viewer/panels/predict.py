"""The card that predicts the view, a box or the whole volume."""

from __future__ import annotations

from qtpy.QtWidgets import QSpinBox, QWidget

from napari_unetseg.app.status import Notice
from napari_unetseg.config import PredictConfig
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.viewer.block_map import BlockMap
from napari_unetseg.viewer.box_scope import BoxScope
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.config_form import ConfigForm
from napari_unetseg.viewer.controls import (
    Choice,
    explain,
    label,
    push_button,
    quieten_wheel,
    row,
    set_hint,
)
from napari_unetseg.viewer.failed_blocks import FailedBlocks
from napari_unetseg.viewer.panels.panel import Panel, Parts

VIEW, BOX, WHOLE = "view", "box", "whole"
_SCOPES = (
    (VIEW, "view", "Only what the canvas shows, and some slices around it."),
    (BOX, "box", "A box that you draw: a rectangle on the slice, some slices deep."),
    (WHOLE, "whole volume", "Everything. Stop whenever you like, and go on later."),
)
_TIPS = {
    VIEW: "Predict what the canvas shows (P).",
    BOX: "Predict the box.",
    WHOLE: "Predict the whole volume; blocks that are done are not done again.",
}
_FIELDS = ("flips", "device", "backend", "threads", "memory_gb", "block",
           "missing_chunks", "retry_failed")  # fmt: skip
_NOT_IN_VIEW = "The volume is not in view. Move it into view, then predict."
_RETRY_TIP = "Predict the blocks again that failed; the cross on the map says why."
_STOP_TIP = "Stop predicting. Finished blocks stay, and are not done again."


class PredictPanel(Panel):
    """Scope, one button, the map of the blocks."""

    name = "Predict"
    hears = ("model_changed", "models_changed")

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.scope = Choice(_SCOPES)
        self.scope.chosen.connect(self._on_scope)
        self.box_scope = BoxScope(parts.viewer, parts.session, parts.layers)
        self.form = ConfigForm(PredictConfig, _FIELDS)
        self.form.changed.connect(self.mark)
        self.more = Fold(self.form, "Speed, memory and device.")
        self.button = push_button("Predict", _TIPS[VIEW], self.predict, "primary")
        self.stop = push_button("Stop", _STOP_TIP, self.session.cancel)
        self.retry = push_button("Retry failed", _RETRY_TIP, self.retry_failed)
        self._hint = label(role="hint", wraps=True)
        self._box_row = self._make_box_row()
        self.failed = FailedBlocks(parts.layers)
        self.map = BlockMap()
        self.map.reason_of = self._reason_of
        self.map.clicked.connect(self.layers.go_to)
        self.body.addWidget(self.scope)
        self.body.addWidget(self._box_row)
        self.body.addLayout(row(self.button, self.stop, None, self.more.button))
        self.body.addWidget(self._hint)
        self.body.addWidget(self.more)
        self.body.addWidget(self.map)
        self.body.addLayout(row(self.retry, None))
        self.connections.add(self.session.planned, self._on_plan)
        self.connections.add(self.session.block_changed, self._on_block)
        self.connections.add(self.session.model_changed, self._show_blocks)
        self.connections.add(self.session.project_changed, self._on_project)
        self.connections.add(self.box_scope.changed, self.mark)
        self.connections.add(self.session.preferences_changed, self._show_usual)
        self._show_blocks()

    def predict(self) -> None:
        """Predict what is chosen."""
        scope = self.scope.key
        box = {VIEW: self.layers.visible_box(), BOX: self.box_scope.box}.get(scope)
        if box is not None and box.is_empty:
            self.session.notice.emit(Notice("warning", _NOT_IN_VIEW))
        elif scope == WHOLE or box is not None:
            self.session.predict(box, **self.form.changes())

    def retry_failed(self) -> None:
        """Predict the failed blocks again, and no others."""
        self.session.predict(None, **{**self.form.changes(), "only_failed": True})

    def refresh(self) -> None:
        """Show what can be done and how far it is."""
        self.box_scope.settle()
        self.map.draw()
        job, scope = self.session.job, self.scope.key
        is_predicting = job.verb == "predict" and not job.is_idle
        reason = self.session.why_not("predict") or self._why_not_scope()
        explain(self.button, _TIPS[scope], reason or self.form.problem)
        self.button.setVisible(not is_predicting)
        self.stop.setVisible(is_predicting)
        explain(self.stop, _STOP_TIP, self.session.why_not("cancel"))
        self.retry.setVisible(job.is_idle and self.map.counts[BlockState.FAILED] > 0)
        self._box_row.setVisible(scope == BOX)
        set_hint(self._hint, reason if job.is_idle else "")
        self.set_summary(self._summary())

    def close_panel(self) -> None:
        """Let go of the session, and take the box away."""
        super().close_panel()
        self.box_scope.close()
        self.failed.close()

    def _make_box_row(self) -> QWidget:
        depth = QSpinBox()
        depth.setRange(0, 100_000)
        depth.setValue(self.box_scope.depth)
        depth.setPrefix("± ")
        depth.setSuffix(" slices")
        depth.setToolTip("How many slices before and after the one you draw on.")
        depth.valueChanged.connect(self._on_depth)
        again = push_button(
            "Draw", "Draw the rectangle on the slice, with the mouse.", self._draw
        )
        holder = QWidget()
        holder.setLayout(row(again, depth, None))
        quieten_wheel(holder)
        return holder

    def _on_scope(self, scope: str) -> None:
        self._draw() if scope == BOX else self.box_scope.close()
        self.mark()

    def _draw(self) -> None:
        self.box_scope.draw()

    def _on_depth(self, depth: int) -> None:
        self.box_scope.depth = depth
        self.mark()

    def _why_not_scope(self) -> str:
        return self.box_scope.reason if self.scope.key == BOX else ""

    def _on_project(self, _project: object) -> None:
        self.box_scope.close()
        self.scope.choose(VIEW)
        self._show_blocks()

    def _on_plan(self, plan: BlocksPlanned) -> None:
        project = self.session.project
        if project is not None:
            states, shape = self.session.block_states, project.volume.shape
            self.map.set_plan(plan, states, shape)
            self.failed.set_plan(plan, states, shape)
        self._show_usual()

    def _on_block(self, index: int, state: BlockState) -> None:
        self.map.set_state(index, state)
        self.failed.set_state(index, state)
        self.mark()

    def _show_blocks(self, *_: object) -> None:
        plan, project = self.session.last_plan, self.session.project
        if plan is None or project is None:
            self.map.set_plan(None, {})
            self.failed.close()
            self._show_usual()
        else:
            self._on_plan(plan)

    def _show_usual(self, *_: object) -> None:
        """Show how it predicts if nobody changes anything."""
        usual = PredictConfig.model_validate(self.session.usual_prediction())
        for name in _FIELDS:
            self.form.set_default(name, getattr(usual, name))
        self.mark()

    def _reason_of(self, index: int) -> str:
        """Return why a block failed, from the log of the run."""
        project = self.session.project
        if project is None or project.active_model is None:
            return ""
        path = project.run_log_path(project.active_model)
        return DoneLog.read(path)[2].get(index, "")

    def _summary(self) -> str:
        project, counts = self.session.project, self.map.counts
        if project is None:
            return ""
        if project.active_model is None:
            return "no model yet"
        if not self.map.n_blocks:
            return "nothing predicted yet"
        finished = counts[BlockState.DONE] + counts[BlockState.EMPTY]
        text = f"{percent(finished, self.map.n_blocks)} of whole volume"
        failed = counts[BlockState.FAILED]
        return f"{text} · {failed} failed" if failed else text


def percent(part: int, whole: int) -> str:
    """Return a share in whole percent; 0 and 100 only if it is exactly that.

    Examples
    --------
    >>> percent(1, 1000), percent(999, 1000), percent(1, 2)
    ('1 %', '99 %', '50 %')
    """
    if 0 < part < whole:
        return f"{min(max(round(100 * part / whole), 1), 99)} %"
    return "100 %" if whole and part >= whole else "0 %"
