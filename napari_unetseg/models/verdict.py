"""What a comparison of a new model version with the one in use came to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from napari_unetseg.config import Config

Outcome = Literal["promoted", "kept", "not_judged"]


class Check(Config):
    """One thing that was looked at, and what was found, as a sentence."""

    name: str = Field(description="Short name of it, such as retention.")
    passed: bool = Field(description="Whether it speaks for the new version.")
    said: str = Field(description="What was found.")


class Verdict(Config):
    """Whether a new version takes the place of the one in use, and why.

    ``kept`` and ``not_judged`` leave it a candidate: a person may still use it.
    """

    outcome: Outcome = Field(description="What became of the new version.")
    champion: str | None = Field(None, description="Version that was in use then.")
    said: str = Field(description="The reason, as one sentence.")
    checks: tuple[Check, ...] = Field((), description="All that was looked at.")
    figures: dict[str, Any] = Field(
        default_factory=dict, description="The numbers behind the sentences."
    )

    @property
    def is_promoted(self) -> bool:
        """Whether the new version is to be used from now on."""
        return self.outcome == "promoted"


NOT_COMPARED = Verdict(
    outcome="not_judged",
    said="It has not been compared with the version in use.",
)
"""What stands in a card until there is more to say."""


def promoted(champion: str | None, said: str, **more: Any) -> Verdict:
    """Return that a version is to be used."""
    return Verdict(outcome="promoted", champion=champion, said=said, **more)


def kept(champion: str | None, why: str, **more: Any) -> Verdict:
    """Return that a version was compared and stays a candidate."""
    said = f"Kept as a candidate: {_inside(why)}"
    return Verdict(outcome="kept", champion=champion, said=said, **more)


def not_judged(champion: str | None, why: str, **more: Any) -> Verdict:
    """Return that nobody can say which version is better."""
    said = f"Kept as a candidate, as it cannot be judged: {_inside(why)}"
    return Verdict(outcome="not_judged", champion=champion, said=said, **more)


def _inside(sentence: str) -> str:
    """Return a sentence as it goes on after a colon."""
    return f"{sentence[:1].lower()}{sentence[1:]}"
