"""What the spans of an agency's runs have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from ...journal.store import Record
from ...observe.errors import TelemetryError
from ...observe.spans import SpanWriter
from ...observe.telemetry import Telemetry
from ..turns.records import RunRequest
from .content import Redact, by_patterns

KEPT: Final = 10_000
"""Runs of which it is remembered that they were told of: one that is asked for again is not told again."""

TellPast: TypeAlias = Callable[[Iterable[Record], str], None]
"""Tells what was done of a run, by its conversation's records, from the first on, and the name of the model that is
asked; empty where that is the provider's affair."""


class Tracing:
    """The spans of an agency's runs.

    Args:
        telemetry: what is wanted.
        writer: writes them.

    Attributes:
        redact: takes out of what is said what nobody may read.
        content: whether what is said is told.
    """

    def __init__(self, telemetry: Telemetry, writer: SpanWriter) -> None:
        self.writer = writer
        self.redact = by_patterns if telemetry.redact is None else _texts_of(telemetry.redact)
        self.content = telemetry.content
        self.resumed: Callable[[RunRequest, TellPast], object] = _nobody
        """Told of a run that another process has begun, and of what tells what that did."""
        self.over: Callable[[RunRequest, float, str], object] = _nobody
        """Told of a run that has ended and of whose end nobody has told here, how many seconds it took, and the name of
        the error that it is known to have ended in."""
        self._told: dict[str, None] = {}
        """The runs that were told of last, the oldest first."""

    def ended(self, run: str) -> None:
        """A run is told of."""
        self._told[run] = None
        if len(self._told) > KEPT:
            del self._told[next(iter(self._told))]

    def found_over(self, run: RunRequest, seconds: float, error: str = "") -> None:
        """A run is found to have ended: in another process, which may have been killed before it told of that, or
        because its actor has failed for good.

        Args:
            run: as it was asked for here.
            seconds: it took.
            error: the name of the error that it ended in, where the journal does not know.
        """
        if run.id not in self._told:
            self.ended(run.id)
            self.over(run, seconds, error)


def _texts_of(redact: Redact) -> Redact:
    """A function of the user's, which may give anything, as one that gives texts."""

    def checked(text: str) -> str:
        left: Any = redact(text)
        if not isinstance(left, str):
            raise TelemetryError(f"redact gave {type(left).__name__}, which is no text")
        return left

    return checked


def _nobody(*told: object) -> None:
    """Nobody is told."""
