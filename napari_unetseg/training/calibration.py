"""How far a network's probabilities can be believed, and one number that helps.

Temperature scaling (Guo et al., "On calibration of modern neural networks", ICML 2017):
all logits are divided by one T, the one with the smallest negative log-likelihood on
voxels that the network never learned from. No label changes, only how sure it is.

Only voxels near objects count. Far from them everybody is right, and so many such
voxels would make the network seem too timid, and too bold where it matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import max_pool3d

from napari_unetseg.models.rater_metrics import reliability, risk_coverage
from napari_unetseg.models.uncertainty import entropy_of

LEAST_VOXELS = 1000
LEAST_OF_A_CLASS = 50
MOST_VOXELS = 200_000
NEAR = 3  # voxels from an object, drawn or predicted
_BOUNDS = math.log(0.25), math.log(8.0)


@dataclass(frozen=True)
class Answers:
    """What a network said of held-out voxels, and what people did.

    Attributes
    ----------
    logits, share
        Of the consensus, and the shares of the raters; float32 (voxel, class).
    """

    logits: Tensor
    share: Tensor

    @property
    def are_enough(self) -> bool:
        """Whether a temperature can be fitted."""
        by_class = self.share.sum(0)
        n_seen = int((by_class >= LEAST_OF_A_CLASS).sum())
        return len(self.share) >= LEAST_VOXELS and n_seen >= 2


def collected(pairs: Iterable[tuple[Tensor, Tensor]], n_classes: int) -> Answers:
    """Return the labelled voxels near objects in patches.

    Parameters
    ----------
    pairs
        Logits and target, both (batch, class, z, y, x); a target is 0 where nothing
        is known.
    """
    logits, shares = [torch.empty(0, n_classes)], [torch.empty(0, n_classes)]
    for answer, target in pairs:
        objects = (target[:, 1:].sum(1) > 0) | (answer.argmax(1) > 0)
        counted = (target.sum(1) > 0) & _grown(objects)
        logits.append(answer.float().movedim(1, -1)[counted].cpu())
        shares.append(target.movedim(1, -1)[counted].cpu())
    step = max(1, sum(map(len, shares)) // MOST_VOXELS)
    return Answers(torch.cat(logits)[::step], torch.cat(shares)[::step])


def _grown(mask: Tensor) -> Tensor:
    """Return a mask (batch, z, y, x), grown on all sides."""
    return max_pool3d(mask[:, None].float(), 2 * NEAR + 1, 1, NEAR)[:, 0] > 0


def fit_temperature(answers: Answers) -> float:
    """Return the temperature that makes the labels most likely; 1 if there are few."""
    if not answers.are_enough:
        return 1.0
    logits, share = answers.logits.double(), answers.share.double()

    def surprise(log_temperature: float) -> float:
        log_share = (logits / math.exp(log_temperature)).log_softmax(1)
        return -float((share * log_share).sum(1).mean())

    found = minimize_scalar(surprise, bounds=_BOUNDS, method="bounded")
    return round(math.exp(float(found.x)), 4)


def calibration_report(answers: Answers, temperature: float) -> dict[str, Any]:
    """Return plain numbers for the card; empty without held-out voxels.

    ``reliability`` is of the foreground classes together, ``risk_coverage`` of setting
    aside what has the largest entropy.
    """
    if not len(answers.share):
        return {}
    before = answers.logits.softmax(1)
    after = (answers.logits / temperature).softmax(1)
    share = answers.share[:, 1:].numpy()
    diagram = reliability(after[:, 1:].numpy(), share)
    wrong = (after.argmax(1) != answers.share.argmax(1)).numpy()
    curve = risk_coverage(entropy_of(after).numpy(), wrong)
    return {
        "voxels": len(answers.share),
        "temperature": temperature,
        "ece_before": reliability(before[:, 1:].numpy(), share).ece,
        "ece": diagram.ece,
        "reliability": asdict(diagram),
        "risk_coverage": asdict(curve),
    }
