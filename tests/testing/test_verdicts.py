"""What test runners raise to say that a test, or an example of it, does not count, is no failure of the scenario."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from callboard.testing import Simulation, SimulationFailed, explore, simulate
from tests.core.support import Echo

Verdict = Callable[[], NoReturn]


def skip() -> NoReturn:
    pytest.skip("not here")


def xfail() -> NoReturn:
    pytest.xfail("known")


def skip_test() -> NoReturn:
    raise unittest.SkipTest("not here")


def leave_out() -> NoReturn:  # as `assume` and `reject` do within an example
    raise UnsatisfiedAssumption("not wanted")


VERDICTS: tuple[Verdict, ...] = (skip, xfail, skip_test, leave_out)


async def later(verdict: Verdict) -> None:
    await asyncio.sleep(1)
    verdict()


async def grouped(verdict: Verdict) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(later(verdict))


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("search", [simulate, explore])
@pytest.mark.parametrize("where", [later, grouped])
def test_a_verdict_on_the_test_is_no_failure(verdict: Verdict, search: Any, where: Any) -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011  # they have no base of their own
        search(lambda: where(verdict))
    with pytest.raises(BaseException) as meant:  # noqa: PT011
        verdict()
    assert type(raised.value) is type(meant.value)
    assert str(raised.value) == str(meant.value)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_verdict_of_a_later_schedule_counts_too(processes: int) -> None:
    async def scenario(sim: Simulation) -> None:
        echo, first = sim.system.spawn(Echo, name="echo"), []

        async def client(name: str) -> None:
            for _ in range(10):
                await echo.ask(name)
            first.append(name)

        await asyncio.gather(*map(client, "abcdef"))
        if first[0] != "a":
            pytest.skip("not the first")

    with pytest.raises(pytest.skip.Exception, match="not the first"):
        simulate(scenario, seeds=50, processes=processes)


def test_an_example_that_is_not_wanted_is_left_out() -> None:
    wanted: set[int] = set()

    @settings(deadline=None, database=None, max_examples=30, derandomize=True)
    @given(st.integers(0, 5), st.data())
    def check(number: int, data: st.DataObject) -> None:
        async def scenario() -> None:
            assume(number > 2)
            await asyncio.sleep(data.draw(st.integers(0, 3)))
            wanted.add(number)

        simulate(scenario, seeds=2)

    check()
    assert wanted == {3, 4, 5}


def test_a_failure_by_name_is_located_where_it_was_called() -> None:
    async def scenario(place: int) -> None:
        await asyncio.sleep(1)
        if place == 1:
            pytest.fail("it rains")
        pytest.fail("it rains")

    failures = []
    for place in (1, 2):
        with pytest.raises(SimulationFailed, match="it rains") as failed:
            simulate(lambda place=place: scenario(place))
        assert 'in scenario: pytest.fail("it rains")' in str(failed.value)
        failures.append(failed.value.run.failure)
    assert failures[0] != failures[1]
