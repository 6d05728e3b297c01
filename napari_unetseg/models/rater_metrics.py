"""How well a set of predicted masks stands for a set of raters: measures by numpy.

K samples S_k and N raters Y_r are label images of one shape; q_S and q_Y are the shares
of them that draw a class at a voxel. Which voxels count is chosen by the caller: over
a whole volume the background, on which all agree, hides everything else
(:func:`region_of_interest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

SOFT_DICE_THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
ROI_MARGIN = 3  # voxels around the union of all masks
N_BINS = 15


@dataclass(frozen=True)
class EnergyDistance:
    """Generalised energy distance of two sets of masks, and what it is made of.

    Székely and Rizzo's energy distance with d = 1 − IoU, as Kohl et al. ("A
    probabilistic U-Net", NeurIPS 2018) use it: 2 E d(S, Y) − E d(S, S') − E d(Y, Y').

    Attributes
    ----------
    between
        Mean d(S, Y) of all pairs.
    samples, raters
        Sum of d over ordered pairs of different samples, and of different raters.
    k, n
        How many samples and raters there were; never compare values without them.
    """

    between: float
    samples: float
    raters: float
    k: int
    n: int

    @property
    def v(self) -> float:
        """V-statistic: pairs of a mask with itself count. What papers report.

        The distance of two distributions that have just these masks; of masks that
        were drawn from something larger it is too large, by d (1/K + 1/N).
        """
        return 2 * self.between - self.samples / self.k**2 - self.raters / self.n**2

    @property
    def u(self) -> float:
        """U-statistic: unbiased if samples and raters were all drawn at random."""
        return self.unbiased(samples_drawn=True, raters_drawn=True)

    def unbiased(self, *, samples_drawn: bool, raters_drawn: bool) -> float:
        """Return the distance of what was drawn from, or of what is there.

        Where the masks of a side are all that there are (the heads of a network, the
        raters of a project) each stands for its own share, and pairs of a mask with
        itself count. Where they were drawn (from a hidden style, from all radiologists)
        only pairs of different ones do.

        With the U-statistic as many heads as raters, each equal to one of them, are
        far below 0: nothing to be proud of.
        """
        samples = _mean_pair(self.samples, self.k, drawn=samples_drawn)
        raters = _mean_pair(self.raters, self.n, drawn=raters_drawn)
        return 2 * self.between - samples - raters


def energy_distance(samples: np.ndarray, raters: np.ndarray) -> EnergyDistance:
    """Return the generalised energy distance of two sets of label images.

    Parameters
    ----------
    samples, raters
        Class ids (k, z, y, x) and (n, z, y, x); d is the mean over the classes that
        one of the two images has, 0 if neither has any.
    """
    k, n = len(samples), len(raters)
    distance = _distances(np.concatenate([samples, raters]))
    return EnergyDistance(
        between=float(distance[:k, k:].mean()),
        samples=float(distance[:k, :k].sum()),
        raters=float(distance[k:, k:].sum()),
        k=k,
        n=n,
    )


def _mean_pair(total: float, count: int, *, drawn: bool) -> float:
    if not drawn:
        return total / count**2
    return total / (count * (count - 1)) if count > 1 else 0.0


def _distances(labels: np.ndarray) -> np.ndarray:
    """Return 1 − IoU of every pair, mean over the classes of either."""
    flat = labels.reshape(len(labels), -1)
    flat = flat[:, (flat > 0).any(axis=0)]
    total = np.zeros((len(flat), len(flat)))
    n_classes = np.zeros_like(total)
    for class_id in np.unique(flat[flat > 0]):
        both, size = _overlaps(flat == class_id)
        either = size[:, None] + size[None] - both
        total += np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)
        n_classes += either > 0
    distances: np.ndarray = total / np.maximum(n_classes, 1)
    return distances


def _overlaps(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels that each pair of masks (m, any) shares, and their sizes."""
    # Whole numbers stay whole up to 2²⁴ in single precision, which is faster.
    exact = "float32" if masks.shape[1] < 2**24 else "float64"
    numbers: np.ndarray = masks.astype(exact)
    both = np.matmul(numbers, numbers.T).astype(np.float64)
    return both, both.diagonal()


def dice_match(samples: np.ndarray, raters: np.ndarray) -> float:
    """Return the mean Dice of samples and raters, paired as well as possible.

    Parameters
    ----------
    samples, raters
        Masks (k, z, y, x) and (n, z, y, x); of more samples than raters or the other
        way round, those left over do not count. Two empty masks are equal.
    """
    k = len(samples)
    masks = np.concatenate([samples, raters]).astype(bool).reshape(k + len(raters), -1)
    both, size = _overlaps(masks)
    total = size[:k, None] + size[None, k:]
    dice = np.where(total > 0, 2 * both[:k, k:] / np.maximum(total, 1), 1.0)
    rows, columns = linear_sum_assignment(-dice)
    return float(dice[rows, columns].mean())


def soft_dice(
    predicted: np.ndarray,
    raters: np.ndarray,
    thresholds: Sequence[float] = SOFT_DICE_THRESHOLDS,
) -> float:
    """Return the mean Dice of two shares cut at several thresholds (QUBIQ challenge).

    Parameters
    ----------
    predicted, raters
        Shares q_S and q_Y of one shape, from 0 to 1.
    """
    scores = []
    for threshold in thresholds:
        first, second = predicted > threshold, raters > threshold
        total = np.count_nonzero(first) + np.count_nonzero(second)
        both = np.count_nonzero(first & second)
        scores.append(2 * both / total if total else 1.0)
    return float(np.mean(scores))


