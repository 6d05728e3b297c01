"""Less memory while training: features are computed a second time instead of kept.

A step keeps what every part read until the gradient comes back. There are two ways to
do without. A *checkpointed* part keeps its input only. A *reversible* chain keeps its
output only, since each coupling can be undone (RevNet: Gomez et al., NeurIPS 2017;
partly reversible U-Net: Brügger et al., MICCAI 2019)::

    y₁ = x₁ + f(x₂)        x₂ = y₂ − g(y₁)
    y₂ = x₂ + g(y₁)        x₁ = y₁ − f(x₂)

Both run a part twice per step. Batch normalisation must count the batch once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


class Coupling(NamedTuple):
    """The two parts of one reversible step; each maps one half to the other."""

    f: nn.Module
    g: nn.Module


@contextmanager
def uncounted(module: nn.Module) -> Iterator[None]:
    """Let batch normalisations see their batch without counting it again."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not "no statistics": a checkpoint expects the same operation again.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, kept in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = kept


def checkpointed(module: nn.Module, run: Callable[..., T], *inputs: Tensor | None) -> T:
    """Return ``run(*inputs)``, of which only the inputs are kept for the gradient.

    Parameters
    ----------
    module
        Holds all batch normalisations of ``run``.
    """

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), uncounted(module)

    result: T = checkpoint(run, *inputs, use_reentrant=False, context_fn=contexts)
    return result


def coupled(x: Tensor, couplings: Sequence[Coupling]) -> Tensor:
    """Return what a chain of couplings makes of ``x`` (batch, channel, z, y, x).

    While training only the output is kept, however long the chain is, in 32 bits so
    that it can be undone. Otherwise these are plain operations.
    """
    modules = [part for coupling in couplings for part in coupling]
    needs_gradient = torch.is_grad_enabled() and any(m.training for m in modules)
    if not needs_gradient:
        return _forward(x, couplings)
    parameters = [p for module in modules for p in module.parameters()]
    y: Tensor = _Reversible.apply(x, couplings, *parameters)  # type: ignore[no-untyped-call]
    return y.to(x.dtype)


def _forward(x: Tensor, couplings: Sequence[Coupling]) -> Tensor:
    x1, x2 = _halves(x)
    for f, g in couplings:
        x1 = x1 + f(x2)
        x2 = x2 + g(x1)
    return torch.cat([x1, x2], dim=1)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    half = x.shape[1] // 2
    return x[:, :half], x[:, half:]


class _Reversible(torch.autograd.Function):
    """A chain of couplings whose inputs are found from its output."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, couplings: Sequence[Coupling], *parameters: Tensor
    ) -> Tensor:
        ctx.couplings, ctx.parameters = couplings, parameters
        ctx.precision = _precision(x.device.type)
        ctx.dtype = x.dtype
        with torch.autocast(**ctx.precision):
            # Sums in 16 bits would not be undone by differences.
            y = _forward(x.to(torch.promote_types(x.dtype, torch.float32)), couplings)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        (y1, y2), (d1, d2) = _halves(y), _halves(grad)
        found: dict[Tensor, Tensor | None] = {}
        with torch.autocast(**ctx.precision):
            for f, g in reversed(ctx.couplings):
                y2, d1 = _undone(g, y1, y2, d1, d2, found)
                y1, d2 = _undone(f, y2, y1, d2, d1, found)
        slope = torch.cat([d1, d2], dim=1).to(ctx.dtype)
        return slope, None, *(found.get(p) for p in ctx.parameters)


def _undone(
    part: nn.Module,
    read: Tensor,
    total: Tensor,
    d_read: Tensor,
    d_total: Tensor,
    found: dict[Tensor, Tensor | None],
) -> tuple[Tensor, Tensor]:
    """Take ``part(read)`` off the sum, and return that and the gradient of ``read``.

    The gradients of the parameters go to ``found``.
    """
    read = read.detach().requires_grad_()
    parameters = [p for p in part.parameters() if p.requires_grad]
    with torch.enable_grad(), uncounted(part):
        added = part(read)
    before = total - added.detach()
    slope, *slopes = torch.autograd.grad(
        added, (read, *parameters), d_total.to(added.dtype), allow_unused=True
    )
    found.update(zip(parameters, slopes, strict=True))
    return before, d_read if slope is None else d_read + slope


def _precision(device: str) -> dict[str, Any]:
    """Return the autocast of now, but without its cache.

    Weights that are cast while no gradient is recorded must not be met later.
    """
    return {
        "device_type": device,
        "dtype": torch.get_autocast_dtype(device),
        "enabled": torch.is_autocast_enabled(device),
        "cache_enabled": False,
    }
