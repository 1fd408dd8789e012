"""Rules are pure: the same readings make the same alerts, and one that wavers makes one."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent, TelemetryError
from callboard import Rule as PublicRule
from callboard.actors.observe.alerts import Alert, Alerting, Standing, judge, to_log, to_webhook
from callboard.actors.observe.metrics import SECONDS, Family, Kind, Times
from callboard.actors.observe.rules import (
    ErrorRate,
    JournalLag,
    LatencyRise,
    QueueAge,
    Reading,
    Rule,
    SpendPerHour,
    StuckRuns,
)
from callboard.actors.observe.telemetry import Telemetry
from callboard.actors.testing import run_virtual, virtual_time
from callboard.providers.messages import Request
from tests.agents.support import function


def one(name: str, value: float, kind: Kind = "gauge") -> dict[str, Family]:
    return {name: Family(name, "", kind, (), {(): value})}


def runs(at: float, good: int, bad: int, cancelled: int = 0) -> Reading:
    counts = {"": good, "TimeLimit": bad, "RunCancelled": cancelled}
    samples: dict[tuple[str, ...], float | Times] = {("A", error): float(count) for error, count in counts.items()}
    return Reading(at, {"callboard_runs": Family("callboard_runs", "", "counter", ("agent", "error"), samples)})


def took(at: float, count: int, seconds: float) -> Reading:
    times = Times((count, *[0] * len(SECONDS)), seconds)
    name = "gen_ai_invoke_agent_duration_seconds"
    return Reading(at, {name: Family(name, "", "histogram", ("agent",), {("A",): times})})


def test_a_rate_of_errors_is_of_the_runs_that_ended_lately() -> None:
    rule = ErrorRate(over=60, least=4)
    assert rule.measure([runs(0, 0, 0), runs(60, 100, 0)]) == 0
    assert rule.measure([runs(0, 0, 0), runs(60, 100, 0), runs(120, 105, 5)]) == 0.5
    assert rule.measure([runs(0, 100, 0), runs(60, 101, 1)]) is None  # too few to say
    assert rule.measure([runs(0, 0, 0), runs(60, 2, 0, 8)]) == 0  # what callers cancel is no error


def test_latency_is_held_against_its_own_past() -> None:
    rule = LatencyRise(over=60, past=600, least=10)
    assert rule.measure([took(0, 0, 0), took(600, 100, 100.0), took(660, 120, 160.0)]) == 3.0
    assert rule.measure([took(0, 0, 0), took(600, 5, 5.0), took(660, 100, 500.0)]) is None


def test_spending_is_told_by_the_hour() -> None:
    readings = [Reading(at, one("callboard_cost_dollars", spent, "counter")) for at, spent in ((0, 1.0), (600, 3.0))]
    assert SpendPerHour(above=1, over=600).measure(readings) == 12.0
    assert SpendPerHour(above=1).measure(readings[:1]) is None


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (StuckRuns(), "callboard_run_age_seconds"),
        (QueueAge(), "callboard_pool_queue_age_seconds"),
        (JournalLag(), "callboard_journal_lag_seconds"),
    ],
)
def test_the_oldest_counts(rule: Rule, name: str) -> None:
    family = Family(name, "", "gauge", ("which",), {("a",): 3.0, ("b",): 7.0})
    assert rule.measure([Reading(0, {name: family})]) == 7.0


def told(rule: Rule, values: Sequence[float | None], name: str = "callboard_journal_lag_seconds") -> list[str]:
    standing, alerts = Standing(), []
    for at, value in enumerate(values):
        reading = Reading(10.0 * at, {} if value is None else one(name, value))
        standing, alert = judge(rule, standing, [reading])
        if alert is not None:
            alerts.append(f"{at} {alert.state}")
    return alerts


def test_a_number_that_wavers_around_the_limit_is_told_once() -> None:
    assert told(JournalLag(above=5, below=2), [1, 6, 4, 6, 3, 6, 1, 6]) == ["1 firing", "6 resolved", "7 firing"]


def test_a_number_must_stay_above_the_limit_for_as_long_as_is_said() -> None:
    assert told(JournalLag(above=5, holds=20), [6, 1, 6, 6, 6, 1]) == ["4 firing", "5 resolved"]


def test_a_limit_of_nothing_is_reached_where_nothing_is_left() -> None:
    assert told(JournalLag(above=5, below=0), [6, 1, 0]) == ["0 firing", "2 resolved"]


def test_at_the_limit_itself_nothing_changes_where_two_are_given() -> None:
    assert told(JournalLag(above=5, below=2), [5, 5.1, 2, 1.9]) == ["1 firing", "3 resolved"]
    assert told(JournalLag(above=5), [5, 5.1, 5]) == ["1 firing", "2 resolved"]


class Made(Rule):
    """Makes what it is given, or raises it."""

    makes: Any = None

    def measure(self, readings: Sequence[Reading]) -> float | None:
        if isinstance(self.makes, type):
            raise self.makes("cannot")
        made: float | None = self.makes
        return made


def made(makes: Any) -> Rule:
    return type("Mine", (Made,), {"makes": makes})(above=5.0)  # type: ignore[no-any-return]


def test_what_is_no_number_is_not_known() -> None:
    reading = Reading(0, {})
    for standing in (Standing(), Standing(firing=True)):
        assert judge(made(float("nan")), standing, [reading]) == (standing, None)
    assert judge(made(float("inf")), Standing(), [reading])[0].firing


def test_where_nothing_is_known_all_stays_as_it_is() -> None:
    assert told(JournalLag(above=5), [6, None, None, 1]) == ["0 firing", "3 resolved"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 20)), max_size=40), st.floats(0, 5), st.floats(0, 40))
def test_firing_and_resolved_always_take_turns(values: list[float | None], below: float, holds: float) -> None:
    states = [each.split()[1] for each in told(JournalLag(above=5, below=below, holds=holds), values)]
    assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)


@virtual_time
async def test_rules_are_looked_at_as_time_passes_and_everybody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    got: list[tuple[float, str]] = []
    start = asyncio.get_running_loop().time()

    async def mine(alert: Alert) -> None:
        got.append((asyncio.get_running_loop().time() - start, alert.state))

    def broken(alert: Alert) -> None:
        raise ValueError("cannot")

    async def never(alert: Alert) -> None:
        await asyncio.sleep(1e6)

    async def read() -> Sequence[Family]:
        now = asyncio.get_running_loop().time() - start
        if 200 < now < 300:
            raise OSError("not now")
        return list(one("callboard_journal_lag_seconds", 9.0 if 60 <= now < 120 else 0.0).values())

    alerting = Alerting([JournalLag()], [broken, never, mine, to_log], every=15)
    with caplog.at_level(logging.INFO, "callboard"):
        watching = asyncio.ensure_future(alerting.watch(read))
        await asyncio.sleep(400)
        watching.cancel()
    assert [state for _, state in got] == ["firing", "resolved"]
    assert 60 <= got[0][0] <= 90
    assert "alert: JournalLag is firing: 9 seconds, above 5" in caplog.text
    assert "alert could not be told" in caplog.text
    assert "cannot be read" in caplog.text


ANYTHING = (ValueError, SystemExit, asyncio.CancelledError, GeneratorExit, StopIteration, StopAsyncIteration)
"""What a function of the user's may raise."""


