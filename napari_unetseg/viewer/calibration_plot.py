"""How far a model can be believed: what its card says of labels it never learned from.

::

    it was so │   ／·         errors │·
              │ ·／           left   │ ·
              │／·                   │   · ·  ·
              └──────── said so      └───────── share that is kept
"""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.models.store import ModelCard
from napari_unetseg.viewer.controls import label, set_hint
from napari_unetseg.viewer.style import Palette

NOT_MEASURED = (
    "Not measured: too few labels were held out that {} and the versions before it had "
    "never learned from."
)
_HEIGHT = 150
_RELIABILITY = (
    "Reliability: of voxels that were said to be so probable, how many were so. On the "
    "line the probabilities can be taken at their word."
)
_RISK = (
    "Risk and coverage: what is left of the errors when the least certain voxels are "
    "looked at first. The sooner it falls, the better the uncertainty points at errors."
)


class CalibrationPlot(QWidget):
    """A reliability diagram and a risk-coverage curve, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self._palette: Palette | None = None
        self._shown: dict[str, Any] | None = None
        self._plots: Any = None
        self._axes: tuple[Any, ...] = ()
        self._said = label(role="hint", wraps=True)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self._said)

    def show_card(self, card: ModelCard) -> None:
        """Draw what a card says; a sentence if it says nothing."""
        found = card.calibration
        set_hint(self._said, summary(card))
        if found and self._plots is None:
            self._make_plots()
        if self._plots is not None:
            self._plots.setVisible(bool(found))
        if found and found != self._shown:
            self._draw(found)
        self._shown = found

    def set_palette(self, palette: Palette) -> None:
        """Take other colours."""
        self._palette = palette
        if self._plots is not None:
            self._paint_axes()
            if self._shown:
                self._draw(self._shown)

    def _draw(self, found: dict[str, Any]) -> None:
        import pyqtgraph as pg

        assert self._palette is not None
        diagram, curve = found["reliability"], found["risk_coverage"]
        for axes in self._axes:
            axes.clear()
        reliability, risk = self._axes
        color = self._palette.busy
        reliability.plot([0, 1], [0, 1], pen=pg.mkPen(self._palette.line, width=1))
        dots: dict[str, Any] = {"symbol": "o", "symbolSize": 5, "symbolPen": None}
        reliability.plot(
            diagram["confidence"],
            diagram["frequency"],
            pen=pg.mkPen(color, width=1.5),
            symbolBrush=color,
            **dots,
        )
        risk.plot(curve["coverage"], curve["risk"], pen=pg.mkPen(color, width=2))

    def _make_plots(self) -> None:
        # Here and not above: pyqtgraph takes a while, and few look at this.
        import pyqtgraph as pg

        self._plots = pg.GraphicsLayoutWidget()
        self._plots.setFixedHeight(_HEIGHT)
        self._plots.setToolTip(f"{_RELIABILITY}\n\n{_RISK}")
        self._axes = tuple(self._plots.addPlot(row=0, col=col) for col in (0, 1))
        for axes in self._axes:
            axes.setMouseEnabled(x=False, y=False)
            axes.hideButtons()
            axes.setMenuEnabled(False)
            axes.setXRange(0, 1)
        self._axes[0].setYRange(0, 1)
        self._paint_axes()
        self._layout.addWidget(self._plots)

    def _paint_axes(self) -> None:
        assert self._palette is not None
        self._plots.setBackground(self._palette.card)
        texts = (("it was so", "said so"), ("errors", "share kept"))
        for axes, (left, bottom) in zip(self._axes, texts, strict=True):
            axes.setLabel("left", left, color=self._palette.muted)
            axes.setLabel("bottom", bottom, color=self._palette.muted)
            for side in ("left", "bottom"):
                axes.getAxis(side).setPen(self._palette.line)
                axes.getAxis(side).setTextPen(self._palette.muted)


def summary(card: ModelCard) -> str:
    """Return the figures of a card as one line."""
    found = card.calibration
    if not found:
        return NOT_MEASURED.format(card.version)
    parts = [f"{card.version}: calibration error {found['ece']:.3f}"]
    if found["temperature"] != 1.0:
        parts.append(
            f"{found['ece_before']:.3f} before its temperature of "
            f"{found['temperature']:.2f}"
        )
    parts.append(f"{found['voxels']:,} voxels held out")
    return " · ".join(parts)
