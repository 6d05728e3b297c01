from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.click_segmenter import ClickResult, segment
from napari_unetseg.interactive.prompts import BoxPrompt, Click, Prompt, Scribble

SHAPE = (32, 80, 80)
CENTRE: Zyx = (16, 40, 40)


def ball(centre: Zyx = CENTRE, radius: float = 9) -> np.ndarray:
    grid = np.indices(SHAPE, np.float32)
    far = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
    inside: np.ndarray = far < radius**2
    return inside


def noisy(objects: np.ndarray, *, bright: float = 100, dark: float = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.where(objects, bright, dark) + rng.normal(0, 8, SHAPE)
    return image.astype(np.float32)


def without_network(
    image: np.ndarray, *prompts: Prompt, probability: np.ndarray | None = None
) -> ClickResult:
    def read_probability(box: Box) -> np.ndarray:
        assert probability is not None
        return probability[(slice(None), *box.slices)]

    return segment(
        prompts,
        SHAPE,
        read_probability=None if probability is None else read_probability,
        read_image=lambda box: image[box.slices],
        image_class=3,
    )


def dice(result: ClickResult, truth: np.ndarray) -> float:
    found = np.zeros(SHAPE, bool)
    found[result.box.slices] = result.mask
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.mark.parametrize(("bright", "dark"), [(100, 40), (40, 100)])
def test_an_object_is_found_without_a_model(bright: float, dark: float) -> None:
    truth = ball()
    result = without_network(noisy(truth, bright=bright, dark=dark), Click(CENTRE))
    assert dice(result, truth) > 0.85
    assert (result.found_by, result.class_id) == ("image", 3)


def test_the_image_steps_in_where_the_network_knows_nothing() -> None:
    truth, probability = ball(), np.zeros((1, *SHAPE), np.uint8)
    image = noisy(truth)
    assert without_network(image, Click(CENTRE), probability=probability).found_by == (
        "image"
    )
    probability[0, truth] = 200
    found = without_network(image, Click(CENTRE), probability=probability)
    assert (found.found_by, found.class_id) == ("prediction", 1)


def test_a_box_finds_what_is_inside_and_nothing_beyond() -> None:
    truth, other = ball(), ball((16, 40, 59))  # they touch
    image = noisy(truth | other)
    around = Box((5, 29, 29), (27, 51, 51))
    result = without_network(image, BoxPrompt(around))
    assert around.contains(result.box)
    assert dice(result, truth) > 0.9


def test_an_empty_box_is_a_sentence() -> None:
    probability = np.zeros((1, *SHAPE), np.uint8)
    with pytest.raises(NothingHereError):
        segment(
            [BoxPrompt(Box((0, 0, 0), (4, 4, 4)))],
            SHAPE,
            read_probability=lambda box: probability[(slice(None), *box.slices)],
        )


def test_a_box_finds_what_the_network_knows() -> None:
    truth = ball()
    probability = (200 * truth[None]).astype(np.uint8)
    around = Box((5, 29, 29), (27, 51, 51))
    result = without_network(noisy(truth), BoxPrompt(around), probability=probability)
    assert result.found_by == "prediction"
    assert dice(result, truth) == 1.0


def test_a_box_is_put_right_by_clicks() -> None:
    truth = ball()
    image = noisy(truth | ball((16, 40, 57), 5))
    around = Box((5, 29, 29), (27, 51, 62))
    prompts = [BoxPrompt(around), Click(CENTRE), Click((16, 40, 57), positive=False)]
    result = without_network(image, *prompts)
    assert dice(result, truth) > 0.88


def test_a_scribble_takes_all_that_it_crosses() -> None:
    one, other = ball((16, 40, 28), 7), ball((16, 40, 56), 7)
    image = noisy(one | other)
    line = Scribble(((16, 40, 28), (16, 40, 56)))
    result = without_network(image, line)
    assert dice(result, one | other) > 0.65
    point = [
        16 - result.box.start[0],
        40 - result.box.start[1],
        42 - result.box.start[2],
    ]
    assert result.mask[tuple(point)]  # drawn through: the person's word