@pytest.mark.parametrize("makes", [*ANYTHING, "9", [9], 10**400])
@virtual_time
async def test_a_rule_that_fails_keeps_no_other_from_being_looked_at(
    makes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[str] = []
    alerting = Alerting([made(makes), QueueAge(above=1)], [lambda alert: got.append(alert.rule)], every=10)
    figures = {**one("callboard_pool_queue_age_seconds", 9.0)}

    async def read() -> Sequence[Family]:
        return list(figures.values())

    watching = asyncio.ensure_future(alerting.watch(read))
    await asyncio.sleep(100)
    figures.update(one("callboard_pool_queue_age_seconds", 0.0))
    await asyncio.sleep(100)
    assert got == ["QueueAge", "QueueAge"]
    assert len([line for line in caplog.records if "rule Mine cannot be measured" in line.message]) == 1
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


@dataclass(frozen=True, kw_only=True)
class DeadLetters(PublicRule):
    """As it stands on the page."""

    above: float = 0.0
    horizon = 300.0

    def measure(self, readings: Sequence[Reading]) -> float | None:
        return readings[-1].total("callboard_dead_letters") - readings[0].total("callboard_dead_letters")


@virtual_time
async def test_a_rule_of_ones_own_looks_back_as_far_as_it_says() -> None:
    got: list[str] = []
    counted = 3.0

    async def read() -> Sequence[Family]:
        return list(one("callboard_dead_letters", counted, "counter").values())

    alerting = Alerting([DeadLetters()], [lambda alert: got.append(f"{alert.rule} {alert.state}")], every=10)
    watching = asyncio.ensure_future(alerting.watch(read))
    await asyncio.sleep(1000)
    counted = 4.0
    await asyncio.sleep(280)
    assert got == ["DeadLetters firing"]
    await asyncio.sleep(50)
    assert got == ["DeadLetters firing", "DeadLetters resolved"]
    watching.cancel()


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize("later", [False, True])
@virtual_time
async def test_whatever_somebody_raises_who_is_told_the_others_are_told(
    error: type[BaseException], later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[str] = []

    def at_once(alert: Alert) -> None:
        raise error("cannot")

    async def awaited(alert: Alert) -> None:
        await asyncio.sleep(1)
        raise error("cannot")

    telling = [awaited if later else at_once, lambda alert: got.append(alert.state)]
    telemetry = Telemetry(spans=False, alerts=Alerting([made(9.0)], telling, every=10))
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
        await asyncio.sleep(100)
        assert (await agency.run("go")).text == "done"
    assert got == ["firing"]
    assert "an alert could not be told" in caplog.text


@virtual_time
async def test_an_agency_looks_at_the_rules_it_was_given_until_it_stops() -> None:
    got: list[Alert] = []

    async def slow(request: Request) -> Any:
        await asyncio.sleep(500)
        return "done"

    telemetry = Telemetry(spans=False, alerts=Alerting([StuckRuns(above=300)], [got.append], every=10))
    async with Agency(Agent("A"), model=function(slow), telemetry=telemetry) as agency:
        await agency.run("go")
        await asyncio.sleep(20)
    assert [(alert.rule, alert.state) for alert in got] == [("StuckRuns", "firing"), ("StuckRuns", "resolved")]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "agency-alerts"]


async def test_a_webhook_gets_an_alert_as_json() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        got.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    closed = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        tell = to_webhook(f"http://127.0.0.1:{port}/alerts", headers={"x-key": "k"})
        await tell(Alert("QueueAge", "firing", 40.0, 30.0, 1.0, "seconds"))
        await closed.wait()
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert b"x-key: k" in head
    said = json.loads(body)
    assert said == {
        "rule": "QueueAge",
        "state": "firing",
        "value": 40.0,
        "limit": 30.0,
        "unit": "seconds",
        "text": "QueueAge is firing: 40 seconds, above 30",
    }


async def test_a_webhook_that_refuses_is_named_by_its_host_alone() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    closed = asyncio.Event()
    alert = Alert("QueueAge", "firing", 40.0, 30.0, 1.0, "seconds")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TelemetryError, match=r"^the webhook at 127\.0\.0\.1 answered 404$"):
            await to_webhook(f"http://127.0.0.1:{port}/services/swordfish")(alert)
        await closed.wait()
    with pytest.raises(TelemetryError, match=r"^the webhook at 127\.0\.0\.1 cannot be reached: ConnectError$"):
        await to_webhook(f"http://127.0.0.1:{port}/services/swordfish")(alert)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ErrorRate(above=-1), "above is -1"),
        (lambda: ErrorRate(above=float("inf")), "above is inf"),
        (lambda: ErrorRate(least=0), "least is 0"),
        (lambda: ErrorRate(least=1.5), "least is 1.5"),  # type: ignore[arg-type]
        (lambda: ErrorRate(over=0), "over is 0"),
        (lambda: ErrorRate(but="RunCancelled"), "but is 'RunCancelled'"),
        (lambda: ErrorRate(but=[5]), "but is"),  # type: ignore[list-item]
        (lambda: ErrorRate(name=5), "name is 5"),  # type: ignore[arg-type]
        (lambda: LatencyRise(past=float("inf")), "past is inf"),
        (lambda: SpendPerHour(above=1, over=0), "over is 0"),
        (lambda: Alerting(QueueAge()), "rules is"),  # type: ignore[arg-type]
        (lambda: Alerting(tell=to_log), "tell is"),  # type: ignore[arg-type]
        (lambda: Alerting(every=float("inf")), "every is inf"),
        (lambda: to_webhook("http://"), "an address"),
        (lambda: to_webhook("http://h:99999/"), "an address"),
        (lambda: to_webhook("http://h/a b"), "an address"),
        (lambda: to_webhook("http://h", headers="x"), "headers are"),  # type: ignore[arg-type]
        (lambda: to_webhook("http://h", headers={"a": 5}), "value of a"),  # type: ignore[dict-item]
        (lambda: to_webhook("http://h", headers={"a": "b\r\nc: d"}), "value of a"),
        (lambda: to_webhook("http://h", headers={"a b": "c"}), "no header's name"),
        (lambda: ErrorRate(above=0.1, below=0.2), "it would never be over"),
        (lambda: LatencyRise(over="x"), "over is 'x'"),  # type: ignore[arg-type]
        (lambda: Alerting(["x"]), "is none"),  # type: ignore[list-item]
        (lambda: Alerting([QueueAge(), QueueAge(above=9)]), "more than once"),
        (lambda: Alerting(tell=["x"]), "no function"),  # type: ignore[list-item]
        (lambda: Alerting(every=0), "every is 0"),
        (lambda: to_webhook("x"), "an address"),
        (lambda: Telemetry(alerts="x"), "an Alerting"),  # type: ignore[arg-type]
        (lambda: Telemetry(metrics=False, alerts=Alerting()), "leave metrics=True"),
    ],
)
def test_what_is_wrong_with_rules_is_said_where_they_are_made(make: Any, says: str) -> None:
    with pytest.raises(TelemetryError, match=says):
        make()


def test_readings_are_kept_only_as_far_back_as_a_rule_looks() -> None:
    kept: list[int] = []

    class Counting(ErrorRate):
        def measure(self, readings: Sequence[Reading]) -> float | None:
            kept.append(len(readings))
            return super().measure(readings)

    async def main() -> None:
        async def read() -> Sequence[Family]:
            return ()

        watching = asyncio.ensure_future(Alerting([Counting(over=100)], every=10).watch(read))
        await asyncio.sleep(10_000)
        watching.cancel()

    run_virtual(main())
    assert max(kept) <= 12
