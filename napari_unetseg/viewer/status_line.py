"""The last line of the dock: what is running, how far it is, and what was said."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QFrame, QProgressBar, QVBoxLayout

from napari_unetseg.app.session import Session
from napari_unetseg.app.status import JobState, JobStatus, Notice
from napari_unetseg.viewer.controls import elided, explain, push_button, row
from napari_unetseg.viewer.style import set_flag

DOING = {
    "predict": "predicting",
    "train": "training",
    "adapt": "getting used to the volume",
    "convert": "converting",
    "new_project": "converting",
    "export": "exporting",
    "sample": "making the sample",
    "compare_raters": "comparing raters",
    "make_consensus": "finding the consensus",
    "measure_effort": "measuring effort",
}
TIP = "What is going on. Click to see all messages."
_STOP_TIP = "Stop what is running. What is finished stays."


class StatusLine(QFrame):
    """Job, speed, time left and a way to stop it; the latest message in between.

    Signals
    -------
    log_wanted
        The person clicked on the line.
    """

    log_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setObjectName("StatusLine")
        self.setToolTip(TIP)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.text = elided()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.stop = push_button("Stop", _STOP_TIP, session.cancel, "quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 4, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self.bar)
        layout.addLayout(row(self.text, self.stop))
        self._notice: Notice | None = None
        self._hint = ""
        self.refresh()

    def set_hint(self, text: str) -> None:
        """Show what the chosen tool waits for, while there is nothing else to say."""
        if text != self._hint:
            self._hint = text
            self.refresh()

    def forget(self) -> None:
        """Say no longer what was said: something else has been done since."""
        self._notice = None
        self.refresh()

    def say(self, notice: Notice) -> None:
        """Show a message until something runs or another one comes."""
        self._notice = notice
        self.refresh()

    def refresh(self) -> None:
        """Show what the session is at."""
        job = self._session.job
        self.bar.setVisible(not job.is_idle)
        self.stop.setVisible(not job.is_idle)
        if job.is_idle:
            self._show_notice()
            return
        self.bar.setRange(0, max(job.total, 0))
        self.bar.setValue(min(job.done, job.total))
        self._show(job_text(job), "info")
        explain(self.stop, _STOP_TIP, self._session.why_not("cancel"))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Ask for the log."""
        self.log_wanted.emit()

    def _show_notice(self) -> None:
        if self._notice is None:
            self._show(self._hint or "ready", "quiet")
        else:
            self._show(self._notice.text, self._notice.level)

    def _show(self, text: str, level: str) -> None:
        if text != self.text.text():
            self.text.setText(text)
            self.text.setToolTip(f"{text}\n{TIP}")
        set_flag(self.text, "level", level)


def job_text(job: JobStatus) -> str:
    """Return a running job as one line.

    Examples
    --------
    >>> status = JobStatus("predict", JobState.RUNNING, 312, 512, 2.13, 100.0)
    >>> job_text(status)
    'predicting 312/512 · 2.1 Mvox/s · 1:40 left'
    """
    if job.is_idle:
        return ""
    doing = DOING.get(job.verb, job.verb)
    if job.by_itself:
        doing = "fine-tuning by itself"
    parts = [f"{doing} {job.done}/{job.total}" if job.total > 1 else doing]
    if job.state is JobState.CANCELLING:
        return f"stopping: {parts[0]}"
    if job.speed_mvox_s is not None:
        parts.append(f"{job.speed_mvox_s:.2g} Mvox/s")
    elif job.text:
        parts.append(job.text)
    if job.seconds_left is not None:
        parts.append(f"{time_text(job.seconds_left)} left")
    return " · ".join(parts)


def time_text(seconds: float) -> str:
    """Return a duration as people read it: 7 s, 1:40, 2 h 05.

    Examples
    --------
    >>> time_text(7), time_text(100), time_text(7500)
    ('7 s', '1:40', '2 h 05')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60} h {minutes % 60:02d}"
