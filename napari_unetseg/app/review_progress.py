"""How far people have come with looking at regions."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from napari_unetseg.data.journal_notes import Reviewed


@dataclass(frozen=True)
class ReviewProgress:
    """Regions that somebody looked at.

    Attributes
    ----------
    by_state, by_annotator, by_class
        How many; classes by their ids, without regions of no class.
    seconds
        That one takes, the median; None if nobody knows.
    """

    by_state: Mapping[str, int] = field(default_factory=dict)
    by_annotator: Mapping[str, int] = field(default_factory=dict)
    by_class: Mapping[int, int] = field(default_factory=dict)
    seconds: float | None = None

    @classmethod
    def of(cls, regions: Sequence[Reviewed]) -> ReviewProgress:
        """Count regions."""
        times = [r.seconds for r in regions if r.seconds is not None]
        classes = [r.class_id for r in regions if r.class_id is not None]
        return cls(
            by_state=dict(Counter(r.state for r in regions)),
            by_annotator=dict(Counter(r.annotator for r in regions)),
            by_class=dict(Counter(classes)),
            seconds=statistics.median(times) if times else None,
        )

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_state.values())
