"""Dice of every model version against the minutes that people had spent by then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.data.effort_report import series_of
from napari_unetseg.data.report_points import Series
from napari_unetseg.viewer.style import Palette

_HEIGHT = 170
_TIP = (
    "Dice of each version on the reviewed regions that it has predicted, against the "
    "active minutes of everybody until it was made. A hollow point was accepted as it "
    "was in some of these regions, and so is its own reference there; the cross is its "
    "Dice in the others."
)


class EffortPlot(QWidget):
    """One point per version and class, in the colour of the class."""

    def __init__(self) -> None:
        super().__init__()
        self._palette: Palette | None = None
        self._shown: Mapping[str, Any] | None = None
        self._plot: Any = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def show_found(self, found: Mapping[str, Any] | None) -> None:
        """Draw what was measured; take no room if no version has a point."""
        self._shown = found
        has_points = found is not None and any(s.points for s in series_of(found))
        self.setVisible(has_points)
        if has_points and self._palette is not None:
            self._draw()

    def set_palette(self, palette: Palette) -> None:
        """Take other colours."""
        self._palette = palette
        if self._plot is not None:
            self._paint_axes()
            self._draw()

    def _draw(self) -> None:
        if self._plot is None:
            self._make_plot()
        axes = self._plot.getPlotItem()
        axes.clear()
        if self._shown is not None:
            for series in series_of(self._shown):
                if series.points:
                    self._draw_series(axes, series)
            self._name_versions(axes, self._shown)

    def _draw_series(self, axes: Any, series: Series) -> None:
        import pyqtgraph as pg

        assert self._palette is not None
        paper = pg.mkBrush(self._palette.card)
        full = pg.mkBrush(series.color)
        axes.plot(
            [point.x for point in series.points],
            [point.y for point in series.points],
            pen=pg.mkPen(series.color, width=1.5),
            symbol="o",
            symbolSize=8,
            symbolPen=pg.mkPen(series.color, width=1.5),
            symbolBrush=[paper if point.is_hollow else full for point in series.points],
        )
        careful = [(p.x, p.careful) for p in series.points if p.careful is not None]
        if careful:
            axes.plot(
                *zip(*careful, strict=True),
                pen=None,
                symbol="x",
                symbolSize=7,
                symbolPen=None,
                symbolBrush=full,
            )

    def _name_versions(self, axes: Any, found: Mapping[str, Any]) -> None:
        """Write the names of the versions under their points."""
        import pyqtgraph as pg

        assert self._palette is not None
        for row in found["versions"]:
            known = [value for value in row["dice"].values() if value is not None]
            if known:
                name = pg.TextItem(
                    row["version"], self._palette.muted, anchor=(0.5, -0.2)
                )
                name.setPos(row["minutes"], min(known))
                axes.addItem(name)

    def _make_plot(self) -> None:
        # Here and not above: pyqtgraph takes a while, and few look at this.
        import pyqtgraph as pg

        self._plot = pg.PlotWidget()
        self._plot.setFixedHeight(_HEIGHT)
        self._plot.setToolTip(_TIP)
        axes = self._plot.getPlotItem()
        axes.setMouseEnabled(x=False, y=False)
        axes.hideButtons()
        axes.setMenuEnabled(False)
        axes.showGrid(x=False, y=True, alpha=0.15)
        axes.setYRange(0, 1, padding=0.08)  # else the 1 is cut off
        axes.getAxis("left").setWidth(38)
        self._paint_axes()
        self._layout.addWidget(self._plot)

    def _paint_axes(self) -> None:
        assert self._palette is not None
        self._plot.setBackground(self._palette.card)
        axes = self._plot.getPlotItem()
        axes.setLabel("left", "Dice", color=self._palette.muted)
        axes.setLabel("bottom", "active minutes", color=self._palette.muted)
        for side in ("left", "bottom"):
            axes.getAxis(side).setPen(self._palette.line)
            axes.getAxis(side).setTextPen(self._palette.muted)
