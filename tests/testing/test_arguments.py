"""What makes no sense is refused before anything runs, and the error says which argument it was."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from callboard.actors import System
from callboard.actors.testing import (
    FaultRefused,
    Latency,
    Simulation,
    SimulationFailed,
    Slow,
    Timing,
    TimingRefused,
    TokenRefused,
    Trace,
    children_end,
    eventually,
    exactly_once,
    explore,
    hot,
    linearizable,
    never,
    no_starvation,
    simulate,
)
from tests.core.support import Echo


async def asks(sim: Simulation) -> None:
    await sim.system.spawn(Echo, name="echo").ask("hello")


async def never_runs(sim: Simulation) -> None:
    pytest.fail("the scenario ran")


@pytest.mark.parametrize("seeds", [-1, 1.5, None, True, "x", b"x"])
def test_a_number_of_seeds_that_makes_no_sense_is_refused(seeds: Any) -> None:
    with pytest.raises(ValueError, match="seeds="):
        simulate(never_runs, seeds=seeds)


@pytest.mark.parametrize("seed", [None, "a", 1.5, True])
@pytest.mark.parametrize("strategy", ["mix", "feedback"])
def test_a_seed_that_is_no_number_is_refused(seed: Any, strategy: str) -> None:
    with pytest.raises(ValueError, match=r"seeds has .* in it"):
        simulate(asks, seeds=[seed], strategy=strategy)


@pytest.mark.parametrize("seeds", [0, [], (), range(3), iter([1, 2]), [-3], itertools.count()])
def test_any_numbers_are_seeds_and_there_may_be_no_end_of_them(seeds: Any) -> None:
    assert simulate(asks, seeds=seeds).ok


@pytest.mark.parametrize("run", [simulate, explore])
@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"max_steps": 0}, ValueError, "max_steps=0"),
        ({"max_steps": None}, ValueError, "max_steps=None"),
        ({"max_steps": 1.5}, ValueError, "max_steps=1.5"),
        ({"max_steps": True}, ValueError, "max_steps=True"),
        ({"order": "x"}, ValueError, "order='x': it is 'contract' or 'asyncio'"),
        ({"order": None}, ValueError, "order=None"),
        ({"invariants": 5}, TypeError, "invariants=5: they are a sequence"),
        ({"invariants": None}, TypeError, "invariants=None"),
        ({"invariants": [None]}, TypeError, "a function of the trace, not None"),
        ({"faults": None}, FaultRefused, "faults=None: they are a sequence"),
        ({"faults": 5}, FaultRefused, "faults=5"),
        ({"faults": [None]}, FaultRefused, "None is no fault"),
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_is_refused(run: Any, options: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        run(never_runs, **options)


@pytest.mark.parametrize("run", [simulate, explore])
@pytest.mark.parametrize("scenario", [None, 5, "scenario"])
def test_a_scenario_that_is_no_function_is_refused(run: Any, scenario: Any) -> None:
    with pytest.raises(TypeError, match="a scenario is a function, async def"):
        run(scenario)


def make(sim: Any = None) -> Any:
    async def scenario(sim: Simulation) -> None: ...

    return scenario


@pytest.mark.parametrize("run", [simulate, explore])
@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        (make, r"make is not async, it returned <function.*: call it, make\(…\), if it makes the scenario"),
        (lambda sim: None, "is not async, it returned None$"),
        (lambda: 5, "is not async, it returned 5$"),
    ],
    ids=["not called", "not async", "without argument"],
)
def test_a_scenario_that_is_not_async_or_was_not_made_is_refused(run: Any, scenario: Any, says: str) -> None:
    with pytest.raises(TypeError, match=rf"^a scenario is async def scenario\(sim\); .*{says}"):
        run(scenario)


@pytest.mark.parametrize(
    "maker",
    [children_end, eventually, exactly_once, hot, linearizable, never, no_starvation],
    ids=lambda it: it.__name__,
)
def test_an_oracle_that_was_not_called_is_refused(maker: Any) -> None:
    with pytest.raises(TypeError, match=rf"{maker.__name__} makes an invariant when it is called: invariants=\["):
        simulate(never_runs, invariants=[maker])


def test_an_invariant_that_is_async_is_refused() -> None:
    async def invariant(trace: Any) -> None: ...

    with pytest.raises(TypeError, match=r"an invariant is a plain function"):
        simulate(never_runs, invariants=[invariant])


@pytest.mark.parametrize("returned", [5, None, (1, 2, 3)])
def test_a_model_that_returns_no_pair_is_named(returned: Any) -> None:
    with pytest.raises(
        SimulationFailed, match=r"linearizable: the model returns \(next state, answer\), not .* for 'hello'"
    ):
        simulate(asks, invariants=[linearizable(lambda state, message: returned, actor="echo")])


@pytest.mark.parametrize("strategy", [None, [], "guess"])
def test_a_strategy_that_there_is_not_is_refused(strategy: Any) -> None:
    with pytest.raises(ValueError, match="strategy"):
        simulate(never_runs, strategy=strategy)


@pytest.mark.parametrize("token", [5, b"sim1-", "", [], "sim1-x"])
def test_what_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(TokenRefused):
        simulate(never_runs, replay=token)


@pytest.mark.parametrize("strategy", ["mix", "feedback"])
@pytest.mark.parametrize("kind", ["send", "recv", "done", "spawn", "dead_letter", "fault", "system_stopped"])
def test_a_mark_that_is_called_like_an_event_of_the_runtime_is_refused(kind: str, strategy: str) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.mark(kind, order=7)
        await asks(sim)

    with pytest.raises(SimulationFailed, match=f"a mark cannot be called '{kind}'"):
        simulate(scenario, strategy=strategy)


@pytest.mark.parametrize("kind", ["task", "task_end", "cancel", "hold", "timeout", "timer", "slept", "state"])
def test_a_mark_may_be_called_like_what_a_report_tells_beside_the_trace(kind: str) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.mark(kind, order=7)
        raise AssertionError("on purpose")

    with pytest.raises(SimulationFailed, match="on purpose") as failed:
        simulate(scenario)
    assert f"** {kind} order=7" in str(failed.value)
    assert f"{kind} order=7" in failed.value.html()


async def later(trace: Trace) -> None:
    raise AssertionError("it ran")


async def asynchronously(trace: Trace) -> AsyncIterator[Any]:
    for fact in trace:
        yield fact


class Awaited:
    """What a future is, too."""

    def __await__(self) -> Iterator[None]:
        yield


def one_by_one(trace: Trace) -> Iterator[None]:
    raise AssertionError("it ran")
    yield


class Late:
    async def __call__(self, trace: Trace) -> None:
        raise AssertionError("it ran")


@pytest.mark.parametrize("invariant", [later, one_by_one, Late(), partial(later)])
def test_an_invariant_that_would_never_run_is_refused(invariant: Any) -> None:
    with pytest.raises(TypeError, match="an invariant is a plain function of the trace"):
        simulate(never_runs, invariants=[invariant])


def test_what_makes_an_invariant_of_ones_own_and_was_not_called_fails_the_run() -> None:
    def maker(what: Any) -> Any:
        return never(lambda fact: fact is what)

    with pytest.raises(SimulationFailed, match="maker returned a function: it makes an invariant"):
        simulate(asks, invariants=[maker])


class Checks:
    """An invariant that is an object, and whose checks would be gone through later."""

    def __call__(self, trace: Trace) -> Any:
        return (fact for fact in trace)


@pytest.mark.parametrize(
    ("invariant", "kind"),
    [
        (lambda trace: later(trace), "a coroutine"),
        (lambda trace: (fact for fact in trace), "a generator"),
        (Checks(), "a generator"),
        (lambda trace: (fact async for fact in asynchronously(trace)), "an async generator"),
        (lambda trace: Awaited(), "an awaitable"),
    ],
    ids=["coroutine", "generator", "generator of an object", "async generator", "future"],
)
def test_an_invariant_that_returns_what_would_have_to_be_run_fails_the_run(invariant: Any, kind: str) -> None:
    with pytest.raises(SimulationFailed, match=f"returned {kind}: an invariant is a plain function"):
        simulate(asks, invariants=[invariant])


class Not:
    """False, as numpy's ``False_`` is."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Not()"


