from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unetseg.config import (
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
    PredictConfig,
)
from napari_unetseg.data.classes import ClassInfo, default_classes
from napari_unetseg.errors import Cancelled, TrainingError
from napari_unetseg.events import Event, RunStarted, StepDone
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network
from napari_unetseg.models.store import ModelStore, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.finetune import TrainJob, train
from napari_unetseg.training.loop import Loop, may_use_16_bits
from napari_unetseg.training.training_set import (
    TrainingSet,
    from_label_arrays,
)

MakeJob = Callable[..., TrainJob]
Classes = tuple[ClassInfo, ...]


@pytest.fixture
def labels(truth: np.ndarray, classes: Classes) -> TrainingSet:
    return from_label_arrays({"Ana": truth}, classes)


def network_of(job: TrainJob) -> UNet:
    store = ModelStore(job.models_dir)
    card = store.card(job.version)
    network = UNet(card.spec)
    load_weights(network, weights_path(store.dir(job.version), card))
    return network


def test_a_new_network_is_registered(make_job: MakeJob, labels: TrainingSet) -> None:
    job, events = make_job(labels, name="first"), list[Event]()
    card = train(job, events.append)
    assert ModelStore(job.models_dir).card("v1") == card
    assert events[0] == RunStarted("train", 2, subject="v1")
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(event.step, event.total) for event in steps] == [(1, 2), (2, 2)]
    assert card.parent is None
    assert card.class_names == ("cell", "fibre")
    assert card.training["steps"] == 2
    assert card.training["labels"] == labels.describe()
    assert card.patch == (8, 32, 32)
    assert card.normalisation == job.normalisation


@pytest.mark.parametrize(
    ("patch", "right"),
    [((16, 32, 32), True), ((8, 32, 32), False), ((20, 32, 32), True)],
)
def test_gradients_that_the_processor_gets_wrong_are_avoided(
    patch: Zyx, right: bool
) -> None:
    spec = plan_network(
        voxel_size=(1.0, 1.0, 1.0), shape=(16, 48, 48), norm="batch", preset="S"
    )
    assert spec.stride == (4, 8, 8)
    assert may_use_16_bits(spec, patch, torch.device("cpu")) is right
    assert may_use_16_bits(spec, patch, torch.device("cuda"))


def test_it_learns(make_job: MakeJob, labels: TrainingSet) -> None:
    job = make_job(labels, config={"steps": 12, "batch": 2})
    losses: list[float] = []
    train(job, lambda e: losses.append(e.loss) if isinstance(e, StepDone) else None)
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])


