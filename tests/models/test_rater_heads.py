from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.rater_probability import RATER_STEPS, labels_at
from napari_unetseg.geometry import Block, BlockGrid, Box
from napari_unetseg.models.backends import openvino
from napari_unetseg.models.backends.choice import Runners, choose_runner
from napari_unetseg.models.backends.torch import TorchRunner
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.registration import receptive_radius, register_version
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import ModelCard, ModelStore
from napari_unetseg.models.unet import UNet

Make = Callable[..., UNet]
MakeSpec = Callable[..., NetworkSpec]

LATENT = {"head": "latent", "rater_kind": "latent"}
every_head = pytest.mark.parametrize(
    "head", [{"head": "film"}, {"head": "linear"}, LATENT], ids=lambda h: h["head"]
)
engines = [
    "torch-fp32",
    pytest.param(
        "openvino-fp32",
        marks=pytest.mark.skipif(
            not openvino.is_available(), reason="OpenVINO is not installed"
        ),
    ),
]


@every_head
@pytest.mark.parametrize("stem", ["identity", "patch"])
def test_every_head_reaches_all_its_weights(
    make_spec: MakeSpec, head: dict[str, Any], stem: str
) -> None:
    network = UNet(make_spec(**head, n_raters=3, stem=stem))
    raters = network(torch.randn(2, 1, 8, 8, 8)).raters
    assert raters.shape == (2, 3, 3, 8, 8, 8)
    raters.square().mean().backward()
    unreached = [
        n for n, p in network.heads.raters.named_parameters() if p.grad is None
    ]
    assert unreached == []
    assert not torch.allclose(raters[:, 0], raters[:, 1])


@every_head
@pytest.mark.parametrize("engine", engines)
def test_every_head_says_the_same_on_tiles_and_in_every_engine(
    make_network: Make, head: dict[str, Any], engine: Any
) -> None:
    network = make_network(**head, n_raters=3, stem="patch")
    card = ModelCard(
        version="v1",
        spec=network.spec,
        classes=default_classes(["cell", "fibre"]),
        raters=("a", "b", "c"),
        halo=receptive_radius(network.spec),
    )
    shape = (8, 16, 44)
    voxels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    box = Box.whole(shape)
    exact = NetworkPredictor(TorchRunner(network), card)
    whole = exact.predict(voxels, Block(0, box, box))
    runner = Runners(network, "cpu", torch.from_numpy(voxels[None])).make(engine)
    predictor = NetworkPredictor(runner, card)
    assert whole.rater_probability is not None
    for block in BlockGrid(shape, (8, 16, 16), predictor.halo, predictor.stride):
        part = predictor.predict(voxels[:, *block.read_box.slices], block)
        place = block.write_box.slices
        for name in exact.map_names:
            difference = part.maps[name].astype(int) - whole.maps[name][place]
            assert np.abs(difference).max() <= 2
        assert part.rater_probability is not None
        of_part = part.rater_probability.astype(int)
        of_whole = whole.rater_probability[..., *place]
        assert np.abs(of_part - of_whole).max() <= 255 // RATER_STEPS
        assert (of_part != of_whole).mean() < 0.01
        drawn = labels_at(part.rater_probability)
        expected = labels_at(whole.rater_probability)[:, *place]
        assert (drawn != expected).mean() < 1e-3


def test_draws_are_new_while_training_and_the_same_in_every_prediction(
    make_network: Make,
) -> None:
    network, image = make_network(**LATENT, n_raters=3), torch.randn(1, 1, 4, 4, 4)
    assert torch.equal(network(image).raters, network(image).raters)
    network.train()
    assert not torch.equal(network(image).raters, network(image).raters)


def test_the_seed_of_the_draws_is_in_the_card(make_spec: MakeSpec) -> None:
    def draws(seed: int) -> torch.Tensor:
        network = UNet(make_spec(**LATENT, n_raters=3, latent_seed=seed))
        found: torch.Tensor = network.state_dict()["heads.raters.draws"]
        return found

    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))


def test_hidden_styles_need_their_head(make_spec: MakeSpec) -> None:
    with pytest.raises(ValidationError, match="go together"):
        make_spec(head="latent", n_raters=2)
    planned = plan_network(
        voxel_size=(1, 1, 1), shape=(32,) * 3, n_raters=8, rater_kind="latent"
    )
    assert (planned.head, planned.rater_kind) == ("latent", "latent")


@every_head
@pytest.mark.parametrize("engine", engines)
def test_the_temperature_of_the_card_divides_all_logits_in_every_engine(
    make_network: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    head: dict[str, Any],
    engine: Any,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network = make_network(**head, n_raters=2, stem="patch")
    store, answers = ModelStore(tmp_path / "models"), []
    image = torch.randn(1, 1, 8, 8, 8)
    for temperature in (1.0, 4.0):
        card: ModelCard = register_version(
            store,
            network,
            classes=default_classes(["cell", "fibre"]),
            raters=["Ana", "Bo"],
            temperature=temperature,
        )
        config = PredictConfig(threads=1, device="cpu", backend=engine)
        runner, _ = choose_runner(store.dir(card.version), card, config=config)
        with torch.inference_mode():
            answers.append(runner(image).clone())
    assert store.card("v1").weights_sha256 == store.card("v2").weights_sha256
    torch.testing.assert_close(answers[1], answers[0] / 4, rtol=1e-3, atol=1e-4)
    heads = [a.reshape(-1, 3, 8, 8, 8) for a in answers]
    assert torch.equal(heads[0].argmax(1), heads[1].argmax(1))


@pytest.mark.parametrize("n_raters", [0, 3])
@every_head
def test_all_logits_at_once_are_those_of_the_heads(
    make_network: Make, head: dict[str, Any], n_raters: int
) -> None:
    network, image = make_network(**head, n_raters=n_raters), torch.randn(2, 1, 4, 4, 4)
    with torch.inference_mode():
        output, stacked = network(image), network.stacked(image)
    parts = [output.consensus]
    if n_raters:
        assert output.raters is not None
        parts += list(output.raters.unbind(1))
    torch.testing.assert_close(stacked, torch.cat(parts, 1))
