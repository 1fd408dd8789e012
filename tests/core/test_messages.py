"""Messages: order, delivery, mailboxes and their bounds, priorities, asks and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    ActorRef,
    AskCycle,
    AskTimeout,
    Backoff,
    BlockingCall,
    ChildSpec,
    CoreError,
    DeadLetter,
    Future,
    MailboxFull,
    Outcome,
    ReplyAlreadySet,
    Supervision,
    System,
    Terminated,
    current_send_context,
    send_context,
)
from callboard.actors.testing import virtual_time

from .support import Echo, Events, Gate, Hold, Log, on_each_loop, run

# -- generated plans: FIFO, at most once, conservation, one end for each ask -------------------------------------------


@dataclass(frozen=True)
class Step:
    """One act of a sender: what it sends to which actor, and whether it lets others go first."""

    target: int
    what: str
    ask: bool
    rest: bool


STEPS = st.builds(
    Step,
    target=st.integers(0, 3),
    what=st.sampled_from(["good", "good", "good", "slow", "crash", "exit", "stop", "kill", "cancel"]),
    ask=st.booleans(),
    rest=st.booleans(),
)
PLANS = st.lists(st.lists(STEPS, max_size=8), min_size=1, max_size=3)


@dataclass(frozen=True)
class Numbered:
    sender: int
    number: int
    what: str


class Member(Actor):
    """Works on messages of each kind; keeps what it has taken up outside of its incarnations."""

    def __init__(self, taken: list[Numbered], asynchronous: bool) -> None:
        super().__init__()
        self.taken = taken
        self.asynchronous = asynchronous
        self.busy = False

    def on_receive(self, message: Numbered) -> Any:
        self.taken.append(message)
        assert not self.busy, "one message at a time"
        return self.slow(message) if message.what == "slow" and self.asynchronous else self.finish(message)

    async def slow(self, message: Numbered) -> Any:
        self.busy = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.busy = False
        return self.finish(message)

    def finish(self, message: Numbered) -> Any:
        if message.what == "crash":
            raise ValueError(message)
        if message.what == "exit":
            raise SystemExit(message)
        return message


@settings(deadline=None, max_examples=80)
@given(plan=PLANS, permanent=st.booleans())
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_whatever_is_sent_is_processed_once_in_order_or_refused_and_each_ask_ends_once(
    loop: str, plan: list[list[Step]], permanent: bool
) -> None:
    taken: list[list[Numbered]] = [[] for _ in range(4)]
    accepted: list[list[Numbered]] = [[] for _ in range(4)]
    dead: list[DeadLetter] = []
    asks: list[tuple[Numbered, Future[Any]]] = []
    ends: list[Numbered] = []

    def ended(message: Numbered, _: object) -> None:
        ends.append(message)

    async def sender(index: int, steps: list[Step], refs: list[ActorRef[Any]]) -> None:
        for number, step in enumerate(steps):
            ref, message = refs[step.target], Numbered(index, number, step.what)
            if step.what == "stop":
                ref.stop()
            elif step.what == "kill":
                ref.kill()
            elif step.ask or step.what == "cancel":
                ask = ref.ask(message)
                asks.append((message, ask))
                ask.add_done_callback(functools.partial(ended, message))
                if not ask.done():
                    accepted[step.target].append(message)
                if step.what == "cancel":
                    ask.cancel()
            else:
                try:
                    ref.tell(message)
                except ActorDead:
                    continue
                accepted[step.target].append(message)
            if step.rest:
                await asyncio.sleep(0)

    async def main() -> None:
        async with System(supervision=Supervision(intensity=1000)) as system:
            system.dead_letters.subscribe(dead.append)
            restart: Any = "permanent" if permanent else "temporary"
            specs = [ChildSpec(Member, (taken[i], bool(i % 2)), name=f"m{i}", restart=restart) for i in range(4)]
            refs = [system.supervise(spec) for spec in specs]
            async with asyncio.TaskGroup() as group:
                for index, steps in enumerate(plan):
                    group.create_task(sender(index, steps, refs))

    run(main(), loop)
    refused: list[list[Numbered]] = [[] for _ in range(4)]
    for letter in dead:
        refused[int(letter.recipient[1:])].append(letter.message)
    for target in range(4):
        processed = taken[target]
        assert len(set(processed)) == len(processed), "processed twice"
        assert sorted(map(repr, processed + refused[target])) == sorted(map(repr, accepted[target])), "conservation"
        for index in range(len(plan)):
            numbers = [message.number for message in processed if message.sender == index]
            assert numbers == sorted(numbers), "out of order"
    assert sorted(map(repr, ends)) == sorted(repr(message) for message, _ in asks)
    for message, ask in asks:
        if ask.cancelled():
            assert message.what == "cancel"
            continue
        error = ask.exception()
        assert ask.result() == message if error is None else isinstance(error, (ActorDead, ValueError))


@on_each_loop
async def test_ten_thousand_messages_wait_and_are_processed_in_order() -> None:
    seen: list[int] = []

    class Deep(Gate):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, int):
                seen.append(message)
                return message
            return await super().on_receive(message)

    async with System() as system:
        ref, hold = system.spawn(Deep), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        for number in range(10_000):
            ref.tell(number)
        hold.go.set()
        assert await ref.ask(10_000) == 10_000
        assert seen == list(range(10_001))


# -- mailboxes ---------------------------------------------------------------------------------------------------------


class Small(Gate):
    mailbox_capacity = 2


@on_each_loop
async def test_a_full_mailbox_refuses_at_once_and_the_ask_says_so() -> None:
    async with System() as system:
        ref, hold = system.spawn(Small), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        ref.tell(1)
        ref.tell(2)
        with pytest.raises(MailboxFull, match="Small-1"):
            ref.tell(3)
        assert isinstance(ref.ask(3).exception(), MailboxFull)
        hold.go.set()
        assert await ref.stop()
        assert system.dead_letters.count == 0


@on_each_loop
async def test_senders_waiting_for_room_are_let_in_first_come_first_served_without_the_cancelled_one() -> None:
    log = Log()
    async with System() as system:
        ref, holds = system.spawn(Small, log), [Hold(str(number)) for number in range(3)]
        for hold in holds:
            ref.tell(hold)
            if hold is holds[0]:
                await hold.begun.wait()
        puts = [asyncio.create_task(ref.put(number)) for number in range(4)]
        await asyncio.sleep(0)
        puts[1].cancel()
        holds[0].go.set()
        await holds[1].begun.wait()
        await puts[0]  # there was room as soon as the handler had begun, not when the mailbox was empty
        with pytest.raises(MailboxFull):
            ref.tell("an upstart")
        for hold in holds:
            hold.go.set()
        await puts[2]
        await puts[3]
        await ref.stop()
        assert log.of("saw") == [0, 2, 3]
        assert puts[1].cancelled()


@pytest.mark.parametrize("how", ["stop", "kill", "system"])
@on_each_loop
async def test_a_sender_waiting_for_room_is_told_that_the_actor_has_died(how: str) -> None:
    system = System()
    async with system:
        ref, hold = system.spawn(Small), Hold()
        for message in (hold, 1, 2):
            ref.tell(message)
            if message is hold:
                await hold.begun.wait()
        put = asyncio.create_task(ref.put(3))
        await asyncio.sleep(0)
        if how == "stop":
            stopping = ref.stop()
            hold.go.set()
            await stopping
        elif how == "kill":
            ref.kill()
        else:
            stopping = asyncio.create_task(system.stop())
            for _ in range(3):
                await asyncio.sleep(0)
            hold.go.set()
            await stopping
        outcome = (await asyncio.gather(put, return_exceptions=True))[0]
        assert isinstance(outcome, ActorDead) or (how == "stop" and outcome is None)


@on_each_loop
async def test_a_put_from_another_thread_waits_for_room_too() -> None:
    async with System() as system:
        ref, hold = system.spawn(Small), Hold()
        for message in (hold, 1, 2):
            ref.tell(message)
            if message is hold:
                await hold.begun.wait()
        put = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(ref.put(3))))
        await asyncio.to_thread(lambda: None)
        hold.go.set()
        await put
        assert await ref.ask(4) == 4


@settings(deadline=None, max_examples=50)
@given(priorities=st.lists(st.integers(-2, 2), max_size=12), asked=st.booleans())
def test_lower_priorities_come_first_and_equals_in_the_order_sent(priorities: list[int], asked: bool) -> None:
    async def main() -> None:
        log = Log()
        async with System() as system:
            ref, hold = system.spawn(Gate, log), Hold()
            ref.tell(hold)
            await hold.begun.wait()
            for number, priority in enumerate(priorities):
                (ref.ask if asked else ref.tell)((priority, number), priority=priority)
            hold.go.set()
            await ref.ask("last", priority=9)
        assert log.of("saw") == [*sorted((p, n) for n, p in enumerate(priorities)), "last"]

    run(main())


@on_each_loop
async def test_the_end_of_a_watched_actor_comes_before_messages_that_wait() -> None:
    log = Log()

    class Watcher(Gate):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef):
                self.watch(message)
            elif isinstance(message, Terminated):
                log("saw", message.reason)
            else:
                return await super().on_receive(message)

    async with System() as system:
        ref, hold, watched = system.spawn(Watcher, log), Hold(), system.spawn(Echo)
        await ref.ask(watched)
        ref.tell(hold)
        await hold.begun.wait()
        ref.tell(1)
        await watched.stop()
        hold.go.set()
        await ref.ask(2)
        assert log.of("saw") == ["stopped", 1, 2]


@on_each_loop
async def test_signals_do_not_give_an_actor_more_than_its_turn() -> None:
    order: list[str] = []

    class Watcher(Actor):
        def on_receive(self, message: Any) -> None:
            if isinstance(message, ActorRef):
                self.watch(message)
            elif message == "go":
                for ref in watched:
                    ref.kill()
            elif not isinstance(message, Terminated):
                order.append("watcher")

    async with System() as system:
        watched = [system.spawn(Echo) for _ in range(150)]
        watcher = system.spawn(Watcher)
        for ref in watched:
            watcher.tell(ref)
        await watcher.ask("sync")
        order.clear()
        watcher.tell("go")
        for _ in range(300):
            watcher.tell("message")

        class Other(Actor):
            def on_receive(self, message: Any) -> None:
                order.append("other")

        await system.spawn(Other).ask(1)
        assert order.index("other") < 300


# -- deadlines and scopes ----------------------------------------------------------------------------------------------


class Deadline(Actor):
    """Tells the deadline in force, from the end of a way that a message names."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Outcome):
            self.answer.set_result(message.unwrap())
            return None
        if not message:
            return current_send_context().deadline
        return getattr(self, message[0])(message[1:])

    async def nested(self, rest: Any) -> Any:
        return await self.next().ask(rest)

    async def later(self, rest: Any) -> Any:
        await asyncio.sleep(0)
        return await self.next().ask(rest)

    async def task(self, rest: Any) -> Any:
        return await asyncio.create_task(self.nested(rest))

    def job(self, rest: Any) -> Any:
        return self.reply_with(self.later(rest))

    async def piped(self, rest: Any) -> Any:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.pipe(self.later(rest))
        return self.reply_with(self._answered())

    async def _answered(self) -> Any:
        return await self.answer

    def next(self) -> ActorRef[Any]:
        return self.spawn(Deadline)


