"""Messages that a handler puts aside: none is lost, none is processed twice, and each ask is answered once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    ActorRef,
    AskTimeout,
    ChildSpec,
    CoreError,
    DeadLetter,
    Mailbox,
    MailboxFull,
    ReceiveTimeout,
    Supervisor,
    System,
    Terminated,
    current_send_context,
    send_context,
)
from callboard.actors.testing import Crash, Fault, Kill, Simulation, Slow, simulate, virtual_time
from callboard.actors.testing.doubles.strategies import fault_plans

from .support import Echo, Log, on_each_loop, run

HOWS = ["def", "waits before", "waits after"]


class Door(Actor):
    """Takes messages while it is open, and stashes them while it is shut; whether it first waits is up to ``how``."""

    def __init__(self, log: Log | None = None, how: str = "def") -> None:
        super().__init__()
        self.log = log or Log()
        self.how = how
        self.open = False

    def on_receive(self, message: Any) -> Any:
        if message == "open":
            self.open = True
            self.unstash_all()
            return "opened"
        if message == "shut":
            self.open = False
            return "shut"
        if isinstance(message, BaseException):
            raise message
        if not self.open:
            return self.stash(message) if self.how == "def" else self.waiting(message)
        self.log(message)
        return message

    async def waiting(self, message: Any) -> Any:
        if self.how == "waits before":
            await asyncio.sleep(0)
            return self.stash(message)
        stashed = self.stash(message)
        await asyncio.sleep(0)
        return stashed


def letters_of(system: System) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    system.dead_letters.subscribe(letters.append)
    return letters


async def outcome(ask: Any) -> Any:
    return (await asyncio.gather(ask, return_exceptions=True))[0]


# -- the order, and the answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_what_is_stashed_is_processed_in_its_order_before_all_that_waits(how: str) -> None:
    log = Log()
    async with System() as system:
        door = system.spawn(Door, log, how)
        asks = []
        for number in range(3):
            door.tell(("told", number))
            asks.append(door.ask(("asked", number)))
        assert await door.ask("open", priority=1) == "opened"
        assert await door.ask("late") == "late"
        assert [await ask for ask in asks] == [("asked", number) for number in range(3)]
        assert log.lines == [(how, number) for number in range(3) for how in ("told", "asked")] + ["late"]
        assert system.dead_letters.count == 0


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_what_waits_when_the_stash_is_put_back_comes_behind_it(how: str) -> None:
    log = Log()
    async with System() as system:
        door = system.spawn(Door, log, how)
        for message in (1, 2, "open", 3, 4):
            door.tell(message)
        await door.ask("sync")
        assert log.lines == [1, 2, 3, 4, "sync"]


@on_each_loop
async def test_a_message_may_be_stashed_again_each_time_it_is_taken_up() -> None:
    class Patient(Actor):
        """Answers a message when it has seen it so often."""

        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def on_receive(self, message: Any) -> Any:
            if message == "again":
                self.unstash_all()
                return None
            self.seen += 1
            return self.seen if self.seen == message else self.stash(message)

    async with System() as system:
        ref = system.spawn(Patient)
        ask = ref.ask(4)
        for _ in range(3):
            assert not ask.done()
            await ref.ask("again")
        assert await ask == 4
        assert system.dead_letters.count == 0


@on_each_loop
async def test_one_object_sent_twice_is_two_messages() -> None:
    log = Log()
    async with System() as system:
        door, message = system.spawn(Door, log), object()
        door.tell(message)
        door.tell(message)
        asks = [door.ask(message), door.ask(message)]
        await door.ask("open", priority=1)
        assert [await ask for ask in asks] == [message, message]
        assert log.lines == [message] * 4


@settings(deadline=None, max_examples=50)
@given(priorities=st.lists(st.integers(-2, 2), max_size=10), later=st.lists(st.integers(-2, 2), max_size=4))
def test_with_priorities_the_stash_goes_before_all_that_waits_then(priorities: list[int], later: list[int]) -> None:
    async def main() -> None:
        log = Log()
        async with System() as system:
            door = system.spawn(Door, log)
            messages = [(priority, number) for number, priority in enumerate(priorities)]
            for message in messages:
                door.tell(message, priority=message[0])
            await door.ask("shut", priority=3)
            door.tell("open", priority=-9)
            behind = [(priority, 100 + number) for number, priority in enumerate(later)]
            for message in behind:
                door.tell(message, priority=message[0])
            await door.ask("last", priority=9)
        assert log.lines == [*sorted(messages), *sorted(behind), "last"]

    run(main())


@on_each_loop
async def test_a_request_for_a_stream_may_be_stashed() -> None:
    class Counts(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.ready = False

        def on_receive(self, message: Any) -> Any:
            if message == "ready":
                self.ready = True
                self.unstash_all()
                return None
            return self.count(message) if self.ready else self.stash(message)

        async def count(self, number: int) -> Any:
            for index in range(number):
                yield index

    async with System() as system:
        ref = system.spawn(Counts)
        stream = ref.stream(3)
        await ref.ask("ready")
        assert [item async for item in stream] == [0, 1, 2]


@on_each_loop
async def test_a_method_called_through_a_proxy_may_stash_its_call() -> None:
    class Lazy(Actor):
        ready = False

        def double(self, number: int) -> Any:
            return 2 * number if self.ready else self.stash(number)

        def go(self) -> None:
            self.ready = True
            self.unstash_all()

    async with System() as system:
        proxy = system.spawn(Lazy).proxy()
        doubled = proxy.double(4)
        await proxy.go()
        assert await doubled == 8


@virtual_time
async def test_what_the_runtime_sends_may_be_stashed_too() -> None:
    log = Log()

    class Watcher(Actor):
        ready = False

        def on_receive(self, message: Any) -> Any:
            if message == "ready":
                self.ready = True
                self.unstash_all()
                return None
            if isinstance(message, ActorRef):
                self.watch(message)
                self.schedule(3.0, "tick")
                self.set_receive_timeout(1.0)
                return None
            return log(message) if self.ready else self.stash(message)

    async with System() as system:
        watcher, watched = system.spawn(Watcher), system.spawn(Echo)
        await watcher.ask(watched)
        await watched.stop()
        await asyncio.sleep(1.5)
        watcher.tell("ready")
        await asyncio.sleep(2)
        assert log.lines == [Terminated(watched, "stopped"), ReceiveTimeout(1.0), ReceiveTimeout(1.0), "tick"]


@on_each_loop
async def test_the_values_a_message_carries_are_there_when_it_is_taken_up_again() -> None:
    log = Log()

    class Carries(Door):
        def on_receive(self, message: Any) -> Any:
            if self.open and message != "open":
                self.log(message, dict(current_send_context().baggage))
            return super().on_receive(message)

    async with System() as system:
        door = system.spawn(Carries, log)
        with send_context(baggage={"who": "Ada"}):
            door.tell("told")
            ask = door.ask("asked")
        door.tell("plain")
        await door.ask("open")
        await ask
        await door.ask("sync")
        assert ("told", {"who": "Ada"}) in log.lines
        assert ("asked", {"who": "Ada"}) in log.lines
        assert ("plain", {}) in log.lines


# -- who gives up, and what ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_an_ask_cancelled_while_it_is_stashed_is_not_processed(how: str) -> None:
    log = Log()
    async with System() as system:
        letters, door = letters_of(system), system.spawn(Door, log, how)
        ask = door.ask("asked")
        await door.ask("shut")
        assert ask.cancel()
        assert letters == [], "it is looked at when it is taken up"
        await door.ask("open")
        await door.ask("sync")
        assert log.lines == ["sync"]
        assert letters == [DeadLetter("asked", door.path, "its asker gave up")]


@on_each_loop
async def test_an_ask_cancelled_while_the_handler_that_stashed_it_is_at_work_ends_once_and_cancels_nothing() -> None:
    log, go = Log(), asyncio.Event()

    class Slowly(Door):
        async def waiting(self, message: Any) -> Any:
            stashed = self.stash(message)
            await go.wait()
            self.log("went on")
            return stashed

    async with System() as system:
        door = system.spawn(Slowly, log, "slowly")
        ask = door.ask("asked")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ask.cancel()
        go.set()
        await door.ask("open")
        await door.ask("sync")
        assert log.lines == ["went on", "sync"]
        assert system.dead_letters.count == 1


@pytest.mark.parametrize("how", HOWS)
@virtual_time
async def test_a_deadline_that_passes_while_an_ask_is_stashed_ends_it_then(how: str) -> None:
    log = Log()
    async with System() as system:
        letters, door = letters_of(system), system.spawn(Door, log, how)
        with pytest.raises(AskTimeout):
            await door.ask("asked", timeout=2.0)
        assert asyncio.get_running_loop().time() == 2.0
        await door.ask("open")
        await door.ask("sync")
        assert log.lines == ["sync"]
        assert [letter.message for letter in letters] == ["asked"]


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_a_crash_puts_what_is_stashed_back_before_the_mailbox(how: str) -> None:
    log = Log()
    async with System() as system:
        door = system.supervise(ChildSpec(Door, (log, how), name="door"))
        door.tell(1)
        ask = door.ask(2)
        for message in (RuntimeError("boom"), 3, "open", 4):
            door.tell(message)
        assert await door.ask(5) == 5
        assert await ask == 2, "it stays the same ask"
        assert log.lines == [1, 2, 3, 4, 5]
        assert system.dead_letters.count == 0


@on_each_loop
async def test_the_next_incarnation_need_not_ask_for_what_the_last_one_has_stashed() -> None:
    log, shut = Log(), [True]

    class Open(Door):
        def __init__(self, log: Log) -> None:
            super().__init__(log)
            self.open = not shut.pop() if shut else True

    async with System() as system:
        door = system.supervise(ChildSpec(Open, (log,), name="door"))
        for message in (1, 2, RuntimeError("boom"), 3):
            door.tell(message)
        await door.ask("sync")
        assert log.lines == [1, 2, 3, "sync"]


@on_each_loop
async def test_a_kill_while_the_handler_that_has_stashed_waits_keeps_the_message() -> None:
    log = Log()

    class Hangs(Door):
        hangs = True

        async def waiting(self, message: Any) -> Any:
            stashed = self.stash(message)
            if Hangs.hangs:
                await asyncio.Event().wait()
            return stashed

    async with System() as system:
        door = system.supervise(ChildSpec(Hangs, (log, "hangs"), name="door"))
        told, ask = ("told", 1), door.ask("asked")
        door.tell(told)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        Hangs.hangs = False
        door.kill()
        assert await door.ask("open", priority=1) == "opened"
        assert await ask == "asked"
        await door.ask("sync")
        assert log.lines == ["asked", told, "sync"]


@pytest.mark.parametrize("end", ["crash", "kill", "stop", "self stop", "system"])
@on_each_loop
async def test_what_is_stashed_when_the_actor_dies_is_refused(end: str) -> None:
    class Mortal(Door):
        def on_receive(self, message: Any) -> Any:
            return self.stop() if message == "stop" else super().on_receive(message)

    system = System()
    async with system:
        letters, door = letters_of(system), system.spawn(Mortal)
        door.tell("told")
        ask = door.ask("asked")
        await door.ask("shut")
        match end:
            case "crash":
                door.tell(RuntimeError("boom"))
            case "kill":
                door.kill()
            case "stop":
                await door.stop()
            case "self stop":
                door.tell("stop")
            case "system":
                await system.stop()
        await door.terminated()
        error = await outcome(ask)
        assert type(error) is ActorDead
        assert "stopped before handling the message" in str(error)
        assert [(letter.message, letter.recipient) for letter in letters] == [
            ("told", door.path),
            ("asked", door.path),
        ]


@on_each_loop
async def test_a_child_that_stops_itself_and_is_permanent_keeps_its_stash() -> None:
    log = Log()

    class Restarts(Door):
        def on_receive(self, message: Any) -> Any:
            return self.stop() if message == "stop" else super().on_receive(message)

    async with System() as system:
        door = system.supervise(ChildSpec(Restarts, (log,), name="door"))
        for message in (1, 2, "stop", 3, "open"):
            door.tell(message)
        await door.ask("sync")
        assert log.lines == [1, 2, 3, "sync"]


# -- how it may be called ----------------------------------------------------------------------------------------------


class Twice(Actor):
    """Stashes its message twice, in the way that it says; keeps what that raised."""

    errors: list[BaseException]

    def __init__(self, errors: list[BaseException], how: str) -> None:
        super().__init__()
        self.errors = errors
        self.how = how
        self.log: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "open":
            self.how = "open"
            self.unstash_all()
            return None
        if message == "log":
            return self.log
        if self.how == "open":
            self.log.append(message)
            return message
        return self.now(message) if self.how == "def" else self.later(message)

    def now(self, message: Any) -> Any:
        stashed = self.stash(message)
        self.again(message)
        return stashed

    async def later(self, message: Any) -> Any:
        if self.how == "after both":
            await asyncio.sleep(0)
        stashed = self.stash(message)
        if self.how == "between":
            await asyncio.sleep(0)
        self.again(message)
        await asyncio.sleep(0)
        self.again(message)
        return stashed

    def again(self, message: Any) -> None:
        try:
            self.stash(message)
        except CoreError as error:
            self.errors.append(error)


@pytest.mark.parametrize("asked", [False, True], ids=["told", "asked"])
@pytest.mark.parametrize("how", ["def", "between", "after both", "before both"])
@on_each_loop
async def test_a_message_is_stashed_once(how: str, asked: bool) -> None:
    errors: list[BaseException] = []
    async with System() as system:
        ref = system.spawn(Twice, errors, how)
        asks = []
        for message in ("same", "same"):
            if asked:
                asks.append(ref.ask(message))
            else:
                ref.tell(message)
        await ref.ask("open")
        assert await ref.ask("log") == ["same", "same"]
        assert [await ask for ask in asks] == ["same"] * len(asks)
        assert len(errors) == (2 if how == "def" else 4)
        assert all("stashed already" in str(error) for error in errors)
        assert system.dead_letters.count == 0


@on_each_loop
async def test_a_watched_actors_end_between_two_messages_may_be_stashed_like_these() -> None:
    log = Log()

    class Watches(Door):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef) and message.is_alive():
                self.watch(message)
                message.kill()  # its end is there before this handler is through
                return self.stash(message)
            return super().on_receive(message)

    async with System() as system:
        other = system.spawn(Echo)
        door = system.spawn(Watches, log)
        door.tell(other)
        door.tell("told")
        await door.ask("open")
        await door.ask("sync")
        assert log.lines == [
            other,
            Terminated(other, f"crashed: {ActorCrashed(f'Echo {other.path} was killed')!r}"),
            "told",
            "sync",
        ]


@on_each_loop
async def test_stashing_outside_of_a_handler_is_a_named_error() -> None:
    errors: dict[str, BaseException] = {}

    class Odd(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.attempt("__init__")

        def attempt(self, where: str) -> None:
            try:
                self.stash(where)
            except CoreError as error:
                errors.setdefault(where, error)
            else:
                raise AssertionError(f"stash() was taken in {where}")

        def on_start(self) -> None:
            self.attempt("on_start")

        def on_stop(self) -> None:
            self.attempt("on_stop")

        def on_failure(self, *_: Any) -> None:
            self.attempt("on_failure")

        async def on_receive(self, message: Any) -> Any:
            if message == "fail":
                raise SystemExit
            await asyncio.sleep(0)
            task = asyncio.create_task(self.beside("a task"))
            await task
            await asyncio.to_thread(self.attempt, "a thread")
            self.pipe(self.beside("a job"))
            return self.reply_with(self.beside("reply_with"))

        async def beside(self, where: str) -> None:
            self.attempt(where)
            await asyncio.sleep(0)
            self.attempt(where)

    class Later(Odd):
        async def on_start(self) -> None:  # type: ignore[override]
            await self.beside("async on_start")

        async def on_stop(self) -> None:  # type: ignore[override]
            await self.beside("async on_stop")

        async def on_failure(self, *_: Any) -> None:  # type: ignore[override]
            await self.beside("async on_failure")

    async with System() as system:
        letters = letters_of(system)
        for kind in (Odd, Later):
            ref = system.supervise(ChildSpec(kind, name=kind.__name__))
            await ref.ask("work")
            ref.tell("fail")
            assert await outcome(ref.ask("work")) is None, "restarted"
            actor = ref._actor_weakref()
            actor.attempt("outside")
            await ref.stop()
            actor.attempt("after its death")
        assert letters == []
    assert set(errors) == {
        *("__init__", "on_start", "on_stop", "on_failure", "async on_start", "async on_stop", "async on_failure"),
        *("a task", "a thread", "a job", "reply_with", "outside", "after its death"),
    }
    assert all("only a handler can stash" in str(error) for error in errors.values())


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
@on_each_loop
async def test_a_hook_called_in_the_turn_of_a_message_is_no_handler_of_it(hook: str) -> None:
    errors: list[BaseException] = []

    class Odd(Actor):
        def on_stop(self) -> None:
            self.attempt()

        def on_failure(self, *_: Any) -> None:
            self.attempt()

        def attempt(self) -> None:
            with pytest.raises(CoreError, match="only a handler can stash") as caught:
                self.stash("message")
            errors.append(caught.value)

        def on_receive(self, message: Any) -> Any:
            raise RuntimeError("boom")

    async with System() as system:
        ref = system.spawn(Odd)
        if hook == "on_stop":
            await ref.stop()
        else:
            ref.tell("fail")
            await ref.terminated()
    assert len(errors) == 1


@on_each_loop
async def test_a_thread_that_a_handler_waits_for_is_not_the_handler() -> None:
    errors: list[BaseException] = []

    class Odd(Actor):
        def on_receive(self, message: Any) -> Any:
            thread = threading.Thread(target=self.attempt)
            thread.start()
            thread.join()
            return "done"

        def attempt(self) -> None:
            with pytest.raises(CoreError, match="only a handler can stash") as caught:
                self.stash("message")
            errors.append(caught.value)

    async with System() as system:
        assert await system.spawn(Odd).ask("message") == "done"
    assert len(errors) == 1


@on_each_loop
async def test_a_job_may_put_the_stash_back_and_wakes_the_actor() -> None:
    log, go = Log(), asyncio.Event()

    class Opens(Door):
        def on_start(self) -> None:
            self.pipe(self.later())

        async def later(self) -> str:
            await go.wait()
            self.open = True
            self.unstash_all()
            await asyncio.Event().wait()
            return "never"

    async with System() as system:
        door = system.spawn(Opens, log)
        ask = door.ask(1)
        door.tell(2)
        await door.ask("shut")
        go.set()
        assert await ask == 1, "nothing else has woken it"
        assert await door.ask("sync") == "sync"
        assert log.lines == [1, 2, "sync"]


@on_each_loop
async def test_putting_an_empty_stash_back_does_nothing() -> None:
    log = Log()
    async with System() as system:
        door = system.spawn(Door, log)
        for message in ("open", "open", 1, "open"):
            await door.ask(message)
        assert log.lines == [1]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", ["value", "error", "error under a tell"])
@on_each_loop
async def test_what_a_handler_returns_after_stashing_answers_nobody_and_what_it_raises_crashes_the_actor(
    end: str, how: str
) -> None:
    log = Log()

    class Goes(Door):
        first = True

        def on_receive(self, message: Any) -> Any:
            if message == "open":
                return super().on_receive(message)
            if not Goes.first:
                return super().on_receive(message)
            Goes.first = False
            return self.now(message) if how == "def" else self.later(message)

        def now(self, message: Any) -> Any:
            self.stash(message)
            if end == "value":
                return "an answer"
            raise ValueError("after the stash")

        async def later(self, message: Any) -> Any:
            if how == "waits before":
                await asyncio.sleep(0)
            self.stash(message)
            if how == "waits after":
                await asyncio.sleep(0)
            if end == "value":
                return "an answer"
            raise ValueError("after the stash")

    async with System() as system:
        door = system.supervise(ChildSpec(Goes, (log,), name="door"))
        if end == "error under a tell":
            door.tell("message")
        else:
            ask = door.ask("message")
        await door.ask("open")
        if end != "error under a tell":
            assert await ask == "message"
        await door.ask("sync")
        assert log.lines == ["message", "sync"]
        assert [node.restarts for node in system.tree()] == [0 if end == "value" else 1]
        assert system.dead_letters.count == 0


# -- how much ----------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_no_more_is_stashed_than_the_mailbox_holds() -> None:
    log = Log()
    async with System() as system:
        door = system.spawn(Door, log, mailbox=Mailbox(2))
        asks = [door.ask(1)]
        await door.ask("shut")
        asks.append(door.ask(2))
        await door.ask("shut")
        with pytest.raises(MailboxFull, match=r"stashed 2 messages"):
            await door.ask(3)
        await door.ask("open")
        assert [await ask for ask in asks] == [1, 2]
        assert await door.ask(4) == 4
        assert log.lines == [1, 2, 4]


@on_each_loop
async def test_messages_on_their_way_from_other_threads_take_nothing_off_what_may_be_stashed() -> None:
    log = Log()

    class Busy(Door):
        def on_receive(self, message: Any) -> Any:
            if message == 1 and not self.open:
                thread = threading.Thread(target=self.ref.tell, args=("open",))
                thread.start()
                thread.join()  # the message has a place, and cannot arrive before this handler has ended
            return super().on_receive(message)

    async with System() as system:
        door = system.spawn(Busy, log, mailbox=Mailbox(1))
        assert await door.ask(1) == 1
        assert log.lines == [1]


# -- under any schedule, with faults -----------------------------------------------------------------------------------

drawn = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
COMMANDS = st.lists(st.sampled_from(["tell", "tell", "ask", "ask", "open", "shut", "wait"]), max_size=12)


@drawn
@given(
    plans=st.lists(COMMANDS, min_size=1, max_size=2),
    how=st.sampled_from(HOWS),
    faults=fault_plans(["top/door"], kinds=(Crash, Kill, Slow), messages=12),
)
def test_whatever_happens_nothing_stashed_is_lost_or_processed_twice_and_each_ask_ends_once(
    plans: list[list[str]], how: str, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        sim.system.supervise(Supervisor.spec([ChildSpec(Door, (log, how), name="door")], name="top", intensity=99))
        await sim.idle()
        door = sim.system.find("top/door")
        assert door is not None
        letters = letters_of(sim.system)
        told: list[Any] = []
        asked: dict[Any, Any] = {}

        async def send(name: str, plan: list[str]) -> None:
            for number, command in enumerate(plan):
                message = (name, number)
                try:
                    match command:
                        case "tell":
                            door.tell(message)
                            told.append(message)
                        case "ask":
                            asked[message] = door.ask(message)
                        case "wait":
                            await asyncio.sleep(1)
                        case _:
                            await outcome(door.ask(command))
                except ActorDead:  # killed
                    pass

        async with asyncio.TaskGroup() as group:
            for index, plan in enumerate(plans):
                group.create_task(send("ab"[index], plan), name="ab"[index])
        for _ in range(4):  # a fault may strike one of them; the door is open in the end
            await outcome(door.ask("open"))
        await asyncio.sleep(60)
        did = log.lines
        assert len(did) == len(set(did)), "processed twice"
        for name in "ab":
            mine = [number for who, number in did if who == name]
            assert mine == sorted(mine), "out of order"
        refused = [letter.message for letter in letters]
        crashes = len([fact for fact in sim.trace.of("fault") if fact.what == "crash"])
        missing = [message for message in told if message not in did and message not in refused]
        assert len(missing) <= crashes, f"vanished: {missing}"
        for message, ask in asked.items():
            assert ask.done(), f"{message} was never answered"
            if ask.exception() is None:
                assert ask.result() == message
                assert message in did
            else:
                assert isinstance(ask.exception(), ActorDead)

    simulate(scenario, seeds=8, faults=faults)


@pytest.mark.parametrize("when", ["before", "in", "after"])
@pytest.mark.parametrize("how", HOWS)
def test_a_crash_in_the_handler_that_stashes_loses_its_message_only_before_it_is_stashed(how: str, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        door = sim.system.supervise(ChildSpec(Door, (log, how), name="door"))
        first, second = door.ask(1), door.ask(2)
        assert await door.ask("open", priority=1) == "opened"
        ends = [await outcome(first), await outcome(second)]
        kept = when == "after" or (when == "in" and how != "waits before")
        assert ends[0] == 1 if kept else isinstance(ends[0], ActorCrashed)
        assert ends[1] == 2
        assert log.lines == ([1, 2] if kept else [2])

    simulate(scenario, seeds=20, faults=[Crash("door", 1, when, optional=how == "def")])


def test_a_kill_refuses_what_is_stashed() -> None:
    async def scenario(sim: Simulation) -> None:
        door = sim.system.supervise(ChildSpec(Door, name="door"))
        asks = [door.ask(number) for number in range(3)]
        door.tell("told")
        ends = [await outcome(ask) for ask in asks]
        assert all(type(end) is ActorDead for end in ends), ends

    simulate(scenario, seeds=20, faults=[Kill("door", 4)])


def test_the_trace_tells_of_each_stash_and_of_each_time_a_message_is_taken_up() -> None:
    async def scenario(sim: Simulation) -> None:
        door = sim.system.spawn(Door, name="door")
        door.tell("told")
        ask = door.ask("asked")
        await door.ask("open", priority=1)
        await ask

    run_ = simulate(scenario, seeds=5)
    for message in ("told", "asked"):
        facts = [fact for fact in run_.trace if fact.get("message") == message and fact.kind != "ask_end"]
        assert [fact.kind for fact in facts] == ["ask" if message == "asked" else "send", "recv", "stashed", "recv"]
        assert len({fact.id for fact in facts}) == 1
    assert "** stashed" in run_.trace.text()


@on_each_loop
async def test_only_the_message_at_work_can_be_stashed() -> None:
    class Swaps(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.stash("another")

    async with System() as system:
        with pytest.raises(CoreError, match="not the message at work"):
            await system.spawn(Swaps).ask("mine")


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_a_message_that_its_handler_puts_aside_and_back_at_once_is_answered_when_it_is_taken_up_again(
    how: str,
) -> None:
    class Twice(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.taken = 0

        def on_receive(self, message: Any) -> Any:
            return self.once_more(message) if how == "def" else self.later(message)

        async def later(self, message: Any) -> Any:
            if how == "waits before":
                await asyncio.sleep(0)
            answer = self.once_more(message)
            if how == "waits after":
                await asyncio.sleep(0)
            return answer

        def once_more(self, message: Any) -> Any:
            self.taken += 1
            if self.taken > 1:
                return f"{message} for the {self.taken}nd time"
            deferred = self.stash(message)
            self.unstash_all()
            return deferred

    async with System() as system:
        assert await system.spawn(Twice).ask("asked") == "asked for the 2nd time"


def test_the_trace_takes_a_stashed_end_of_a_watched_actor_for_nobodys_message() -> None:
    class Watches(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.got: list[Any] = []

        def on_receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef):
                return self.watch(message)
            if message == "open":
                self.unstash_all()
            elif isinstance(message, Terminated) and not self.got:
                self.got.append("stashed")
                return self.stash(message)
            self.got.append(message)
            return self.got

    async def scenario(sim: Simulation) -> None:
        watches, watched = sim.system.spawn(Watches, name="watches"), sim.system.spawn(Echo, name="watched")
        await watches.ask(watched)
        await watched.stop()
        await watches.ask("open")
        assert any(isinstance(each, Terminated) for each in await watches.ask("last"))

    run_ = simulate(scenario, seeds=5)
    assert [(fact.actor, fact.id) for fact in run_.trace.of("stashed")] == [("watches", 0)]


@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_what_a_handler_returns_that_puts_its_message_aside_and_back_at_once_answers_nobody(how: str) -> None:
    class Forgets(Actor):
        taken = 0

        def on_receive(self, message: Any) -> Any:
            return self.once_more(message) if how == "def" else self.later(message)

        async def later(self, message: Any) -> Any:
            if how == "waits before":
                await asyncio.sleep(0)
            answer = self.once_more(message)
            if how == "waits after":
                await asyncio.sleep(0)
            return answer

        def once_more(self, message: Any) -> Any:
            self.taken += 1
            if self.taken == 1:
                self.stash(message)
                self.unstash_all()
            return self.taken

    async with System() as system:
        assert await system.spawn(Forgets).ask("asked") == 2
