"""What makes no sense is refused before anything runs, and the error says which argument it was."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import (
    FaultRefused,
    Simulation,
    SimulationFailed,
    TokenRefused,
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


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


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

    with pytest.raises(TypeError, match=r"invariant.* is async"):
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
