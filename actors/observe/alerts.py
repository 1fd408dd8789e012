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
from typing import Any, Final, Literal, TypeAlias

from .errors import TelemetryError
from .metrics import Family
from .rules import ErrorRate, JournalLag, LatencyRise, QueueAge, Reading, Rule, StuckRuns

logger = logging.getLogger("callboard")

PATIENCE: Final = 10.0
"""Seconds that telling one receiver may take."""


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
