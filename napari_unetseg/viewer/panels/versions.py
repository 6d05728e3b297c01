"""The versions of the model as a family tree: what each is, why, and a way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.app.model_actions import VersionState, state_of, version_before
from napari_unetseg.app.project import Project
from napari_unetseg.models.store import CARD, ModelCard
from napari_unetseg.viewer.calibration_plot import CalibrationPlot
from napari_unetseg.viewer.card import Fold, section
from napari_unetseg.viewer.controls import explain, label, push_button, row, set_hint
from napari_unetseg.viewer.panels.comparison import Comparison
from napari_unetseg.viewer.panels.panel import Parts

_USE_TIP = "Show and correct the prediction of the selected version from now on."
_BACK_TIP = "Use the version again that was in use before."
_TREE_TIP = (
    "Versions of the model, each below the one that it was fine-tuned from. Select one "
    "to read how it compared, double-click it to use it."
)
_COLUMNS = ("version", "state", "Dice", "made")
_MARKS = {
    VersionState.IN_USE: "● in use",
    VersionState.CANDIDATE: "◇ candidate",
    VersionState.USED_BEFORE: "used before",
}
_EXACTLY = Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive
_TO = "\u2009→\u2009"  # thin spaces
_INDENT = 10  # px per generation
_DEEPEST = 6  # later generations stand beside this one: the dock is narrow
_ROWS = 6
_NOT_KNOWN = "It was not compared with another version when it came into use."


class VersionList(QWidget):
    """The versions, the report of the selected one, and what can be done with it."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session = parts.session
        self._stamp: tuple[object, ...] = ()
        self._known: tuple[Path, tuple[str, ...]] | None = None
        self.tree = _tree()
        self.tree.itemDoubleClicked.connect(lambda _item, _column: self.use())
        self.tree.itemSelectionChanged.connect(self._show_selected)
        self.report = label(wraps=True)
        self.button = push_button("Use this version", _USE_TIP, self.use)
        self.back = push_button("Go back", _BACK_TIP, self._session.go_back)
        self.comparison = Comparison(parts)
        self.belief = CalibrationPlot()
        self.belief_fold = Fold(
            self.belief, "How far this version can be believed.", "reliability"
        )
        self.belief_fold.toggled.connect(lambda _is_open: self._show_belief())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(section("VERSIONS"))
        layout.addWidget(self.tree)
        layout.addWidget(self.report)
        layout.addLayout(row(self.button, self.back, None, self.belief_fold.button))
        layout.addWidget(self.comparison)
        layout.addWidget(self.belief_fold)

    @property
    def selected(self) -> str:
        """The selected version, "" if none is."""
        items = self.tree.selectedItems()
        return str(items[0].data(0, Qt.ItemDataRole.UserRole)) if items else ""

    def select(self, version: str) -> None:
        """Select a version; an unknown one selects nothing."""
        found = self.tree.findItems(version, _EXACTLY, 0)
        self.tree.setCurrentItem(found[0] if found else None)

    def use(self) -> None:
        """Make the selected version the active one."""
        if self.selected and self.button.isEnabled():
            self._session.use_version(self.selected)

    def refresh(self) -> None:
        """Show the versions of the open project."""
        project = self._session.project
        stamp = () if project is None else _stamp(project)
        if project is not None and stamp != self._stamp:
            self._fill(project)
        self._stamp = stamp
        self.setVisible(bool(self.tree.topLevelItemCount()) and project is not None)
        self._show_selected()

    def _fill(self, project: Project) -> None:
        """Build the tree anew."""
        selected, known = self.selected, self._known
        cards = project.models.cards()
        states = {card.version: state_of(project, card) for card in cards}
        self._known = (project.folder, tuple(states))
        self.tree.clear()
        rows = {c.version: _version_row(c, states[c.version]) for c in cards}
        for card in cards:
            parent = rows.get(card.parent or "")
            if parent is not None and _depth(parent) == _DEEPEST:
                parent = parent.parent()
            if parent is None:
                self.tree.addTopLevelItem(rows[card.version])
            else:
                parent.addChild(rows[card.version])
        self.tree.expandAll()
        self.tree.setFixedHeight((min(len(cards), _ROWS) + 1) * 24 + 8)
        if known is not None and known[0] == project.folder:
            self.select(_new_candidate(states, known[1]) or selected)

    def _show_selected(self) -> None:
        """Show the report of the selected version, and what can be done with it."""
        self._show_belief()
        project, version = self._session.project, self.selected
        if project is None:
            return
        card = project.models.card(version) if version else None
        set_hint(self.report, "" if card is None else report_text(card))
        reason = "" if version else "Select a version first."
        if version and version == project.active_model:
            reason = "This is the version in use."
        refused = self._session.why_not("use_version")
        explain(self.button, _USE_TIP, reason or refused)
        self.button.setText(f"Use {version}" if version else "Use this version")
        before = version_before(project)
        self.back.setVisible(before is not None)
        self.back.setText(f"Go back to {before}")
        explain(self.back, _BACK_TIP, refused)
        self.comparison.setVisible(len(project.models.versions()) > 1)
        self.comparison.show_version(version)

    def _show_belief(self) -> None:
        """Show the card of the selected version, else of the one in use."""
        project = self._session.project
        version = self.selected or (project.active_model if project else None)
        if self.belief_fold.is_open and project is not None and version:
            self.belief.show_card(project.models.card(version))


