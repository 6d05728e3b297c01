"""The card that trains a model from the labels, and keeps its versions."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.config import TrainConfig
from napari_unetseg.models.store import ModelCard
from napari_unetseg.viewer.calibration_plot import CalibrationPlot
from napari_unetseg.viewer.card import Fold, section
from napari_unetseg.viewer.config_form import ConfigForm
from napari_unetseg.viewer.controls import (
    explain,
    label,
    push_button,
    row,
    set_hint,
)
from napari_unetseg.viewer.header import import_model
from napari_unetseg.viewer.panels.effort import EffortFold
from napari_unetseg.viewer.panels.panel import Panel, Parts
from napari_unetseg.viewer.plots import TrainingPlot
from napari_unetseg.viewer.style import Palette, set_role

_FIELDS = ("steps", "budget_s", "preset", "blocks", "recompute", "batch", "patch",
           "learning_rate", "device", "threads", "seed", "annotators")  # fmt: skip
_NEW_TIP = "Plan a network from your data and train it from nothing."
_TUNE_TIP = (
    "Train the active model further on all corrections to date, in the background (T). "
    "It becomes a new version; the old one stays."
)
_STOP_TIP = "Stop training. The best version so far is kept."
_USE_TIP = "Show and correct the prediction of the selected version."
_START = "Label a few slices, then “New model from these labels”."
_COLUMNS = ("version", "from", "Dice", "made")


class LearnPanel(Panel):
    """Training set, two ways to train, curves, versions."""

    name = "Learn"
    hears = ("labels_changed", "worklist_changed", "model_changed", "models_changed",
             "classes_changed", "step_done", "preferences_changed")  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._what = label(wraps=True)
        self._hint = label(role="hint", wraps=True)
        self.tune = push_button("Fine-tune", _TUNE_TIP, self.finetune)
        self.new = push_button(
            "New model from these labels", _NEW_TIP, self.train_new, "primary"
        )
        self.stop = push_button("Stop", _STOP_TIP, self.session.cancel)
        self.form = ConfigForm(TrainConfig, _FIELDS)
        self.form.changed.connect(self.mark)
        self.import_button = push_button(
            "Import a model…",
            "Copy a model from another project into this one.",
            lambda: import_model(self, self.session),
        )
        more = QWidget()
        below = QVBoxLayout(more)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.form)
        below.addLayout(row(self.import_button, None))
        self.more = Fold(more, "Steps, size, device; import a model.")
        self.plot = TrainingPlot()
        self.versions = VersionList(parts)
        self.body.addWidget(self._what)
        self.body.addWidget(self._hint)
        self.body.addLayout(row(self.tune, self.new, self.stop, None, self.more.button))
        self.body.addWidget(self.more)
        self.body.addWidget(self.plot)
        self.body.addWidget(self.versions)
        self.effort = EffortFold(parts)
        self.body.addWidget(self.effort)

    def finetune(self) -> None:
        """Train the active model further."""
        self.session.finetune(**self.form.changes())

    def train_new(self) -> None:
        """Train a new model."""
        self.session.train_new(**self.form.changes())

    def refresh(self) -> None:
        """Show what there is to learn from, and what can be started."""
        project, job = self.session.project, self.session.job
        has_model = project is not None and project.active_model is not None
        is_training = job.verb == "train" and not job.is_idle
        usual = self.session.preferences
        steps = usual.finetune_steps if has_model else usual.steps
        self.form.set_default("steps", steps)
        self.form.set_default("device", usual.device)
        self.form.set_default("threads", usual.threads)
        self._what.setText(self.session.training_summary())
        self._what.setVisible(project is not None)
        self._show_buttons(has_model, is_training)
        set_hint(self._hint, "" if has_model or is_training else self._what_next())
        explain(
            self.import_button,
            "Copy a model from another project into this one.",
            "" if project is not None else "Open a volume first.",
        )
        if self.is_open:
            classes = () if project is None else project.classes
            self.plot.show_steps(self.session.training_steps, classes)
        self.versions.refresh()
        self.effort.refresh()
        self.set_summary(self._summary())

    def set_palette(self, palette: Palette) -> None:
        """Take other colours for the curves."""
        self.plot.set_palette(palette)
        self.versions.belief.set_palette(palette)
        self.effort.set_palette(palette)
        self.mark()

    def close_panel(self) -> None:
        """Let go of the session."""
        super().close_panel()
        self.effort.close_fold()

    def _show_buttons(self, has_model: bool, is_training: bool) -> None:
        problem = self.form.problem
        explain(self.tune, _TUNE_TIP, self.session.why_not("finetune") or problem)
        explain(self.new, _NEW_TIP, self.session.why_not("train") or problem)
        explain(self.stop, _STOP_TIP, self.session.why_not("cancel"))
        set_role(self.tune, "primary" if has_model else "")
        set_role(self.new, "" if has_model else "primary")
        self.new.setText("New model" if has_model else "New model from these labels")
        self.tune.setVisible(has_model and not is_training)
        self.new.setVisible(not is_training)
        self.stop.setVisible(is_training)

    def _what_next(self) -> str:
        reason = self.session.why_not("train")
        return _START if self.session.project is not None else reason

    def _summary(self) -> str:
        project = self.session.project
        if project is None:
            return ""
        store, version = project.corrections, project.active_model
        if version is None:
            return f"{store.n_strokes} strokes · no model yet"
        known = project.models.card(version).training.get("strokes", ())
        n = store.strokes_since(known)
        return f"{n} stroke{'' if n == 1 else 's'} since {version}"


class VersionList(QWidget):
    """The versions of the model, where each comes from, and a way back."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session = parts.session
        self._shown: tuple[str, ...] = ()
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(_COLUMNS)
        self.tree.setRootIsDecorated(False)
        self.tree.setToolTip("Versions of the model. Double-click one to use it.")
        self.tree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        header = self.tree.header()
        assert header is not None
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemDoubleClicked.connect(lambda _item, _column: self.use())
        self.tree.itemSelectionChanged.connect(self._show_button)
        self.button = push_button("Use this version", _USE_TIP, self.use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(section("VERSIONS"))
        layout.addWidget(self.tree)
        self.belief = CalibrationPlot()
        self.belief_fold = Fold(
            self.belief, "How far this version can be believed.", "reliability"
        )
        self.belief_fold.toggled.connect(lambda _is_open: self._show_belief())
        layout.addLayout(row(self.button, None, self.belief_fold.button))
        layout.addWidget(self.belief_fold)

    @property
    def selected(self) -> str:
        """The selected version, "" if none is."""
        items = self.tree.selectedItems()
        return str(items[0].data(0, Qt.ItemDataRole.UserRole)) if items else ""

    def use(self) -> None:
        """Make the selected version the active one."""
        if self.selected:
            self._session.set_active_model(self.selected)

    def refresh(self) -> None:
        """Show the versions of the open project."""
        project = self._session.project
        versions = () if project is None else tuple(project.models.versions())
        active = None if project is None else project.active_model
        self.setVisible(bool(versions))
        state = (str(project and project.folder), str(active), *versions)
        if state != self._shown and project is not None:
            self._shown = state
            self.tree.clear()
            for card in reversed(project.models.cards()):
                self.tree.addTopLevelItem(_version_row(card, card.version == active))
            rows = min(len(versions), 5) + 1
            self.tree.setFixedHeight(rows * 24 + 8)
        self._show_button()

    def _show_belief(self) -> None:
        """Show the card of the selected version, else of the one in use."""
        project = self._session.project
        version = self.selected or (project.active_model if project else None)
        if self.belief_fold.is_open and project is not None and version:
            self.belief.show_card(project.models.card(version))

    def _show_button(self) -> None:
        self._show_belief()
        project, version = self._session.project, self.selected
        active = None if project is None else project.active_model
        reason = "" if version else "Select a version first."
        if version and version == active:
            reason = "This is the version in use."
        explain(self.button, _USE_TIP, reason)
        self.button.setText(f"Use {version}" if version else "Use this version")


def _version_row(card: ModelCard, is_active: bool) -> QTreeWidgetItem:
    dice = dice_text(card)
    made = datetime.fromisoformat(card.created).astimezone().strftime("%d %b %H:%M")
    mark = "● " if is_active else "   "
    item = QTreeWidgetItem([f"{mark}{card.version}", card.parent or "–", dice, made])
    item.setData(0, Qt.ItemDataRole.UserRole, card.version)
    about = card.description or card.name or f"{len(card.raters)} raters"
    use = "in use" if is_active else "double-click to use it"
    for column in range(len(_COLUMNS)):
        item.setToolTip(column, f"{card.version}, {use}\n{about}\n{_dice_tip(card)}")
    return item


def dice_text(card: ModelCard) -> str:
    """Return the mean Dice over the classes, measured on held-out labels."""
    dice = card.metrics.get("dice") or {}
    return f"{sum(dice.values()) / len(dice):.2f}" if dice else "–"


def _dice_tip(card: ModelCard) -> str:
    dice = card.metrics.get("dice") or {}
    if not dice:
        return "Dice was not measured: too few labels to hold some out."
    parts = ", ".join(f"{name} {value:.2f}" for name, value in dice.items())
    return f"Dice on held-out labels: {parts}"
