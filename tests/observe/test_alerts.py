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


def test_the_usual_rules_are_those_of_the_page() -> None:
    usual = {type(rule): (rule.above, rule.below, rule.holds) for rule in Alerting().rules}
    assert usual == {
        ErrorRate: (0.2, None, 0),
        LatencyRise: (2, None, 0),
        StuckRuns: (600, None, 0),
        QueueAge: (30, None, 0),
        JournalLag: (5, None, 0),
    }
    assert (Alerting().tell, Alerting().every) == ((to_log,), 15)


def test_rules_that_look_back_do_so_for_as_long_as_the_page_says() -> None:
    assert ErrorRate().horizon == 300
    assert LatencyRise().horizon == 300 + 3600
    assert SpendPerHour(above=1).horizon == 600
    assert (ErrorRate(over=60).horizon, LatencyRise(over=60, past=600).horizon) == (60, 660)
    assert SpendPerHour(above=1, over=60).horizon == 60
    assert Rule(above=1).horizon == 0


def test_ten_runs_are_enough_to_say_something() -> None:
    assert ErrorRate().measure([runs(0, 0, 0), runs(300, 0, 9)]) is None
    assert ErrorRate().measure([runs(0, 0, 0), runs(300, 0, 10)]) == 1
    before = [took(0, 0, 0), took(3600, 10, 10.0)]
    assert LatencyRise().measure([*before, took(3900, 19, 40.0)]) is None
    assert LatencyRise().measure([*before, took(3900, 20, 40.0)]) == 3


def test_a_rule_that_cannot_say_what_it_does_not_know_says_nothing() -> None:
    assert LatencyRise(least=1).measure([took(0, 0, 0), took(3600, 10, 0.0), took(3900, 20, 40.0)]) is None
    assert ErrorRate(least=1).measure([Reading(0, {}), Reading(300, {})]) is None
    assert StuckRuns().measure([Reading(0, {})]) == 0, "no run is stuck where none is there"
    assert QueueAge().measure([Reading(0, {})]) is None
    with pytest.raises(NotImplementedError):
        Rule(above=1).measure([Reading(0, {})])


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


def test_an_alert_reads_as_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    firing = Alert("ErrorRate", "firing", 0.123456, 0.1, 1.0)
    over = Alert("SpendPerHour", "resolved", 3.0, 15.0, 1.0, "dollars an hour")
    assert str(firing) == "ErrorRate is firing: 0.1235, above 0.1"
    assert str(over) == "SpendPerHour is resolved: 3 dollars an hour, below 15"
    with caplog.at_level(logging.INFO, "callboard"):
        to_log(firing)
        to_log(over)
    assert [line.levelname for line in caplog.records] == ["WARNING", "INFO"]
    units = {type(rule): rule.unit for rule in (*Alerting().rules, SpendPerHour(above=1))}
    assert units == {
        ErrorRate: "",
        LatencyRise: "",
        SpendPerHour: "dollars an hour",
        StuckRuns: "seconds",
        QueueAge: "seconds",
        JournalLag: "seconds",
    }


def test_an_alert_has_the_number_the_limit_and_the_name_of_its_rule() -> None:
    rule = JournalLag(above=5, below=2, name="slow disk")
    standing, alert = judge(rule, Standing(), [Reading(7, one("callboard_journal_lag_seconds", 6.0))])
    assert alert == Alert("slow disk", "firing", 6.0, 5, 7, "seconds")
    assert standing == Standing(firing=True)
    standing, alert = judge(rule, standing, [Reading(9, one("callboard_journal_lag_seconds", 1.0))])
    assert alert == Alert("slow disk", "resolved", 1.0, 2, 9, "seconds")
    assert standing == Standing()


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


