"""How the dock looks: one palette per napari theme, one style sheet made of it.

Widgets say what they are through the property ``role``; the sheet decides the rest::

    primary   the one button that matters     chip     model and annotator
    quiet     text that can be pressed        segment  one of a row of choices
    hint      what to do next, dimmed         section  a small heading
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from napari.utils.colormaps import ensure_colormap
from napari.utils.theme import get_theme
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QWidget

from napari_unetseg.data.classes import class_color

SPACE: Final = 8
RADIUS: Final = 6
SWATCH: Final = 12
_SHARP = 3  # pixels drawn per pixel, so that small pictures stay sharp on any screen


@dataclass(frozen=True)
class Palette:
    """Colours as ``#rrggbb``, named by what they are for."""

    is_dark: bool
    window: str
    card: str
    line: str
    control: str
    hover: str
    text: str
    muted: str
    accent: str
    on_accent: str
    ok: str
    busy: str
    warning: str
    error: str
    font_pt: float


def palette_of(theme_id: str) -> Palette:
    """Return the palette for one of napari's themes."""
    theme = get_theme(theme_id)
    is_dark = theme.type == "dark"
    window, text = theme.background.as_hex("long"), theme.text.as_hex("long")
    return Palette(
        is_dark=is_dark,
        window=window,
        card=mixed(window, "#ffffff", 0.045 if is_dark else 0.5),
        line=mixed(window, text, 0.16),
        control=mixed(window, text, 0.13 if is_dark else 0.09),
        hover=mixed(window, text, 0.22 if is_dark else 0.17),
        text=text,
        muted=mixed(text, window, 0.32),
        accent="#4a6fe3" if is_dark else "#3457cc",
        on_accent="#ffffff",
        ok="#56c596" if is_dark else "#0b7a50",
        busy="#7fb2ff" if is_dark else "#2457c5",
        warning="#f2c14e" if is_dark else "#8a5a00",
        error="#ff8a80" if is_dark else "#c0221f",
        font_pt=float(theme.font_size.removesuffix("pt")),
    )


def mixed(color: str, other: str, share: float) -> str:
    """Return a colour between two; ``share`` is how much of the other.

    Examples
    --------
    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(bytes.fromhex(color[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def annotator_color(name: str, names: tuple[str, ...]) -> str:
    """Return the colour of a person: the same as long as the others stay the same."""
    known = sorted({*names, name})
    # From the end of the palette: classes take theirs from its beginning.
    return class_color(7 - known.index(name) % 7)


def set_role(widget: QWidget, role: str) -> None:
    """Say what a widget is, and let the style sheet look again."""
    set_flag(widget, "role", role)


def set_flag(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet knows."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    style = widget.style()
    if style is not None:
        style.unpolish(widget)
        style.polish(widget)


def swatch(color: str, size: int = SWATCH) -> QIcon:
    """Return a small rounded square of a colour, legible on any background."""
    pixmap = QPixmap(size * _SHARP, size * _SHARP)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_SHARP, _SHARP)
    painter.setPen(QPen(QColor(128, 128, 128, 160), 1))
    painter.setBrush(QColor(color))
    painter.drawRoundedRect(QRectF(0.5, 0.5, size - 1, size - 1), 3, 3)
    painter.end()
    return _untinted(pixmap)


def hollow_swatch(color: str, size: int = SWATCH) -> QIcon:
    """Return an outlined square: the background, which paints nothing."""
    pixmap = QPixmap(size * _SHARP, size * _SHARP)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_SHARP, _SHARP)
    painter.setPen(QPen(QColor(color), 1.2))
    painter.drawRoundedRect(QRectF(1, 1, size - 2, size - 2), 3, 3)
    painter.drawLine(3, size - 3, size - 3, 3)
    painter.end()
    return _untinted(pixmap)


def _untinted(pixmap: QPixmap) -> QIcon:
    """Return an icon that keeps its colour in a selected row."""
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon


def gradient(colormap: str, width: int = 96, height: int = 10) -> QPixmap:
    """Return a bar of a colour map from 0 to 1, for legends."""
    import numpy as np

    row = ensure_colormap(colormap).map(np.linspace(0, 1, width))
    rgba = np.ascontiguousarray((row * 255).round().astype(np.uint8)[None])
    image = QImage(rgba.tobytes(), width, 1, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image.scaled(width, height))


def style_sheet(p: Palette) -> str:
    """Return the sheet of the dock; it comes on top of napari's own."""
    small, normal, large = p.font_pt - 0.5, p.font_pt, p.font_pt + 2
    return "\n".join(
        (
            _frames(p),
            _texts(p, small, normal, large),
            _buttons(p, normal),
            _fields(p, normal),
        )
    )


