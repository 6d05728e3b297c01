from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.training.bootstrap import Score, compare, needed_share

SIZE = np.array([1000.0])


def scores(dice: list[float]) -> list[Score]:
    return [Score(SIZE * value, SIZE) for value in dice]


def test_what_is_better_everywhere_is_better() -> None:
    found = compare(scores([0.7, 0.8, 0.9, 0.6]), scores([0.75, 0.83, 0.94, 0.69]))
    assert found.is_clear
    assert found.n_better == found.n == 4
    assert found.champion == pytest.approx(0.75)
    assert found.gain == pytest.approx(0.0525)
    assert found.probability == 1.0


def test_the_same_is_not_better() -> None:
    found = compare(scores([0.7, 0.8, 0.9]), scores([0.7, 0.8, 0.9]))
    assert not found.is_clear
    assert found.gain == 0
    assert found.n_better == 0


def test_the_same_regions_and_seed_give_the_same_answer() -> None:
    pair = scores([0.7, 0.8, 0.9, 0.8]), scores([0.8, 0.75, 0.95, 0.81])
    assert compare(*pair) == compare(*pair)
    assert compare(*pair).probability != compare(*pair, seed=1).probability


def test_regions_are_pooled_and_pairs_stay_together() -> None:
    """A large region counts more, and how hard it is makes no difference."""
    large = Score(np.array([9000.0]), np.array([10_000.0]))
    small = Score(np.array([1.0]), np.array([10.0]))
    assert compare([large, small], [large, small]).champion == pytest.approx(
        0.899, 0.01
    )
    easy_and_hard = [0.99, 0.1, 0.95, 0.2, 0.9]
    better = [dice + 0.006 for dice in easy_and_hard]
    assert compare(scores(easy_and_hard), scores(better)).is_clear


def test_a_class_that_neither_has_in_a_draw_does_not_count() -> None:
    nothing, some = np.zeros(2), np.array([0.0, 100.0])
    only_second = Score(some * 0.8, some)
    both = Score(np.array([50.0, 80.0]), np.array([100.0, 100.0]))
    found = compare([only_second, both], [only_second, both])
    assert found.champion == pytest.approx((0.5 + 0.8) / 2)
    lost = compare([only_second] * 2, [Score(nothing, some)] * 2)
    assert lost.champion == pytest.approx(0.8)
    assert lost.challenger == 0


@pytest.mark.parametrize("n", [3, 5, 8])
def test_chance_is_seldom_taken_for_progress(n: int) -> None:
    """With no difference but noise; three that are all better come up once in eight."""
    rng = np.random.default_rng(n)
    trials = 300
    noise = 0.8 + rng.normal(0, 0.02, (trials, n))
    clear = [
        compare(scores([0.8] * n), scores(list(row)), draws=500).is_clear
        for row in noise
    ]
    assert np.mean(clear) < (0.17 if n == 3 else 0.09)


def test_few_draws_must_be_all_but_unanimous() -> None:
    shares = [needed_share(n) for n in (2, 3, 5, 8, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.95, abs=1e-3)
    assert needed_share(3) > 1 - 1 / 27, "one worse region of three is enough to doubt"
