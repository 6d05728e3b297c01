from __future__ import annotations

import math

import pytest
import torch

from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.unet import Output, UNet
from napari_unetseg.training.losses import (
    IGNORE,
    Parent,
    consensus_target,
    deep_loss,
    masked_loss,
    one_hot,
)


@pytest.fixture
def ids() -> torch.Tensor:
    target = torch.full((1, 2, 4, 4), IGNORE)
    target[0, 0, 0] = torch.tensor([0, 1, 1, 0])
    return target


def test_unlabelled_voxels_change_nothing(ids: torch.Tensor) -> None:
    logits = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    masked_loss(logits, one_hot(ids, 3)).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 0, 0].abs().sum() > 0
    assert logits.grad[0, :, 1].abs().sum() == 0


def test_nothing_labelled_costs_nothing() -> None:
    logits = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    target = one_hot(torch.full((1, 2, 4, 4), IGNORE), 3)
    assert masked_loss(logits, target).item() == 0.0


def test_the_right_answer_is_cheapest(ids: torch.Tensor) -> None:
    target = one_hot(ids, 3)
    right = masked_loss(20 * target, target)
    wrong = masked_loss(20 * target.roll(1, 1), target)
    assert right.item() < 1e-3
    assert wrong.item() > 5


def test_raters_who_differ_share_the_target() -> None:
    everybody = torch.tensor([1, 2, IGNORE]).view(1, 1, 1, 3)
    raters = torch.tensor([[1, IGNORE, IGNORE], [0, IGNORE, IGNORE]])
    target = consensus_target(everybody, raters.view(1, 2, 1, 1, 3), 3)[0, :, 0, 0]
    assert target[:, 0].tolist() == [0.5, 0.5, 0.0]
    assert target[:, 1].tolist() == [0.0, 0.0, 1.0], "everybody's word fills in"
    assert target[:, 2].sum() == 0


def test_shares_are_the_best_answer_to_shares() -> None:
    target = torch.zeros(1, 2, 1, 4, 4)
    target[:, 0], target[:, 1] = 0.3, 0.7
    target[..., :2, :] = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    same = masked_loss((target + 1e-9).log(), target)
    hard = masked_loss(20 * (target > 0.5).float(), target)
    assert same < hard


def test_a_single_section_reaches_the_coarse_scales() -> None:
    ids = torch.full((1, 4, 8, 8), IGNORE)
    ids[:, 0], ids[:, 0, :4] = 0, 1
    coarse = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    deep_loss([coarse], one_hot(ids, 3)).backward()
    assert coarse.grad is not None
    assert coarse.grad[0, :, 0].abs().sum() > 0
    assert coarse.grad[0, :, 1].abs().sum() == 0


@pytest.fixture
def network() -> UNet:
    torch.manual_seed(0)
    spec = plan_network(
        voxel_size=(1.0, 1.0, 1.0), shape=(8, 8, 8), n_classes=1, n_raters=2, preset="S"
    )
    return UNet(spec).eval()


def test_the_parent_pulls_back_what_has_left(network: UNet) -> None:
    parent = Parent(network)
    assert parent.pull(network).item() == 0.0
    with torch.no_grad():
        for value in network.parameters():
            value.add_(1.0)
    pulled = parent.pull(network)
    pulled.backward()
    assert pulled.item() > 0
    free = [value for name, value in network.named_parameters() if "heads" in name]
    assert all(value.grad is None for value in free)


def test_distillation_speaks_where_nothing_is_labelled(network: UNet) -> None:
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name == "heads.consensus.bias":
                value.copy_(torch.tensor([9.0, 0.0]))  # sure of the background
    parent = Parent(network)
    image = torch.randn(1, 1, 8, 8, 8)
    child = network(image)
    child.consensus.retain_grad()
    changed = child._replace(consensus=child.consensus.flip(1))
    ids = torch.full((1, 8, 8, 8), IGNORE)
    ids[:, :4] = 0
    assert parent.distillation(image, child, one_hot(ids, 2)).item() < 1e-4
    parent.distillation(image, changed, one_hot(ids, 2)).backward()
    assert child.consensus.grad is not None
    assert child.consensus.grad[:, :, :4].abs().sum() == 0
    assert child.consensus.grad[:, :, 4:].abs().sum() > 0


def test_of_an_exemplar_all_that_the_parent_says_counts(network: UNet) -> None:
    parent, image = Parent(network), torch.randn(2, 1, 8, 8, 8)  # sure of nothing
    child = network(image)
    child.consensus.retain_grad()
    changed = child._replace(
        consensus=child.consensus + torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    )
    ids = torch.full((2, 8, 8, 8), IGNORE)
    ids[0, 0, 0, 0] = 1
    parent.rehearsal(image, changed, one_hot(ids, 2)).backward()
    assert child.consensus.grad is not None
    assert child.consensus.grad[0].abs().sum() == 0
    assert (child.consensus.grad[1].abs().sum(0) > 0).all()