def _frames(p: Palette) -> str:
    return f"""
QWidget {{ background: transparent; font-size: {p.font_pt}pt; padding: 0px; }}
#UnetsegDock, #UnetsegCards {{ background: {p.window}; }}
#UnetsegDock[drop="true"] {{ border: 2px dashed {p.accent}; }}
#Header {{ border-bottom: 1px solid {p.line}; }}
#StatusLine {{ border-top: 1px solid {p.line}; }}
#Card {{ background: {p.card}; border: 1px solid {p.line}; border-radius: {RADIUS}px; }}
#Card[highlight="true"] {{ border: 2px solid {p.accent}; }}
#Tour, #Question {{ background: {mixed(p.window, p.accent, 0.18)};
    border: 1px solid {p.accent}; border-radius: {RADIUS}px; }}
#NotSaved {{ background: {mixed(p.window, p.warning, 0.16)};
    border: 1px solid {p.warning}; border-radius: {RADIUS}px; }}
#Log {{ background: {p.card}; border-top: 1px solid {p.line}; }}
QToolTip {{ background: {p.card}; color: {p.text}; border: 1px solid {p.line};
    padding: 4px; }}
QProgressBar {{ background: {p.control}; border: 0px; border-radius: 2px;
    min-height: 4px; max-height: 4px; }}
QProgressBar::chunk {{ background: {p.busy}; border-radius: 2px; }}
"""


def _texts(p: Palette, small: float, normal: float, large: float) -> str:
    return f"""
QLabel {{ color: {p.text}; font-size: {normal}pt; }}
QLabel[role="title"] {{ font-weight: 600; font-size: {large - 1}pt; }}
QLabel[role="card-title"] {{ font-weight: 600; font-size: {normal + 0.5}pt; }}
QLabel[role="summary"], QLabel[role="hint"], QLabel[role="field"] {{
    color: {p.muted}; font-size: {normal}pt; }}
QLabel[role="section"] {{ color: {p.muted}; font-size: {small}pt; font-weight: 600; }}
QLabel[role="problem"] {{ color: {p.error}; font-size: {normal}pt; }}
QLabel[role="arrow"] {{ color: {p.muted}; }}
QLabel[state="saved"] {{ color: {p.ok}; }}
QLabel[state="saving"] {{ color: {p.busy}; }}
QLabel[state="not_saved"] {{ color: {p.warning}; font-weight: 600; }}
QLabel[state="none"] {{ color: {p.muted}; }}
QLabel[level="warning"] {{ color: {p.warning}; }}
QLabel[level="error"] {{ color: {p.error}; }}
"""