@pytest.mark.parametrize("returned", [False, Not(), 0, []], ids=repr)
def test_an_invariant_that_returns_what_is_not_true_does_not_hold(returned: Any) -> None:
    def short(trace: Trace) -> Any:
        return returned

    with pytest.raises(SimulationFailed, match=rf"InvariantViolated: .*short returned {re.escape(repr(returned))}"):
        simulate(asks, invariants=[short])


def test_an_invariant_that_returns_what_is_true_or_nothing_holds() -> None:
    simulate(asks, invariants=[lambda trace: len(trace) > 3, lambda _: None, lambda trace: len(trace)])


@pytest.mark.parametrize("seconds", [10**400, float("inf"), "x"])
def test_seconds_that_are_no_number_are_refused_where_they_are_given(seconds: Any) -> None:
    with pytest.raises(FaultRefused):
        Slow("a", seconds=seconds)
    with pytest.raises(TimingRefused):
        Timing(step=seconds)
    with pytest.raises(TimingRefused):
        Timing(messages=Latency(seconds, 1))


def test_what_a_scenario_asks_with_wrong_arguments_is_refused_by_name() -> None:
    async def scenario(sim: Simulation) -> None:
        wrong: Any
        for wrong in ([], None, 3, ""):
            with pytest.raises(TypeError, match="the kind of a mark is a text"):
                sim.mark(wrong)
            with pytest.raises(TypeError, match="the path of an actor is a text"):
                sim.remote("a", wrong)
            with pytest.raises(TypeError, match="which dead letters to expect"):
                sim.expect_dead_letters(wrong)

        async def program(system: System) -> None:
            await asyncio.sleep(1)

        process = sim.process("p", program)
        for wrong in (-1, "x", None, True, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="after how many seconds"):
                process.restart(wrong)
        assert process.running
        await process

    simulate(scenario, seeds=0)


def token_of(data: Any) -> str:
    packed = zlib.compress(data if isinstance(data, bytes) else json.dumps(data).encode())
    return "sim1-" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


@pytest.mark.parametrize("data", [b"[" * 200_000, ["asks", "x", [], [], []], ["asks", [], [], [], []]])
def test_a_token_with_nonsense_in_it_is_refused(data: Any) -> None:
    with pytest.raises(TokenRefused, match="cannot be read"):
        simulate(asks, replay=token_of(data))