@pytest.mark.parametrize(("horizon", "kept"), [(0.0, [1, 1, 1, 1, 1, 1]), (25.0, [1, 2, 3, 4, 4, 4])])
@virtual_time
async def test_a_rule_gets_readings_back_to_the_newest_that_is_as_old_as_it_says(
    horizon: float, kept: list[int]
) -> None:
    seen: list[list[float]] = []

    class Looking(Rule):
        def measure(self, readings: Sequence[Reading]) -> float | None:
            seen.append([each.at for each in readings])
            return None

    looking = type("Looking", (Looking,), {"horizon": horizon})

    async def read() -> Sequence[Family]:
        return ()

    watching = asyncio.ensure_future(Alerting([looking(above=1)], every=10).watch(read))
    await asyncio.sleep(55)
    watching.cancel()
    assert [len(each) for each in seen] == kept
    assert all(each == sorted(each) for each in seen)


@virtual_time
async def test_who_takes_too_long_is_not_waited_for() -> None:
    got: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def never(alert: Alert) -> None:
        await asyncio.sleep(1e6)

    async def read() -> Sequence[Family]:
        return list(one("callboard_journal_lag_seconds", 9.0).values())

    telling = [never, lambda alert: got.append(loop.time() - began)]
    watching = asyncio.ensure_future(Alerting([JournalLag()], telling).watch(read))
    await asyncio.sleep(100)
    watching.cancel()
    assert got == [10]


@virtual_time
async def test_a_rule_that_works_again_and_fails_again_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    class Wavering(Rule):
        looks = 0

        def measure(self, readings: Sequence[Reading]) -> float | None:
            type(self).looks += 1
            if 3 <= self.looks <= 4:
                return 0.0
            raise ValueError("cannot")

    async def read() -> Sequence[Family]:
        return ()

    watching = asyncio.ensure_future(Alerting([Wavering(above=1, name="mine")], every=10).watch(read))
    await asyncio.sleep(75)
    watching.cancel()
    assert [line.message for line in caplog.records] == [
        "rule mine cannot be measured; it stays as it is until it can"
    ] * 2


@pytest.mark.parametrize("where", ["reading", "measuring", "telling"])
def test_an_interrupt_from_the_keyboard_goes_on_its_way(where: str) -> None:
    def interrupt(here: str) -> None:
        if where == here:
            raise KeyboardInterrupt

    class Interrupted(Rule):
        def measure(self, readings: Sequence[Reading]) -> float | None:
            interrupt("measuring")
            return 9.0

    async def read() -> Sequence[Family]:
        interrupt("reading")
        return ()

    async def watch() -> None:
        await Alerting([Interrupted(above=1)], [lambda alert: interrupt("telling")], every=10).watch(read)

    async def main() -> None:
        async with asyncio.timeout(100):
            await watch()

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main())


@dataclass(frozen=True, kw_only=True)
class DeadLetters(PublicRule):
    """As it stands on the page."""

    above: float = 0.0
    horizon = 300.0

    def measure(self, readings: Sequence[Reading]) -> float | None:
        return readings[-1].total("callboard_dead_letters") - readings[0].total("callboard_dead_letters")


def far_back() -> Rule:
    return type("FarBack", (Made,), {"horizon": "x"})(above=5.0)  # type: ignore[no-any-return]


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
        (lambda: Alerting("ErrorRate"), "rules is 'ErrorRate'; give them in a list"),  # type: ignore[arg-type]
        (lambda: Alerting([far_back()]), "horizon of .* is 'x'; it is a number of seconds"),
        (lambda: ErrorRate(least=True), "least is True"),
        (lambda: ErrorRate(above=True), "above is True"),
        (lambda: ErrorRate(holds=-1), "holds is -1"),
        (lambda: ErrorRate(below="x"), "below is 'x'"),  # type: ignore[arg-type]
        (lambda: LatencyRise(past=0), "past is 0"),
        (lambda: SpendPerHour(above=1, over=float("nan")), "over is nan"),
        (lambda: Alerting(every=True), "every is True"),
        (lambda: to_webhook(5), "not 5"),  # type: ignore[arg-type]
        (lambda: to_webhook("http://h:0/"), "an address"),
        (lambda: to_webhook("http://h", headers={5: "a"}), "5 is no header's name"),  # type: ignore[dict-item]
        (lambda: to_webhook("http://h", headers={"a": "é"}), "value of a"),
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
