"""Alerts: rules over readings of figures, as pure functions, and what has them looked at and told.

A rule makes one number of the readings there are. Above `above` for `holds` seconds it fires, and it is over only once
the number is below `below`: one that wavers around a limit does not fire each time. Where the number is not known,
since nothing happened, all stays as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from ..core.base.foreign import is_ours
from ..core.base.log import logger_of
from .checks import check_address, check_headers, is_number
from .errors import TelemetryError
from .metrics import Family
from .rules import ErrorRate, JournalLag, LatencyRise, QueueAge, Reading, Rule, StuckRuns

logger = logger_of()

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

    Raises:
        Exception: what `measure` raised, or it made no number.
    """
    value, at = _number(rule.measure(readings)), readings[-1].at
    name = rule.name or type(rule).__name__
    if value is None:
        return standing, None
    if standing.firing:
        limit = rule.above if rule.below is None else rule.below
        over = value < limit or (value == limit and (rule.below is None or not limit))  # nothing is below 0
        return (Standing(), Alert(name, "resolved", value, limit, at, rule.unit)) if over else (standing, None)
    if value <= rule.above:
        return Standing(), None
    since = at if standing.since is None else standing.since
    if at - since < rule.holds:
        return replace(standing, since=since), None
    return Standing(True), Alert(name, "firing", value, rule.above, at, rule.unit)


def _number(made: Any) -> float | None:
    """What a rule has made of the readings; None where it is not known, also as NaN."""
    if made is None:
        return None
    if not isinstance(made, int | float):
        raise TelemetryError(f"measure gave {type(made).__name__}, which is no number")
    number = float(made)
    return None if math.isnan(number) else number


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
        TelemetryError: it is no address, or a header cannot be sent. What is returned raises it where an alert cannot
            be told; it names the host alone: the rest of an address may be a secret.
    """
    check_address("url", url)
    check_headers(headers)
    host = urlsplit(url).hostname

    async def tell(alert: Alert) -> None:
        import httpx

        value = alert.value if math.isfinite(alert.value) else str(alert.value)
        said = {"rule": alert.rule, "state": alert.state, "value": value, "limit": alert.limit}
        try:
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                answer = await client.post(url, json={**said, "unit": alert.unit, "text": str(alert)}, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TelemetryError(f"the webhook at {host} cannot be reached: {type(error).__name__}") from None
        if not answer.is_success:
            raise TelemetryError(f"the webhook at {host} answered {answer.status_code}")

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
        for name in ("rules", "tell"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise TelemetryError(f"{name} is {given!r:.80}; give them in a list")
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise TelemetryError(f"rules: {rule!r:.80} is none; they are such as ErrorRate(above=0.1)")
            if not is_number(rule.horizon):
                raise TelemetryError(
                    f"rules: horizon of {rule!r:.80} is {rule.horizon!r:.80}; it is a number of seconds"
                )
        names = [rule.name or type(rule).__name__ for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TelemetryError(f"rules: {', '.join(twice)} is there more than once; give each a name of its own")
        for tell in self.tell:
            if not callable(tell):
                raise TelemetryError(f"tell: {tell!r:.80} is no function of an Alert")
        if not is_number(self.every) or not self.every:
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
        task = asyncio.current_task()
        failing: set[int] = set()
        while True:
            try:
                families = await read()
            except BaseException as error:
                if is_ours(error, task):
                    raise
                logger.error("the figures that alerts look at cannot be read", exc_info=error)
                await asyncio.sleep(self.every)
                continue
            now = loop.time()
            readings.append(Reading(now, {family.name: family for family in families}))
            while len(readings) > 1 and readings[1].at <= now - horizon:
                del readings[0]
            for index, rule in enumerate(self.rules):
                try:
                    standings[index], alert = judge(rule, standings[index], readings)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # of a rule of the user's: the others are looked at all the same
                    if index not in failing:
                        name = rule.name or type(rule).__name__
                        logger.error("rule %s cannot be measured; it stays as it is until it can", name, exc_info=error)
                    failing.add(index)
                    continue
                failing.discard(index)
                if alert is not None:
                    await self._told(alert)
            await asyncio.sleep(self.every)

    async def _told(self, alert: Alert) -> None:
        task = asyncio.current_task()
        for tell in self.tell:
            try:
                async with asyncio.timeout(PATIENCE):
                    said: Any = tell(alert)
                    if inspect.isawaitable(said):
                        await said
            except BaseException as error:
                if is_ours(error, task):
                    raise
                logger.error("an alert could not be told: %s", alert, exc_info=error)
