from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_unetseg.config import Backend, PredictConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.errors import BackendError
from napari_unetseg.geometry import Block, Box, zyx
from napari_unetseg.models.backends import choice, openvino
from napari_unetseg.models.backends.choice import (
    LEAST_DICE,
    MOST_CHANGED,
    Runners,
    Trial,
    choose_runner,
    compare,
    likeness,
)
from napari_unetseg.models.backends.kept import cache_folder
from napari_unetseg.models.backends.torch import TorchRunner
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.registration import register_version
from napari_unetseg.models.store import ModelCard, ModelStore
from napari_unetseg.models.unet import UNet

Make = Callable[..., UNet]

needs_openvino = pytest.mark.skipif(
    not openvino.is_available(), reason="OpenVINO is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def model(make_network: Make, tmp_path: Path) -> tuple[Path, ModelCard]:
    store = ModelStore(tmp_path / "models")
    card = register_version(
        store,
        make_network(stem="patch", n_raters=2),
        classes=default_classes(["cell", "fibre"]),
        raters=["Ana", "Bo"],
    )
    return store.dir(card.version), card


def image_for(network: UNet, *cells: int) -> Tensor:
    sides = [n * s for n, s in zip(cells, network.spec.stride, strict=True)]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, network.spec.in_channels, *sides, generator=generator)


@needs_openvino
@pytest.mark.parametrize("block", ["plain", "residual", "convnext", "reversible"])
@pytest.mark.parametrize("stem", ["patch", "conv"])
@pytest.mark.parametrize("n_raters", [0, 2])
def test_openvino_answers_as_torch_does_at_every_size(
    make_network: Make, block: str, stem: str, n_raters: int
) -> None:
    parts = dict.fromkeys(("enc", "dec", "bottleneck"), block)
    network = make_network(**parts, stem=stem, n_raters=n_raters).eval()
    runners = Runners(network, "cpu", image_for(network, 2, 2, 2))
    torch_runner, runner = runners.make("torch-fp32"), runners.make("openvino-fp32")
    for cells in ((1, 2, 2), (2, 3, 3), (1, 1, 1), (1, 3, 1), (2, 3, 3)):
        image = image_for(network, *cells)
        with torch.inference_mode():
            expected, got = torch_runner(image), runner(image)
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", get_args(Backend)[1:])
def test_a_planned_reversible_network_runs_on_every_engine(backend: Backend) -> None:
    if backend.startswith("openvino") and not openvino.is_available():
        pytest.skip("OpenVINO is not installed")
    spec = plan_network(
        voxel_size=(2, 1, 1), shape=(32,) * 3, block="reversible", preset="S"
    )
    network = UNet(spec).eval()
    runners = Runners(network, "cpu", image_for(network, 2, 2, 2))
    image = image_for(network, 2, 1, 2)
    with torch.inference_mode():
        expected = network(image).consensus
        got = runners.make(backend)(image)
    exact = backend.endswith("fp32")
    apart = (got.float() - expected).abs().max() / expected.std()
    assert apart < (1e-3 if exact else 0.2)


@needs_openvino
def test_tiles_equal_the_single_pass_in_openvino(make_network: Make) -> None:
    network = make_network(stem="patch").eval()
    card = ModelCard(
        version="v1",
        spec=network.spec,
        classes=default_classes(["a", "b"]),
        halo=zyx(8 * s for s in network.spec.stride),
    )
    predictor = NetworkPredictor(
        Runners(network, "cpu", image_for(network, 2, 2, 2)).make("openvino-fp32"), card
    )
    side = 24 * network.spec.stride[2]
    box = Box.whole((network.spec.stride[0], network.spec.stride[1], side))
    voxels = np.random.default_rng(0).normal(size=(1, *box.shape)).astype(np.float32)
    whole = predictor.predict(voxels, Block(0, box, box)).probability
    middle = side // 2
    write = Box((0, 0, middle), box.stop)
    start = middle - card.halo[2]
    read = Box((0, 0, start), box.stop)
    tile = predictor.predict(voxels[..., start:], Block(1, write, read)).probability
    assert np.abs(whole[..., middle:].astype(int) - tile).max() <= 1


@needs_openvino
def test_the_converted_model_is_kept_and_read_again(
    model: tuple[Path, ModelCard], cache: Path
) -> None:
    folder, card = model
    config = PredictConfig(backend="openvino-fp32", device="cpu", threads=1)
    first, speed = choose_runner(folder, card, config=config)
    assert speed == 0
    (kept,) = (cache / "openvino").glob("*.xml")
    before = kept.stat().st_mtime_ns
    second, _ = choose_runner(folder, card, config=config)
    assert kept.stat().st_mtime_ns == before
    image = torch.ones(1, 1, *card.spec.stride)
    torch.testing.assert_close(first(image), second(image))
    kept.write_text("no model")
    third, _ = choose_runner(folder, card, config=config)
    torch.testing.assert_close(first(image), third(image))