def _buttons(p: Palette, normal: float) -> str:
    faded = mixed(p.text, p.card, 0.55)
    return f"""
QPushButton, QToolButton {{ background: {p.control}; color: {p.text}; border: 0px;
    border-radius: 4px; padding: 5px 10px; font-size: {normal}pt; min-height: 16px; }}
QPushButton:hover, QToolButton:hover {{ background: {p.hover}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {p.line}; }}
QPushButton:focus, QToolButton:focus {{ border: 1px solid {p.accent};
    padding: 4px 9px; }}
QPushButton:disabled, QToolButton:disabled {{ background: {p.control};
    color: {faded}; border: 0px; }}
QPushButton[role="primary"] {{ background: {p.accent}; color: {p.on_accent};
    font-weight: 600; padding: 6px 14px; }}
QPushButton[role="primary"]:hover {{ background: {mixed(p.accent, p.text, 0.15)}; }}
QPushButton[role="primary"]:focus {{ border: 1px solid {p.text}; padding: 5px 13px; }}
QPushButton[role="primary"]:disabled {{ background: {p.control}; color: {faded}; }}
QPushButton[role="quiet"], QToolButton[role="quiet"] {{ background: transparent;
    color: {p.muted}; padding: 5px 6px; }}
QPushButton[role="quiet"]:hover, QToolButton[role="quiet"]:hover {{
    color: {p.text}; background: {p.control}; }}
QPushButton[role="quiet"]:focus, QToolButton[role="quiet"]:focus {{
    padding: 4px 5px; }}
QPushButton[role="quiet"]:disabled {{ color: {faded}; background: transparent; }}
QPushButton[role="segment"] {{ border-radius: 4px; padding: 5px 4px; }}
QPushButton[role="segment"]:checked {{ background: {p.accent}; color: {p.on_accent};
    font-weight: 600; }}
QPushButton[role="segment"]:checked:disabled {{ background: {p.hover};
    color: {faded}; }}
QPushButton[role="segment"]:focus {{ padding: 4px 3px; }}
QToolButton[role="chip"] {{ background: {p.control}; border-radius: 11px;
    padding: 3px 8px; }}
QToolButton[role="chip"]:hover {{ background: {p.hover}; }}
QToolButton[role="chip"]:focus {{ padding: 2px 7px; }}
QToolButton::menu-indicator {{ image: none; width: 0px; }}
#CardHeader {{ background: transparent; border-radius: {RADIUS}px; padding: 0px;
    min-height: 30px; }}
#CardHeader:hover {{ background: {p.control}; }}
#CardHeader:focus {{ border: 1px solid {p.accent}; padding: 0px; }}
"""


def _fields(p: Palette, normal: float) -> str:
    return f"""
QComboBox, QLineEdit, QAbstractSpinBox {{ background: {p.control}; color: {p.text};
    border: 1px solid {p.control}; border-radius: 4px; padding: 2px 6px;
    min-height: 18px; min-width: 40px; font-size: {normal}pt; }}
QComboBox:focus, QLineEdit:focus, QAbstractSpinBox:focus {{
    border: 1px solid {p.accent}; }}
QLineEdit[wrong="true"], QAbstractSpinBox[wrong="true"] {{
    border: 1px solid {p.error}; }}
QComboBox QAbstractItemView {{ background: {p.card}; color: {p.text};
    border: 1px solid {p.line}; selection-background-color: {p.hover}; }}
QComboBox QAbstractItemView::item:disabled {{ color: {p.muted}; }}
QCheckBox {{ color: {p.text}; font-size: {normal}pt; spacing: 6px; padding: 1px; }}
QCheckBox::indicator {{ background: {p.control}; border: 1px solid {p.muted};
    width: 13px; height: 13px; border-radius: 3px; }}
QCheckBox::indicator:checked {{ background: {p.accent}; border-color: {p.accent}; }}
QListView, QTreeView {{ background: {p.window}; color: {p.text};
    border: 1px solid {p.line}; border-radius: 4px; font-size: {normal}pt;
    outline: 0px; }}
QListView::item, QTreeView::item {{ padding: 3px 4px; border: 0px;
    color: {p.text}; background: transparent; }}
QListView::item:hover, QTreeView::item:hover {{ background: {p.control}; }}
QListView::item:selected, QTreeView::item:selected {{
    background: {mixed(p.window, p.accent, 0.45)}; color: {p.text}; }}
QHeaderView::section {{ background: transparent; color: {p.muted}; border: 0px;
    padding: 2px 4px; font-size: {normal - 0.5}pt; }}
QPlainTextEdit {{ background: {p.window}; color: {p.text};
    border: 1px solid {p.line}; border-radius: 4px; }}
QScrollBar:vertical {{ background: transparent; max-width: 10px; margin: 0px; }}
QScrollBar::handle:vertical {{ background: {p.hover}; border-radius: 4px;
    min-height: 24px; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0px; }}
QMenu {{ background: {p.card}; color: {p.text}; border: 1px solid {p.line}; }}
QMenu::item {{ padding: 4px 18px 4px 10px; }}
QMenu::item:selected {{ background: {p.hover}; }}
QMenu::item:disabled {{ color: {p.muted}; }}
"""
