from __future__ import annotations

import json

import pytest
import torch

from napari_unetseg.models.rater_metrics import reliability
from napari_unetseg.training.calibration import (
    Answers,
    calibration_report,
    collected,
    fit_temperature,
)


def overconfident(n: int, sharpness: float = 3.0, seed: int = 0) -> Answers:
    """Return answers whose logits are so many times what they should be."""
    torch.manual_seed(seed)
    logits = torch.randn(n, 3) * 2
    labels = torch.distributions.Categorical(logits=logits).sample()
    share = torch.nn.functional.one_hot(labels, 3).float()
    return Answers(sharpness * logits, share)


def ece(answers: Answers, temperature: float) -> float:
    probability = (answers.logits / temperature).softmax(1)[:, 1:]
    return reliability(probability.numpy(), answers.share[:, 1:].numpy()).ece


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_was_too_sharp(sharpness: float) -> None:
    found = fit_temperature(overconfident(20_000, sharpness))
    assert found == pytest.approx(sharpness, rel=0.08)


def test_the_error_falls_on_other_voxels_and_no_label_changes() -> None:
    fitted_on, other = overconfident(5_000), overconfident(5_000, seed=1)
    temperature = fit_temperature(fitted_on)
    assert ece(other, temperature) < 0.5 * ece(other, 1.0)
    cooled = other.logits / temperature
    assert torch.equal(cooled.argmax(1), other.logits.argmax(1))


def test_shares_of_raters_are_as_good_as_votes() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5_000, 2) * 2
    assert fit_temperature(Answers(2 * logits, logits.softmax(1))) == pytest.approx(
        2, rel=0.02
    )


def test_few_voxels_or_one_class_say_nothing() -> None:
    assert fit_temperature(overconfident(999)) == 1.0
    many = overconfident(5_000)
    background = torch.zeros_like(many.share)
    background[:, 0] = 1
    assert fit_temperature(Answers(many.logits, background)) == 1.0
    assert fit_temperature(collected([], 3)) == 1.0


def test_only_labelled_voxels_near_objects_are_collected() -> None:
    logits, target = torch.zeros(1, 3, 1, 1, 20), torch.zeros(1, 3, 1, 1, 20)
    logits[0, 0] = torch.arange(1, 21)  # background everywhere
    target[0, 0, 0, 0, :15] = 1
    target[0, :, 0, 0, 4] = torch.tensor([0.5, 0.0, 0.5])
    found = collected([(logits, target)], 3)
    assert found.logits[:, 0].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert found.share[3].tolist() == [0.5, 0, 0.5]
    logits[0, 2, 0, 0, 12] = 100  # somebody should have looked there
    found = collected([(logits, target)], 3)
    assert found.logits[:, 0].tolist() == [*range(2, 9), *range(10, 16)]


def test_the_report_is_plain_numbers_that_can_be_drawn() -> None:
    answers = overconfident(5_000)
    report = calibration_report(answers, fit_temperature(answers))
    assert json.loads(json.dumps(report)) == report
    assert report["ece"] < report["ece_before"]
    assert report["voxels"] == 5_000
    diagram, curve = report["reliability"], report["risk_coverage"]
    assert sum(diagram["count"]) == 2 * 5_000
    assert len(diagram["confidence"]) == len(diagram["frequency"])
    assert curve["coverage"][-1] == 1.0
    assert curve["risk"][0] < curve["risk"][-1], "the surest voxels are the best"
    assert calibration_report(collected([], 3), 1.0) == {}