@settings(deadline=None, max_examples=60)
@given(way=st.lists(st.sampled_from(["nested", "later", "task", "job", "piped"]), max_size=4), how=st.booleans())
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_deadline_reaches_the_end_of_every_way_a_nested_ask_may_take(loop: str, way: list[str], how: bool) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        async with System() as system:
            ref = system.spawn(Deadline)
            low = here.time() + 1000
            if how:
                deadline = await ref.ask(tuple(way), timeout=1000)
            else:
                with send_context(timeout=1000, baggage={"key": 1}):
                    deadline = await ref.ask(tuple(way), timeout=2000)
            assert low - 1 <= deadline <= here.time() + 1000
            assert await ref.ask(()) is None, "a deadline stayed in force"

    run(main(), loop)


@on_each_loop
async def test_what_a_timer_or_a_job_sends_later_carries_no_deadline_of_the_message_that_began_it() -> None:
    got: list[Any] = []
    done = asyncio.Event()

    class Later(Actor):
        def on_receive(self, message: Any) -> None:
            if message == "begin":
                self.schedule(0.0, "timer")
                self.pipe(asyncio.sleep(0), lambda _: "job")
                return
            got.append(current_send_context().deadline)
            if len(got) == 2:
                done.set()

    async with System() as system:
        await system.spawn(Later).ask("begin", timeout=1000)
        await done.wait()
        assert got == [None, None]


