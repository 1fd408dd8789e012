"""`ReceiveTimeout`: sent when no message has come for a while, and only then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    ChildSpec,
    DeadLetter,
    Mailbox,
    ReceiveTimeout,
    SpecError,
    Supervisor,
    System,
)
from callboard.actors.testing import Crash, Kill, Simulation, Slow, run_virtual, simulate, virtual_time
from tests.ids import shown

from .support import Log, on_each_loop


class Waits(Actor):
    """Notes when it is told that no message has come; a number is how long its handler works, a function is called."""

    def __init__(self, log: Log, seconds: float | None = None) -> None:
        super().__init__()
        self.log = log
        if seconds is not None:
            self.set_receive_timeout(seconds)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, ReceiveTimeout):
            self.log(message.seconds, now())
            return None
        if isinstance(message, float):
            return asyncio.sleep(message)
        return message(self) if callable(message) else message


def now() -> float:
    return asyncio.get_running_loop().time()


def times(log: Log) -> list[float]:
    return [time for _, time in log.lines]


# -- when it comes -----------------------------------------------------------------------------------------------------


@virtual_time
async def test_it_comes_again_and_again_as_long_as_no_message_does() -> None:
    log = Log()
    async with System() as system:
        system.spawn(Waits, log, 2.0)
        await asyncio.sleep(7)
        assert log.lines == [(2.0, 2.0), (2.0, 4.0), (2.0, 6.0)]


@virtual_time
async def test_a_message_puts_it_off() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log, 2.0)
        for _ in range(5):
            await asyncio.sleep(1.5)
            ref.tell("message")
        assert log.lines == []
        await asyncio.sleep(3)
        assert times(log) == [9.5]


@pytest.mark.parametrize("work", [1.5, 2.0, 30.0])
@virtual_time
async def test_it_is_counted_from_the_end_of_the_handler(work: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log, 2.0)
        await asyncio.sleep(1)
        ref.tell(work)
        await asyncio.sleep(work + 3.5)
        assert times(log) == [1 + work + 2]


@settings(deadline=None, max_examples=200)
@given(
    sent=st.dictionaries(st.integers(0, 30), st.sampled_from([0.0, 1.0, 2.0, 5.0]), max_size=8),
    seconds=st.sampled_from([0.7071, 1.7321, 3.7417, 7.4833]),  # a message never comes at the very moment
)
def test_it_comes_exactly_where_there_was_no_message_and_no_work_for_so_long(
    sent: dict[int, float], seconds: float
) -> None:
    end = 45.1
    expected: list[float] = []
    idle_since = 0.0
    for at, work in [*sorted((at + 0.25, work) for at, work in sent.items()), (end, 0.0)]:
        while idle_since + seconds < at:
            idle_since += seconds
            expected.append(idle_since)
        idle_since = max(idle_since, at) + work

    async def main() -> None:
        log = Log()
        async with System() as system:
            ref = system.spawn(Waits, log, seconds)
            for at in sorted(sent):
                await asyncio.sleep(at + 0.25 - now())
                ref.tell(sent[at])
            await asyncio.sleep(end - now())
            assert times(log) == pytest.approx(expected)

    run_virtual(main())


def test_it_does_not_come_while_a_message_waits() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        ref = sim.system.spawn(Waits, log, 1.0, name="ref")
        ref.tell("taken up late")
        await asyncio.sleep(10.5)
        assert times(log) == [], "its message waits"
        await asyncio.sleep(1)
        assert times(log) == [11.0]

    simulate(scenario, seeds=20, faults=[Slow("ref", 1, 10.0)])


def test_at_most_one_waits() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        sim.system.spawn(Waits, log, 1.0, name="ref")
        await asyncio.sleep(10.5)
        assert [node.waiting for node in sim.system.tree()] == [1]
        await asyncio.sleep(1)
        assert times(log) == [11.0]
        await asyncio.sleep(1)
        assert times(log) == [11.0, 12.0]

    simulate(scenario, seeds=20, faults=[Slow("ref", 1, 10.0)])


def test_one_that_a_full_mailbox_drops_is_followed_by_others() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        sim.expect_dead_letters()
        letters: list[DeadLetter] = []
        sim.system.dead_letters.subscribe(letters.append)
        ref = sim.system.spawn(Waits, log, 1.0, name="ref", mailbox=Mailbox(1, "drop_oldest"))
        await asyncio.sleep(5)
        ref.tell("message")
        assert [letter.message for letter in letters] == [ReceiveTimeout(1.0)]
        await asyncio.sleep(7.5)
        assert times(log) == [12.0]

    simulate(scenario, seeds=20, faults=[Slow("ref", 1, 10.0)])


@virtual_time
async def test_it_does_not_come_before_the_actor_has_started() -> None:
    log = Log()

    class Slowly(Waits):
        async def on_start(self) -> None:
            await asyncio.sleep(10)

    async with System() as system:
        system.spawn(Slowly, log, 1.0)
        await asyncio.sleep(11.5)
        assert times(log) == [11.0]


@on_each_loop
async def test_it_comes_on_a_real_clock() -> None:
    told = asyncio.Event()

    class Real(Actor):
        def on_start(self) -> None:
            self.set_receive_timeout(0.001)

        def on_receive(self, message: Any) -> None:
            assert message == ReceiveTimeout(0.001)
            told.set()

    async with System() as system:
        system.spawn(Real)
        await told.wait()


# -- how it is set -----------------------------------------------------------------------------------------------------


def set_in_a_handler(actor: Actor) -> None:
    actor.set_receive_timeout(2.0)


async def set_after_a_wait(actor: Actor) -> None:
    await asyncio.sleep(0)
    actor.set_receive_timeout(2.0)


def set_in_a_job(actor: Actor) -> None:
    async def job() -> None:
        actor.set_receive_timeout(2.0)

    actor.pipe(job(), lambda _: "set")


@pytest.mark.parametrize("how", [set_in_a_handler, set_after_a_wait, set_in_a_job])
@virtual_time
async def test_it_may_be_set_wherever_the_actor_works(how: Callable[[Actor], Any]) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log)
        await asyncio.sleep(1)
        ref.tell(how)
        await asyncio.sleep(5)
        assert times(log) == [3.0, 5.0]


@pytest.mark.parametrize("seconds", [1.0, 5.0])
@virtual_time
async def test_setting_it_anew_replaces_it(seconds: float) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log, 2.0)
        await asyncio.sleep(1)
        ref.tell(lambda actor: actor.set_receive_timeout(seconds))
        await asyncio.sleep(seconds + 0.5)
        assert log.lines == [(seconds, 1 + seconds)]


@virtual_time
async def test_none_ends_it() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log, 2.0)
        await asyncio.sleep(3)
        ref.tell(lambda actor: actor.set_receive_timeout(None))
        ref.tell(lambda actor: actor.set_receive_timeout(None))
        await asyncio.sleep(100)
        ref.tell("message")
        await asyncio.sleep(100)
        assert times(log) == [2.0]


def test_one_that_waits_already_still_comes_after_none() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        ref = sim.system.spawn(Waits, log, 1.0, name="ref")
        await asyncio.sleep(5)
        ref.tell(lambda actor: actor.set_receive_timeout(None), priority=-1)
        await asyncio.sleep(20)
        assert times(log) == [11.0]

    simulate(scenario, seeds=20, faults=[Slow("ref", 1, 10.0)])


WRONG: list[Any] = [0, 0.0, -1, -0.5, math.nan, "5", b"5", [5], True, False, 5j, object()]


@pytest.mark.parametrize("value", WRONG, ids=shown)
@virtual_time
async def test_what_is_no_number_of_seconds_is_refused_and_leaves_the_one_in_force(value: Any) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Waits, log, 2.0)
        with pytest.raises(SpecError, match=r"Waits-1: receive timeout is"):
            await ref.ask(lambda actor: actor.set_receive_timeout(value))
        await asyncio.sleep(2.5)
        assert times(log) == [2.0]


@virtual_time
async def test_it_cannot_be_set_for_an_actor_that_has_stopped() -> None:
    async with System() as system:
        ref = system.spawn(Waits, Log())
        actor: Any = await ref.ask(lambda actor: actor)
        await ref.stop()
        with pytest.raises(ActorDead, match="has stopped"):
            actor.set_receive_timeout(1.0)
        await asyncio.sleep(5)
        assert system.dead_letters.count == 0


# -- its end -----------------------------------------------------------------------------------------------------------


class Once(Waits):
    """Sets it in its first incarnation only."""

    def __init__(self, log: Log, firsts: list[bool]) -> None:
        super().__init__(log, 2.0 if not firsts else None)
        firsts.append(False)


class OnceWithHooks(Once):
    def on_stop(self) -> None:
        self.set_receive_timeout(1.0)

    def on_failure(self, *_: Any) -> None:
        self.set_receive_timeout(1.0)


@pytest.mark.parametrize("kind", [Once, OnceWithHooks])
@pytest.mark.parametrize("end", ["crash", "kill", "self stop", "restart_child"])
@virtual_time
async def test_it_ends_with_the_incarnation(end: str, kind: type[Once]) -> None:
    log = Log()
    async with System() as system:
        top = system.supervise(Supervisor.spec([ChildSpec(kind, (log, []), name="ref")], name="top"))
        await top.started()
        ref: ActorRef[Any] | None = system.find("top/ref")
        assert ref is not None
        await asyncio.sleep(1)
        match end:
            case "crash":
                ref.tell(_crash)
            case "kill":
                ref.kill()
            case "self stop":
                ref.tell(lambda actor: actor.stop())
            case "restart_child":
                await top.proxy().restart_child("ref")
        assert await ref.ask("up again") == "up again"
        assert [node.restarts for node in system.tree()[0].children] == [1]
        await asyncio.sleep(10)
        assert log.lines == []
        assert system.dead_letters.count == 0


@on_each_loop
async def test_no_timer_is_left_of_an_actor_that_had_to_be_killed() -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with System() as system:
        system.spawn(Waits, Log(), 1000.0).tell(lambda _: hang())
        await begun.wait()
        await system.stop(timeout=0)


@pytest.mark.parametrize("kind", [Once, OnceWithHooks])
@pytest.mark.parametrize("end", ["crash", "kill", "stop", "system"])
@on_each_loop
async def test_no_timer_is_left_of_an_actor_that_is_dead(end: str, kind: type[Once]) -> None:
    async with System() as system:
        refs = [system.spawn(kind, Log(), []), system.spawn(Waits, Log(), 1000.0)]
        for ref in refs:
            match end:
                case "crash":
                    ref.tell(_crash)
                case "kill":
                    ref.kill()
                case "stop":
                    await ref.stop()
                case "system":
                    await system.stop()
            await ref.terminated()
    # `on_each_loop` looks for timers


def _crash(_: Actor) -> None:
    raise RuntimeError


def test_it_comes_to_the_incarnation_that_has_set_it_and_no_other_whatever_fails() -> None:
    class Each(Actor):
        """Each incarnation sets its own number of seconds."""

        def __init__(self, numbers: list[int], sim: Simulation) -> None:
            super().__init__()
            numbers.append(len(numbers) + 1)
            self.seconds = float(numbers[-1])
            self.sim = sim

        def on_start(self) -> None:
            self.set_receive_timeout(self.seconds)

        def on_receive(self, message: Any) -> None:
            if isinstance(message, ReceiveTimeout):
                self.sim.mark("timeout", own=self.seconds, told=message.seconds)

    async def scenario(sim: Simulation) -> None:
        ref = sim.system.supervise(ChildSpec(Each, ([], sim), name="ref"))
        for number in range(6):
            try:
                ref.tell(number)
            except ActorDead:
                break
            await asyncio.sleep(0.7 * number)
        await asyncio.sleep(20)
        timeouts = sim.trace.of("timeout")
        assert all(fact.own == fact.told for fact in timeouts), timeouts
        killed = any(fact.what == "kill" for fact in sim.trace.of("fault"))
        assert timeouts or killed

    simulate(scenario, seeds=150, faults=[Crash("ref"), Crash("ref", when="after"), Kill("ref")])
