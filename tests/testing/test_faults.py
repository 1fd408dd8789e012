"""What may go wrong, and that what goes wrong is found."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec
from callboard.actors.core.base.errors import ActorCrashed
from callboard.testing import Crash, Fault, FaultStruckNothing, Simulation, SimulationFailed, never, simulate

WRONG_TURN = never(lambda fact: fact.kind == "shown" and fact.question != fact.result, "a result to another question")


class Search(Actor):
    """A tool that takes its time."""

    def on_receive(self, message: Any) -> None:
        who, turn, question = message
        who.tell(("result", turn, question))


class Assistant(Actor):
    """Counts its turns, in memory: a result belongs to the turn of the same number."""

    def __init__(self, search: ActorRef[Any], sim: Simulation, fixed: bool) -> None:
        super().__init__()
        self.search, self.sim, self.fixed = search, sim, fixed
        self.turn: Any = 0
        self.question = ""

    def on_receive(self, message: Any) -> None:
        match message:
            case "result", turn, result:
                if turn == self.turn:
                    self.sim.mark("shown", question=self.question, result=result)
            case question:
                self.turn = (self.incarnation(), question) if self.fixed else self.turn + 1
                self.question = question
                self.search.tell((self.actor_ref, self.turn, question))

    def incarnation(self) -> int:
        """How often it has been started, which a restart does not forget."""
        return len(self.sim.trace.of("restarted"))


def two_questions(fixed: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        search = sim.system.spawn(Search, name="search")
        assistant = sim.system.supervise(ChildSpec(Assistant, args=(search, sim, fixed), name="assistant"))
        for question in ("weather", "news"):
            with contextlib.suppress(ActorCrashed):
                await assistant.ask(question)

    return scenario


@pytest.mark.parametrize("repeat", range(5))
def test_a_result_to_the_wrong_turn_after_a_restart_is_found(repeat: int) -> None:
    seeds = range(1000 * repeat, 1000 * repeat + 300)
    with pytest.raises(SimulationFailed, match="a result to another question") as caught:
        simulate(two_questions(fixed=False), seeds=seeds, faults=[Crash("assistant")], invariants=[WRONG_TURN])
    assert [fault.when for fault in caught.value.run.faults if isinstance(fault, Crash)] == ["after"]


def test_a_turn_that_a_restart_tells_apart_gets_no_result_of_another() -> None:
    simulate(two_questions(fixed=True), seeds=100, faults=[Crash("assistant")], invariants=[WRONG_TURN])


async def waits_in_its_third_message(sim: Simulation) -> None:
    class Worker(Actor):
        async def on_receive(self, message: int) -> None:
            if message == 2:
                await asyncio.sleep(1)

    worker = sim.system.supervise(ChildSpec(Worker, name="worker"))
    for number in range(4):
        with contextlib.suppress(ActorCrashed):
            await worker.ask(number)


@pytest.mark.parametrize("fault", [Crash("worker"), Crash("worker", 3)])
def test_a_crash_strikes_in_every_phase_unless_it_says_which(fault: Fault) -> None:
    phases = set()

    async def scenario(sim: Simulation) -> None:
        await waits_in_its_third_message(sim)
        phases.update(fact.when for fact in sim.trace.of("fault"))

    assert simulate(scenario, seeds=60, faults=[fault]).ok
    assert phases == {"before", "in", "after"}


def test_the_ordinary_schedule_has_the_faults_with_a_number_and_no_others() -> None:
    struck = []

    async def scenario(sim: Simulation) -> None:
        await waits_in_its_third_message(sim)
        struck.extend((fact.nth, fact.when) for fact in sim.trace.of("fault"))

    simulate(scenario, seeds=0, faults=[Crash("worker", when="in"), Crash("worker", 2), Crash("worker", 4, "before")])
    assert struck == [(2, "after"), (4, "before")]


def test_a_crash_of_any_phase_that_names_a_message_that_never_comes_struck_nothing() -> None:
    with pytest.raises(FaultStruckNothing, match=r"crash worker, message 9 .*messages taken up there: 4"):
        simulate(waits_in_its_third_message, faults=[Crash("worker", 9)])
