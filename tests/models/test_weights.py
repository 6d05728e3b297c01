from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_unetseg.errors import (
    CorruptModelError,
    ModelMismatchError,
    UnsafeCheckpointError,
)
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights, save_weights

Make = Callable[..., UNet]


def test_weights_come_back_bit_for_bit(make_network: Make, tmp_path: Path) -> None:
    network, twin = make_network(), make_network()
    save_weights(network, tmp_path / "w.safetensors")
    load_weights(twin, tmp_path / "w.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name


def test_half_precision_is_half_the_size_and_close(
    make_network: Make, tmp_path: Path
) -> None:
    network = make_network(widths=(16, 32))
    save_weights(network, tmp_path / "full.safetensors")
    save_weights(network, tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    twin = make_network(widths=(16, 32))
    load_weights(twin, tmp_path / "half.safetensors")
    assert twin.heads.consensus.weight.dtype == torch.float32
    image = torch.randn(1, 1, 4, 4, 4)
    expected = network(image).consensus
    torch.testing.assert_close(twin(image).consensus, expected, atol=1e-2, rtol=1e-2)


class Bomb:
    """Would run code if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("the checkpoint was unpickled",)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.pkl", "w.safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_pickled_checkpoints_are_never_loaded(
    make_network: Make, tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / name
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"weight": torch.zeros(1), "bomb": Bomb()}, path)
    with pytest.raises(UnsafeCheckpointError) as caught:
        load_weights(make_network(), path)
    assert str(caught.value) == (
        f"{name} is a pickled checkpoint, it could run code and is never loaded, "
        "expected weights in the safetensors format. Ask its author for safetensors "
        "weights."
    )


def test_safetensors_under_a_pickle_name_are_refused_too(
    make_network: Make, tmp_path: Path
) -> None:
    save_weights(make_network(), tmp_path / "w.pth")
    with pytest.raises(UnsafeCheckpointError):
        load_weights(make_network(), tmp_path / "w.pth")


def test_other_widths_are_named_with_both_shapes(
    make_network: Make, tmp_path: Path
) -> None:
    save_weights(make_network(widths=(4, 8)), tmp_path / "w.safetensors")
    with pytest.raises(ModelMismatchError) as caught:
        load_weights(make_network(), tmp_path / "w.safetensors")
    assert str(caught.value) == (
        "The weights w.safetensors belong to another network, enc.1.0.first.0.weight "
        "differs: got (8, 4, 3, 3, 3), expected (6, 4, 3, 3, 3). "
        "Use the weights that this card was written for."
    )


def test_missing_tensors_are_named(make_network: Make, tmp_path: Path) -> None:
    save_weights(make_network(), tmp_path / "w.safetensors")
    with pytest.raises(
        ModelMismatchError, match=r"heads\.raters\.beta differs: got noth"
    ):
        load_weights(make_network(n_raters=2), tmp_path / "w.safetensors")


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty"])
def test_damaged_files_are_said_to_be_damaged(
    make_network: Make, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(make_network(), path)
    whole = path.read_bytes()
    content = {"cut": whole[:-100], "rubbish": b"rubbish" * 50, "empty": b""}
    path.write_bytes(content[damage])
    with pytest.raises(CorruptModelError) as caught:
        load_weights(make_network(), path)
    assert str(caught.value) == (
        "The weights w.safetensors are damaged and cannot be read. "
        "Restore the model folder, or train the model again."
    )


def test_weights_that_are_no_numbers_are_refused(
    make_network: Make, tmp_path: Path
) -> None:
    network = make_network()
    torch.nn.init.constant_(network.heads.consensus.bias, float("nan"))
    save_weights(network, tmp_path / "w.safetensors")
    with pytest.raises(
        CorruptModelError, match=r"no numbers in heads\.consensus\.bias"
    ):
        load_weights(make_network(), tmp_path / "w.safetensors")


def test_missing_weights_are_said_to_be_missing(
    make_network: Make, tmp_path: Path
) -> None:
    with pytest.raises(CorruptModelError, match=r"weights w\.safetensors are missing"):
        load_weights(make_network(), tmp_path / "w.safetensors")
