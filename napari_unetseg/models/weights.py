"""Weights on disk: safetensors only, nothing is ever unpickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_unetseg.errors import (
    CorruptModelError,
    ModelMismatchError,
    explained_writing,
)
from napari_unetseg.models.store import check_is_safetensors

_RESTORE = "Restore the model folder, or train the model again."


def save_weights(module: nn.Module, path: Path | str, *, half: bool = False) -> None:
    """Write all weights and statistics of a module.

    Parameters
    ----------
    module, path
        What is written, and where.
    half
        Store numbers with 16 bits: half the size, for models that travel.
    """
    tensors = {
        name: _storable(tensor, half) for name, tensor in module.state_dict().items()
    }
    with explained_writing("the weights", path):
        save_file(tensors, path)


def load_weights(module: nn.Module, path: Path | str) -> None:
    """Read weights into a module that was built from the same specification.

    Raises
    ------
    UnsafeCheckpointError
        If the file is a pickled checkpoint.
    CorruptModelError
        If it is damaged, or holds values that are no numbers.
    ModelMismatchError
        If it belongs to another network.
    """
    path = Path(path)
    check_is_safetensors(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptModelError(
            f"The weights {path.name} are damaged and cannot be read", do=_RESTORE
        ) from error
    _check_names_and_shapes(module, tensors, path)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CorruptModelError(
                f"The weights {path.name} hold values that are no numbers in {name}",
                do=_RESTORE,
            )
    module.load_state_dict(tensors)


def _storable(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous().clone()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def _check_names_and_shapes(
    module: nn.Module, tensors: dict[str, Tensor], path: Path
) -> None:
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ModelMismatchError(
                f"The weights {path.name} belong to another network, {name} differs",
                got=found.get(name, "nothing"),
                expected=expected.get(name, "nothing"),
                do="Use the weights that this card was written for.",
            )
