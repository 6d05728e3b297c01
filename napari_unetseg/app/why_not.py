"""Why something cannot be done now: the sentences behind greyed controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetseg.app.model_fit import why_not_adapt
from napari_unetseg.app.status import JobState
from napari_unetseg.errors import MissingMapError
from napari_unetseg.training.worklist import check_has_map

if TYPE_CHECKING:
    from napari_unetseg.app.session_base import SessionBase
    from napari_unetseg.config import WorklistStrategy

_LONG = {"predict", "train", "finetune", "adapt", "export", "list_objects",
         "compare_raters", "make_consensus", "measure_effort"}  # fmt: skip
_EDITS = {"edit", "review", "add_class", "undo", "redo", "import_rater"}
_WRITES = {"predict", "train", "finetune", "adapt", "use_version", *_EDITS}
_NEEDS_MODEL = {"predict", "finetune", "adapt"}


def why_not(session: SessionBase, verb: str) -> str:
    """Return one sentence, or "" if the verb can be used now.

    Parameters
    ----------
    verb
        ``predict``, ``train``, ``finetune``, ``adapt``, ``export``, ``list_objects``,
        ``edit``, ``click``, ``follow``, ``review``, ``add_class``, ``undo``, ``redo``,
        ``cancel``, ``worklist``, ``compare_raters``, ``make_consensus``,
        ``adjudicate``, ``import_rater``, ``measure_effort`` or ``use_version``.
    """
    project, job = session.project, session.job
    if verb == "cancel":
        return _why_not_cancel(job.state)
    if project is None:
        return "Open a volume or a project first."
    if verb in _WRITES and project.read_only:
        return project.held_by or "The project is read-only."
    if verb in _LONG and not job.is_idle:
        return f"Wait until the {job.verb} job has finished, or cancel it."
    if verb in _NEEDS_MODEL and project.active_model is None:
        return "There is no model yet: label a few slices, then train a new one."
    return _WHY.get(verb, _nothing)(session)


def _why_not_cancel(state: JobState) -> str:
    if state is JobState.IDLE:
        return "Nothing is running."
    return "It is stopping already." if state is JobState.CANCELLING else ""


def _nothing(session: SessionBase) -> str:
    return ""


def _why_not_train(session: SessionBase) -> str:
    if not session.has_labels:
        return "Label a few slices first: the network learns from them."
    return ""


def _why_not_adapt(session: SessionBase) -> str:
    assert session.project is not None
    project, version = session.project, session.project.active_model
    return "" if version is None else why_not_adapt(project.models.card(version))


def _why_not_follow(session: SessionBase) -> str:
    if session.predictions is None:
        return "Predict this region first: the stroke follows the prediction."
    return ""


def _why_not_effort(session: SessionBase) -> str:
    if not session.has_labels:
        return "Nothing was corrected or reviewed yet."
    return ""


def why_not_strategy(session: SessionBase, strategy: WorklistStrategy) -> str:
    """Say why the worklist cannot be ranked by something now; "" if it can."""
    if session.project is None:
        return "Open a volume or a project first."
    if session.is_adjudicating:
        return "Stop deciding between raters first: their list is another one."
    if session.predictions is None:
        return "Predict something first: the list ranks what the model is unsure of."
    try:
        check_has_map(session.predictions, strategy)
    except MissingMapError as error:
        return str(error)
    return ""


def _why_not_worklist(session: SessionBase) -> str:
    if session.is_adjudicating:
        return ""
    return why_not_strategy(session, session.preferences.worklist)


def _why_not_compare(session: SessionBase) -> str:
    assert session.project is not None
    if len(session.project.corrections.annotators()) < 2:
        return "Two people must have labelled: import the labels of a rater first."
    return ""


def _why_not_adjudicate(session: SessionBase) -> str:
    assert session.project is not None
    others = set(session.project.corrections.annotators()) - {session.annotator}
    if len(others) < 2:
        return "Deciding needs two raters besides you: import the labels of a rater."
    return ""


def _why_not_undo(session: SessionBase) -> str:
    return "" if session.can_undo else "There is nothing to undo."


def _why_not_redo(session: SessionBase) -> str:
    return "" if session.can_redo else "There is nothing to redo."


_WHY = {
    "train": _why_not_train,
    "finetune": _why_not_train,
    "adapt": _why_not_adapt,
    "follow": _why_not_follow,
    "worklist": _why_not_worklist,
    "measure_effort": _why_not_effort,
    "compare_raters": _why_not_compare,
    "make_consensus": _why_not_compare,
    "adjudicate": _why_not_adjudicate,
    "undo": _why_not_undo,
    "redo": _why_not_redo,
}
