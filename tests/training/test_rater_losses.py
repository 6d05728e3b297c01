from __future__ import annotations

import pytest
import torch

from napari_unetseg.models.rater_metrics import energy_distance
from napari_unetseg.training.losses import IGNORE, consensus_target
from napari_unetseg.training.rater_losses import distances, energy_loss, rater_loss


@pytest.fixture
def nested() -> torch.Tensor:
    """Return four masks of 16, 32, 60 and 112 voxels, each in the next one."""
    masks = torch.zeros(4, 128)
    for mask, size in zip(masks, (16, 32, 60, 112), strict=True):
        mask[:size] = 1
    return masks


def fitted(raters: torch.Tensor, *, drawn: bool) -> torch.Tensor:
    """Return four masks of free logits after learning from the set of raters."""
    torch.manual_seed(0)
    logits = torch.randn(4, 128, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(400):
        loss = energy_loss(logits.sigmoid(), raters, drawn=drawn)
        optimizer.zero_grad()
        loss.backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
        optimizer.step()
    return logits.detach() > 0


def ged(masks: torch.Tensor, raters: torch.Tensor) -> float:
    images = [part.numpy().astype(int)[:, None, None] for part in (masks, raters)]
    return energy_distance(*images).v


def test_fixed_heads_find_the_four_raters(nested: torch.Tensor) -> None:
    found = fitted(nested, drawn=False)
    assert sorted(found.sum(1).tolist()) == [16, 32, 60, 112]
    assert ged(found, nested) == pytest.approx(0, abs=1e-9)


def test_the_form_for_draws_drives_fixed_heads_too_far_apart(
    nested: torch.Tensor,
) -> None:
    assert ged(fitted(nested, drawn=True), nested) > 0.02


def test_distances_by_hand() -> None:
    first = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    expected = torch.tensor([[0.0, (25 / 2) ** 0.5], [(25 / 2) ** 0.5, 0.0]])
    torch.testing.assert_close(distances(first, first), expected)


def test_equal_masks_have_a_finite_slope(nested: torch.Tensor) -> None:
    same = nested.clone().requires_grad_()
    energy_loss(same, nested, drawn=False).backward()
    assert same.grad is not None
    assert same.grad.abs().sum() == 0, "nothing is better than the raters themselves"
    twice = nested[[0, 0, 2, 3]].requires_grad_()
    energy_loss(twice, nested, drawn=False).backward()
    assert twice.grad is not None
    assert torch.isfinite(twice.grad).all()
    assert twice.grad.abs().sum() > 0


def loss_of(kind: str, logits: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    everybody = said[:, 0]
    return rater_loss(
        kind,  # type: ignore[arg-type]
        logits,
        everybody=everybody,
        said=said,
        silent=(False,) * said.shape[1],
        target=consensus_target(everybody, said, logits.shape[2]),
    )


@pytest.mark.parametrize("kind", ["named", "anonymous", "latent"])
def test_only_labelled_voxels_count(kind: str) -> None:
    said = torch.randint(0, 2, (2, 3, 2, 4, 4))
    said[:, :, 1] = IGNORE
    logits = torch.randn(2, 3, 2, 2, 4, 4, requires_grad=True)
    loss_of(kind, logits, said).backward()
    assert logits.grad is not None
    assert logits.grad[..., 0, :, :].abs().sum() > 0
    assert logits.grad[..., 1, :, :].abs().sum() == 0


@pytest.mark.parametrize("kind", ["anonymous", "latent"])
def test_the_order_of_the_raters_does_not_matter(kind: str) -> None:
    said = torch.randint(0, 2, (1, 3, 2, 4, 4))
    logits = torch.randn(1, 4, 2, 2, 4, 4)
    first = loss_of(kind, logits, said)
    # The first rater is "everybody" here, which counts only where nobody spoke.
    second = loss_of(kind, logits.flip(1), said[:, [2, 0, 1]])
    torch.testing.assert_close(first, second)
    named = loss_of("named", logits[:, :3], said)
    assert not torch.isclose(named, loss_of("named", logits[:, :3], said.flip(1)))


def test_raters_who_saw_different_parts_are_no_set() -> None:
    said = torch.full((1, 2, 1, 4, 4), IGNORE)
    said[0, 0, :, :2], said[0, 1, :, 2:] = 1, 0
    logits = torch.zeros(1, 2, 2, 1, 4, 4, requires_grad=True)
    loss = loss_of("anonymous", logits, said)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0, "the mean of the heads still learns"


def test_a_rater_who_was_not_here_is_not_missed() -> None:
    said = torch.randint(0, 2, (1, 2, 1, 4, 4))
    absent = torch.full((1, 1, 1, 4, 4), IGNORE)
    logits = torch.randn(1, 2, 2, 1, 4, 4)
    without = loss_of("anonymous", logits, said)
    with_absent = loss_of("anonymous", logits, torch.cat([said, absent], 1))
    torch.testing.assert_close(without, with_absent)
