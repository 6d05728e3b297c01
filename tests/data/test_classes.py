from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_unetseg.data.classes import OKABE_ITO, ClassInfo, default_classes


def test_classes_are_numbered_from_one_in_palette_colours() -> None:
    classes = default_classes(["cell", " fibre "])
    assert [(c.id, c.name) for c in classes] == [(1, "cell"), (2, "fibre")]
    assert [c.color for c in classes] == list(OKABE_ITO[:2])


def test_colours_repeat_after_the_palette_ends() -> None:
    classes = default_classes([f"c{i}" for i in range(9)])
    assert classes[7].color == classes[0].color
    assert len({c.color for c in classes}) == len(OKABE_ITO)


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="name of its own"):
        default_classes(["cell", "cell "])


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 0, "name": "a", "color": "#000000"},
        {"id": 251, "name": "a", "color": "#000000"},
        {"id": 1, "name": "  ", "color": "#000000"},
        {"id": 1, "name": "a", "color": "red"},
    ],
)
def test_impossible_classes_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClassInfo.model_validate(fields)


def test_a_class_survives_json() -> None:
    info = ClassInfo.numbered(3, "Ähre")
    assert ClassInfo.model_validate_json(info.model_dump_json()) == info
    assert info.rgb == pytest.approx((0, 158 / 255, 115 / 255))
