from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_unetseg.app import actions
from napari_unetseg.app.model_actions import VersionState, state_of, version_before
from napari_unetseg.app.project import Project
from napari_unetseg.config import TrainConfig
from napari_unetseg.errors import Cancelled, ModelError, VolumeError
from napari_unetseg.events import Event, Progress, StepDone
from napari_unetseg.models.verdict import NOT_COMPARED, not_judged, promoted
from tests.helpers.put_right import put_right

pytestmark = pytest.mark.usefixtures("no_halo")

LITTLE = TrainConfig(parent="v1", steps=1, batch=1, patch=(8, 16, 16), threads=1)


@pytest.fixture
def reviewed(project_with_model: Path, phantom_path: Path) -> Path:
    """A project with a model of nothing, and nine regions that were put right."""
    return put_right(project_with_model, phantom_path, (16, 16, 16))


@pytest.fixture
def three(project_with_model: Path, model_dir: Path) -> Path:
    """A project that used v1 and v2 one after the other; v3 is a candidate."""
    with Project.open(project_with_model) as project:
        project.import_model(model_dir)
        card = project.models.card("v2")
        weights = project.models.dir("v2") / "weights.safetensors"
        candidate = card.replace(version="v3", parent="v2", gate=NOT_COMPARED)
        project.models.register(candidate, weights)
    return project_with_model


def active(folder: Path) -> str | None:
    with Project.open(folder, read_only=True) as project:
        return project.active_model


def test_a_fine_tuning_is_compared_and_its_card_says_how(reviewed: Path) -> None:
    heard: list[Event] = []
    result = actions.train(reviewed, LITTLE, heard.append)
    assert result["promoted"] is (active(reviewed) == "v2")
    assert result["champion"] == "v1"
    assert "comparing with v1" in {e.text for e in heard if isinstance(e, Progress)}
    with Project.open(reviewed, read_only=True) as project:
        gate = project.models.card("v2").gate
    assert gate is not None
    assert gate.said == result["verdict"]
    assert [check.said for check in gate.checks] == result["checks"]
    assert gate.figures["n"] >= 3
    assert "of 3 reviewed regions" in gate.checks[0].said


@pytest.mark.parametrize(
    ("promote", "in_use", "sentence"),
    [("always", "v2", "without a comparison"), ("never", "v1", "No comparison")],
)
def test_a_person_may_decide_beforehand(
    reviewed: Path, promote: str, in_use: str, sentence: str
) -> None:
    result = actions.train(reviewed, LITTLE.replace(promote=promote))
    assert active(reviewed) == in_use
    assert sentence.lower() in result["verdict"].lower()


def test_the_first_model_is_used_at_once(reviewed: Path) -> None:
    with Project.open(reviewed) as project:
        shutil.rmtree(project.models.dir("v1"))
    file = reviewed / "project.json"
    file.write_text(file.read_text().replace('"active_model": "v1"',
                                             '"active_model": null'))  # fmt: skip
    config = LITTLE.replace(parent=None, preset="S")
    result = actions.train(reviewed, config)
    assert result["verdict"].startswith("The first model")
    assert active(reviewed) == result["version"]


def test_a_comparison_that_fails_leaves_a_candidate(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object, **__: object) -> None:
        raise VolumeError("The volume is gone", do="Put it back.")

    monkeypatch.setattr("napari_unetseg.training.gate.judge", torn)
    result = actions.train(reviewed, LITTLE)
    assert "the volume is gone" in result["verdict"]
    assert active(reviewed) == "v1"


def test_stopping_while_it_is_compared_leaves_a_candidate(reviewed: Path) -> None:
    comparing = False

    def listen(event: Event) -> None:
        nonlocal comparing
        comparing = comparing or isinstance(event, Progress)

    with pytest.raises(Cancelled, match="v2 is kept as a candidate"):
        actions.train(reviewed, LITTLE, listen, lambda: comparing)
    with Project.open(reviewed, read_only=True) as project:
        assert project.active_model == "v1"
        assert project.models.card("v2").gate == NOT_COMPARED


def test_a_training_that_is_stopped_is_kept_and_compared(reviewed: Path) -> None:
    heard: list[Event] = []

    def measured() -> bool:
        return any(isinstance(event, StepDone) and event.dice for event in heard)

    long = LITTLE.replace(steps=100)
    result = actions.train(reviewed, long, heard.append, measured)
    assert result["end"] == "stopped"
    assert 9 <= result["steps"] < 100
    assert result["champion"] == "v1"
    assert result["checks"], "through the gate"
    with Project.open(reviewed, read_only=True) as project:
        assert project.models.card("v2").training["end"] == "stopped"


