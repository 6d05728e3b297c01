from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score

from napari_unetseg.data.agreement_measures import (
    cohen_kappa,
    confusion,
    dice,
    disagreement,
    fleiss_kappa,
    krippendorff_alpha,
    pair_agreement,
    percent_agreement,
)
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.vote_patterns import PatternTable

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C:
# four observers, twelve units, missing values, nominal alpha 0.743.
NO = UNSET
KRIPPENDORFF = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
    [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
]


def table_of(rows: list[list[int]]) -> PatternTable:
    values = [np.array(row, np.uint8).reshape(1, 1, -1) for row in rows]
    return PatternTable.of([f"r{i}" for i in range(len(rows))], values)


def random_table(seed: int) -> tuple[PatternTable, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 0, 1, 2], 400)
    rows = [np.where(rng.random(400) < 0.3, rng.integers(0, 3, 400), truth)
            for _ in range(3)]  # fmt: skip
    return table_of([list(row) for row in rows]), np.array(rows)


def test_alpha_is_that_of_the_paper() -> None:
    assert krippendorff_alpha(table_of(KRIPPENDORFF)) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_two_raters_done_by_hand() -> None:
    # Krippendorff (2011), example A: ten units, binary; alpha = 0.095.
    a = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    b = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(table_of([a, b])) == pytest.approx(0.095, abs=5e-4)


def test_kappa_of_a_table_done_by_hand() -> None:
    # Four voxels, three raters; votes for (0, 1): (3,0) (0,3) (1,2) (2,1).
    table = table_of([[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]])
    observed = (1 + 1 + 1 / 3 + 1 / 3) / 4
    assert percent_agreement(table) == pytest.approx(observed)
    assert fleiss_kappa(table) == pytest.approx((observed - 0.5) / 0.5)
    # With one class, the class against everything else is the whole.
    assert fleiss_kappa(table.against_rest(1)) == pytest.approx(fleiss_kappa(table))


def test_cohens_kappa_done_by_hand() -> None:
    # Both yes 20, both no 15, 5 and 10 apart: po = 0.7, pe = 0.5, kappa = 0.4.
    votes = {(1, 1): 20, (0, 0): 15, (1, 0): 5, (0, 1): 10}
    table = PatternTable(("a", "b"), votes)
    assert confusion(table, 0, 1).tolist() == [[15, 10], [5, 20]]
    assert cohen_kappa(table, 0, 1) == pytest.approx(0.4)
    assert pair_agreement(table, 0, 1) == pytest.approx(0.7)
    assert dice(table, 0, 1, 1) == pytest.approx(40 / 55)


def test_pairs_are_those_of_sklearn() -> None:
    table, rows = random_table(1)
    assert cohen_kappa(table, 0, 2) == pytest.approx(
        cohen_kappa_score(rows[0], rows[2])
    )
    for class_id in (1, 2):
        a, c = rows[0] == class_id, rows[2] == class_id
        assert dice(table, 0, 2, class_id) == pytest.approx(f1_score(a, c))
        kappa = cohen_kappa(table.against_rest(class_id), 0, 2)
        assert kappa == pytest.approx(cohen_kappa_score(a, c))


def test_voxels_that_one_of_two_left_out_do_not_count_for_the_pair() -> None:
    table = table_of([[0, 1, NO, 1], [0, 1, 1, NO], [NO, NO, NO, NO]])
    assert pair_agreement(table, 0, 1) == 1.0
    assert cohen_kappa(table, 0, 1) == 1.0
    assert dice(table, 0, 1, 1) == 1.0
    assert dice(table, 0, 2, 1) is None
    assert percent_agreement(table) is None
    assert fleiss_kappa(table) is None


def test_what_cannot_be_computed_is_none() -> None:
    table = table_of([[0, 0], [0, 0]])
    assert percent_agreement(table) == 1.0
    assert fleiss_kappa(table) is None
    assert krippendorff_alpha(table) is None
    assert cohen_kappa(table, 0, 1) is None
    assert dice(table, 0, 1, 3) is None


def test_disagreement_of_patterns_done_by_hand() -> None:
    patterns = np.array(
        [[1, 1, 1], [1, 1, 0], [0, 1, 2], [1, 0, NO], [1, NO, NO], [NO, NO, NO]],
        np.uint8,
    )
    expected = [0, 2 / 3, 1, 1, 0, 0]
    assert disagreement(patterns) == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_measures_do_not_exceed_one_and_perfect_raters_reach_it(seed) -> None:
    table, rows = random_table(seed)
    same = table_of([list(rows[0])] * 3)
    for measure in (percent_agreement, fleiss_kappa, krippendorff_alpha):
        value = measure(table)
        assert value is not None
        assert value < 1
        assert measure(same) == pytest.approx(1.0)