@needs_openvino
def test_models_work_where_nothing_can_be_kept(
    model: tuple[Path, ModelCard], cache: Path
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    folder, card = model
    config = PredictConfig(backend="openvino-fp32", device="cpu", threads=1)
    runner, _ = choose_runner(folder, card, config=config)
    assert runner(torch.ones(1, 1, *card.spec.stride)).isfinite().all()


CONVERT = """
import sys, torch
from napari_unetseg.models.backends.openvino import converted
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.unet import UNet
spec = plan_network(voxel_size=(1, 1, 1), shape=(32, 32, 32), n_classes=1, preset="S")
converted(lambda: UNet(spec).eval(), spec)
print([name for name, module in sys.modules.items() if "telemetry" in name and module])
"""


@needs_openvino
def test_nobody_is_told_of_a_conversion() -> None:
    command = [sys.executable, "-c", CONVERT]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = ast.literal_eval(said.stdout)
    assert not [name for name in loaded if name.startswith("openvino_telemetry")]


def test_the_choice_is_measured_once_and_kept(
    model: tuple[Path, ModelCard], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, card = model
    config = PredictConfig(device="cpu", threads=1)
    first, speed = choose_runner(folder, card, config=config)
    ((_, known),) = json.loads((cache / "backends.json").read_text()).items()
    assert known["backend"] == first.name
    assert set(known["trials"]) >= {"torch-fp32"}

    def not_again(*_: object) -> None:
        raise AssertionError("measured a second time")

    monkeypatch.setattr(choice, "compare", not_again)
    again, same = choose_runner(folder, card, config=config)
    assert (again.name, same) == (first.name, speed)
    assert speed > 0


def test_the_fastest_of_those_that_answer_alike_is_chosen(
    model: tuple[Path, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, card = model
    names: list[Backend] = ["torch-fp32", "torch-bf16"]
    trials = {
        "torch-fp32": Trial(1.0),
        "torch-bf16": Trial(9.0, labels_dice=LEAST_DICE - 0.01),
    }
    monkeypatch.setattr(choice, "has_fast_bf16", lambda _device: True)
    monkeypatch.setattr(choice, "compare", lambda *_: trials)
    config = PredictConfig(device="cpu", threads=1)
    assert choose_runner(folder, card, config=config)[0].name == names[0]
    trials["torch-bf16"] = Trial(9.0, changed_p999=MOST_CHANGED)
    config = config.replace(threads=2)  # another machine, as it were
    assert choose_runner(folder, card, config=config)[0].name == names[1]


def test_all_backends_of_the_machine_are_compared(make_network: Make) -> None:
    network = make_network(stem="patch").eval()
    runners = Runners(network, "cpu", image_for(network, 2, 2, 2))
    trials = compare(runners, image_for(network, 2, 4, 4))
    assert tuple(trials) == runners.available
    assert trials["torch-fp32"].is_equal
    assert trials["torch-fp32"].changed_p999 == 0
    assert all(trial.mvoxel_per_s > 0 for trial in trials.values())
    if "openvino-fp32" in trials:
        assert trials["openvino-fp32"].is_equal


def test_likeness_by_hand() -> None:
    exact = torch.zeros(1, 2, 1, 1, 4)
    exact[:, 0], exact[:, 1] = 0.4, 0.6
    other = exact.clone()
    assert likeness(exact, other) == (1.0, 0.0)
    other[0, :, 0, 0, 0] = torch.tensor([0.6, 0.4])
    dice, changed = likeness(exact, other)
    assert dice == pytest.approx(2 * 3 / 7)
    assert changed == pytest.approx(0.2)
    nothing = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1, 1)
    assert likeness(nothing, nothing) == (1.0, 0.0)


def test_a_backend_that_is_not_there_is_named_with_those_that_are(
    model: tuple[Path, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_available", lambda: False)
    folder, card = model
    config = PredictConfig(backend="openvino-bf16", device="cpu", threads=1)
    with pytest.raises(BackendError, match=r"openvino-bf16 is not there.*torch-fp32"):
        choose_runner(folder, card, config=config)


def test_the_device_of_a_runner_is_where_images_go(make_network: Make) -> None:
    runner = TorchRunner(make_network(), device="cpu")
    assert (runner.name, runner.device.type) == ("torch-fp32", "cpu")


def test_a_network_without_numbers_is_left_to_torch(
    model: tuple[Path, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"torch-fp32": Trial(1.0, 1.0, float("nan"))}
    monkeypatch.setattr(choice, "compare", lambda *_: nothing)
    config = PredictConfig(device="cpu", threads=1)
    assert choose_runner(*model, config=config)[0].name == "torch-fp32"


CTRL_C = """
import faulthandler, signal, threading, torch
faulthandler.enable()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
from napari_unetseg.models.backends.choice import Runners
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.unet import UNet
spec = plan_network(voxel_size=(1, 1, 1), shape=(32, 32, 32), n_classes=1, preset="S")
made = [Runners(UNet(spec).eval(), "cpu", torch.zeros(1)).make("openvino-fp32")]
made[0](torch.zeros(1, 1, *spec.stride))
ended = threading.Thread(target=made.clear)
ended.start()
ended.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@needs_openvino
def test_ctrl_c_is_heard_after_the_engine_was_used_up_in_a_thread() -> None:
    command = [sys.executable, "-c", CTRL_C]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "interrupted"
