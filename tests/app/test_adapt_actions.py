from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.cli import OK, main
from napari_unetseg.config import AdaptConfig
from napari_unetseg.errors import Cancelled, ModelMismatchError, ModelNotFoundError
from napari_unetseg.models.store import CARD, ModelCard
from napari_unetseg.models.verdict import Verdict, promoted
from napari_unetseg.training.gate import Contest
from tests.helpers.put_right import put_right

pytestmark = pytest.mark.usefixtures("no_halo")

LITTLE = AdaptConfig(places=1, threads=1, device="cpu")


@pytest.fixture
def labelled(project_with_model: Path, phantom_path: Path) -> Path:
    """A project with a model of nothing, and four regions that were put right."""
    return put_right(project_with_model, phantom_path, (16, 24, 24))


def with_norm(folder: Path, norm: str) -> None:
    """Say in the card that the network has another normalisation."""
    path = folder / "models" / "v1" / CARD
    card = ModelCard.model_validate_json(path.read_bytes())
    spec = card.spec.replace(norm=norm)
    path.write_text(card.replace(spec=spec).model_dump_json())


def test_without_labels_it_is_a_candidate(project_with_model: Path) -> None:
    result = actions.adapt(project_with_model, LITTLE)
    assert (result["version"], result["parent"]) == ("v2", "v1")
    assert not result["promoted"]
    assert "nothing is labelled. Use v2 and see" in result["verdict"]
    with Project.open(project_with_model, read_only=True) as project:
        assert project.active_model == "v1"
        gate = project.models.card("v2").gate
    assert gate is not None
    assert gate.said == result["verdict"]


def test_with_labels_it_is_compared_as_any_other_version(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contests: list[Contest] = []

    def better(contest: Contest, *_: object) -> Verdict:
        contests.append(contest)
        return promoted("v1", "Better on 4 of 4 regions.")

    monkeypatch.setattr("napari_unetseg.training.gate.judge", better)
    result = actions.adapt(labelled, LITTLE)
    # It learned no label: all four regions say something.
    assert len(contests[0].regions) == 4
    assert contests[0].names == ("v1", "v2")
    assert result["verdict"] == "Better on 4 of 4 regions."
    with Project.open(labelled, read_only=True) as project:
        assert project.active_model == "v2"


def test_a_project_without_a_model_says_what_to_do(project_folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="Import one, or label"):
        actions.adapt(project_folder, LITTLE)


@pytest.mark.parametrize(
    ("norm", "because"),
    [("instance", "normalises each patch by itself"),
     ("group", "normalises each patch by itself"),
     ("channel", "remembers nothing of the images"),
     ("none", "remembers nothing of the images")],
)  # fmt: skip
def test_other_norms_have_nothing_to_adapt(
    project_with_model: Path, norm: str, because: str
) -> None:
    with_norm(project_with_model, norm)
    with pytest.raises(ModelMismatchError, match=f"nothing to adapt, v1 {because}"):
        actions.adapt(project_with_model, LITTLE)
    session = Session()
    session.open_project(project_with_model)
    assert because in session.why_not("adapt")
    session.close()


def test_stopping_leaves_the_project_as_it_was(project_with_model: Path) -> None:
    with pytest.raises(Cancelled):
        actions.adapt(project_with_model, LITTLE, is_cancelled=lambda: True)
    with Project.open(project_with_model, read_only=True) as project:
        assert project.models.versions() == ["v1"]


def test_the_command_line_adapts_a_version(
    project_with_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["adapt", str(project_with_model), "--places", "1", "--quiet"]
    assert main([*words, "--model", "v1", "--device", "cpu"]) == OK
    assert "got used to this volume" in capsys.readouterr().out


def test_the_window_has_a_reason_until_there_is_a_model(project_folder: Path) -> None:
    session = Session()
    assert session.why_not("adapt") == "Open a volume or a project first."
    session.open_project(project_folder)
    assert "There is no model yet" in session.why_not("adapt")
    session.close()
    shutil.rmtree(project_folder)