def report_text(card: ModelCard) -> str:
    """Return how a version compared, line by line; nothing is said twice."""
    if card.gate is None:
        return f"{card.version}: {_NOT_KNOWN}"
    champion = f", compared with {card.gate.champion}" if card.gate.checks else ""
    lines = [f"{card.version}{champion}: {card.gate.said}"]
    lines += [
        f"{'✓' if check.passed else '✗'} {check.said}"
        for check in card.gate.checks
        if not card.gate.said.endswith(check.said[1:])
    ]
    return "\n".join(lines)


def dice_text(card: ModelCard) -> str:
    """Return the Dice of the version before and of this one, on the same regions.

    What a training measures on the way is of the regions that were held out then. More
    are for each version, so these numbers must not stand below each other.
    """
    figures = {} if card.gate is None else card.gate.figures
    if _is_from_elsewhere(card) or "challenger" not in figures:
        return "–"
    return f"{figures['champion']:.2f}{_TO}{figures['challenger']:.2f}"


def _tree() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setHeaderLabels(_COLUMNS)
    tree.setIndentation(_INDENT)
    tree.setRootIsDecorated(False)
    tree.setItemsExpandable(False)
    tree.setToolTip(_TREE_TIP)
    tree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    header = tree.header()
    assert header is not None
    header.setStretchLastSection(True)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    # When a version was made gives way: the dock is narrow, and the tip says it, too.
    header.setSectionResizeMode(len(_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
    tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return tree


def _stamp(project: Project) -> tuple[object, ...]:
    """Return what changes when a version does; cards are not read for it."""
    changed = (
        (version, (project.models.folder / version / CARD).stat().st_mtime_ns)
        for version in project.models.versions()
    )
    return project.folder, project.active_model, project.used_models, *changed


def _new_candidate(states: Mapping[str, VersionState], known: Sequence[str]) -> str:
    """Return a candidate that has just come, "" if there is none."""
    new = [version for version in states if version not in known]
    is_candidate = bool(new) and states[new[-1]] is VersionState.CANDIDATE
    return new[-1] if is_candidate else ""


def _version_row(card: ModelCard, state: VersionState) -> QTreeWidgetItem:
    made = datetime.fromisoformat(card.created).astimezone().strftime("%d %b %H:%M")
    item = QTreeWidgetItem([card.version, _MARKS[state], dice_text(card), made])
    item.setData(0, Qt.ItemDataRole.UserRole, card.version)
    about = card.description or card.name or f"{len(card.raters)} raters"
    origin = f", fine-tuned from {card.parent}" if card.parent else ""
    tip = f"{card.version}, {state}{origin}, {made}\n{about}\n{_dice_tip(card)}"
    for column in range(len(_COLUMNS)):
        item.setToolTip(column, tip)
    return item


def _depth(item: QTreeWidgetItem) -> int:
    above = item.parent()
    return 0 if above is None else 1 + _depth(above)


def _dice_tip(card: ModelCard) -> str:
    dice = card.metrics.get("dice") or {}
    if not dice:
        return "Dice was not measured: too few labels to hold some out."
    parts = ", ".join(f"{name} {value:.2f}" for name, value in dice.items())
    where = "where it was made" if _is_from_elsewhere(card) else "as it was trained"
    lines = [f"Dice on labels held out {where}: {parts}"]
    if (compared := dice_text(card)) != "–":
        before = card.gate.champion if card.gate else None
        lines.insert(0, f"Dice of {before} and of it, on the same regions: {compared}")
    return "\n".join(lines)


def _is_from_elsewhere(card: ModelCard) -> bool:
    return "imported_from" in card.training