@virtual_time
async def test_a_nested_ask_ends_at_the_deadline_of_the_outer_one() -> None:
    async with System() as system:
        inner, hold, errors = system.spawn(Gate), Hold(), []

        class Outer(Actor):
            async def on_receive(self, message: Any) -> Any:
                try:
                    return await inner.ask(hold, timeout=60)
                except BaseException as error:
                    errors.append(type(error))
                    raise

        with pytest.raises(AskTimeout):
            await system.spawn(Outer).ask(1, timeout=2)
        assert asyncio.get_running_loop().time() == 2
        await hold.cancelled.wait()
        assert errors[0] in (AskTimeout, asyncio.CancelledError)


# -- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["handler", "job at once", "job later", "stream"])
@on_each_loop
async def test_cancelling_an_ask_reaches_whatever_works_on_it(way: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    class Target(Actor):
        def on_receive(self, message: Any) -> Any:
            match message:
                case "handler":
                    return work()
                case "job at once":
                    return self.reply_with(work())
                case "job later":
                    return self.later()
                case "stream":
                    return self.items()
            return message

        async def later(self) -> Any:
            await asyncio.sleep(0)
            return self.reply_with(work())

        async def items(self) -> Any:
            yield 1
            await work()

    async with System() as system:
        ref = system.spawn(Target)
        if way == "stream":
            reading = asyncio.create_task(_drain(ref.stream(way)))
        else:
            reading = asyncio.create_task(_wait(ref.ask(way)))
        await begun.wait()
        reading.cancel()
        await ended.wait()
        assert await ref.ask("alive") == "alive"
        await asyncio.wait([reading])
        assert reading.cancelled()


async def _drain(items: Any) -> list[Any]:
    return [item async for item in items]


async def _wait(ask: Future[Any]) -> Any:
    return await ask


@on_each_loop
async def test_an_answer_that_nobody_waits_for_any_more_is_not_worked_on() -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    class Late(Actor):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, Hold):
                message.begun.set()
                try:
                    await message.go.wait()
                except asyncio.CancelledError:
                    return self.reply_with(work())
            return message

    async with System() as system:
        ref, hold = system.spawn(Late), Hold()
        ask = ref.ask(hold)
        await hold.begun.wait()
        ask.cancel()
        assert await ref.ask(1) == 1
        assert ran == []


