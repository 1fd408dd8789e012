"""What a full mailbox does: refuse, or drop the oldest or the newest message, each of them counted."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pykka.messages import _ActorStop

from callboard.actors import Actor, ActorDead, ActorRef, ChildSpec, DeadLetter, Mailbox, MailboxFull, SpecError, System
from callboard.actors.testing import Crash, Fault, Kill, Simulation, Slow, simulate, virtual_time
from callboard.actors.testing.doubles.strategies import fault_plans
from tests.ids import shown

from .support import Echo, Gate, Hold, Log, on_each_loop, run

DROPS: list[Any] = ["drop_oldest", "drop_newest"]
POLICIES: list[Any] = ["refuse", *DROPS]
FULL = "its mailbox was full"


def letters_of(system: System) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    system.dead_letters.subscribe(letters.append)
    return letters


async def held(system: System, log: Log, mailbox: Mailbox | None) -> tuple[ActorRef[Any], Hold]:
    """An actor whose handler is at work until it is let go, so that all that is sent waits."""
    ref, hold = system.spawn(Gate, log, mailbox=mailbox), Hold()
    ref.tell(hold)
    await hold.begun.wait()
    return ref, hold


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something is so; it will be without time going on."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


# -- which messages are dropped ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(
    sent=st.lists(st.tuples(st.sampled_from(["tell", "ask"]), st.integers(-2, 2)), max_size=16),
    capacity=st.integers(1, 6),
    overflow=st.sampled_from(POLICIES),
    with_priorities=st.booleans(),
)
@example([("tell", -1), ("tell", 0), ("tell", -1), ("tell", -1)], 3, "drop_oldest", True)
def test_the_messages_kept_and_the_dead_letters_are_exactly_those_of_the_policy(
    sent: list[tuple[str, int]], capacity: int, overflow: Any, with_priorities: bool
) -> None:
    numbered = [(how, priority * with_priorities, number) for number, (how, priority) in enumerate(sent)]
    waiting: list[Any] = []
    lost: list[Any] = []
    refused: list[Any] = []
    for message in numbered:
        if len(waiting) == capacity:
            if overflow == "refuse":
                refused.append(message)
                continue
            if overflow == "drop_newest":
                lost.append(message)
                continue
            lost.append(waiting.pop(0))
        waiting.append(message)

    async def main() -> None:
        log = Log()
        async with System() as system:
            letters = letters_of(system)
            ref, hold = await held(system, log, Mailbox(capacity, overflow))
            asks = {}
            for message in numbered:
                how, priority, _ = message
                if how == "ask":
                    asks[message] = ref.ask(message, priority=priority)
                elif message in refused:
                    with pytest.raises(MailboxFull, match=rf"full \({capacity} messages\)"):
                        ref.tell(message, priority=priority)
                else:
                    ref.tell(message, priority=priority)
                assert system.tree()[0].waiting <= capacity
            for message in [*lost, *refused]:
                if message in asks:
                    with pytest.raises(MailboxFull):
                        await asks.pop(message)
            assert letters == [DeadLetter(message, ref.path, FULL) for message in lost]
            assert system.dead_letters.count == len(lost)
            hold.go.set()
            for message, ask in asks.items():
                assert await ask == message
            await ref.stop()
        assert log.of("saw") == sorted(waiting, key=lambda message: message[1])

    run(main())


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_a_dropped_request_for_a_stream_ends_in_mailbox_full(overflow: Any) -> None:
    async with System() as system:
        ref, hold = await held(system, Log(), Mailbox(1, overflow))
        streams = [ref.stream(number) for number in range(2)]
        with pytest.raises(MailboxFull):
            await anext(streams[0 if overflow == "drop_oldest" else 1])
        hold.go.set()


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_an_ask_that_was_given_up_may_be_dropped_like_any_other(overflow: Any) -> None:
    log = Log()
    async with System() as system:
        letters = letters_of(system)
        ref, hold = await held(system, log, Mailbox(1, overflow))
        ask = ref.ask("given up")
        ask.cancel()
        ref.tell("told")
        assert [letter.message for letter in letters] == ["given up" if overflow == "drop_oldest" else "told"]
        hold.go.set()
        await ref.stop()
        assert system.dead_letters.count == (1 if overflow == "drop_oldest" else 2)
        assert log.of("saw") == (["told"] if overflow == "drop_oldest" else [])


# -- a stop ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [0, 1], ids=["plain", "with priorities"])
@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_a_stop_is_never_dropped(overflow: Any, capacity: int, priority: int) -> None:
    log = Log()
    async with System() as system:
        letters = letters_of(system)
        ref, hold = await held(system, log, Mailbox(capacity, overflow))
        before = [("before", number) for number in range(5)]
        behind = [("behind", number) for number in range(5)]
        for message in before:
            ref.tell(message, priority=priority)
        stop = ref.stop()
        for message in behind:
            ref.tell(message)
        hold.go.set()
        assert await stop is True
        assert not ref.is_alive()
        assert log.of("saw") == (before[:capacity] if overflow == "drop_newest" else [])
        assert sorted([*log.of("saw"), *(letter.message for letter in letters)]) == [*before, *behind]


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_a_stop_told_as_pykka_does_is_not_dropped_either(overflow: Any) -> None:
    async with System() as system:
        ref, hold = await held(system, Log(), Mailbox(1, overflow))
        ref.tell("fills it")
        ref.tell(_ActorStop())
        ref.tell("behind it")
        hold.go.set()
        await ref.terminated()
        assert system.dead_letters.count == (1 if overflow == "drop_newest" else 2)


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_where_only_a_stop_waits_the_message_itself_is_dropped(overflow: Any) -> None:
    log = Log()
    async with System() as system:
        letters = letters_of(system)
        ref, hold = await held(system, log, Mailbox(1, overflow))
        stop = ref.stop()
        ref.tell("behind it")
        with pytest.raises(MailboxFull):
            await ref.ask("asked behind it")
        assert [letter.message for letter in letters] == ["behind it", "asked behind it"]
        hold.go.set()
        assert await stop is True


# -- other ways in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_a_put_waits_for_room_and_drops_nothing(overflow: Any) -> None:
    log = Log()
    async with System() as system:
        ref, hold = await held(system, log, Mailbox(1, overflow))
        await ref.put("has room")
        puts = [asyncio.create_task(ref.put(("put", number))) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not any(put.done() for put in puts)
        assert system.dead_letters.count == 0
        hold.go.set()
        await asyncio.gather(*puts)
        await ref.stop()
        assert log.of("saw") == ["has room", ("put", 0), ("put", 1), ("put", 2)]
        assert system.dead_letters.count == 0


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_what_an_actor_sends_itself_gets_in_though_the_mailbox_is_full(overflow: Any) -> None:
    log, go = Log(), asyncio.Event()

    class Works(Gate):
        def on_start(self) -> None:
            self.schedule(0, "timer")
            self.pipe(self.job(), lambda _: "job")

        async def job(self) -> None:
            await go.wait()

    async with System() as system:
        ref, hold = system.spawn(Works, log, mailbox=Mailbox(1, overflow)), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        await until(lambda: system.tree()[0].waiting == 1)
        go.set()
        await until(lambda: system.tree()[0].waiting == 2)
        assert system.dead_letters.count == 0
        hold.go.set()
        await ref.stop()
        assert log.of("saw") == ["timer", "job"]


@pytest.mark.parametrize("asked", [False, True], ids=["told", "asked"])
@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_what_a_thread_sends_while_the_loop_is_busy_is_dropped_by_the_same_rule(
    overflow: Any, asked: bool
) -> None:
    log = Log()
    ends: list[Any] = []

    class Busy(Gate):
        def on_receive(self, message: Any) -> Any:
            if message == "begin":
                thread = threading.Thread(target=self.flood)
                thread.start()
                thread.join()  # nothing can arrive before this handler has ended
                return None
            return super().on_receive(message)

        def flood(self) -> None:
            for number in range(10):
                ends.append(self.ref.ask(number) if asked else self.ref.tell(number))  # type: ignore[func-returns-value]

    async with System() as system:
        letters = letters_of(system)
        ref = system.spawn(Busy, log, mailbox=Mailbox(3, overflow))
        await ref.ask("begin")
        await until(lambda: len(letters) == 7 and len(log.of("saw")) == 3)
        # The places of the first three were taken before; when the others arrive, nothing has been taken out.
        kept = [7, 8, 9] if overflow == "drop_oldest" else [0, 1, 2]
        assert log.of("saw") == kept
        assert sorted(letter.message for letter in letters) == sorted(set(range(10)) - set(kept))
        assert {letter.reason for letter in letters} == {FULL}
        for number, ask in enumerate(ends) if asked else ():
            if number in kept:
                assert await ask == number
            else:
                with pytest.raises(MailboxFull):
                    await ask
        hold, before = Hold(), len(letters)
        ref.tell(hold)
        await hold.begun.wait()
        for number in range(5):
            ref.tell(number)
        assert len(letters) - before == 2, "it holds as many as ever"
        hold.go.set()


@virtual_time
async def test_a_tick_that_is_dropped_is_followed_by_others() -> None:
    log = Log()

    class Ticks(Gate):
        def on_start(self) -> None:
            self.schedule_every(1.0, "tick")

    async with System() as system:
        letters = letters_of(system)
        ref, hold = system.spawn(Ticks, log, mailbox=Mailbox(1, "drop_oldest")), Hold()
        ref.tell(hold)
        await asyncio.sleep(2.5)
        ref.tell("message")
        assert [letter.message for letter in letters] == ["tick"]
        hold.go.set()
        await asyncio.sleep(2)
        assert log.of("saw") == ["message", "tick", "tick"]


@pytest.mark.parametrize("overflow", DROPS)
def test_of_what_many_threads_send_each_message_is_processed_or_a_dead_letter(overflow: Any) -> None:
    log, count, threads = Log(), 300, 4
    with System.in_thread() as system:
        letters = letters_of(system)
        ref = system.spawn(Gate, log, mailbox=Mailbox(5, overflow))

        def flood(name: int) -> None:
            for number in range(count):
                ref.tell((name, number))

        senders = [threading.Thread(target=flood, args=(name,)) for name in range(threads)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        ref.stop(block=True)
    processed = log.of("saw")
    assert len(processed) + len(letters) == threads * count
    assert {*processed, *(letter.message for letter in letters)} == {
        (name, number) for name in range(threads) for number in range(count)
    }
    for name in range(threads):
        mine = [number for who, number in processed if who == name]
        assert mine == sorted(mine)


@pytest.mark.parametrize("overflow", DROPS)
@on_each_loop
async def test_dead_letters_that_are_told_to_an_actor_whose_own_mailbox_drops_them_come_to_an_end(
    overflow: Any,
) -> None:
    log = Log()
    async with System() as system:
        listener, hold = await held(system, log, Mailbox(2, overflow))
        system.dead_letters.subscribe(listener)
        ref, other = await held(system, Log(), Mailbox(1, overflow))
        for number in range(6):
            ref.tell(number)  # five letters; the listener's mailbox drops three of them, which are letters too
        assert system.dead_letters.count == 5 + 3
        other.go.set()
        hold.go.set()
        await until(lambda: not system.tree()[0].waiting)
        assert len(log.of("saw")) == 2


# -- where it is said --------------------------------------------------------------------------------------------------


class Small(Gate):
    mailbox_capacity = 1


@on_each_loop
async def test_what_is_said_at_spawn_goes_before_the_child_spec_and_that_before_the_class() -> None:
    async with System() as system:
        in_class = ChildSpec(Small, name="class")
        in_spec = ChildSpec(Small, name="spec", mailbox=Mailbox(3, "drop_newest"))
        at_spawn = ChildSpec(Small, name="spawn", mailbox=Mailbox(3))
        overflow_only = ChildSpec(Small, name="overflow", mailbox=Mailbox(overflow="drop_newest"))
        refs = {
            1: system.supervise(in_class),
            3: system.supervise(in_spec),
            4: system.spawn(at_spawn, mailbox=Mailbox(4, "drop_newest")),
            "overflow": system.spawn(overflow_only),
        }
        for capacity, ref in refs.items():
            hold = Hold()
            ref.tell(hold)
            await hold.begun.wait()
            before = system.dead_letters.count
            if capacity == 1:
                ref.tell(0)
                with pytest.raises(MailboxFull):
                    ref.tell(1)
            else:
                for number in range(5):
                    ref.tell(number)
                room = 1 if capacity == "overflow" else int(str(capacity))
                assert system.dead_letters.count - before == 5 - room
            hold.go.set()


def at_the_top(system: System, mailbox: Any) -> ActorRef[Any]:
    return system.spawn(Gate, name="ref", mailbox=mailbox)


def supervised(system: System, mailbox: Any) -> ActorRef[Any]:
    return system.supervise(ChildSpec(Gate, name="ref", mailbox=mailbox))


def spawned_spec(system: System, mailbox: Any) -> ActorRef[Any]:
    return system.spawn(ChildSpec(Gate, name="ref"), mailbox=mailbox)


WAYS = [at_the_top, supervised, spawned_spec]


@pytest.mark.parametrize("way", WAYS)
@on_each_loop
async def test_the_options_count_however_an_actor_is_started_and_across_restarts(
    way: Callable[[System, Any], ActorRef[Any]],
) -> None:
    async with System() as system:
        ref = way(system, Mailbox(2, "drop_newest"))
        for incarnation in range(1 if way is at_the_top else 3):
            hold = Hold()
            ref.tell(hold)
            await hold.begun.wait()
            before = system.dead_letters.count
            for number in range(5):
                ref.tell(number)
            assert system.dead_letters.count - before == 3, f"incarnation {incarnation}"
            hold.go.set()
            await until(lambda: not system.tree()[0].waiting)
            ref.kill()
            if way is not at_the_top:
                await ref.started()


@on_each_loop
async def test_the_options_count_for_children_and_for_actors_started_from_a_thread() -> None:
    class Parent(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.spawn(Gate, mailbox=message)

    async with System() as system:
        options = Mailbox(1, "drop_newest")
        child = await system.spawn(Parent).ask(options)
        threaded = await asyncio.to_thread(lambda: system.spawn(Gate, mailbox=options))
        for ref in (child, threaded):
            hold = Hold()
            ref.tell(hold)
            await hold.begun.wait()
            before = system.dead_letters.count
            for number in range(3):
                ref.tell(number)
            assert system.dead_letters.count - before == 2
            hold.go.set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [10, "drop_oldest", ("drop_oldest",), {"capacity": 1}, Mailbox, True, 0], ids=repr)
@on_each_loop
async def test_what_is_no_mailbox_option_is_refused(way: Callable[[System, Any], ActorRef[Any]], value: Any) -> None:
    async with System() as system:
        with pytest.raises(SpecError, match="give a Mailbox"):
            way(system, value)
        with pytest.raises(SpecError, match="cannot name an actor"):
            system.spawn(ChildSpec(Gate, name="ref"), name="")
        assert system.tree() == (), "nothing of it is left"
        assert await system.spawn(Echo, name="ref").ask(1) == 1, "its name is free"


CAPACITIES: list[Any] = [0, -1, 1.5, True, False, "100", "", [10], -math.inf, math.nan, object()]
OVERFLOWS: list[Any] = ["", "drop", "DROP_OLDEST", None, 0, True, ["refuse"], b"refuse", object()]


@pytest.mark.parametrize("capacity", CAPACITIES, ids=shown)
def test_a_capacity_that_is_no_number_of_messages_is_refused(capacity: Any) -> None:
    with pytest.raises(SpecError, match="mailbox capacity is"):
        Mailbox(capacity)


@pytest.mark.parametrize("overflow", OVERFLOWS, ids=shown)
def test_an_unknown_overflow_is_refused(overflow: Any) -> None:
    with pytest.raises(SpecError, match="is not one of refuse, drop_oldest, drop_newest"):
        Mailbox(1, overflow)


def test_the_capacity_of_the_class_and_a_refusal_are_what_is_meant_where_nothing_is_said() -> None:
    assert Mailbox() == Mailbox(None, "refuse")
    assert Mailbox(math.inf).capacity == math.inf


# -- under any schedule, with faults -----------------------------------------------------------------------------------

drawn = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SENDS = st.lists(st.tuples(st.sampled_from(["tell", "ask", "put", "wait"]), st.integers(-1, 1)), max_size=10)


@drawn
@given(
    plans=st.lists(SENDS, min_size=1, max_size=3),
    capacity=st.integers(1, 3),
    overflow=st.sampled_from(DROPS),
    faults=fault_plans(["ref"], kinds=(Crash, Kill, Slow), messages=10, size=2),
)
def test_every_message_is_processed_or_a_dead_letter_or_the_one_a_crash_happened_in(
    plans: list[list[tuple[str, int]]], capacity: int, overflow: Any, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        letters = letters_of(sim.system)
        sim.expect_dead_letters(lambda fact: fact.reason == FULL)
        spec = ChildSpec(Worker, (log,), name="ref", mailbox=Mailbox(capacity, overflow))
        ref = sim.system.supervise(spec)
        sent: list[Any] = []
        asks: dict[Any, Any] = {}

        async def send(name: str, plan: list[tuple[str, int]]) -> None:
            for number, (how, priority) in enumerate(plan):
                message = (name, number)
                try:
                    match how:
                        case "tell":
                            ref.tell(message, priority=priority)
                        case "ask":
                            asks[message] = ref.ask(message, priority=priority)
                            continue
                        case "put":
                            await ref.put(message, priority=priority)
                        case _:
                            await asyncio.sleep(1)
                            continue
                    sent.append(message)
                except ActorDead:
                    return
                # What a crash leaves behind may be more for a while; nothing gets in where there is no room.
                assert all(node.waiting <= capacity for node in sim.system.tree())

        async with asyncio.TaskGroup() as group:
            for index, plan in enumerate(plans):
                group.create_task(send("abc"[index], plan), name="abc"[index])
        await asyncio.sleep(60)
        assert len(log.lines) == len(set(log.lines)), "processed twice"
        dropped = [letter.message for letter in letters]
        assert len(dropped) == len(set(dropped)), "two letters for one message"
        crashes = len([fact for fact in sim.trace.of("fault") if fact.what == "crash"])
        lost = [message for message in sent if message not in log.lines and message not in dropped]
        assert len(lost) <= crashes, f"vanished: {lost}"
        for message, ask in asks.items():
            assert ask.done()
            full = [letter for letter in letters if letter.message == message and letter.reason == FULL]
            assert isinstance(ask.exception(), MailboxFull) == bool(full)
            if ask.exception() is None:
                assert message in log.lines

    simulate(scenario, seeds=8, faults=faults)


class Worker(Actor):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.1)
        self.log(message)
        return message
