"""A drawing for reports: points over an axis that begins at 0, shares from 0 to 1.

Plain SVG. Axes and text take their colours from the page, points have their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 260
_LEFT, _TOP, _BELOW, _RIGHT = 52, 16, 46, 24
_STEPS = 5


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes
    ----------
    text
        What is said of it when the mouse points at it.
    name
        Written below it.
    is_hollow
        Whether it is to be taken with care.
    careful
        What it would be with care, drawn as a cross; None for no cross.
    """

    x: float
    y: float
    text: str
    name: str = ""
    is_hollow: bool = False
    careful: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one name and colour, joined by a line."""

    name: str
    color: str
    points: tuple[Point, ...]


def scatter(series: Sequence[Series], x_title: str, y_title: str, title: str) -> str:
    """Return the drawing."""
    largest = max((p.x for one in series for p in one.points), default=0.0)
    step = nice_step(largest)
    top = max(step, math.ceil(largest / step - 1e-9) * step)
    parts = [*_axes(step, top, x_title, y_title)]
    for number, one in enumerate(series):
        parts += [*_drawn(one, top), _key(one, number)]
    height = _HEIGHT + 20 * len(series)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" '
        f'height="{height}" viewBox="0 0 {_WIDTH} {height}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def nice_step(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, of which about five make the axis."""
    if largest <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(largest / _STEPS))
    return next(n * power for n in (1, 2, 5, 10) if n * power * _STEPS >= largest)


def _place(x: float, y: float, top: float) -> tuple[float, float]:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BELOW
    return _LEFT + width * x / top, _TOP + height * (1 - y)


def _axes(step: float, top: float, x_title: str, y_title: str) -> Iterator[str]:
    for n in range(_STEPS + 1):
        (x0, y), (x1, _) = (_place(x, n / _STEPS, top) for x in (0.0, top))
        yield (
            f'<line x1="{x0:g}" y1="{y:g}" x2="{x1:g}" y2="{y:g}" '
            'stroke="var(--line)"/>'
        )
        yield _text(x0 - 8, y, f"{n / _STEPS:g}", "end")
    bottom = _HEIGHT - _BELOW
    for n in range(round(top / step) + 1):
        x, _ = _place(n * step, 0, top)
        yield f'<line x1="{x:g}" y1="{bottom}" x2="{x:g}" y2="{bottom + 4}" ' \
            'stroke="var(--line)"/>'  # fmt: skip
        yield _text(x, bottom + 14, f"{n * step:g}", "middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 34, x_title, "middle")
    middle = (_TOP + bottom) / 2
    yield (
        f'<text transform="translate(12 {middle:g}) rotate(-90)" text-anchor="middle" '
        f'dy="0.35em" fill="var(--ink)">{escape(y_title)}</text>'
    )


def _drawn(one: Series, top: float) -> Iterator[str]:
    color = escape(one.color)
    places = [_place(p.x, p.y, top) for p in one.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>'
    for point, (x, y) in zip(one.points, places, strict=True):
        fill = "var(--paper)" if point.is_hollow else color
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" '
            f'stroke="{color}" stroke-width="1.5">'
            f"<title>{escape(point.text)}</title></circle>"
        )
        lowest = y
        if point.careful is not None:
            _, cross = _place(point.x, point.careful, top)
            lowest = max(y, cross)
            yield (
                f'<path d="M {x - 4:.1f} {cross - 4:.1f} l 8 8 m 0 -8 l -8 8" '
                f'stroke="{color}" stroke-width="1.5"/>'
            )
        if point.name:
            yield _text(x, lowest + 16, point.name, "middle")


def _key(one: Series, number: int) -> str:
    y = _HEIGHT + 20 * number + 6
    dot = f'<circle cx="{_LEFT}" cy="{y}" r="4.5" fill="{escape(one.color)}"/>'
    return dot + _text(_LEFT + 12, y, one.name, "start")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}" '
        f'fill="var(--ink)">{escape(text)}</text>'
    )
