"""The classes of a project: what the label values mean and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from napari_unetseg.config import Config

# Okabe and Ito's palette without black: told apart with any kind of colour vision.
# Orange and sky blue come first because they stand out most on grey images.
OKABE_ITO = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#0072b2",
    "#d55e00",
)
MAX_CLASSES = 250

ClassName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)
]


class ClassInfo(Config):
    """One class: its label value, name and colour."""

    id: Annotated[int, Field(ge=1, le=MAX_CLASSES)] = Field(
        description="Label value; 0 is background and belongs to no class."
    )
    name: ClassName = Field(description="What the class is called.")
    color: str = Field(
        pattern=r"^#[0-9a-f]{6}$", description="Colour as #rrggbb, lower case."
    )
    thin: bool = Field(
        default=False,
        description="Sheets or fibres of a few voxels: seen from afar, a cell shows "
        "them if any of its voxels does, instead of what most of them are.",
    )

    @classmethod
    def numbered(cls, number: int, name: str) -> Self:
        """Return the class of this id with the colour that the palette has for it."""
        return cls(id=number, name=name, color=class_color(number))

    @property
    def rgb(self) -> tuple[float, float, float]:
        """The colour as red, green, blue between 0 and 1."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red / 255, green / 255, blue / 255


def thin_ids(classes: Sequence[ClassInfo]) -> tuple[int, ...]:
    """Return the ids of the thin classes."""
    return tuple(info.id for info in classes if info.thin)


def class_color(number: int) -> str:
    """Return the palette's colour for class ``number`` (1 is the first)."""
    return OKABE_ITO[(number - 1) % len(OKABE_ITO)]


def default_classes(names: Sequence[str]) -> tuple[ClassInfo, ...]:
    """Return classes 1, 2, … of these names in Okabe–Ito colours.

    Raises
    ------
    ValueError
        If there are more than 250 names, one is empty, or one stands twice.

    Examples
    --------
    >>> [(c.id, c.name, c.color) for c in default_classes(["cell", "fibre"])]
    [(1, 'cell', '#e69f00'), (2, 'fibre', '#56b4e9')]
    """
    tidy = [name.strip() for name in names]
    if len(tidy) > MAX_CLASSES:
        raise ValueError(f"At most {MAX_CLASSES} classes: got {len(tidy)}.")
    if len(set(tidy)) != len(tidy):
        raise ValueError(f"Every class needs a name of its own: got {tidy}.")
    return tuple(
        ClassInfo.numbered(number, name) for number, name in enumerate(tidy, start=1)
    )
