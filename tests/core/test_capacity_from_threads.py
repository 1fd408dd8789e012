"""A mailbox's bound holds for threads too, however busy the loop is."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorDead, ActorRef, AskTimeout, ChildSpec, Mailbox, MailboxFull, System

from .parallel import WAIT, Blocker, blocked, in_thread, in_threads, often_switched, on_another_loop
from .support import Gate, Log, run

CAPACITY = 100


class Bounded(Actor):
    """Notes what it gets, and how much waited behind it."""

    mailbox_capacity = CAPACITY

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        self.log("saw", message)
        [waiting] = [node.waiting for node in self.system.tree() if node.name == self.name]
        self.log("waited", waiting)
        return message


class BlockedBounded(Blocker):
    """Blocks the loop itself; what waits, waits in its own mailbox."""

    mailbox_capacity = CAPACITY

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, (int, tuple)):
            self.log("saw", message)
            return message
        return super().on_receive(message)


def tells(ref: ActorRef[Any], messages: list[Any]) -> list[Any]:
    """Tell all; return those that were accepted."""
    accepted = []
    for message in messages:
        try:
            ref.tell(message)
        except MailboxFull:
            continue
        accepted.append(message)
    return accepted


def asks(ref: ActorRef[Any], messages: list[Any]) -> list[Any]:
    """Ask all; return those that were accepted: the ask is not refused at once."""
    return [message for message in messages if not ref.ask(message).done()]


def mixed(ref: ActorRef[Any], messages: list[Any]) -> list[Any]:
    """Tell and ask by turns."""
    return [message for message in messages for use in [asks if message[1] % 2 else tells] if use(ref, [message])]


def ask_when_there_is_room(system: System, ref: ActorRef[Any], message: Any = "end") -> Any:
    """Ask behind all that has been sent; what was there before has then been processed."""

    async def ask() -> Any:
        while True:
            try:
                return await ref.ask(message)
            except MailboxFull:
                await asyncio.sleep(0)

    return system.run(ask(), WAIT)


@pytest.mark.parametrize("send", [tells, asks, mixed])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("threads", [1, 8])
def test_while_the_loop_is_busy_threads_may_send_as_much_as_the_mailbox_holds(
    threads: int, own: bool, send: Callable[[ActorRef[Any], list[Any]], list[Any]]
) -> None:
    log = Log()
    with System.in_thread() as system, often_switched():
        ref: ActorRef[Any] = system.spawn(BlockedBounded if own else Bounded, log)
        blocker = ref if own else system.spawn(Blocker)
        seen = 0
        for _ in range(3):  # what has been processed has left room again
            with blocked(blocker):
                results = in_threads(threads, lambda index: send(ref, [(index, number) for number in range(1000)]))
            assert sum(map(len, results)) == CAPACITY
            ask_when_there_is_room(system, ref, 0)
            taken = [message for message in log.of("saw")[seen:] if message != 0]
            seen = len(log.of("saw"))
            assert sorted(taken) == sorted(message for accepted in results for message in accepted)
            for index, accepted in enumerate(results):
                assert [message for message in taken if message[0] == index] == accepted
        assert max(log.of("waited"), default=0) <= CAPACITY
        assert system.dead_letters.count == 0


def test_refused_messages_are_told_of_by_the_bound_and_refused_asks_end_at_once() -> None:
    with System.in_thread() as system:
        ref, blocker = system.spawn(Bounded, Log(), name="bounded"), system.spawn(Blocker)
        with blocked(blocker):
            assert len(tells(ref, list(range(CAPACITY)))) == CAPACITY
            with pytest.raises(MailboxFull, match="bounded"):
                ref.tell("refused")
            ask = ref.ask("refused")
            assert ask.done()
            with pytest.raises(MailboxFull, match=str(CAPACITY)):
                ask.get(timeout=WAIT)


def test_messages_on_their_way_from_threads_leave_less_room_for_those_of_the_loop() -> None:
    log = Log()

    class Loop(Actor):
        """Tells from the loop what there is room for, while it waits for a thread to have sent."""

        def on_receive(self, message: Any) -> int:
            sent = in_threads(1, lambda _: tells(ref, list(range(60))))
            return len(sent[0]) + len(tells(ref, list(range(60, 1000))))

    with System.in_thread() as system:
        ref = system.spawn(Bounded, log)
        assert system.spawn(Loop).ask("go").get(timeout=WAIT) == CAPACITY
        ask_when_there_is_room(system, ref)
        assert sorted(log.of("saw")[:-1]) == list(range(CAPACITY))


def test_messages_that_wait_leave_less_room_for_those_of_threads() -> None:
    log = Log()

    class Loop(Actor):
        def on_receive(self, message: Any) -> int:
            here = tells(ref, list(range(60)))
            sent = in_threads(4, lambda index: tells(ref, list(range(60, 1000))))
            return len(here) + sum(map(len, sent))

    with System.in_thread() as system:
        ref = system.spawn(Bounded, log)
        assert system.spawn(Loop).ask("go").get(timeout=WAIT) == CAPACITY
        ask_when_there_is_room(system, ref)
        assert log.of("saw")[:60] == list(range(60))


def test_asks_on_their_way_that_end_otherwise_give_their_room_back() -> None:
    log = Log()
    with System.in_thread() as system:
        ref, blocker = system.spawn(Bounded, log), system.spawn(Blocker)
        for how in ("cancelled", "timed out", "failed"):
            with blocked(blocker):
                if how == "failed":
                    futures = [ref.ask(ValueError("bad")) for _ in range(CAPACITY)]
                else:
                    futures = [ref.ask(1, timeout=0.001 if how == "timed out" else None) for _ in range(CAPACITY)]
                if how == "cancelled":
                    for future in futures:
                        assert future.cancel()
            for future in futures:
                with contextlib.suppress(asyncio.CancelledError, AskTimeout, ValueError):
                    future.get(timeout=WAIT)
            ask_when_there_is_room(system, ref, "in between")
            with blocked(blocker):
                assert len(in_thread(lambda: tells(ref, list(range(1000))))) == CAPACITY
            ask_when_there_is_room(system, ref)


def test_a_restart_does_not_change_how_much_threads_may_send() -> None:
    log = Log()
    with System.in_thread() as system:
        ref, blocker = system.supervise(ChildSpec(Bounded, args=(log,))), system.spawn(Blocker)
        for _ in range(2):
            with blocked(blocker):
                ref.tell(SystemExit())
                accepted = in_thread(lambda: tells(ref, list(range(1000))))
                assert accepted == list(range(CAPACITY - 1))
            ask_when_there_is_room(system, ref)
        assert log.of("saw") == [*range(CAPACITY - 1), "end"] * 2


def test_what_is_on_its_way_to_an_actor_that_stops_is_answered_or_a_dead_letter() -> None:
    system = System.in_thread()
    ref, blocker = system.spawn(Bounded, Log()), system.spawn(Blocker)
    with blocked(blocker):
        stopping = ref.stop(block=False)
        accepted = in_thread(lambda: tells(ref, list(range(50))))
        futures = [ref.ask(number) for number in range(10)]
    for future in futures:
        with pytest.raises(ActorDead):
            future.get(timeout=WAIT)
    assert stopping.get(timeout=WAIT) is True
    assert system.dead_letters.count == len(accepted) + len(futures)
    system.close()


# -- put ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_put_from_a_thread_waits_for_room_while_the_loop_is_busy(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    log = Log()

    async def puts(block: Any, ref: ActorRef[Any]) -> None:
        tasks = [asyncio.create_task(ref.put(("put", number)), name=f"put {number}") for number in range(20)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        block.go.set()
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*tasks)

    with System.in_thread() as system:
        ref, blocker = system.spawn(Bounded, log), system.spawn(Blocker)
        with blocked(blocker) as block:
            accepted = in_thread(lambda: tells(ref, list(range(1000))))
            on_another_loop(puts(block, ref), loop)
        ask_when_there_is_room(system, ref)
        assert len(accepted) == CAPACITY
        assert log.of("saw") == [*accepted, *[("put", number) for number in range(20)], "end"]
        assert max(log.of("waited")) <= CAPACITY


def test_puts_and_tells_and_asks_of_many_threads_never_overfill_the_mailbox() -> None:
    log = Log()

    async def put_all(ref: ActorRef[Any], index: int) -> list[Any]:
        messages = [(index, number) for number in range(300)]
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*[ref.put(message) for message in messages])
        return messages

    with System.in_thread() as system, often_switched():
        ref, blocker = system.spawn(Bounded, log), system.spawn(Blocker)

        def work(index: int) -> list[Any]:
            messages = [(index, number) for number in range(300)]
            match index:
                case 0 | 1:
                    return asyncio.run(put_all(ref, index))
                case 2:
                    return [message for message in messages if system.run(ref.put(message), WAIT) is None]
                case 3:
                    return asks(ref, messages)
                case 4:
                    return tells(ref, messages)
                case _:
                    accepted = tells(ref, messages[:150])
                    block.go.set()  # while the others send
                    return accepted + tells(ref, messages[150:])

        with blocked(blocker) as block:
            results = in_threads(6, work)
        ask_when_there_is_room(system, ref)
        seen = log.of("saw")[:-1]
        assert len(seen) == len(set(seen))
        for index, accepted in enumerate(results):
            assert isinstance(accepted, list), accepted
            taken = [message for message in seen if message[0] == index]
            if index == 3:  # an ask that was answered before its thread looked
                assert set(accepted) <= set(taken)
            else:
                assert taken == accepted
        assert max(log.of("waited")) <= CAPACITY


@settings(deadline=None, database=None, max_examples=25)
@given(
    capacity=st.integers(1, 12),
    plans=st.lists(st.lists(st.sampled_from(["tell", "ask", "urgent"]), max_size=15), min_size=1, max_size=4),
    before=st.integers(0, 12),
)
def test_of_what_threads_send_while_the_loop_is_busy_exactly_the_capacity_is_accepted(
    capacity: int, plans: list[list[str]], before: int
) -> None:
    class Some(Bounded):
        mailbox_capacity = capacity

    log = Log()
    with System.in_thread() as system:
        ref, blocker = system.spawn(Some, log), system.spawn(Blocker)

        def work(index: int) -> list[Any]:
            accepted = []
            for number, how in enumerate(plans[index]):
                message = (index, number)
                try:
                    if how == "ask":
                        if ref.ask(message).done():
                            continue
                    else:
                        ref.tell(message, priority=-1 if how == "urgent" else 0)
                except MailboxFull:
                    continue
                accepted.append(message)
            return accepted

        with blocked(blocker):
            first = tells(ref, [(-1, number) for number in range(before)])
            results = in_threads(len(plans), work)
        total = before + sum(map(len, plans))
        assert len(first) + sum(map(len, results)) == min(capacity, total)
        ref.stop()
        assert sorted(log.of("saw")) == sorted([*first, *[message for result in results for message in result]])


@pytest.mark.parametrize("overflow", ["refuse", "drop_oldest", "drop_newest"])
def test_the_only_place_of_an_empty_mailbox_is_taken_by_what_is_on_its_way_from_a_thread(overflow: Any) -> None:
    async def main() -> None:
        async with System() as system:
            dropped: list[Any] = []
            system.dead_letters.subscribe(lambda letter: dropped.append(letter.message))
            log = Log()
            small = system.spawn(Gate, log, mailbox=Mailbox(1, overflow))

            class Sends(Actor):
                def on_receive(self, message: Any) -> Any:
                    thread = threading.Thread(target=small.tell, args=("from the thread",))
                    thread.start()
                    thread.join()  # it is on its way: the loop is busy with this handler
                    try:
                        small.tell("from the loop")
                    except MailboxFull:
                        return "refused"
                    return "taken"

            said = await system.spawn(Sends).ask("go")
            while not log.of("saw"):  # noqa: ASYNC110 - it arrives
                await asyncio.sleep(0)
            await small.stop()
            assert said == ("refused" if overflow == "refuse" else "taken")
            assert log.of("saw") == ["from the thread"]
            assert dropped == ([] if overflow == "refuse" else ["from the loop"])

    run(main())


def test_a_put_waits_while_the_only_place_is_taken_by_what_is_on_its_way_from_a_thread() -> None:
    async def main() -> None:
        async with System() as system:
            log = Log()
            small = system.spawn(Gate, log, mailbox=Mailbox(1))
            thread = threading.Thread(target=small.tell, args=("from the thread",))
            thread.start()
            thread.join()  # it is on its way: the loop is busy here
            put = small.put("from the loop")
            with contextlib.closing(put):
                assert put.send(None) is not None, "it waits"
                assert log.of("saw") == []

    run(main())