# -- cycles and other misuse -------------------------------------------------------------------------------------------


class Link(Actor):
    """Asks the next of a ring, in the handler or beside it."""

    following: ActorRef[Any]

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, ActorRef):
            self.following = message
            return None
        how, left = message
        if left == 0:
            return "end"
        return self.reply_with(self.go(how, left)) if how == "beside" else self.go(how, left)

    async def go(self, how: str, left: int) -> Any:
        return await self.following.ask((how, left - 1), timeout=1000 if how == "timeout" else None)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("how", ["plain", "timeout"])
@on_each_loop
async def test_a_cycle_of_asks_is_reported_with_the_names_and_the_actors_go_on(size: int, how: str) -> None:
    async with System() as system:
        ring = [system.spawn(Link, name=f"link{number}") for number in range(size)]
        for number, ref in enumerate(ring):
            await ref.ask(ring[(number + 1) % size])
        with pytest.raises(AskCycle) as caught:
            await ring[0].ask((how, 100))
        assert all(ref.name in str(caught.value) for ref in ring)
        for ref in ring:
            assert await ref.ask((how, 0)) == "end"


@on_each_loop
async def test_answers_worked_on_beside_the_mailbox_may_go_around_a_ring() -> None:
    async with System() as system:
        ring = [system.spawn(Link) for _ in range(3)]
        for number, ref in enumerate(ring):
            await ref.ask(ring[(number + 1) % 3])
        assert await ring[0].ask(("beside", 20)) == "end"