def test_the_same_seed_gives_the_same_weights(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    hashes = {
        train(make_job(labels, version=f"v{seed}-{run}", config={"seed": seed}))
        .weights_sha256
        for seed, run in ((0, 1), (0, 2), (1, 1))
    }  # fmt: skip
    assert len(hashes) == 2


def test_fine_tuning_goes_on_from_its_parent(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    first = make_job(labels)
    train(first)
    parent_dir = ModelStore(first.models_dir).dir("v1")
    second = make_job(labels, version="v2", parent_dir=parent_dir)
    card = train(second)
    assert card.parent == "v1"
    was, now = network_of(first).state_dict(), network_of(second).state_dict()
    weights = [name for name in was if was[name].ndim == 5]
    moved = max(float((was[name] - now[name]).abs().max()) for name in weights)
    assert 0 < moved < 0.01


def losses_of(job: TrainJob) -> list[float]:
    losses: list[float] = []
    train(job, lambda e: losses.append(e.loss) if isinstance(e, StepDone) else None)
    return losses


def test_computing_features_again_learns_the_same(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    jobs = [
        make_job(labels, version=f"v{again:d}", config={"recompute": again, "steps": 3})
        for again in (False, True)
    ]
    losses = [losses_of(job) for job in jobs]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    was, now = (network_of(job).state_dict() for job in jobs)
    counts = [name for name in was if name.endswith("num_batches_tracked")]
    assert counts
    assert all(torch.equal(was[name], now[name]) for name in counts)


def test_a_reversible_network_learns_and_is_trained_on(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    first = make_job(labels, config={"blocks": "reversible", "steps": 12, "batch": 2})
    losses = losses_of(first)
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
    store = ModelStore(first.models_dir)
    card = store.card("v1")
    assert {card.spec.enc, card.spec.dec, card.spec.bottleneck} == {"reversible"}
    assert card.spec.is_fine_local
    second = make_job(labels, version="v2", parent_dir=store.dir("v1"))
    train(second)
    assert store.card("v2").spec == card.spec


def test_raters_are_learned_and_kept(
    make_job: MakeJob, truth: np.ndarray, classes: Classes
) -> None:
    both = from_label_arrays({"Ana": truth, "Bo": np.zeros_like(truth)}, classes)
    first = make_job(both, raters=("Ana", "Bo"))
    assert train(first).raters == ("Ana", "Bo")
    parent_dir = ModelStore(first.models_dir).dir("v1")
    only_bo = replace(both, by_rater={"Bo": both.by_rater["Bo"]})
    card = train(make_job(only_bo, version="v2", parent_dir=parent_dir))
    assert card.raters == ("Ana", "Bo")


def test_one_rater_alone_gets_no_head(make_job: MakeJob, labels: TrainingSet) -> None:
    assert train(make_job(labels, raters=("Ana", "Bo"))).raters == ()


def test_cancelling_leaves_nothing(make_job: MakeJob, labels: TrainingSet) -> None:
    asked = itertools.count()
    job = make_job(labels, config={"steps": 50})
    with pytest.raises(Cancelled):
        train(job, is_cancelled=lambda: next(asked) == 1)
    assert next(asked) == 2, "one step at most"
    assert not ModelStore(job.models_dir).versions()


class Curve:
    """Stands in for what is measured: one Dice after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *dice: float) -> None:
        self._left = iter(dice)
        monkeypatch.setattr(Loop, "_measure", lambda _: {"cell": next(self._left)})


@pytest.fixture
def parent(make_job: MakeJob, labels: TrainingSet) -> Path:
    first = make_job(labels)
    train(first)
    return first.models_dir / "v1"


def tuned(make_job: MakeJob, labels: TrainingSet, parent: Path,
          version: str = "v2", **config: object) -> TrainJob:  # fmt: skip
    options = {"steps": 24} | config
    return make_job(labels, version=version, parent_dir=parent, config=options)


@pytest.mark.parametrize("is_new", [True, False])
def test_what_comes_to_its_end_is_kept_as_it_is_then(
    make_job: MakeJob, labels: TrainingSet, parent: Path,
    monkeypatch: pytest.MonkeyPatch, is_new: bool,
) -> None:  # fmt: skip
    Curve(monkeypatch, 0.9, *[0.1] * 11)
    job = tuned(make_job, labels, parent, steps=12)
    card = train(replace(job, parent_dir=None) if is_new else job)
    assert (card.training["end"], card.training["kept_step"]) == ("finished", 12)
    assert card.metrics["dice"] == {"cell": 0.1}


@pytest.mark.parametrize("goes_on", [True, False])
def test_who_stops_keeps_the_best_so_far(
    make_job: MakeJob, labels: TrainingSet, parent: Path,
    monkeypatch: pytest.MonkeyPatch, goes_on: bool,
) -> None:  # fmt: skip
    Curve(monkeypatch, 0.6, 0.5, 0.4)
    asked = itertools.count()
    job = tuned(make_job, labels, parent)
    job = job if goes_on else replace(job, parent_dir=None)
    card = train(job, is_cancelled=lambda: next(asked) == 5)
    about = card.training
    assert (about["end"], about["steps"], about["kept_step"]) == ("stopped", 5, 2)
    assert card.metrics["dice"] == {"cell": 0.6}
    assert ModelStore(job.models_dir).card("v2") == card


def test_stopping_before_anything_was_measured_keeps_nothing(
    make_job: MakeJob, labels: TrainingSet, parent: Path
) -> None:
    asked = itertools.count()
    job = tuned(make_job, labels, parent)
    with pytest.raises(Cancelled, match="No model was added"):
        train(job, is_cancelled=lambda: next(asked) == 1)
    assert ModelStore(job.models_dir).versions() == ["v1"]


def test_few_labels_change_the_decoder_alone(
    make_job: MakeJob, labels: TrainingSet, parent: Path
) -> None:
    job = tuned(make_job, labels, parent, steps=2, layers="decoder")
    card = train(job)
    assert card.training["layers"] == "decoder"
    was = network_of(replace(job, version="v1")).named_parameters()
    now = dict(network_of(job).named_parameters())
    moved = {name.split(".")[0] for name, value in was
             if not torch.equal(value, now[name])}  # fmt: skip
    assert moved == {"up", "dec", "thin", "heads"}


def test_a_fine_tuning_begins_with_the_weights_of_its_start(
    make_job: MakeJob, labels: TrainingSet, parent: Path
) -> None:
    second = tuned(make_job, labels, parent, steps=2)
    train(second)
    store = ModelStore(second.models_dir)
    third = tuned(make_job, labels, store.dir("v2"), "v3", steps=2)
    card = train(replace(third, start_dir=parent))
    assert (card.parent, card.training["began_with"]) == ("v2", "v1")
    assert card.weights_sha256 == store.card("v2").weights_sha256, "the same again"
    assert train(replace(third, version="v4")).weights_sha256 != card.weights_sha256


def test_a_fine_tuning_keeps_the_statistics_of_its_parent(
    make_job: MakeJob, labels: TrainingSet, parent: Path
) -> None:
    job = tuned(make_job, labels, parent)
    train(job)
    before = network_of(replace(job, version=parent.name)).state_dict()
    after = network_of(job).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if "running_" in name}
    assert changed
    assert not {name for name in changed if "running_" in name}


def test_time_ends_a_fine_tuning_too(
    make_job: MakeJob, labels: TrainingSet, parent: Path
) -> None:
    card = train(tuned(make_job, labels, parent, steps=10_000, budget_s=0.01))
    assert card.training["steps"] == 1


def test_time_ends_a_training(make_job: MakeJob, labels: TrainingSet) -> None:
    job = make_job(labels, config={"steps": 10_000, "budget_s": 0.01})
    events: list[Event] = []
    card = train(job, events.append)
    assert card.training["steps"] == 1
    last = events[-1]
    assert isinstance(last, StepDone)
    assert last.step == last.total


def in_small_regions(labels: TrainingSet) -> TrainingSet:
    """Return the same labels in regions of which some can be held out."""
    boxes = Box.whole((16, 48, 48)).cells((16, 16, 16))
    regions = tuple(replace(labels.regions[0], box=box) for box in boxes)
    return replace(labels, regions=regions)


def test_a_class_without_held_out_labels_is_not_measured(
    make_job: MakeJob, truth: np.ndarray, classes: Classes
) -> None:
    cells_only = from_label_arrays({"Ana": np.where(truth == 1, 1, 0)}, classes)
    card = train(make_job(in_small_regions(cells_only)))
    assert card.metrics["dice"].keys() == {"cell"}


def test_held_out_labels_are_measured(make_job: MakeJob, labels: TrainingSet) -> None:
    events: list[Event] = []
    card = train(make_job(in_small_regions(labels)), events.append)
    assert set(card.metrics["dice"]) <= {"cell", "fibre"}
    assert card.metrics["dice"]
    last = events[-1]
    assert isinstance(last, StepDone)
    assert last.dice == card.metrics["dice"]


def test_classes_that_the_parent_does_not_know_are_refused(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    first = make_job(labels)
    train(first)
    more = default_classes(("cell", "fibre", "gap"))
    job = make_job(
        replace(labels, n_voxels={**labels.n_voxels, "gap": 3}),
        version="v2", classes=more, parent_dir=first.models_dir / "v1",
    )  # fmt: skip
    with pytest.raises(TrainingError, match="gap") as caught:
        train(job)
    assert "Train a new model" in str(caught.value)
    known = replace(job, training_set=labels)
    assert train(known).class_names == ("cell", "fibre"), "unused classes do no harm"


def test_a_lost_loss_is_told(
    make_job: MakeJob, labels: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_a_number(*_: Any) -> torch.Tensor:
        return torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr("napari_unetseg.training.loop.masked_loss", not_a_number)
    job = make_job(labels)
    with pytest.raises(TrainingError, match="learning rate"):
        train(job)
    assert not ModelStore(job.models_dir).versions()


KINDS = ["named", "anonymous", "latent"]


@pytest.fixture
def three(truth: np.ndarray, classes: Classes) -> TrainingSet:
    less = np.where(truth == 1, truth, 0)
    drawn = {"Ana": truth, "Bo": less, "Cy": np.zeros_like(truth)}
    return from_label_arrays(drawn, classes)


def predictor_of(job: TrainJob, backend: Any = "torch-fp32") -> NetworkPredictor:
    folder = ModelStore(job.models_dir).dir(job.version)
    config = PredictConfig(threads=1, device="cpu", backend=backend)
    return NetworkPredictor.load(folder, config=config)


def block_of(shape: Zyx) -> Block:
    return Block(0, Box.whole(shape), Box.whole(shape))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("named", ("Ana", "Bo", "Cy")),
        ("anonymous", ("style 1", "style 2", "style 3")),
        ("latent", tuple(f"draw {n}" for n in range(1, 9))),
    ],
)
def test_every_kind_of_raters_is_learned_predicted_and_learned_on(
    make_job: MakeJob, three: TrainingSet, kind: Any, names: tuple[str, ...]
) -> None:
    raters = ("Ana", "Bo", "Cy")
    first = make_job(three, raters=raters, config={"rater_kind": kind})
    card = train(first)
    assert card.raters == names
    assert card.spec.rater_kind == kind
    shape = (8, 16, 16)
    voxels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    found = predictor_of(first).predict(voxels, block_of(shape))
    assert found.rater_probability is not None
    assert found.rater_probability.shape == (len(names), len(card.classes), *shape)
    assert RATER_DISAGREEMENT in found.maps
    parent = ModelStore(first.models_dir).dir("v1")
    child = make_job(three, raters=raters, version="v2", parent_dir=parent)
    assert train(child).raters == names


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_rater_nothing_is_said_about_raters(
    make_job: MakeJob, labels: TrainingSet, kind: Any
) -> None:
    job = make_job(labels, raters=("Ana", "Bo"), config={"rater_kind": kind})
    card = train(job)
    assert card.raters == ()
    assert not card.spec.has_raters
    folder = ModelStore(job.models_dir).dir("v1")
    config = PredictConfig(threads=1, device="cpu", backend="torch-fp32", flips=2)
    predictor = NetworkPredictor.load(folder, config=config)
    assert predictor.map_names == (MODEL_DISAGREEMENT, TOTAL_UNCERTAINTY)
    shape = (8, 16, 16)
    found = predictor.predict(np.zeros((1, *shape), np.float32), block_of(shape))
    assert found.rater_probability is None
    assert set(found.maps) == {MODEL_DISAGREEMENT, TOTAL_UNCERTAINTY}


def test_the_temperature_is_fitted_where_nothing_was_learned(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    job = make_job(in_small_regions(labels), config={"patch": (16, 16, 16)})
    card = train(job)
    report = card.calibration
    assert report["voxels"] > 1000
    assert card.temperature == report["temperature"] != 1.0
    assert report["ece"] <= report["ece_before"] + 0.01
    boxes = card.training["learned_boxes"]
    n_regions = len(in_small_regions(labels).regions)
    assert 0 < len(boxes) < n_regions
    assert ModelStore(job.models_dir).card("v1") == card


def test_few_held_out_labels_leave_the_logits_as_they_are(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    card = train(make_job(labels))
    assert card.temperature == 1.0
    assert card.calibration == {}


def test_a_child_is_not_measured_where_its_parent_learned(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    few = {"patch": (16, 16, 16)}
    first = make_job(in_small_regions(labels), config=few)
    train(first)
    store = ModelStore(first.models_dir)
    second = make_job(
        in_small_regions(labels), version="v2", parent_dir=store.dir("v1"),
        config=few | {"seed": 5},
    )  # fmt: skip
    card = train(second)
    assert card.calibration["voxels"] > 0
    learned = [store.card(v).training["learned_boxes"] for v in ("v1", "v2")]
    assert sorted(learned[0]) == sorted(learned[1]), "what it left out comes first"
    old = store.card("v1").replace(version="old", training={})
    store.register(old, store.dir("v1") / "weights.safetensors")
    unknown = replace(second, version="v3", parent_dir=store.dir("old"))
    card = train(unknown)
    assert card.calibration == {}, "the parent may have learned anywhere"
    assert card.temperature == 1.0
