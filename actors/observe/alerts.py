"""Alerts: rules over readings of figures, as pure functions, and what has them looked at and told.

A rule makes one number of the readings there are. Above `above` for `holds` seconds it fires, and it is over only once
the number is below `below`: one that wavers around a limit does not fire each time. Where the number is not known,
since nothing happened, all stays as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, TypeAlias

from .conventions import AGENT_DURATION
from .errors import TelemetryError
from .metrics import Family, Times

logger = logging.getLogger("callboard")

PATIENCE: Final = 10.0
"""Seconds that telling one receiver may take."""


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
        for what in self._numbers():
            given = getattr(self, what)
            if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
                raise TelemetryError(f"{kind}: {what} is {given!r:.80}; it is a number, not below 0")
        if self.below is not None and self.below > self.above:
            raise TelemetryError(f"{kind}: below is {self.below}, and above {self.above}: it would never be over")

    def _numbers(self) -> tuple[str, ...]:
        known = ("above", "holds", "over", "least", "past")
        return tuple(one for one in known if hasattr(self, one)) + (("below",) if self.below is not None else ())

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
    but: tuple[str, ...] = ("RunCancelled",)

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


# -- what becomes of the numbers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule has fired, or it is over.

    Args:
        rule: its name.
        state: which of the two.
        value: the rule's number.
        limit: the one that it went past.
        at: when, in seconds of the readings' clock.
    """

    rule: str
    state: Literal["firing", "resolved"]
    value: float
    limit: float
    at: float
    unit: str = ""

    def __str__(self) -> str:
        past = "above" if self.state == "firing" else "below"
        return f"{self.rule} is {self.state}: {self.value:.4g} {self.unit}".rstrip() + f", {past} {self.limit:.4g}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a rule stands.

    Args:
        firing: whether it fires.
        since: since when its number is above the limit; None where it is not, or it fires already.
    """

    firing: bool = False
    since: float | None = None


def judge(rule: Rule, standing: Standing, readings: Sequence[Reading]) -> tuple[Standing, Alert | None]:
    """Look at a rule once.

    Args:
        rule: the rule.
        standing: how it stood.
        readings: the oldest first, at least one.

    Returns:
        how it stands, and what is to be told, if anything.
    """
    value, at = rule.measure(readings), readings[-1].at
    name = rule.name or type(rule).__name__
    if value is None:
        return standing, None
    if standing.firing:
        limit = rule.above if rule.below is None else rule.below
        over = value < limit or (rule.below is None and value <= limit)
        return (Standing(), Alert(name, "resolved", value, limit, at, rule.unit)) if over else (standing, None)
    if value <= rule.above:
        return Standing(), None
    since = at if standing.since is None else standing.since
    if at - since < rule.holds:
        return replace(standing, since=since), None
    return Standing(True), Alert(name, "firing", value, rule.above, at, rule.unit)


Tell: TypeAlias = Callable[[Alert], object]
"""Told of an alert; may be async."""


def to_log(alert: Alert) -> None:
    """Write an alert into the log, as a warning; that it is over, as information."""
    logger.log(logging.WARNING if alert.state == "firing" else logging.INFO, "alert: %s", alert)


def to_webhook(url: str, *, headers: Mapping[str, str] | None = None) -> Callable[[Alert], Awaitable[None]]:
    """What sends alerts to an address as JSON: ``rule``, ``state``, ``value``, ``limit``, ``unit``, ``text``.

    Args:
        url: where to.
        headers: besides the usual ones, such as a key.

    Raises:
        TelemetryError: it is no address.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise TelemetryError(f"url is {url!r:.80}; it is an address http://… or https://…")

    async def tell(alert: Alert) -> None:
        import httpx

        said = {"rule": alert.rule, "state": alert.state, "value": alert.value, "limit": alert.limit}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.post(url, json={**said, "unit": alert.unit, "text": str(alert)}, headers=headers)
        answer.raise_for_status()

    return tell


USUAL: Final[tuple[Rule, ...]] = (ErrorRate(), LatencyRise(), StuckRuns(), QueueAge(), JournalLag())
"""Rules for any agency. What one may spend, nobody else can know."""


@dataclass(frozen=True, slots=True)
class Alerting:
    """Which rules are looked at, how often, and who is told.

    Args:
        rules: they.
        tell: who is told of each alert, plain or async functions; one that raises or takes longer than ten seconds is
            logged, and the others are told all the same.
        every: seconds between two looks.

    Raises:
        TelemetryError: one is no rule or no function, or two rules have one name.
    """

    rules: Sequence[Rule] = USUAL
    tell: Sequence[Tell] = (to_log,)
    every: float = field(default=15.0, kw_only=True)

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise TelemetryError(f"rules: {rule!r:.80} is none; they are such as ErrorRate(above=0.1)")
        names = [rule.name or type(rule).__name__ for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TelemetryError(f"rules: {', '.join(twice)} is there more than once; give each a name of its own")
        for tell in self.tell:
            if not callable(tell):
                raise TelemetryError(f"tell: {tell!r:.80} is no function of an Alert")
        if isinstance(self.every, bool) or not isinstance(self.every, int | float) or not self.every > 0:
            raise TelemetryError(f"every is {self.every!r:.80}; it is a number of seconds above 0")

    async def watch(self, read: Callable[[], Awaitable[Sequence[Family]]]) -> None:
        """Look at the rules over and over, until cancelled.

        Args:
            read: gives the figures as they are now.
        """
        loop = asyncio.get_running_loop()
        readings: list[Reading] = []
        standings = [Standing() for _ in self.rules]
        horizon = max((rule.horizon for rule in self.rules), default=0.0)
        while True:
            try:
                families = await read()
            except Exception:
                logger.exception("the figures that alerts look at cannot be read")
                await asyncio.sleep(self.every)
                continue
            now = loop.time()
            readings.append(Reading(now, {family.name: family for family in families}))
            while len(readings) > 1 and readings[1].at <= now - horizon:
                del readings[0]
            for index, rule in enumerate(self.rules):
                standings[index], alert = judge(rule, standings[index], readings)
                if alert is not None:
                    await self._told(alert)
            await asyncio.sleep(self.every)

    async def _told(self, alert: Alert) -> None:
        for tell in self.tell:
            try:
                async with asyncio.timeout(PATIENCE):
                    said: Any = tell(alert)
                    if inspect.isawaitable(said):
                        await said
            except Exception:
                logger.exception("an alert could not be told: %s", alert)
