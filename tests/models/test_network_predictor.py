from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.rater_probability import RATER_STEPS
from napari_unetseg.errors import (
    CorruptModelError,
    MemoryBudgetError,
    ModelMismatchError,
)
from napari_unetseg.geometry import Block, BlockGrid, Box
from napari_unetseg.models.backends.choice import MOST_CHANGED
from napari_unetseg.models.backends.torch import (
    TorchRunner,
    choose_device,
    fold_batch_norm,
    use_threads,
)
from napari_unetseg.models.blocks import Shift
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.predictor import map_names
from napari_unetseg.models.registration import receptive_radius, register_version
from napari_unetseg.models.store import ModelCard, ModelStore
from napari_unetseg.models.unet import UNet

Make = Callable[..., UNet]
MakePredictor = Callable[..., NetworkPredictor]

CONFIG = PredictConfig(threads=1, device="cpu")


@pytest.fixture
def make_predictor(make_network: Make) -> MakePredictor:
    def make(flips: Any = 1, halo: Any = None, **changes: Any) -> NetworkPredictor:
        network = make_network(**changes)
        card = ModelCard(
            version="v1",
            spec=network.spec,
            classes=default_classes(["cell", "fibre"]),
            raters=("Ana", "Bo")[: network.spec.n_raters],
            halo=halo or receptive_radius(network.spec),
        )
        return NetworkPredictor(TorchRunner(network), card, flips=flips)

    return make


def whole_block(shape: tuple[int, int, int]) -> Block:
    return Block(0, Box.whole(shape), Box.whole(shape))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("norm", ["batch", "channel"])
@pytest.mark.parametrize("flips", [1, 4])
def test_tiles_equal_the_single_pass(
    make_predictor: MakePredictor, norm: str, flips: int
) -> None:
    predictor = make_predictor(norm=norm, flips=flips, stem="patch", n_raters=2)
    volume = noise(1, 9, 21, 42)
    shape = (9, 21, 42)
    whole = predictor.predict(volume, whole_block(shape))
    grid = BlockGrid(shape, (8, 16, 16), predictor.halo, predictor.stride)
    for block in grid:
        voxels = volume[(slice(None), *block.read_box.slices)]
        part = predictor.predict(voxels, block)
        place = block.write_box.slices
        assert part.labels.shape == block.write_box.shape
        for name in predictor.map_names:
            difference = part.maps[name].astype(int) - whole.maps[name][place]
            assert np.abs(difference).max() <= 1
        difference = part.probability.astype(int) - whole.probability[:, *place]
        assert np.abs(difference).max() <= 1
        assert (part.labels != whole.labels[place]).mean() < 1e-3


class Tight:
    """A runner on a device that holds images of so many voxels."""

    def __init__(self, runner: TorchRunner, most: int, patches: int = 1) -> None:
        self.name, self.device = runner.name, runner.device
        self.patches_at_a_time = patches
        self.summary, self.activation_bytes = runner.summary, runner.activation_bytes
        self._runner, self._most = runner, most
        self.refused = 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        if image[:, 0].numel() > self._most:
            self.refused += 1
            raise torch.OutOfMemoryError("out of memory")
        return self._runner(image)


