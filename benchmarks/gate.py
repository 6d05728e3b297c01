"""How often noise passes for progress at the gate, and how often progress is seen.

Two models are equally good on average, or one is better by a little; their Dice on a
region differs by noise besides. Counted is how often the gate would find the second one
better, beside a plain 95 % percentile of the same bootstrap.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.training.bootstrap import LEVEL, Comparison, Score, compare
from napari_unetseg.training.gate import LEAST_GAIN

REGIONS = (3, 4, 5, 8)
NOISE = (0.005, 0.02, 0.05)
GAIN = 0.03
DICE = 0.8
SIZE = np.array([1000.0])


def scores(dice: Sequence[float]) -> list[Score]:
    """Return scores of one class in regions of one size."""
    return [Score(SIZE * value, SIZE) for value in dice]


def comparisons(
    n: int, noise: float, gain: float, trials: int, rng: np.random.Generator
) -> list[Comparison]:
    """Compare many pairs of models."""
    better = DICE + gain + rng.normal(0, noise, (trials, n))
    return [compare(scores([DICE] * n), scores(list(row))) for row in better]


def passed(found: Sequence[Comparison], *, plain: bool) -> float:
    """Return the share of the pairs that the gate would take for progress."""
    clear = [c.probability >= LEVEL if plain else c.is_clear for c in found]
    enough = [c.gain >= LEAST_GAIN for c in found]
    return float(np.mean(np.logical_and(clear, enough)))


def measure(trials: int) -> list[dict[str, float]]:
    """Return the shares for all numbers of regions and all kinds of noise."""
    rng, rows = np.random.default_rng(0), []
    for noise, n in itertools.product(NOISE, REGIONS):
        same = comparisons(n, noise, 0.0, trials, rng)
        better = comparisons(n, noise, GAIN, trials, rng)
        row = {
            "noise": noise,
            "regions": n,
            "noise_passed": passed(same, plain=False),
            "noise_passed_plain": passed(same, plain=True),
            "progress_passed": passed(better, plain=False),
            "progress_passed_plain": passed(better, plain=True),
        }
        rows.append(row)
        print(", ".join(f"{name} {value:.3g}" for name, value in row.items()))
    return rows


def targets(rows: Sequence[dict[str, float]]) -> list[Target]:
    """Return what the gate promises from five regions on, and with three."""
    many = max(row["noise_passed"] for row in rows if row["regions"] >= 5)
    few = max(row["noise_passed"] for row in rows if row["regions"] < 5)
    return [
        Target("noise_passed_of_five_or_more", many, "<=", 0.08),
        Target("noise_passed_of_three_or_four", few, "<=", 0.15),
    ]


def main() -> int:
    """Simulate the gate and write the report."""
    args = parse_args((__doc__ or "").splitlines()[0])
    rows = measure(100 if args.quick else 1000)
    write_report(args.json, {"rows": rows, "gain": GAIN}, targets(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
