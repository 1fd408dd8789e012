"""Nothing stays hot, and no message waits, for longer than it may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec, System
from callboard.actors.testing import (
    Crash,
    Fact,
    Simulation,
    SimulationFailed,
    Slow,
    Trace,
    UnhandledFailure,
    hot,
    no_starvation,
    simulate,
)


class Queue(Actor):
    """Works its jobs off one by one; a flush that comes while it works is forgotten where it is wrong."""

    def __init__(self, right: bool) -> None:
        super().__init__()
        self.right, self.jobs, self.busy = right, list[str](), False

    def on_receive(self, message: str) -> None:
        if message == "flush":
            if self.jobs and (self.right or not self.busy):
                self.jobs.clear()
        elif message == "idle":
            self.busy = False
        else:
            self.jobs.append(message)
            self.busy = True
            self.schedule(1.0, "idle")


def waiting(fact: Fact) -> bool | None:
    return fact.jobs > 0 if fact.kind == "state" else None


def flushing(right: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        queue = sim.system.spawn(Queue, right, name="queue")
        sim.follow(queue, jobs=lambda actor: len(actor.jobs))
        queue.tell("job")
        await asyncio.sleep(2)
        queue.tell("flush")
        await asyncio.sleep(100)

    return scenario


RARELY_LEFT = hot(waiting, longer_than=60, what="left with jobs")


def test_an_actor_that_stays_in_a_hot_state_is_named_with_since_when_and_for_how_long() -> None:
    told = r"liveness: queue was left with jobs from 3.000 s for 99.000 s, longer than 60 s"
    with pytest.raises(SimulationFailed, match=told):
        simulate(flushing(right=False), seeds=50, invariants=[RARELY_LEFT], faults=[Slow("queue", seconds=3.0)])


def test_one_that_leaves_it_in_time_is_not() -> None:
    simulate(flushing(right=True), seeds=100, invariants=[RARELY_LEFT], faults=[Slow("queue", seconds=3.0)])


def test_marks_say_what_is_hot_as_well_and_a_run_that_ends_ends_it() -> None:
    def leader(fact: Fact) -> bool | None:
        return {"leaderless": True, "elected": False}.get(fact.kind)

    def leading(seconds: float) -> Any:
        async def scenario(sim: Simulation) -> None:
            sim.mark("leaderless", shard="east")
            sim.mark("leaderless", shard="west")
            await asyncio.sleep(seconds)
            sim.mark("elected", shard="east")
            sim.mark("elected", shard="west")
            sim.mark("leaderless", shard="west")
            await asyncio.sleep(5)
            sim.mark("over")

        return scenario

    without = hot(leader, longer_than=5, whose="shard", what="without a leader")
    simulate(leading(5), invariants=[without])
    with pytest.raises(SimulationFailed, match=r"liveness: east was without a leader from 0.000 s for 5.100 s"):
        simulate(leading(5.1), invariants=[without])
    with pytest.raises(SimulationFailed, match=r"west was without a leader from 1.000 s for 5.000 s, longer than 4 s"):
        simulate(leading(1), invariants=[hot(leader, longer_than=4, whose="shard", what="without a leader")])


def test_a_message_that_waits_too_long_is_named_with_its_actor() -> None:
    class Busy(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.sleep(message)

    async def scenario(sim: Simulation) -> None:
        busy = sim.system.spawn(Busy, name="busy")
        busy.tell(30)
        await busy.ask(1)

    simulate(scenario, invariants=[no_starvation(longer_than=30)])
    with pytest.raises(SimulationFailed, match=r"busy was not taking up 1 from 0.000 s for 30.000 s, longer than 29 s"):
        simulate(scenario, invariants=[no_starvation(longer_than=29)])


def test_what_a_restart_changes_in_a_state_that_is_followed_is_seen() -> None:
    class Keeps(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.kept = 0

        def on_receive(self, message: int) -> None:
            self.kept += message

    async def scenario(sim: Simulation) -> None:
        ref = sim.system.supervise(ChildSpec(Keeps, name="keeps"))
        sim.follow(ref, kept=lambda actor: actor.kept)
        for number in (1, 2, 4):
            ref.tell(number)
            await sim.idle()

    run = simulate(scenario, seeds=0, faults=[Crash("keeps", 2, "before")])
    assert [(fact.actor, fact.kept) for fact in run.trace.of("state")] == [("keeps", kept) for kept in (0, 1, 0, 4)]


def test_actors_of_a_second_system_and_of_a_process_are_followed_too() -> None:
    async def jobs(sim: Simulation, system: System) -> None:
        queue = system.spawn(Queue, True, name="queue")
        sim.follow(queue, jobs=lambda actor: len(actor.jobs))
        await queue.ask("job")
        await queue.ask("job")

    async def in_a_second_system(sim: Simulation) -> None:
        sim.follow(sim.system.spawn(Queue, True, name="queue"), jobs=lambda actor: len(actor.jobs))
        async with System("second") as system:
            await jobs(sim, system)

    async def in_a_process(sim: Simulation) -> None:
        sim.follow(sim.system.spawn(Queue, True, name="queue"), jobs=lambda actor: len(actor.jobs))
        await sim.process("worker", lambda system: jobs(sim, system))

    for scenario in (in_a_second_system, in_a_process):
        states = simulate(scenario, seeds=3).trace.of("state")
        assert [(fact.fields.get("system"), fact.actor, fact.jobs) for fact in states] == [
            (None, "queue", 0),
            (2, "queue", 0),
            (2, "queue", 1),
            (2, "queue", 2),
        ]


def test_a_state_that_raises_fails_the_run_and_not_the_actor() -> None:
    async def scenario(sim: Simulation) -> None:
        queue = sim.system.spawn(Queue, True, name="queue")
        sim.follow(queue, jobs=lambda actor: actor.nothing)
        queue.tell("job")

    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, seeds=1)
    assert isinstance(caught.value.run.error, UnhandledFailure)
    assert isinstance(caught.value.run.error.__cause__, AttributeError)


def test_a_time_that_makes_no_sense_is_refused_and_an_empty_trace_is_fine() -> None:
    for wrong in (-1, "soon", True, None):
        with pytest.raises(ValueError, match=r"longer_than=.* is a number"):
            hot(waiting, longer_than=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"longer_than=.* is a number"):
            no_starvation(longer_than=wrong)  # type: ignore[arg-type]
    hot(waiting, longer_than=0)(Trace())
    no_starvation(longer_than=0)(Trace())