def test_a_block_too_large_for_the_device_is_cut(
    make_predictor: MakePredictor, make_network: Make
) -> None:
    network = make_network(norm="batch", stem="patch", n_raters=2)
    card = make_predictor(norm="batch", stem="patch", n_raters=2).card
    roomy = NetworkPredictor(TorchRunner(network), card)
    shape = (8, 24, 161)
    volume, block = noise(1, *shape), whole_block(shape)
    expected = roomy.predict(volume, block)
    runner = Tight(TorchRunner(network), most=8 * 24 * 161 * 3 // 4)
    tight = NetworkPredictor(runner, card)
    found = tight.predict(volume, block)
    assert runner.refused >= 1
    for got, wanted in [
        (found.probability, expected.probability),
        (
            found.rater_probability // (255 // RATER_STEPS),
            expected.rater_probability // (255 // RATER_STEPS),
        ),
        *((found.maps[name], expected.maps[name]) for name in expected.maps),
    ]:
        assert np.abs(got.astype(int) - wanted).max() <= 1
    assert (found.labels != expected.labels).mean() < 1e-3
    # The next block is cut at once.
    before = runner.refused
    tight.predict(volume, block)
    assert runner.refused == before


def test_patches_too_many_for_the_device_come_fewer_at_a_time(
    make_predictor: MakePredictor, make_network: Make
) -> None:
    network = make_network(norm="instance", n_raters=2)
    card = make_predictor(norm="instance", n_raters=2).card.replace(patch=(4, 4, 4))
    volume, block = noise(1, 8, 8, 8), whole_block((8, 8, 8))
    expected = NetworkPredictor(TorchRunner(network), card).predict(volume, block)
    runner = Tight(TorchRunner(network), most=3 * 4**3, patches=8)
    tight = NetworkPredictor(runner, card)
    room = tight.bytes_for((8, 8, 8))
    found = tight.predict(volume, block)
    assert runner.refused == 2  # eight, four
    np.testing.assert_array_equal(found.probability, expected.probability)
    np.testing.assert_array_equal(found.rater_probability, expected.rater_probability)
    assert tight.bytes_for((8, 8, 8)) < room
    # From then on it knows.
    tight.predict(volume, block)
    assert runner.refused == 2


def test_a_device_that_holds_nothing_says_so(
    make_predictor: MakePredictor, make_network: Make
) -> None:
    card = make_predictor(norm="batch", stem="patch").card
    runner = Tight(TorchRunner(make_network(norm="batch", stem="patch")), most=0)
    with pytest.raises(MemoryBudgetError, match="memory does not suffice"):
        NetworkPredictor(runner, card).predict(
            noise(1, 8, 16, 16), whole_block((8, 16, 16))
        )


def test_labels_are_the_most_probable_class(make_predictor: MakePredictor) -> None:
    predictor = make_predictor(flips=1)
    prediction = predictor.predict(noise(1, 4, 6, 6), whole_block((4, 6, 6)))
    probability = prediction.probability.astype(int)
    background = 255 - probability.sum(0)
    best = np.concatenate([background[None], probability]).argmax(0)
    assert prediction.labels.dtype == np.uint8
    assert prediction.probability.shape == (2, 4, 6, 6)
    assert (best == prediction.labels).mean() > 0.98  # rounding may decide a tie
    assert prediction.rater_probability is None


def test_maps_are_those_that_raters_and_flips_allow(
    make_predictor: MakePredictor,
) -> None:
    for flips, raters in [(1, 0), (1, 2), (2, 0), (4, 2)]:
        predictor = make_predictor(flips=flips, n_raters=raters)
        prediction = predictor.predict(noise(1, 4, 4, 4), whole_block((4, 4, 4)))
        assert tuple(prediction.maps) == predictor.map_names
        assert predictor.map_names == map_names(n_raters=raters, n_members=flips)
        assert all(m.dtype == np.uint8 for m in prediction.maps.values())
        assert (prediction.rater_probability is not None) == (raters >= 2)
    assert prediction.rater_probability is not None
    assert prediction.rater_probability.shape == (2, 2, 4, 4, 4)


def test_mirrored_passes_are_mirrored_back(make_predictor: MakePredictor) -> None:
    predictor = make_predictor(flips=4, stem="patch")
    volume = noise(1, 4, 8, 8)
    block = whole_block((4, 8, 8))
    once = predictor.predict(volume, block).probability
    again = predictor.predict(volume[..., ::-1, ::-1].copy(), block).probability
    difference = once.astype(int) - again[..., ::-1, ::-1]
    assert np.abs(difference).max() <= 1


def test_a_network_with_instance_norm_is_blended(
    make_predictor: MakePredictor,
) -> None:
    predictor = make_predictor(norm="instance", n_raters=2, flips=2)
    predictor.card = predictor.card.replace(patch=(4, 4, 4))
    prediction = predictor.predict(noise(1, 8, 8, 8), whole_block((8, 8, 8)))
    assert prediction.labels.shape == (8, 8, 8)
    assert prediction.probability.std() > 0


def test_a_flat_volume_with_a_deep_network_is_padded(
    make_predictor: MakePredictor,
) -> None:
    predictor = make_predictor(stem="patch")
    prediction = predictor.predict(noise(1, 1, 5, 7), whole_block((1, 5, 7)))
    assert prediction.labels.shape == (1, 5, 7)


def test_other_channels_are_refused_with_a_sentence(
    make_predictor: MakePredictor,
) -> None:
    predictor = make_predictor()
    with pytest.raises(ModelMismatchError) as caught:
        predictor.predict(noise(3, 4, 4, 4), whole_block((4, 4, 4)))
    assert str(caught.value) == (
        "Model v1 was trained on images with 1 channel and cannot read this volume: "
        "got 3 channels, expected 1. Choose another model, or train a new one on this "
        "volume."
    )


def test_voxels_of_another_box_are_refused(make_predictor: MakePredictor) -> None:
    with pytest.raises(ValueError, match="are not those of"):
        make_predictor().predict(noise(1, 4, 4, 4), whole_block((4, 4, 6)))


def test_a_network_that_diverged_is_refused(make_predictor: MakePredictor) -> None:
    predictor = make_predictor()
    torch.nn.init.constant_(
        predictor._runner._network.network.heads.consensus.bias, float("nan")
    )
    with pytest.raises(CorruptModelError, match="answers with values that are no num"):
        predictor.predict(noise(1, 4, 4, 4), whole_block((4, 4, 4)))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes"),
    ],
)
def test_too_little_memory_is_explained(
    make_predictor: MakePredictor, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    predictor = make_predictor()

    def fail(runner: object, image: object) -> None:
        raise error

    monkeypatch.setattr(TorchRunner, "__call__", fail)
    with pytest.raises(MemoryBudgetError, match="Choose a smaller block"):
        predictor.predict(noise(1, 4, 4, 4), whole_block((4, 4, 4)))


def test_a_registered_model_is_loaded_with_its_halo(
    make_network: Make, tmp_path: Path
) -> None:
    network = make_network(stem="patch", n_raters=2)
    store = ModelStore(tmp_path)
    card = register_version(
        store,
        network,
        classes=default_classes(["cell", "fibre"]),
        raters=["Ana", "Bo"],
    )
    config = CONFIG.replace(flips=4, backend="torch-fp32")
    predictor = NetworkPredictor.load(store.dir("v1"), config=config)
    assert (predictor.halo, predictor.stride) == (card.halo, (4, 4, 4))
    assert predictor.n_channels == 1
    assert predictor.class_names == ("cell", "fibre")
    assert predictor.rater_names == ("Ana", "Bo")
    fresh = NetworkPredictor(TorchRunner(network), card, flips=4)
    volume, block = noise(1, 8, 8, 8), whole_block((8, 8, 8))
    loaded, expected = predictor.predict(volume, block), fresh.predict(volume, block)
    difference = loaded.probability.astype(int) - expected.probability
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("fine_norm", [None, "shift"])
def test_folding_changes_no_answer(make_network: Make, fine_norm: str | None) -> None:
    network = make_network(stem="patch", fine_norm=fine_norm)
    for shift in (m for m in network.modules() if isinstance(m, Shift)):
        torch.nn.init.normal_(shift.bias)
    image = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        before = network(image).consensus
        fold_batch_norm(network)
        torch.testing.assert_close(network(image).consensus, before)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert len(norms) == 1  # after the stem, which has no sequence to fold
    assert not any(isinstance(m, Shift) for m in network.modules())


def test_predictions_in_bfloat16_are_close(make_network: Make) -> None:
    network = make_network(stem="patch")
    card = ModelCard(
        version="v1", spec=network.spec, classes=default_classes(["a", "b"])
    )
    volume, block = noise(1, 8, 8, 8), whole_block((8, 8, 8))
    exact, rough = (
        NetworkPredictor(TorchRunner(network, dtype=dtype), card)
        .predict(volume, block)
        .probability
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert np.abs(exact.astype(int) - rough).max() <= 255 * MOST_CHANGED + 1


def test_threads_and_device_are_taken_from_the_config() -> None:
    use_threads(2)
    assert torch.get_num_threads() == 2
    use_threads(0)
    assert torch.get_num_threads() >= 1
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cuda", "mps", "cpu")


PEAK = """
import re, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from napari_unetseg.data.classes import default_classes
from napari_unetseg.geometry import Block, Box
from napari_unetseg.models.backends.torch import TorchRunner
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.store import ModelCard
from napari_unetseg.models.unet import UNet

def predict(n):
    box = Box.whole((n, n, n))
    voxels = np.zeros((1, n, n, n), np.float32)
    predictor.predict(voxels, Block(0, box, box))
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])

trunk, raters, block = sys.argv[1], int(sys.argv[2]), sys.argv[3]
spec = plan_network(voxel_size=(1, 1, 1), shape=(99, 99, 99), n_classes=2,
                    n_raters=raters, preset="S", trunk=trunk, block=block)
card = ModelCard(version="v1", spec=spec, classes=default_classes(["a", "b"]),
                 raters=("A", "B", "C")[:raters])
predictor = NetworkPredictor(TorchRunner(UNet(spec)), card, flips=2)
small = predict(16)
large = predict(80)
print(large - small, predictor.bytes_for((80, 80, 80)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
@pytest.mark.parametrize(
    ("trunk", "raters", "block"),
    [
        ("half", 0, "plain"),
        ("half", 3, "plain"),
        ("full", 0, "plain"),
        ("half", 0, "reversible"),
    ],
)
def test_the_estimate_of_memory_is_above_what_is_used_but_not_far(
    trunk: str, raters: int, block: str
) -> None:
    command = [sys.executable, "-c", PEAK, trunk, str(raters), block]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    used_kib, estimate = map(int, result.stdout.split())
    assert used_kib * 1024 <= estimate
    assert estimate <= 4 * used_kib * 1024
