"""What the pages of the core and of the pool promise, under random work, schedules and faults. That of runs is held in
`test_runs_simulated`. ``CALLBOARD_EXAMPLES=1000`` draws more."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorCrashed, ActorDead, ActorRef, AskTimeout, ChildSpec
from callboard.actors.core.base.errors import CoreError
from callboard.actors.testing import (
    Crash,
    Delay,
    DelayReply,
    Fault,
    Kill,
    Simulation,
    SimulationFailed,
    Slow,
    linearizable,
    simulate,
)
from callboard.actors.testing.doubles.strategies import MessagePlan, fault_plans, message_plans, play
from callboard.providers.errors import ProviderError
from callboard.providers.messages import Completion
from callboard.providers.pool import Budget, GetStats, Pool, Price, Quota
from tests.providers.pool.scripted import Script, endpoint, fails_as, limited, overloaded, request

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "15"))
KINDS = (Crash, Slow, Delay, DelayReply, Kill)
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# -- the core ----------------------------------------------------------------------------------------------------------


class Kept(Actor):
    """Adds to a number that outlives it; one that waits adds first."""

    def __init__(self, number: list[int], pause: float) -> None:
        super().__init__()
        self.number, self.pause = number, pause

    def on_receive(self, message: Any) -> Any:
        return self.add(message) if not self.pause else self.slowly(message)

    def add(self, message: Any) -> int:
        before = self.number[0]
        if message != "read":
            self.number[0] += message
        return before

    async def slowly(self, message: Any) -> int:
        before = self.add(message)
        await asyncio.sleep(self.pause)
        return before


class Piped(Kept):
    """Answers beside its mailbox."""

    def on_receive(self, message: Any) -> Any:
        return self.reply_with(self.slowly(message))


def counter(state: int, message: Any) -> tuple[int, Any]:
    return (state, state) if message == "read" else (state + message, state)


PATHS = {"plain": (Kept, 0.0), "waiting": (Kept, 0.5), "piped": (Piped, 0.5)}
MESSAGES = st.one_of(st.integers(1, 3), st.just("read"))


@drawn
@given(plan=message_plans(list(PATHS), MESSAGES), faults=fault_plans(list(PATHS), kinds=KINDS, size=4))
def test_answers_of_actors_are_those_of_one_after_the_other_whatever_strikes_them(
    plan: MessagePlan, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()  # of those that are killed
        actors: dict[str, ActorRef[Any]] = {
            name: sim.system.supervise(ChildSpec(kind, ([0], pause), name=name))
            for name, (kind, pause) in PATHS.items()
        }
        outcomes: list[Any] = []
        try:
            outcomes = await play(plan, actors, timeout=20.0)
        except* ActorDead:
            pass  # a tell to one that was killed says so
        for outcome in outcomes:
            assert isinstance(outcome, int | CoreError), f"an ask ended in {outcome!r}"
        await asyncio.sleep(60)

    invariants = [linearizable(counter, 0, actor=name) for name in PATHS]
    try:
        simulate(scenario, seeds=5, faults=faults, invariants=invariants)
    except SimulationFailed as failed:
        if "RestartLimit" not in str(failed):  # that the system stops then is its own promise
            raise


# -- the pool ----------------------------------------------------------------------------------------------------------

CENT = Price(0.0, 2_000.0)  # 5 output tokens a request
LIMIT = 2


@drawn
@given(
    st.integers(1, 8),
    st.lists(st.integers(0, 3), max_size=10),
    st.sampled_from([1.0, 0.05]),
    fault_plans(["pool", "pool/a", "pool/b"], kinds=KINDS, size=3),
)
def test_every_request_to_a_pool_ends_and_none_goes_over_limits_or_budgets_whatever_strikes_it(
    count: int, failures: list[int], dollars: float, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()  # of those that are killed
        behave = fails_as(failures, limited, overloaded)
        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        made = [endpoint(script, price=CENT, limits=Quota(concurrency=LIMIT)) for script in scripts]
        budgets = [Budget("pool", "", dollars)]
        pool = sim.system.supervise(Pool.spec(made, seed=1, budgets=budgets))

        async def one(number: int) -> Any:
            try:
                return await pool.ask(request(str(number), max_tokens=5), timeout=300.0)
            except (ProviderError, ActorCrashed, ActorDead, AskTimeout) as error:
                return error

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(number), name=f"caller{number}") for number in range(count)]
        for number, task in enumerate(asked):
            answer = task.result()
            if isinstance(answer, Completion):
                assert answer.message.text.endswith(f": {number}"), f"{number} was answered {answer.message.text}"
        await asyncio.sleep(30)
        assert [script.in_flight for script in scripts] == [0, 0]
        try:
            stats = await pool.ask(GetStats())
        except CoreError:  # it is what is struck
            return
        if any(fact.actor == "pool" for fact in sim.trace.of("crashed")):
            return  # a pool that is begun anew has forgotten what was bought
        assert (stats.pool.pending, stats.waiting) == (0, 0)
        assert stats.cost <= dollars + 1e-9, f"{stats.cost} of {dollars} dollars spent"
        bought = sum(isinstance(task.result(), Completion) for task in asked)
        assert stats.cost >= bought * 0.01 - 1e-9, f"{bought} answers cost {stats.cost} dollars"

    try:
        simulate(scenario, seeds=5, faults=faults, max_steps=100_000)
    except SimulationFailed as failed:
        if "RestartLimit" not in str(failed):
            raise
