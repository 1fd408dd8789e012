"""The section ``telemetry`` of a team file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from ....providers.config.fields import Section, address, header
from ...observe.alerts import USUAL, Alerting, Tell, to_log, to_webhook
from ...observe.errors import TelemetryError
from ...observe.metrics import LEAST_SERIES, MOST_SERIES
from ...observe.rules import ErrorRate, JournalLag, LatencyRise, QueueAge, Rule, SpendPerHour, StuckRuns
from ...observe.telemetry import Telemetry
from ..wishes import Misread

RULES: Final[Mapping[str, type[Rule]]] = {
    one.__name__: one for one in (ErrorRate, LatencyRise, SpendPerHour, StuckRuns, QueueAge, JournalLag)
}


class RuleEntry(Section):
    """A rule's numbers; what is left out is as usual. Not every rule has all of them."""

    above: float | None = Field(None, ge=0, description="the number above which it fires")
    below: float | None = Field(None, ge=0, description="the number below which that is over")
    holds: float = Field(0.0, ge=0, description="seconds for which it must be above")
    over: float | None = Field(None, gt=0, description="seconds that are looked at")
    past: float | None = Field(None, gt=0, description="seconds before these that they are compared with")
    least: int | None = Field(None, ge=0, description="so many runs must have ended")


class AlertsEntry(Section):
    """What is looked at all the time, and who is told besides the log."""

    rules: dict[str, RuleEntry] | None = Field(None, description="a mapping of rules to their numbers; the usual ones")
    webhook: Annotated[str, AfterValidator(address)] = Field("", description="an address that alerts are sent to")
    headers: Annotated[dict[str, str], AfterValidator(header)] = Field(
        {}, repr=False, description="sent along, such as a key"
    )
    every: float = Field(15.0, gt=0, description="seconds between two looks")


class TelemetryEntry(Section):
    """What the agency tells of itself; see `Telemetry`."""

    spans: bool = Field(True, description="whether spans are written, for OpenTelemetry")
    endpoint: Annotated[str, AfterValidator(address)] = Field("", description="a collector's: http://localhost:4318")
    metrics: bool = Field(True, description="whether figures are kept, for Prometheus and the collector")
    content: bool = Field(False, description="whether spans have what is said, without what patterns find")
    series: int = Field(MOST_SERIES, ge=LEAST_SERIES, description="how many series the figures may have")
    service: str = Field("callboard", description="the name of the service")
    alerts: AlertsEntry | None = Field(None, description="rules over the figures: {} for the usual, told to the log")


def telemetry_of(entry: TelemetryEntry) -> Telemetry:
    """What is wanted.

    Raises:
        Misread: there is no such rule, it has no such number, or the numbers do not go together.
    """
    alerts = None if entry.alerts is None else _alerting(entry.alerts)
    try:
        return Telemetry(**entry.model_dump(exclude={"alerts"}), alerts=alerts)
    except TelemetryError as error:
        raise Misread(str(error)) from None


def _alerting(entry: AlertsEntry) -> Alerting:
    if entry.headers and not entry.webhook:
        raise Misread("these are sent to a webhook, and none is named", "alerts", "headers")
    tell: tuple[Tell, ...] = (to_log,)
    if entry.webhook:
        tell += (to_webhook(entry.webhook, headers=entry.headers),)
    rules = USUAL if entry.rules is None else tuple(_rule(name, one) for name, one in entry.rules.items())
    return Alerting(rules, tell, every=entry.every)


def _rule(name: str, entry: RuleEntry) -> Rule:
    at = ("alerts", "rules", name)
    kind = RULES.get(name)
    if kind is None:
        raise Misread(f"there is no such rule; there are {', '.join(RULES)}", *at)
    said: dict[str, Any] = entry.model_dump(exclude_unset=True)
    for number in said:
        if number not in kind.__dataclass_fields__:
            raise Misread(f"{name} has no such number", *at, number)
    if "above" not in said and kind is SpendPerHour:
        raise Misread("say above how many dollars an hour: nobody else can know", *at)
    try:
        return kind(**said)
    except TelemetryError as error:
        raise Misread(str(error), *at) from None
