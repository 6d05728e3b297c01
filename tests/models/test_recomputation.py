"""Memory is saved, and nothing that is learned changes."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_unetseg.models import unet
from napari_unetseg.models.blocks import NORMS, Reversible, ReversibleChain
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.recomputation import coupled
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.unet import UNet

MakeSpec = Callable[..., NetworkSpec]


def chain_of(depth: int, width: int = 5, norm: str = "batch") -> ReversibleChain:
    blocks = (Reversible(width, width, (3, 3, 3), NORMS[norm]) for _ in range(depth))
    return ReversibleChain(*blocks)


def as_plain_operations(chain: ReversibleChain, x: Tensor) -> Tensor:
    """Return what the chain computes, with everything kept."""
    half = x.shape[1] // 2
    x1, x2 = x[:, :half], x[:, half:]
    for block in chain:
        assert isinstance(block, Reversible)
        x1 = x1 + block.f(x2)
        x2 = x2 + block.g(x1)
    return torch.cat([x1, x2], 1)


def kept_bytes(run: Callable[[], object]) -> int:
    """Return the size of all that is kept for the gradient."""
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        run()
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def statistics(network: nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in network.named_buffers()}


def assert_same_learning(
    mine: nn.Module, yours: nn.Module, *, rtol: float, atol: float
) -> None:
    """Gradients, running statistics and the count of batches are the same."""
    pairs = zip(mine.named_parameters(), yours.parameters(), strict=True)
    for (name, a), b in pairs:
        assert a.grad is not None, name
        torch.testing.assert_close(a.grad, b.grad, rtol=rtol, atol=atol, msg=name)
    other = statistics(yours)
    for name, buffer in statistics(mine).items():
        torch.testing.assert_close(buffer, other[name], rtol=rtol, atol=atol, msg=name)


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_a_reversible_chain_learns_as_plain_operations_do(norm: str) -> None:
    chain = chain_of(4, norm=norm).double().train()
    twin = copy.deepcopy(chain)
    x = torch.randn(2, 5, 4, 6, 4, dtype=torch.float64)
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, expected = chain(mine), as_plain_operations(twin, yours)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    weights = torch.randn_like(got)
    (got * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad, rtol=1e-8, atol=1e-8)
    assert_same_learning(chain, twin, rtol=1e-8, atol=1e-8)


def test_the_gradient_of_a_chain_is_its_slope() -> None:
    chain = chain_of(2, width=4).double().train()
    for norm in chain.modules():
        if isinstance(norm, nn.ReLU):
            norm.inplace = False
    x = torch.randn(1, 4, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    couplings = [block.coupling for block in chain if isinstance(block, Reversible)]
    assert torch.autograd.gradcheck(lambda x: coupled(x, couplings), x)


def test_what_is_frozen_stays_so() -> None:
    chain = chain_of(2, width=4).train()
    first = chain[0]
    assert isinstance(first, Reversible)
    first.f.requires_grad_(False)
    chain(torch.randn(1, 4, 4, 4, 4)).square().sum().backward()
    assert all(p.grad is None for p in first.f.parameters())
    assert all(p.grad is not None for p in first.g.parameters())


def test_a_deeper_chain_keeps_no_more() -> None:
    x = torch.randn(1, 4, 8, 8, 8)
    kept = {n: kept_bytes(lambda n=n: chain_of(n, 4).train()(x)) for n in (1, 2, 8)}
    assert kept[1] == kept[2] == kept[8] == x.nbytes
    plain = kept_bytes(lambda: as_plain_operations(chain_of(8, 4).train(), x))
    assert plain > 50 * x.nbytes


def test_sixteen_bits_inside_do_not_spoil_the_way_back() -> None:
    chain = chain_of(4, width=8).train()
    twin = copy.deepcopy(chain)
    x = torch.randn(1, 8, 8, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        got, expected = chain(x), as_plain_operations(twin, x)
    assert got.dtype == x.dtype
    got.square().sum().backward()
    expected.square().sum().backward()
    for mine, yours in zip(chain.parameters(), twin.parameters(), strict=True):
        apart = float((mine.grad - yours.grad).norm() / yours.grad.norm())  # type: ignore[operator, union-attr]
        assert apart < 0.02


def test_one_channel_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="at least two channels"):
        Reversible(3, 1, (3, 3, 3), NORMS["batch"])


def loss_of(network: UNet, image: Tensor) -> Tensor:
    torch.manual_seed(3)  # the same draws of hidden styles
    output = network(image, deep=True)
    raters = [] if output.raters is None else [output.raters]
    parts = [output.consensus, *raters, *output.aux]
    return torch.stack([(part.sigmoid() - 0.3).square().mean() for part in parts]).sum()


LATENT: dict[str, Any] = {"n_raters": 2, "head": "latent", "rater_kind": "latent"}


@pytest.mark.parametrize(
    "parts",
    [
        {"stem": "patch"},
        {"stem": "patch", "n_raters": 2},
        {"stem": "patch", **LATENT},
        {"stem": "conv", "enc": "convnext", "dec": "convnext", "down": "conv"},
        {"stem": "patch", "enc": "reversible", "dec": "reversible", "norm": "batch"},
    ],
    ids=str,
)
def test_checkpoints_change_nothing_but_the_memory(
    make_spec: MakeSpec, parts: dict[str, Any]
) -> None:
    network = UNet(make_spec(**parts)).train()
    twin = copy.deepcopy(network)
    twin.recomputes = True
    image = torch.randn(2, 1, 8, 8, 12)
    mine, yours = loss_of(network, image), loss_of(twin, image)
    torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-5)
    mine.backward()
    yours.backward()
    assert_same_learning(twin, network, rtol=1e-5, atol=1e-5)
    fewer = kept_bytes(lambda: loss_of(twin, image))
    assert fewer < 0.75 * kept_bytes(lambda: loss_of(network, image))


@pytest.mark.parametrize("shape", [(8, 8, 24), (24, 8, 16), (8, 8, 8)])
@pytest.mark.parametrize("raters", [{}, {"n_raters": 2}, LATENT], ids=str)
def test_pieces_at_full_resolution_change_nothing(
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int, int],
    raters: dict[str, Any],
) -> None:
    spec = make_spec(stem="patch", fine_norm="shift", skip="add", down="conv", **raters)
    assert spec.is_fine_local
    network = UNet(spec).double().train()
    twin = copy.deepcopy(network)
    image = torch.randn(2, 1, *shape, dtype=torch.float64)
    monkeypatch.setattr(unet, "PIECE", 4)
    mine = loss_of(network, image)
    mine.backward()
    monkeypatch.setattr(UNet, "_is_in_pieces", False)
    yours = loss_of(twin, image)
    yours.backward()
    torch.testing.assert_close(mine, yours, rtol=1e-8, atol=1e-8)
    assert_same_learning(network, twin, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("trunk", ["half", "full"])
def test_a_planned_network_keeps_a_fraction(trunk: Any) -> None:
    image = torch.randn(1, 1, 32, 32, 32)
    kept = []
    for block in ("plain", "reversible"):
        spec = plan_network(
            voxel_size=(1, 1, 1), shape=(99,) * 3, block=block, trunk=trunk, preset="S"
        )
        network = UNet(spec).train()
        kept.append(kept_bytes(lambda network=network: network(image, deep=True)))
    assert kept[1] < (0.25 if trunk == "half" else 0.4) * kept[0]


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc's allocator")
def test_freed_tensors_go_back_to_the_system() -> None:
    program = """
import torch
from pathlib import Path
from napari_unetseg.models.backends.torch import give_back_at_once

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def block(): return torch.ones(2**21)

first = torch.ones(7 * 2**20)
del first
give_back_at_once()
blocks = [block() for _ in range(20)]
before = resident()
del blocks[::2]
print((before - resident()) / (10 * 2**23))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert math.isclose(float(run.stdout), 1.0, abs_tol=0.1)
