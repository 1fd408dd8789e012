"""Loads, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.bench.figures import KINDS, figures, percentile, together
from callboard.actors.bench.load import TIMEOUT, TOO_MANY, Closed, Open, Outcome, drive
from callboard.actors.testing import Simulation, simulate


def simulated(flow: Callable[[], Awaitable[None]]) -> None:
    async def run(sim: Simulation) -> None:
        await flow()

    simulate(run, seeds=3)


def taking(seconds: float, most: list[int] | None = None, asked: list[str] | None = None) -> Any:
    at_work = 0

    async def ask(question: str) -> Outcome:
        nonlocal at_work
        at_work += 1
        if asked is not None:
            asked.append(question)
        if most is not None:
            most.append(at_work)
        await asyncio.sleep(seconds)
        at_work -= 1
        return Outcome(seconds, seconds / 2, 10, 5, 0.25)

    return ask


def test_a_closed_load_asks_again_once_it_is_answered_and_waits_for_what_is_under_way() -> None:
    async def flow() -> None:
        most: list[int] = []
        asked: list[str] = []
        outcomes, took = await drive(taking(1.0, most, asked), Closed(3), ["a", "b"], seconds=9.5, timeout=60)
        assert len(outcomes) == 30  # ten rounds of three: the last are asked within the time, and answered after it
        assert took == pytest.approx(10.0)
        assert max(most) == 3
        assert asked[:4] == ["a", "b", "a", "b"]
        assert all(one.seconds == pytest.approx(1.0) and one.first == pytest.approx(0.5) for one in outcomes)

    simulated(flow)


async def test_who_is_answered_at_once_keeps_no_other_client_waiting() -> None:
    asked: list[asyncio.Task[Any] | None] = []

    async def ask(question: str) -> Outcome:
        asked.append(asyncio.current_task())
        return Outcome(0.0)

    await drive(ask, Closed(3), ["a"], seconds=0.01, timeout=60)
    assert len(set(asked[:3])) == 3


def test_an_open_load_asks_at_its_rate_whatever_becomes_of_it() -> None:
    async def flow() -> None:
        for seconds in (0.0, 20.0):
            outcomes, took = await drive(taking(seconds), Open(10.0), ["a"], seconds=40, timeout=60)
            assert len(outcomes) == 400
            assert 39 < took < 61

    simulated(flow)


def test_the_times_of_an_open_load_are_the_same_for_everybody() -> None:
    async def flow() -> None:
        async def times(seconds: float, seed: int) -> list[float]:
            clock = asyncio.get_running_loop().time
            began, asked = clock(), list[float]()

            async def ask(question: str) -> Outcome:
                asked.append(clock() - began)
                outcome: Outcome = await taking(seconds)(question)
                return outcome

            await drive(ask, Open(5, seed=seed), ["a"], seconds=20, timeout=60)
            return asked

        first = await times(0.0, 3)
        assert await times(3.0, 3) == pytest.approx(first)
        assert await times(0.0, 4) != pytest.approx(first)

    simulated(flow)


def test_latency_of_an_open_load_counts_from_when_a_question_was_due() -> None:
    """A server that does one thing at a time, slower than it is asked, keeps ever more waiting."""

    async def flow() -> None:
        lock = asyncio.Lock()

        async def ask(question: str) -> Outcome:
            async with lock:
                await asyncio.sleep(1.0)
            return Outcome(1.0, 0.5)

        outcomes, _ = await drive(ask, Open(2.0), ["a"], seconds=20, timeout=600)
        waits = [one.seconds for one in outcomes]
        assert waits[0] == pytest.approx(1.0)
        assert waits[-1] > 10
        assert max(after - before for before, after in pairwise(waits)) <= 1.0 + 1e-9
        assert all(one.first == pytest.approx(one.seconds - 0.5) for one in outcomes)

    simulated(flow)


def test_what_takes_too_long_has_failed_and_is_not_waited_for() -> None:
    async def flow() -> None:
        outcomes, took = await drive(taking(100.0), Closed(2), ["a"], seconds=5, timeout=2)
        assert [one.error for one in outcomes] == [TIMEOUT] * 6
        assert took == pytest.approx(6.0)
        assert all(one.seconds == pytest.approx(2.0) for one in outcomes)

    simulated(flow)


def test_what_is_due_beyond_the_most_at_once_counts_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.bench.load.MOST_AT_ONCE", 5)

    async def flow() -> None:
        most: list[int] = []
        outcomes, _ = await drive(taking(1_000.0, most), Open(10.0), ["a"], seconds=10, timeout=2_000)
        assert max(most) == 5
        assert [one.error for one in outcomes].count(TOO_MANY) == len(outcomes) - 5 > 50

    simulated(flow)


@pytest.mark.parametrize("load", [Closed(4), Open(100.0)])
def test_a_load_that_is_cancelled_leaves_nothing_under_way(load: Any) -> None:
    async def flow() -> None:
        ended: list[str] = []

        async def ask(question: str) -> Outcome:
            try:
                await asyncio.sleep(1_000)
            finally:
                ended.append(question)
            return Outcome(0.0)

        before = len(asyncio.all_tasks())
        task = asyncio.ensure_future(drive(ask, load, ["a"], seconds=100, timeout=5_000))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(ended) >= 4
        assert len(asyncio.all_tasks()) == before

    simulated(flow)


outcomes = st.builds(
    Outcome,
    st.floats(0, 100),
    st.none() | st.floats(0, 100),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    st.none() | st.floats(0, 10),
    st.sampled_from(["", "", "Timeout", "HTTP503"]),
)


@given(st.lists(outcomes, max_size=60), st.floats(0.1, 100))
def test_figures_are_those_of_what_was_answered(given: list[Outcome], seconds: float) -> None:
    made = figures(given, seconds, 2.0, 5e6)
    answered = [one for one in given if not one.error]
    assert set(made) <= set(KINDS)
    assert made["memory"] == 5.0
    assert ("errors" in made) == bool(given)
    if given:
        assert made["errors"] == pytest.approx(100 * (1 - len(answered) / len(given)))
    if not answered:
        assert "latency_p50" not in made
        return
    assert made["throughput"] == pytest.approx(len(answered) / seconds)
    assert made["output_tokens"] == pytest.approx(sum(one.output_tokens or 0 for one in answered) / seconds)
    assert made["cpu"] == pytest.approx(2_000 / len(answered))
    latencies = [1_000 * one.seconds for one in answered]
    assert made["latency_max"] == pytest.approx(max(latencies))
    for percent in (50, 90, 99):
        value = made[f"latency_p{percent}"]
        below = sum(one <= value for one in latencies)
        assert below * 100 >= percent * len(latencies)
        assert sum(one < value for one in latencies) * 100 < percent * len(latencies)
    assert ("first_p50" in made) == any(one.first is not None for one in answered)
    priced = [one.cost for one in answered if one.cost is not None]
    assert ("cost" in made) == bool(priced)
    if priced:
        assert made["cost"] == pytest.approx(1_000 * sum(priced) / len(priced))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1).map(sorted))
def test_a_percentile_is_one_of_the_values(values: list[float]) -> None:
    assert percentile(values, 100) == values[-1]
    assert percentile(values, 1e-9) == values[0]
    assert percentile(values, 50) == values[(len(values) - 1) // 2]


def test_rounds_are_put_together_by_their_median_and_spread() -> None:
    found = together([{"throughput": 1.0, "cost": 2.0}, {"throughput": 5.0}, {"throughput": 2.0}])
    assert (found["throughput"].value, found["throughput"].low, found["throughput"].high) == (2.0, 1.0, 5.0)
    assert found["cost"].value == 2.0
    assert list(found) == ["throughput", "cost"]


def test_figures_are_in_milliseconds_and_by_the_second() -> None:
    answered = [Outcome(0.001 * n, 0.0005 * n, 10, None, 0.5) for n in range(1, 101)]
    made = figures([*answered, Outcome(9.0, error="Timeout")], 4.0, 2.0, 5e6)
    assert made == pytest.approx(
        {
            "throughput": 25,
            "latency_p50": 50,
            "latency_p90": 90,
            "latency_p99": 99,
            "latency_max": 100,
            "first_p50": 25,
            "first_p99": 49.5,
            "errors": 100 / 101,
            "input_tokens": 250,
            "cost": 500,
            "cpu": 20,
            "memory": 5,
        }
    )
    assert list(made) == [name for name in KINDS if name in made]


def test_where_nothing_was_answered_there_are_no_answers_a_second() -> None:
    assert figures([], 1.0, 2.0, 5e6) == {"memory": 5.0}
    assert figures([Outcome(1.0, error="Down")], 1.0, 2.0, 5e6) == {"throughput": 0.0, "errors": 100.0, "memory": 5.0}
