"""Two drawings for reports: bars, and a matrix of numbers. Plain SVG, sized in text.

Colours come from the page (``--ink``, ``--faint``, ``--mark``, ``--doubt``), so that
they follow a light or a dark screen. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_ROW, _LETTER, _BAR, _PAD = 24, 7.2, 320, 8
_CELL = 64
_MOST_LETTERS = 44


@dataclass(frozen=True)
class BarRow:
    """One bar.

    Attributes
    ----------
    share
        Its length, 0 to 1.
    text
        What stands behind it.
    is_doubt
        Whether it shows what raters differ on.
    """

    label: str
    share: float
    text: str
    is_doubt: bool = False


def bars(rows: Sequence[BarRow], title: str) -> str:
    """Return horizontal bars, one below the other."""
    left = _width([row.label for row in rows])
    right = _width([row.text for row in rows])
    width, height = left + _BAR + right, _ROW * len(rows) + _PAD
    parts = []
    for number, row in enumerate(rows):
        middle = _ROW * number + _ROW / 2 + _PAD / 2
        length = max(1.0, _BAR * min(1.0, max(0.0, row.share)))
        color = "doubt" if row.is_doubt else "mark"
        parts += [
            _text(left - _PAD, middle, row.label, "end"),
            f'<rect x="{left:g}" y="{middle - 7:g}" width="{length:.1f}" height="14" '
            f'rx="2" fill="var(--{color})"/>',
            _text(left + length + _PAD, middle, row.text, "start", "faint"),
        ]
    return _svg(width, height, title, parts)


def matrix(names: Sequence[str], values: Sequence[Sequence[float | None]],
           title: str) -> str:  # fmt: skip
    """Return numbers between 0 and 1 as squares, the higher the stronger."""
    left, top = _width(names), 28
    cell = max(_CELL, _width(names) if len(names) < 6 else _CELL)
    parts = []
    for column, name in enumerate(names):
        x = left + cell * column + cell / 2
        parts.append(_text(x, top / 2, _short(name, int(cell / _LETTER)), "middle"))
    for row, name in enumerate(names):
        y = top + _ROW * 1.5 * row
        parts.append(_text(left - _PAD, y + _ROW * 0.75, name, "end"))
        for column, value in enumerate(values[row]):
            x = left + cell * column
            strength = 0.0 if value is None else 0.55 * min(1.0, max(0.0, value))
            shown = "–" if value is None else f"{value:.3f}"
            parts += [
                f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{cell - 2:g}" '
                f'height="{_ROW * 1.5 - 2:g}" rx="2" fill="var(--mark)" '
                f'fill-opacity="{strength:.2f}" stroke="var(--line)"/>',
                _text(x + cell / 2, y + _ROW * 0.75, shown, "middle"),
            ]
    width, height = left + cell * len(names), top + _ROW * 1.5 * len(names)
    return _svg(width, height, title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, color: str = "ink") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}" '
        f'fill="var(--{color})">{escape(_short(text))}</text>'
    )


def _width(texts: Sequence[str]) -> float:
    longest = max((len(_short(text)) for text in texts), default=0)
    return longest * _LETTER + 2 * _PAD


def _short(text: str, most: int = _MOST_LETTERS) -> str:
    return text if len(text) <= most else text[: max(1, most - 1)] + "…"