@on_each_loop
async def test_waiting_for_ones_own_stop_is_a_cycle() -> None:
    class Selfish(Actor):
        async def on_receive(self, message: Any) -> Any:
            await self.ref.stop()

    async with System() as system:
        with pytest.raises(AskCycle):
            await system.spawn(Selfish).ask(1)


@on_each_loop
async def test_misuse_ends_in_a_named_error_and_disturbs_nothing() -> None:
    async with System() as system:
        ref, hold = system.spawn(Gate), Hold()
        ask = ref.ask(hold)
        await hold.begun.wait()
        with pytest.raises(BlockingCall):
            ask.get()
        with pytest.raises(BlockingCall):
            ref.ask(1, block=True)
        with pytest.raises(BlockingCall):
            ref.stop(block=True)
        hold.go.set()
        assert await ask == "hold"
        with pytest.raises(ReplyAlreadySet):
            ask.set("again")
        assert await ref.ask(1) == 1  # neither the blocking ask nor the stop had been sent

        class Wild(Actor):
            def on_receive(self, message: Any) -> None:
                self.watch(message)

        with pytest.raises(CoreError, match="cannot be watched"):
            await system.spawn(Wild).ask("no ref")


@on_each_loop
async def test_a_subscriber_or_a_callback_that_raises_disturbs_nobody() -> None:
    def raises(_: object) -> None:
        raise ZeroDivisionError

    async with System() as system:
        system.subscribe(raises)
        system.dead_letters.subscribe(raises)
        ref = system.spawn(Echo)
        ask = ref.ask(1)
        ask.when_done(raises)
        ref.tell("dead letter")
        ref.kill()
        with pytest.raises(ActorDead):
            await ask
        other = system.spawn(Echo).ask(2)
        other.when_done(raises)
        assert await other == 2


# -- the task and the context of a handler -----------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")


class Sets(Actor):
    """Leaves a context variable set, or says what it finds."""

    def on_receive(self, message: Any) -> Any:
        before = variable.get()
        if message == "set":
            variable.set(self.name)
        return self.later(before) if message == "async" else before

    async def later(self, before: str) -> str:
        variable.set(self.name)
        await asyncio.sleep(0)
        return before

    def on_start(self) -> None:
        if self.name == "first":
            variable.set("on_start")


@on_each_loop
async def test_a_context_variable_that_a_handler_sets_is_seen_by_no_other_actor() -> None:
    async with System() as system:
        first, second = system.spawn(Sets, name="first"), system.spawn(Sets, name="second")
        for _ in range(3):
            setting, looking = first.ask("set"), second.ask("look")
            assert await setting in ("clean", "first", "on_start")
            assert await looking == "clean"
        asks = [ref.ask(message) for message in ("set", "async", "look") for ref in (first, second)]
        found = [await ask for ask in asks]
        assert set(found[0::2]) <= {"clean", "first", "on_start"}
        assert set(found[1::2]) <= {"clean", "second"}
        assert variable.get() == "clean"
        assert await system.spawn(Sets, name="third").ask("look") == "clean"


