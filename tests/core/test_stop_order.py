"""What stands before a stop is processed, whatever its priority; what stands behind it is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorDead, ActorRef, Future, System
from callboard.actors.testing import Simulation, simulate

from .support import Echo, Gate, Hold, Log, on_each_loop, run


@dataclass(frozen=True)
class Send:
    """A message to send: how, and with which priority."""

    how: str
    priority: int


SENDS = st.lists(st.builds(Send, st.sampled_from(["tell", "ask", "put"]), st.integers(-3, 9)), max_size=12)
LATER = st.lists(st.builds(Send, st.sampled_from(["tell", "ask"]), st.integers(0, 9)), max_size=4)


async def send(ref: ActorRef[Any], each: Send, message: Any, asks: list[Future[Any]]) -> None:
    match each.how:
        case "tell":
            ref.tell(message, priority=each.priority)
        case "ask":
            asks.append(ref.ask(message, priority=each.priority))
        case "put":
            await ref.put(message, priority=each.priority)


async def before_and_behind_a_stop(system: System, ref: ActorRef[Any], before: list[Send], behind: list[Send]) -> None:
    """Send some, ask to stop, send some more; all of it while a handler is at work."""
    hold, answered, refused, dead = Hold(), list[Future[Any]](), list[Future[Any]](), 0
    ref.tell(hold)
    await hold.begun.wait()
    for number, each in enumerate(before):
        await send(ref, each, ("before", each.priority, number), answered)
    stopping = ref.stop()
    for number, each in enumerate(behind):
        await send(ref, each, ("behind", each.priority, number), refused)
        dead += 1
    hold.go.set()
    assert await stopping is True
    assert [ask.exception() for ask in answered] == [None] * len(answered)
    assert all(isinstance(ask.exception(), ActorDead) for ask in refused)
    assert system.dead_letters.count == dead


def in_order(before: list[Send]) -> list[Any]:
    numbered = enumerate(before)
    return sorted((("before", each.priority, number) for number, each in numbered), key=lambda message: message[1:])


@settings(deadline=None, database=None, max_examples=80)
@given(before=SENDS, behind=LATER)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_everything_sent_before_a_stop_is_processed_by_priority_and_nothing_sent_behind_it(
    loop: str, before: list[Send], behind: list[Send]
) -> None:
    log = Log()

    async def main() -> None:
        async with System() as system:
            await before_and_behind_a_stop(system, system.spawn(Gate, log), before, behind)

    run(main(), loop)
    assert log.of("saw") == in_order(before)


@settings(deadline=None, database=None, max_examples=25)
@given(before=SENDS, behind=LATER)
def test_everything_sent_before_a_stop_is_processed_under_any_schedule(before: list[Send], behind: list[Send]) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        sim.expect_dead_letters(lambda letter: "behind" in repr(letter))
        await before_and_behind_a_stop(sim.system, sim.system.spawn(Gate, log, name="gate"), before, behind)
        assert log.of("saw") == in_order(before)

    simulate(scenario, seeds=5)


@on_each_loop
async def test_a_message_with_a_later_priority_sent_before_a_stop_is_processed_before_it() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Gate, log)
        ref.tell("late", priority=9)
        ask = ref.ask("asked", priority=5)
        assert await ref.stop() is True
        assert await ask == "asked"
        assert log.of("saw") == ["asked", "late"]
        assert system.dead_letters.count == 0


@on_each_loop
async def test_an_actor_that_stops_itself_has_processed_what_was_in_its_mailbox_whatever_the_priority() -> None:
    log = Log()

    class Quits(Gate):
        async def on_receive(self, message: Any) -> Any:
            if message == "quit":
                self.stop()
            return await super().on_receive(message)

    async with System() as system:
        ref, hold = system.spawn(Quits, log), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        ref.tell("quit")
        ref.tell("late", priority=7)
        ref.tell("same")
        hold.go.set()
        await ref.terminated()
        assert log.of("saw") == ["quit", "same", "late"]
        assert system.dead_letters.count == 0


@on_each_loop
async def test_a_stop_is_not_put_off_by_messages_that_keep_coming() -> None:
    class Feeds(Actor):
        def on_receive(self, message: int) -> None:
            if self.ref.is_alive():
                self.ref.tell(message + 1, priority=message % 3)

    async with System() as system:
        ref = system.spawn(Feeds)
        ref.tell(0)
        await system.spawn(Echo).ask("sync")
        async with asyncio.timeout(5):
            assert await ref.stop() is True
