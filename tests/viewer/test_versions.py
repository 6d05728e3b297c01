from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_unetseg.app.project import Project
from napari_unetseg.models.verdict import Check, Verdict, kept, not_judged
from napari_unetseg.viewer.panels.versions import VersionList, report_text

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui
LOST = Check(name="accepted", passed=False, said="On regions it lost 0.03.")
BETTER = Check(name="better", passed=True, said="Better on 5 of 6 regions.")
KEPT = kept("v1", LOST.said, checks=(BETTER, LOST))


def add_version(project: Project, version: str, parent: str, gate: Verdict) -> None:
    """Add a copy of the first version under another name."""
    card = project.models.card("v1")
    weights = project.models.dir("v1") / "weights.safetensors"
    project.models.register(
        card.replace(version=version, parent=parent, gate=gate), weights
    )


@pytest.fixture
def versions(project_with_model: Path, dock: MainWidget) -> VersionList:
    panel = dock.panels["learn"]
    panel.set_open(True)
    dock.refresh()
    return panel.versions


def tell(dock: MainWidget) -> None:
    dock.session.models_changed.emit()
    dock.refresh()


def shown(versions: VersionList) -> dict[str, str]:
    """Return the state of every row, and its place in the tree as dots before it."""
    rows = {}

    def look(item, depth: int) -> None:
        rows["." * depth + item.text(0)] = item.text(1)
        for number in range(item.childCount()):
            look(item.child(number), depth + 1)

    for number in range(versions.tree.topLevelItemCount()):
        look(versions.tree.topLevelItem(number), 0)
    return rows


def test_a_candidate_that_comes_is_selected_and_says_why(
    versions: VersionList, dock: MainWidget
) -> None:
    assert shown(versions) == {"v1": "● in use"}
    assert not versions.report.isVisibleTo(versions)
    add_version(dock.session.project, "v2", "v1", KEPT)
    tell(dock)
    assert shown(versions) == {"v1": "● in use", ".v2": "◇ candidate"}
    assert versions.selected == "v2"
    assert versions.report.text().splitlines() == [
        "v2, compared with v1: Kept as a candidate: on regions it lost 0.03.",
        "✓ Better on 5 of 6 regions.",
    ]
    assert dock.panels["learn"].summary.startswith("v2 is a candidate · ")


def test_a_candidate_is_used_and_left_again_with_two_buttons(
    versions: VersionList, dock: MainWidget
) -> None:
    project = dock.session.project
    add_version(project, "v2", "v1", KEPT)
    tell(dock)
    assert not versions.back.isVisibleTo(versions)
    assert versions.button.text() == "Use v2"
    versions.button.click()
    dock.refresh()
    assert project.active_model == "v2"
    assert shown(versions) == {"v1": "used before", ".v2": "● in use"}
    assert not versions.button.isEnabled()
    assert "This is the version in use" in versions.button.toolTip()

    assert versions.back.text() == "Go back to v1"
    versions.back.click()
    dock.refresh()
    assert project.active_model == "v1"
    assert shown(versions) == {"v1": "● in use", ".v2": "used before"}


def test_a_double_click_uses_a_version(versions: VersionList, dock: MainWidget) -> None:
    add_version(dock.session.project, "v2", "v1", KEPT)
    tell(dock)
    row = versions.tree.visualItemRect(versions.tree.currentItem()).center()
    place = QPoint(row.x(), row.y())
    viewport = versions.tree.viewport()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=place)
    assert dock.session.project.active_model == "v2"


def test_a_long_line_of_descent_stays_in_the_dock(
    versions: VersionList, dock: MainWidget
) -> None:
    for number in range(2, 12):
        add_version(dock.session.project, f"v{number}", f"v{number - 1}", KEPT)
    tell(dock)
    rows = list(shown(versions))
    assert len(rows) == 11
    assert max(row.count(".") for row in rows) == 6
    assert ".v2" in rows


def test_a_selected_version_stays_selected(
    versions: VersionList, dock: MainWidget
) -> None:
    add_version(dock.session.project, "v2", "v1", KEPT)
    tell(dock)
    versions.select("v1")
    dock.session.project.models.keep_verdict("v2", not_judged("v1", "Too few."))
    tell(dock)
    assert versions.selected == "v1"
    versions.select("v2")
    assert "cannot be judged: too few." in versions.report.text()


def test_dice_stands_where_two_versions_were_measured_on_the_same_regions(
    versions: VersionList, dock: MainWidget
) -> None:
    project = dock.session.project
    card = project.models.card("v1")
    weights = project.models.dir("v1") / "weights.safetensors"
    compared = kept("v1", LOST.said, figures={"champion": 0.654, "challenger": 0.676})
    trained = card.replace(
        version="v2", gate=compared, training={},
        metrics={"dice": {"cell": 0.5, "fibre": 0.75}},
    )  # fmt: skip
    elsewhere = {"version": "v3", "training": {"imported_from": "there"}}
    alone = {"version": "v4", "gate": not_judged("v1", "Too few.")}
    for changes in ({}, elsewhere, alone):
        project.models.register(trained.replace(**changes), weights)
    tell(dock)
    rows = [versions.tree.topLevelItem(number) for number in range(1, 4)]
    assert [row.text(2) for row in rows] == ["0.65\u2009→\u20090.68", "–", "–"]
    tips = [row.toolTip(2) for row in rows]
    assert "Dice of v1 and of it, on the same regions: 0.65\u2009→\u20090.68" in tips[0]
    assert "labels held out as it was trained: cell 0.50, fibre 0.75" in tips[2]
    assert "labels held out where it was made: cell 0.50, fibre 0.75" in tips[1]
    assert "same regions" not in tips[1] + tips[2]


def test_what_was_never_compared_says_so(dock: MainWidget, model_dir: Path) -> None:
    dock.session.import_model(model_dir)
    card = dock.session.project.models.card("v1")
    assert "not compared" in report_text(card)


def test_the_form_asks_when_a_version_is_used(dock: MainWidget) -> None:
    form = dock.panels["learn"].form
    assert form.values()["promote"] == "gate"
    form.set_values({"promote": "never"})
    assert form.changes() == {"promote": "never"}
