"""Rules over readings of figures: each makes one number of them, as a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .checks import is_number, is_whole
from .conventions import AGENT_DURATION
from .errors import TelemetryError
from .metrics import Family, Times


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures at one moment.

    Args:
        at: seconds, of any clock that only goes on.
        families: the figures by name.
    """

    at: float
    families: Mapping[str, Family]

    def total(self, name: str, **labels: str) -> float:
        """The sum of a family's figures; 0 where there is none."""
        family = self.families.get(name)
        return 0.0 if family is None else family.total(**labels)

    def most(self, name: str) -> float | None:
        """The greatest of a family's figures; None where there is none."""
        family = self.families.get(name)
        numbers = [one for one in family.samples.values() if not isinstance(one, Times)] if family is not None else []
        return max(numbers, default=None)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is looked at.

    Args:
        above: the number above which it fires.
        below: the number below which that is over; ``above`` by default.
        holds: seconds for which the number must be above.
        name: for alerts; the class's by default.

    Raises:
        TelemetryError: ``below`` is above ``above``, or a number is none.
    """

    above: float
    below: float | None = None
    holds: float = 0.0
    name: str = ""

    unit: ClassVar[str] = ""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if not isinstance(self.name, str):
            raise TelemetryError(f"{kind}: name is {self.name!r:.80}; it is a text")
        for what in ("above", "holds", *(("below",) if self.below is not None else ())):
            if not is_number(given := getattr(self, what)):
                raise TelemetryError(f"{kind}: {what} is {given!r:.80}; it is a number, not below 0")
        if self.below is not None and self.below > self.above:
            raise TelemetryError(f"{kind}: below is {self.below}, and above {self.above}: it would never be over")

    def _check(self, *seconds: str) -> None:
        """Look at what rules that look back have besides: names of fields of seconds, and ``least`` where there is
        one."""
        kind = type(self).__name__
        for what in seconds:
            if not is_number(given := getattr(self, what)) or not given:
                raise TelemetryError(f"{kind}: {what} is {given!r:.80}; it is a number of seconds above 0")
        least: Any = getattr(self, "least", 1)
        if not is_whole(least) or not least:
            raise TelemetryError(f"{kind}: least is {least!r:.80}; it is a whole number, at least 1")

    @property
    def horizon(self) -> float:
        """Seconds for which readings are kept for it."""
        return 0.0

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """Make one number of readings.

        Args:
            readings: the oldest first, at least one.

        Returns:
            the number; None where it is not known.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ErrorRate(Rule):
    """The share of runs that fail, from 0 to 1.

    Args:
        over: of those that ended in so many seconds.
        least: so many must have ended.
        but: errors that are none: what callers do (``RunCancelled``).
    """

    above: float = 0.2
    over: float = 300.0
    least: int = 10
    but: Sequence[str] = ("RunCancelled",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("over")
        if isinstance(self.but, str) or not all(isinstance(one, str) for one in self.but):
            raise TelemetryError(f"{type(self).__name__}: but is {self.but!r:.80}; it is a list of names of errors")

    @property
    def horizon(self) -> float:
        """See `Rule`."""
        return self.over

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        now, before = readings[-1], _back(readings, self.over)
        fine = ("", *self.but)
        ended = _since(now, before, "callboard_runs")
        good = sum(_since(now, before, "callboard_runs", error=error) for error in fine)
        return (ended - good) / ended if ended >= self.least else None


@dataclass(frozen=True, kw_only=True)
class LatencyRise(Rule):
    """How many times as long runs take as they took before.

    Args:
        over: seconds that are looked at.
        past: seconds before these that they are compared with.
        least: so many runs must have ended in each.
    """

    above: float = 2.0
    over: float = 300.0
    past: float = 3600.0
    least: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("over", "past")

    @property
    def horizon(self) -> float:
        """See `Rule`."""
        return self.over + self.past

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        middle = _back(readings, self.over)
        lately = self._mean(readings[-1], middle)
        before = self._mean(middle, _back(readings, self.over + self.past))
        return lately / before if lately is not None and before else None

    def _mean(self, now: Reading, before: Reading) -> float | None:
        counts, times = _times(now), _times(before)
        number = counts[0] - times[0]
        return (counts[1] - times[1]) / number if number >= self.least else None


@dataclass(frozen=True, kw_only=True)
class SpendPerHour(Rule):
    """US dollars an hour, as they are spent now.

    Args:
        over: seconds that are looked at.
    """

    over: float = 600.0
    unit: ClassVar[str] = "dollars an hour"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("over")

    @property
    def horizon(self) -> float:
        """See `Rule`."""
        return self.over

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        now, before = readings[-1], _back(readings, self.over)
        seconds = now.at - before.at
        return 3600 * _since(now, before, "callboard_cost_dollars") / seconds if seconds > 0 else None


@dataclass(frozen=True, kw_only=True)
class StuckRuns(Rule):
    """Seconds since the oldest run was asked for that has no answer yet. Those that wait for a person are old, too."""

    above: float = 600.0
    unit: ClassVar[str] = "seconds"

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        return readings[-1].most("callboard_run_age_seconds") or 0.0


@dataclass(frozen=True, kw_only=True)
class QueueAge(Rule):
    """Seconds that a request has waited in a pool's queue."""

    above: float = 30.0
    unit: ClassVar[str] = "seconds"

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        return readings[-1].most("callboard_pool_queue_age_seconds")


@dataclass(frozen=True, kw_only=True)
class JournalLag(Rule):
    """Seconds that what is being written to the journal is on its way."""

    above: float = 5.0
    unit: ClassVar[str] = "seconds"

    def measure(self, readings: Sequence[Reading]) -> float | None:
        """See `Rule`."""
        return readings[-1].most("callboard_journal_lag_seconds")


def _back(readings: Sequence[Reading], seconds: float) -> Reading:
    """The newest reading that is at least so old; the oldest where none is."""
    until = readings[-1].at - seconds
    found = [one for one in readings if one.at <= until]
    return found[-1] if found else readings[0]


def _since(now: Reading, before: Reading, name: str, **labels: str) -> float:
    return now.total(name, **labels) - before.total(name, **labels)


def _times(reading: Reading) -> tuple[int, float]:
    family = reading.families.get(AGENT_DURATION)
    times = [one for one in family.samples.values() if isinstance(one, Times)] if family is not None else []
    return sum(one.count for one in times), sum(one.sum for one in times)