def disagreement(labels: np.ndarray) -> np.ndarray:
    """Return the chance that two of the label images differ at a voxel, float32 zyx.

    M / (M − 1) · (1 − Σ_c q_c²), with q_c the share of the M images that have class c.

    Parameters
    ----------
    labels
        Class ids (m, z, y, x) of at least two.
    """
    m = len(labels)
    if m < 2:
        raise ValueError("Disagreement needs at least two label images.")
    same = np.zeros(labels.shape[1:], np.float32)
    for class_id in np.unique(labels):
        same += np.square((labels == class_id).mean(axis=0, dtype=np.float32))
    return (1 - same) * np.float32(m / (m - 1))


def region_of_interest(masks: np.ndarray, margin: int = ROI_MARGIN) -> np.ndarray:
    """Return the union of masks (m, z, y, x), grown by a few voxels, bool zyx.

    A flat image is not grown out of its plane.
    """
    union = masks.astype(bool).any(axis=0)
    steps = ndimage.generate_binary_structure(3, 1)
    return np.asarray(ndimage.binary_dilation(union, steps, iterations=margin))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the normalised cross-correlation of two maps, NaN if one is constant.

    Of the voxels that are given: take those of the region of interest.
    """
    a, b = (x.ravel().astype(np.float64) for x in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: of the bins that are not empty, and all lists as long.

    Attributes
    ----------
    confidence
        Mean probability in the bin.
    frequency
        Mean share of raters in the bin: how often it was so.
    count
        Voxels in the bin.
    """

    confidence: list[float]
    frequency: list[float]
    count: list[int]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |confidence − frequency| over voxels."""
        gaps = np.abs(np.subtract(self.confidence, self.frequency))
        return float(np.average(gaps, weights=self.count)) if self.count else 0.0


def reliability(
    probability: np.ndarray, share: np.ndarray, n_bins: int = N_BINS
) -> Reliability:
    """Return how often what was said to be so probable was so.

    Parameters
    ----------
    probability, share
        Of a class (or several, one after the other), and the share of raters who say
        so; of one shape.
    n_bins
        Bins of equal width.
    """
    p, q = probability.ravel().astype(np.float64), share.ravel().astype(np.float64)
    place = np.minimum((p * n_bins).astype(int), n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    used = count > 0
    confidence, frequency = (
        np.bincount(place, weights=values, minlength=n_bins)[used] / count[used]
        for values in (p, q)
    )
    return Reliability(confidence.tolist(), frequency.tolist(), count[used].tolist())


def brier(probability: np.ndarray, share: np.ndarray) -> float:
    """Return the mean squared distance of a probability from the share of raters."""
    difference = probability.astype(np.float64) - share.astype(np.float64)
    return float(np.square(difference).mean())


@dataclass(frozen=True)
class RiskCoverage:
    """What is left of the errors when the most uncertain voxels are set aside.

    Attributes
    ----------
    coverage
        Share of the voxels that are kept.
    risk
        Share of errors among them.
    area
        Under the whole curve (AURC), in steps of one voxel; smaller is better.
    excess
        Of it, above that of a map that knows all errors (E-AURC).
    """

    coverage: list[float]
    risk: list[float]
    area: float
    excess: float


def risk_coverage(
    uncertainty: np.ndarray, error: np.ndarray, n_points: int = 50
) -> RiskCoverage:
    """Return the risk-coverage curve of a map.

    Parameters
    ----------
    uncertainty
        Any map.
    error
        Where the prediction is wrong; bool, of the same shape.
    n_points
        Points of the curve.
    """
    found = _errors_among_surest(uncertainty, error)
    n = len(found) - 1
    kept = np.arange(1, n + 1)
    area = float((found[1:] / kept).mean())
    oracle = np.maximum(0, kept - (n - found[-1])) / kept
    points = np.unique(np.linspace(1, n, n_points).round().astype(int))
    return RiskCoverage(
        coverage=(points / n).tolist(),
        risk=(found[points] / points).tolist(),
        area=area,
        excess=area - float(oracle.mean()),
    )


def error_captured(
    uncertainty: np.ndarray, error: np.ndarray, share: float = 0.1
) -> float:
    """Return the part of all errors that lies in the most uncertain share of voxels.

    NaN if there are no errors.
    """
    found = _errors_among_surest(uncertainty, error)
    n = len(found) - 1
    if found[-1] == 0:
        return float("nan")
    left = float(np.interp((1 - share) * n, np.arange(n + 1), found))
    return 1 - left / float(found[-1])


def _errors_among_surest(uncertainty: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return how many of the 0, 1, … n surest voxels are wrong.

    Of voxels with equal values, as bytes have many, any may come first: what is
    expected of a random order.
    """
    values, wrong = uncertainty.ravel(), error.ravel()
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order])) + 1
    ends = np.concatenate([[0], ends, [len(values)]])
    total = np.concatenate([[0], np.cumsum(wrong[order], dtype=np.float64)])
    expected: np.ndarray = np.interp(np.arange(len(values) + 1), ends, total[ends])
    return expected
