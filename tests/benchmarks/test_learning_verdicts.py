from __future__ import annotations

from typing import Any

import pytest

from benchmarks.learning_verdicts import verdicts


def row(in_use: float, newest: float, judged: bool, promoted: bool) -> dict[str, Any]:
    return {
        "dice": {"a": in_use - 0.1, "b": in_use + 0.1},
        "dice_of_newest": {"a": newest, "b": newest},
        "judged": judged,
        "promoted": promoted,
    }


def test_a_verdict_is_worth_what_the_version_gains_over_the_one_in_use() -> None:
    ours = [
        row(0.55, 0.55, judged=False, promoted=False),
        row(0.60, 0.60, judged=True, promoted=True),
        row(0.60, 0.58, judged=True, promoted=False),
    ]
    random = [row(0.5, 0.54, judged=True, promoted=False)]
    figures = {
        "parents": {"vnc": {"dice": {"a": 0.5, "b": 0.5}}},
        "studies": [
            {"set": "vnc", "ours": {"rows": ours}, "random": {"rows": random}},
        ],
    }

    found = verdicts(figures)

    assert found["promoted"] == pytest.approx({"n": 1, "share": 1.0, "gain": 0.05})
    assert found["kept"] == pytest.approx({"n": 2, "share": 0.5, "gain": 0.01})


def test_there_is_none_where_nothing_was_judged() -> None:
    assert verdicts({}) == {}