def test_every_fine_tuning_begins_with_the_origin(reviewed: Path) -> None:
    use = LITTLE.replace(promote="always")
    actions.train(reviewed, use)
    actions.train(reviewed, use.replace(parent="v2"))
    actions.train(reviewed, use.replace(parent="v3", start="last"))
    with Project.open(reviewed, read_only=True) as project:
        cards = [project.models.card(version) for version in ("v2", "v3", "v4")]
    assert [card.parent for card in cards] == ["v1", "v2", "v3"]
    assert [c.training["began_with"] for c in cards] == ["v1", "v1", "v3"]


def test_learned_regions_are_known_in_a_project_that_moved(
    reviewed: Path, phantom_path: Path, tmp_path: Path
) -> None:
    actions.train(reviewed, LITTLE.replace(promote="always"))
    volume = shutil.copytree(phantom_path, tmp_path / "there" / phantom_path.name)
    moved = shutil.move(reviewed, tmp_path / "there" / "moved.unetseg")
    file = moved / "project.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"volume_uri": str(volume)}))
    actions.train(moved, LITTLE.replace(parent="v2", seed=5))
    with Project.open(moved, read_only=True) as project:
        cards = [project.models.card(version) for version in ("v2", "v3")]
    learned = [sorted(card.training["learned_boxes"]) for card in cards]
    assert learned[0] == learned[1], "what v2 left out is held out again"
    gate = cards[1].gate
    assert gate is not None
    assert gate.figures["n"] == 3


_KILLED = """
import os, signal, sys
from pathlib import Path
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.config import TrainConfig
from napari_unetseg.models.store import ModelStore

where, folder = sys.argv[1], Path(sys.argv[2])

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "before the verdict":
    ModelStore.keep_verdict = killed
else:
    Project.set_active_model = killed
config = TrainConfig(parent="v1", steps=1, batch=1, patch=(8, 16, 16), threads=1,
                     promote="always")
actions.train(folder, config)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("where", "said"),
    [("before the verdict", NOT_COMPARED.said),
     ("before the change", "In use without a comparison, as was asked for.")],
)  # fmt: skip
def test_a_kill_leaves_one_whole_version_in_use(
    reviewed: Path, where: str, said: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _KILLED, where, str(reviewed)], check=False
    )
    assert run.returncode == -9
    with Project.open(reviewed) as project:
        assert project.active_model == "v1"
        card = project.models.card("v2")
        assert card.gate is not None
        assert card.gate.said == said
        assert state_of(project, card) is VersionState.CANDIDATE
        project.set_active_model("v2")
    assert active(reviewed) == "v2"


def test_every_version_has_a_state(three: Path) -> None:
    found = actions.models(three)
    assert found["active_model"] == "v2"
    states = {row["version"]: row["state"] for row in found["models"]}
    assert states == {"v1": "used before", "v2": "in use", "v3": "candidate"}
    assert found["models"][2]["verdict"] == NOT_COMPARED.said


def test_a_candidate_is_promoted_and_rolled_back(three: Path) -> None:
    assert actions.promote(three, "v3") == {"active_model": "v3", "before": "v2"}
    assert actions.roll_back(three) == {"active_model": "v2", "before": "v3"}
    with Project.open(three) as project:
        assert state_of(project, project.models.card("v3")) is VersionState.USED_BEFORE
        assert version_before(project) == "v1"
    assert actions.roll_back(three)["active_model"] == "v1"
    with pytest.raises(ModelError, match="no version to go back to"):
        actions.roll_back(three)
    actions.promote(three, "v3")
    assert actions.roll_back(three)["active_model"] == "v1", "the last one used"


def test_a_verdict_is_written_whole_or_not_at_all(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.open(three) as project:
        before = project.models.card("v3")
        verdict = not_judged("v2", "Nobody knows.")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("napari_unetseg.models.store._sync", full)
            with pytest.raises(OSError, match="disk is full"):
                project.models.keep_verdict("v3", verdict)
        assert project.models.card("v3") == before
        assert len(list((three / "models" / "v3").iterdir())) == 2
        assert project.models.keep_verdict("v3", verdict).gate == verdict
        assert project.models.card("v3") == before.replace(gate=verdict)


def test_a_verdict_stays_where_it_was_said(three: Path, tmp_path: Path) -> None:
    with Project.open(three) as project:
        project.models.keep_verdict("v3", promoted("v2", "Better."))
        shutil.copytree(project.models.dir("v3"), tmp_path / "copy")
        assert project.models.import_from(tmp_path / "copy").gate is None