class Tasked(Actor):
    def __init__(self, below: ActorRef[Any] | None = None) -> None:
        super().__init__()
        self.below = below

    async def on_receive(self, message: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        if message == "cancel":
            task.cancel()
            return None
        assert task.cancelling() == 0, "another handler's cancellation is left on this one's task"
        async with asyncio.timeout(1000), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            inner = await self.below.ask(message) if self.below is not None else None
        assert asyncio.current_task() is task
        return (task, inner)


@on_each_loop
async def test_current_task_timeouts_and_task_groups_work_from_the_first_line_also_when_helped() -> None:
    async with System() as system:
        below = system.spawn(Tasked)
        middle = system.spawn(Tasked, below)
        mine = asyncio.current_task()
        outer, inner = await system.spawn(Tasked, middle).ask("go")
        tasks = {outer, inner[0], inner[1][0]}
        assert len(tasks) == 3
        assert mine not in tasks
        assert asyncio.current_task() is mine


@on_each_loop
async def test_a_handler_that_cancels_its_own_task_cancels_nobody_elses() -> None:
    async with System() as system:
        first, second = system.spawn(Tasked), system.spawn(Tasked)
        for _ in range(3):
            cancelled, fine = first.ask("cancel"), second.ask("go")
            assert await cancelled is None
            assert (await fine)[1] is None


@on_each_loop
async def test_a_timeout_of_zero_inside_a_handler_raises_there() -> None:
    class Quick(Actor):
        async def on_receive(self, message: Any) -> str:
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timed out"
            return "no"

    async with System() as system:
        assert await system.spawn(Quick).ask(1) == "timed out"


# -- an actor's own doings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
@on_each_loop
async def test_messages_to_itself_in_on_start_come_in_the_order_sent_and_children_are_up(kind: str) -> None:
    log = Log()

    class Begins(Actor):
        def on_start(self) -> Any:
            self.child = self.spawn(Gate, log)
            self.ref.tell("first")
            self.schedule(0.0, "timer")
            self.ref.tell("second")
            return asyncio.sleep(0) if kind == "async" else None

        async def on_receive(self, message: Any) -> Any:
            await self.child.ask(message)
            return message

    async with System() as system:
        ref = await system.spawn(Begins).started()
        assert await ref.ask("asked") == "asked"
        assert [line for line in log.of("saw") if line != "timer"] == ["first", "second", "asked"]


@virtual_time
async def test_timers_and_jobs_of_a_crashed_incarnation_send_nothing_to_the_next() -> None:
    log = Log()

    class Ticks(Actor):
        def __init__(self) -> None:
            super().__init__()
            log("made")

        def on_receive(self, message: Any) -> Any:
            if message == "begin":
                self.schedule(5.0, "once")
                self.schedule_every(1.0, "tick")
                self.pipe(asyncio.sleep(5, "piped"))
            elif message == "crash":
                raise ValueError
            else:
                log("saw", message)

    async with System() as system:
        ref = system.supervise(ChildSpec(Ticks, name="a", backoff=Backoff(initial=3.0)))
        ref.tell("begin")
        await asyncio.sleep(2.5)
        ref.tell("crash")
        await asyncio.sleep(20)
        assert log.lines == ["made", ("saw", "tick"), ("saw", "tick"), "made"]


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit()])
@on_each_loop
async def test_a_base_exception_in_piped_work_crashes_the_actor(error: BaseException) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise error

    class Pipes(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "pipe":
                self.pipe(fails())
            return message

    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Pipes, name="a"))
        ref.tell("pipe")
        await events.until("restarted", "a")
        assert await ref.ask(1) == 1


@on_each_loop
async def test_piped_work_that_ends_in_a_cancellation_of_its_own_says_so_but_not_one_that_was_called_off() -> None:
    got: list[Outcome[Any]] = []
    done = asyncio.Event()

    async def cancelled() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    class Pipes(Actor):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, Outcome):
                got.append(message)
                done.set()
            elif message == "call off":
                self.pipe(asyncio.sleep(1000)).cancel()
            else:
                self.pipe(cancelled())

    async with System() as system:
        ref = system.spawn(Pipes)
        ref.tell("call off")
        ref.tell("pipe")
        await done.wait()
        assert len(got) == 1
        with pytest.raises(asyncio.CancelledError):
            got[0].unwrap()


@on_each_loop
async def test_a_to_message_that_raises_crashes_the_actor() -> None:
    class Pipes(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "pipe":
                self.pipe(asyncio.sleep(0), lambda outcome: 1 / 0)
            return message

    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Pipes, name="a"))
        ref.tell("pipe")
        await events.until("restarted", "a")
        assert await ref.ask(1) == 1


@on_each_loop
async def test_an_ask_of_a_handler_that_dies_says_whether_it_crashed_or_stopped() -> None:
    async with System() as system:
        ref, hold = system.spawn(Gate), Hold()
        ask = ref.ask(hold)
        await hold.begun.wait()
        ref.kill()
        with pytest.raises(ActorCrashed):
            await ask


def test_an_actor_object_that_was_never_started_takes_nothing() -> None:
    actor = Echo()
    assert not actor.ref.is_alive()
    with pytest.raises(ActorDead):
        actor.ref.tell(1)
    with pytest.raises(ActorDead):
        actor.ref.ask(1).get(timeout=5)
    assert actor.ref.stop() is False
    assert actor.on_receive(3) == 3