def test_without_exemplars_there_is_nothing_to_rehearse(network: UNet) -> None:
    parent, image = Parent(network), torch.randn(2, 1, 8, 8, 8)
    child = network(image)
    ids = torch.full((2, 8, 8, 8), IGNORE)
    ids[:, 0, 0, 0] = 1
    changed = child._replace(consensus=child.consensus + 1)
    assert parent.rehearsal(image, changed, one_hot(ids, 2)).item() == 0.0


def test_raters_are_kept_as_the_consensus_is(network: UNet) -> None:
    parent, image = Parent(network), torch.randn(1, 1, 8, 8, 8)
    child, exemplar = network(image), torch.full((1, 8, 8, 8), IGNORE)

    def cost(changed: Output) -> float:
        return parent.rehearsal(image, changed, one_hot(exemplar, 2)).item()

    tilt = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    assert child.raters is not None
    assert cost(child) == pytest.approx(0.0, abs=1e-5)
    raters = child.raters.clone()
    raters[:, 0] += tilt
    one, both = (child._replace(raters=r) for r in (raters, child.raters + tilt))
    assert 0 < cost(one) < cost(both)


def test_weights_by_hand() -> None:
    # Two voxels, a class each, known with weights 1 and ½; the share of the right
    # class is ½ and ¼. Classes weigh 1/√count, but no rarer than one voxel: 1 and 1.
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 1, 2)
    share = torch.tensor([[0.5, 0.75], [0.5, 0.25]]).view(1, 2, 1, 1, 2)
    weight = torch.tensor([1.0, 0.5]).view(1, 1, 1, 2)
    entropy = (math.log(2) + 0.5 * math.log(4)) / 1.5
    background = 1 - (2 * 0.5 + 1) / (0.5 + 0.5 * 0.75 + 1 + 1)
    cell = 1 - (2 * 0.5 * 0.25 + 1) / (0.5 + 0.5 * 0.25 + 0.5 + 1)
    found = masked_loss(share.log(), target, weight).item()
    assert found == pytest.approx(entropy + (background + cell) / 2, abs=1e-6)


def test_a_weight_of_one_changes_nothing(ids: torch.Tensor) -> None:
    logits, target = torch.randn(1, 3, 2, 4, 4), one_hot(ids, 3)
    ones = torch.ones(1, 2, 4, 4)
    torch.testing.assert_close(
        masked_loss(logits, target, ones), masked_loss(logits, target)
    )
    coarse = [torch.randn(1, 3, 1, 2, 2)]
    torch.testing.assert_close(
        deep_loss(coarse, target, ones), deep_loss(coarse, target)
    )


def test_what_counts_nothing_is_not_there(ids: torch.Tensor) -> None:
    logits, target = torch.randn(1, 3, 2, 4, 4), one_hot(ids, 3)
    weight = torch.ones(1, 2, 4, 4)
    weight[0, 0, 0, 2:] = 0
    fewer = ids.clone()
    fewer[0, 0, 0, 2:] = IGNORE
    expected = masked_loss(logits, one_hot(fewer, 3))
    torch.testing.assert_close(masked_loss(logits, target, weight), expected)


def test_a_coarse_cell_counts_what_its_voxels_do() -> None:
    # A cell of two voxels: a cell's with weight 1, background with ⅓. Its share is ¾
    # and ¼, its weight ⅔; beside it a cell with one voxel of weight 1.
    target = torch.tensor([[0.0, 1, 1, 0], [1, 0, 0, 0]]).view(1, 2, 1, 1, 4)
    weight = torch.tensor([1, 1 / 3, 1, 0]).view(1, 1, 1, 4)
    logits = torch.randn(1, 2, 1, 1, 2)
    shares = torch.tensor([[0.25, 1], [0.75, 0]]).view(1, 2, 1, 1, 2)
    worth = torch.tensor([2 / 3, 1.0]).view(1, 1, 1, 2)
    expected = 0.5 * masked_loss(logits, shares, worth)
    torch.testing.assert_close(deep_loss([logits], target, weight), expected)


def test_a_hint_of_one_rater_is_weaker_than_the_word_of_another() -> None:
    everybody = torch.ones(1, 1, 1, 1, dtype=torch.int64)
    raters = torch.tensor([1, 0]).view(1, 2, 1, 1, 1)
    weights = torch.tensor([1.0, 0.25]).view(1, 2, 1, 1, 1)
    target = consensus_target(everybody, raters, 2, weights)
    torch.testing.assert_close(target.flatten(), torch.tensor([0.2, 0.8]))
