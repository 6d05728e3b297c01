"""Loss and Dice of a running training, drawn as they come."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.data.classes import ClassInfo, class_color
from napari_unetseg.events import StepDone
from napari_unetseg.viewer.controls import label
from napari_unetseg.viewer.style import Palette

_HEIGHT = 190
_TIP = (
    "Loss: lower is better. Dice: overlap with labels that were held out, 1 is "
    "perfect. The dashed line is the best so far, which is kept if you stop; at the "
    "end, the last weights are."
)


def best_step(steps: Sequence[StepDone]) -> StepDone | None:
    """Return the step with the best Dice, None before the first measurement."""
    measured = [step for step in steps if step.dice]
    return max(measured, key=mean_dice, default=None)


def mean_dice(step: StepDone) -> float:
    """Return the mean over the classes of a step that was measured."""
    return sum(step.dice.values()) / len(step.dice)


class TrainingPlot(QWidget):
    """Two small plots over the same steps: the loss, and Dice per class."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: Sequence[StepDone] = ()
        self._classes: tuple[ClassInfo, ...] = ()
        self._palette: Palette | None = None
        self._plots: Any = None
        self._loss: Any = None
        self._dice: Any = None
        self._is_drawn = True
        self.setToolTip(_TIP)
        self._key = label(role="hint", wraps=True)
        self._key.setTextFormat(Qt.TextFormat.RichText)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self._key)
        self.hide()

    def show_steps(
        self, steps: Sequence[StepDone], classes: Sequence[ClassInfo]
    ) -> None:
        """Draw what a training said, in the colours of the classes."""
        if self._is_drawn and len(steps) == len(self._steps):
            return
        self._steps, self._classes = tuple(steps), tuple(classes)
        self._draw()

    def set_palette(self, palette: Palette) -> None:
        """Take other colours for axes and background."""
        self._palette, self._is_drawn = palette, False
        if self._plots is not None:
            self._paint_axes()

    def _draw(self) -> None:
        self._is_drawn = True
        self.setVisible(bool(self._steps))
        if not self._steps:
            return
        if self._plots is None:
            self._make_plots()
        self._draw_curves()
        self._key.setText(self._summary())

    def _draw_curves(self) -> None:
        import pyqtgraph as pg

        assert self._palette is not None
        self._loss.clear()
        self._dice.clear()
        self._loss.plot(
            [step.step for step in self._steps],
            [step.loss for step in self._steps],
            pen=pg.mkPen(self._palette.busy, width=1.5),
        )
        for name, points in self._dice_curves().items():
            color = self._color(name)
            self._dice.plot(
                *zip(*points, strict=True),
                pen=pg.mkPen(color, width=2),
                symbol="o",
                symbolSize=4,
                symbolBrush=color,
                symbolPen=None,
            )
        # The whole way from the beginning: the curves grow to the right, in place.
        self._loss.setXRange(0, self._steps[-1].total, padding=0.02)
        last, best = self._steps[-1], best_step(self._steps)
        if best is not None and last.step < last.total:
            dashes = pg.mkPen(self._palette.muted, style=Qt.PenStyle.DashLine)
            self._dice.addItem(pg.InfiniteLine(best.step, pen=dashes))

    def _dice_curves(self) -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for step in self._steps:
            for name, value in step.dice.items():
                curves.setdefault(name, []).append((step.step, value))
        return curves

    def _summary(self) -> str:
        """Return the last values beside the colours of their curves, as HTML."""
        assert self._palette is not None
        shown = [(self._palette.busy, f"loss {self._steps[-1].loss:.3f}")]
        for name, points in self._dice_curves().items():
            text = f"{name} Dice {points[-1][1]:.2f}"
            shown.append((self._color(name), text))
        parts = (
            f'<span style="color:{color}">■</span>&nbsp;{escape(text)}'
            for color, text in shown
        )
        return "&nbsp;&nbsp; ".join(parts)

    def _color(self, name: str) -> str:
        for info in self._classes:
            if info.name == name:
                return info.color
        return class_color(1)

    def _make_plots(self) -> None:
        # Here and not above: pyqtgraph takes a while, and most docks never train.
        import pyqtgraph as pg

        self._plots = pg.GraphicsLayoutWidget()
        self._plots.setFixedHeight(_HEIGHT)
        self._plots.setToolTip(self.toolTip())
        self._loss = self._plots.addPlot(row=0, col=0)
        self._dice = self._plots.addPlot(row=1, col=0)
        self._dice.setXLink(self._loss)
        self._dice.setYRange(0, 1)
        self._dice.getAxis("left").setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])
        for plot in (self._loss, self._dice):
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.setMenuEnabled(False)
            plot.showGrid(x=False, y=True, alpha=0.15)
            plot.getAxis("left").setWidth(38)
        self._loss.getAxis("bottom").setStyle(showValues=False)
        self._paint_axes()
        self._layout.addWidget(self._plots)

    def _paint_axes(self) -> None:
        assert self._palette is not None
        self._plots.setBackground(self._palette.card)
        texts = ((self._loss, "loss", ""), (self._dice, "Dice", "step"))
        for plot, left, bottom in texts:
            plot.setLabel("left", left, color=self._palette.muted)
            if bottom:
                plot.setLabel("bottom", bottom, color=self._palette.muted)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(self._palette.line)
                plot.getAxis(side).setTextPen(self._palette.muted)
