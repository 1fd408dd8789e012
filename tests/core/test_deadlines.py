"""Deadlines: what is taken up after its deadline is not processed, and nothing is sent that nobody waits for."""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorRef,
    AskTimeout,
    Backoff,
    ChildSpec,
    DeadLetter,
    System,
    send_context,
)
from callboard.actors.testing import Crash, Fault, Simulation, Slow, simulate, virtual_time
from callboard.actors.testing.doubles.strategies import fault_plans

from .parallel import WAIT
from .support import Log, on_each_loop

PASSED = "its deadline has passed"
drawn = settings(deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class Jumps(selectors.DefaultSelector):
    """Does not wait: it moves a clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing can happen any more"
        self.now += max(0.0, timeout)
        return super().select(0)


class ClockedLoop(asyncio.SelectorEventLoop):
    """A stock loop on a clock of its own, which ``def`` handlers may move on too."""

    def __init__(self) -> None:
        self.clock = Jumps()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def clocked(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a clock that stands still but for timers and `work`."""
    with asyncio.Runner(loop_factory=ClockedLoop) as runner:
        runner.run(main)


def on_a_clock(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Run an ``async def`` test by `clocked`."""

    @functools.wraps(test)
    def wrapper(**kwargs: Any) -> None:
        clocked(test(**kwargs))

    wrapper.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    del wrapper.__wrapped__
    return wrapper


def work(seconds: float) -> None:
    """Keep the loop for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockedLoop)
    loop.clock.now += seconds


class Works:
    """A message whose handler, a ``def``, keeps the loop for two seconds."""


class Worker(Actor):
    """Works, streams, and notes what it was sent."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Works):
            return work(2)
        self.log("saw", message)
        return self.items(message) if self.expects == "stream" else message

    async def items(self, message: Any) -> AsyncIterator[Any]:
        self.log("streamed", message)
        yield message


async def ended(ask: Any) -> Any:
    """What an ask came to: its value or its error."""
    try:
        return await ask
    except BaseException as error:
        return error


async def first(stream: Any) -> Any:
    async with stream as items:
        async for item in items:
            return item


def letters(system: System) -> list[DeadLetter]:
    """The dead letters of a system from now on."""
    taken: list[DeadLetter] = []
    system.dead_letters.subscribe(taken.append)
    return taken


# -- taken up too late -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [0, 1])
@on_a_clock
async def test_asks_taken_up_after_their_deadline_are_not_processed_and_are_dead_letters(priority: int) -> None:
    log = Log()
    async with System() as system:
        dead = letters(system)
        ref = system.spawn(Worker, log, name="worker")
        ref.tell(Works())
        asks = [ref.ask(number, timeout=1, priority=priority) for number in range(50)]
        kept = ref.ask("no deadline", priority=priority)
        for ask in asks:
            assert isinstance(await ended(ask), AskTimeout)
        assert await kept == "no deadline"
        assert log.of("saw") == ["no deadline"]
        assert [(letter.message, letter.recipient) for letter in dead] == [(number, "worker") for number in range(50)]
        assert all(PASSED in letter.reason for letter in dead), dead
        assert system.dead_letters.count == 50


@on_a_clock
async def test_an_ask_whose_deadline_passes_while_another_actor_works_is_not_processed() -> None:
    log = Log()
    async with System() as system:
        dead = letters(system)
        busy, ref = system.spawn(Worker, log), system.spawn(Worker, log)
        busy.tell(Works())
        ask = ref.ask("late", timeout=1)
        assert isinstance(await ended(ask), AskTimeout)
        assert await ref.ask("next") == "next"
        assert log.of("saw") == ["next"]
        assert [letter.message for letter in dead] == ["late"]


@on_a_clock
async def test_a_stream_taken_up_after_its_deadline_is_not_begun() -> None:
    log = Log()
    async with System() as system:
        dead = letters(system)
        ref = system.spawn(Worker, log)
        ref.tell(Works())
        late, in_time = ref.stream("late", timeout=1), ref.stream("in time", timeout=1000)
        assert isinstance(await ended(first(late)), AskTimeout)
        assert await first(in_time) == "in time"
        assert log.of("saw") == log.of("streamed") == ["in time"]
        assert [(letter.message, PASSED in letter.reason) for letter in dead] == [("late", True)]


@on_a_clock
async def test_a_deadline_in_force_counts_as_an_own_timeout_does() -> None:
    log = Log()
    async with System() as system:
        dead = letters(system)
        ref = system.spawn(Worker, log)
        ref.tell(Works())
        with send_context(timeout=1):
            ask, stream = ref.ask("ask"), ref.stream("stream")
            ref.tell("tell")
        assert isinstance(await ended(ask), AskTimeout)
        assert isinstance(await ended(first(stream)), AskTimeout)
        assert await ref.ask("next") == "next"
        assert log.of("saw") == ["tell", "next"]
        assert [letter.message for letter in dead] == ["ask", "stream"]


class Spins(Actor):
    """Keeps a real loop until an ask's time is over."""

    def on_receive(self, message: threading.Event) -> None:
        assert message.wait(WAIT)
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.005
        while loop.time() <= until:
            pass


@on_each_loop
async def test_asks_taken_up_after_their_deadline_are_not_processed_on_the_loops_people_use() -> None:
    log, asked = Log(), threading.Event()
    async with System() as system:
        dead = letters(system)
        ref = system.spawn(Worker, log)
        system.spawn(Spins).tell(asked)
        asks = [ref.ask(number, timeout=0.005) for number in range(50)]
        asked.set()
        for ask in asks:
            assert isinstance(await ended(ask), AskTimeout)
        assert await ref.ask("next") == "next"
        assert log.of("saw") == ["next"]
        assert all(PASSED in letter.reason for letter in dead), dead


def test_an_ask_from_a_thread_taken_up_after_its_deadline_is_not_processed() -> None:
    log, asked = Log(), threading.Event()
    with System.in_thread() as system:
        ref = system.spawn(Worker, log)
        system.spawn(Spins).tell(asked)
        ask = ref.ask("late", timeout=0.005)
        asked.set()
        with pytest.raises(AskTimeout):
            ask.get(timeout=WAIT)
        assert ref.ask("next").get(timeout=WAIT) == "next"
        assert log.of("saw") == ["next"]


@virtual_time
async def test_an_ask_whose_deadline_passes_during_the_wait_for_a_restart_is_not_processed() -> None:
    log = Log()

    class Fragile(Worker):
        def on_receive(self, message: Any) -> Any:
            if message == "crash":
                raise SystemExit
            return super().on_receive(message)

    async with System() as system:
        dead = letters(system)
        ref = system.supervise(ChildSpec(Fragile, args=(log,), backoff=Backoff(initial=10.0)))
        ref.tell("crash")
        late, in_time = ref.ask("late", timeout=5), ref.ask("in time", timeout=15)
        assert isinstance(await ended(late), AskTimeout)
        assert asyncio.get_running_loop().time() == pytest.approx(5)
        assert await in_time == "in time"
        assert log.of("saw") == ["in time"]
        assert [(letter.message, PASSED in letter.reason) for letter in dead] == [("late", True)]


@virtual_time
async def test_an_ask_that_its_asker_gave_up_is_another_dead_letter_than_one_whose_deadline_has_passed() -> None:
    class Slow(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.sleep(message)

    async with System() as system:
        dead = letters(system)
        ref = system.spawn(Slow)
        ref.tell(10.0)
        given_up, late = ref.ask(1.0, timeout=5), ref.ask(2.0, timeout=5)
        given_up.cancel()
        assert isinstance(await ended(late), AskTimeout)
        await ref.ask(0.0)
        assert [(letter.message, PASSED in letter.reason) for letter in dead] == [(1.0, False), (2.0, True)]


# -- sent too late -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["timeout", "send_context", "stream", "stream in a send context"])
@on_a_clock
async def test_an_ask_sent_after_its_deadline_ends_at_once_and_never_enters_the_mailbox(how: str) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Worker, log, name="worker")
        match how:
            case "timeout":
                ask: Any = ref.ask("late", timeout=-1)
            case "send_context":
                with send_context(timeout=-1):
                    ask = ref.ask("late", timeout=1000)
            case "stream":
                ask = first(ref.stream("late", timeout=-1))
            case _:
                with send_context(timeout=-1):
                    ask = first(ref.stream("late"))
        assert system.tree()[0].waiting == 0
        if "stream" not in how:
            assert ask.done()
        assert isinstance(await ended(ask), AskTimeout)
        assert await ref.ask("next") == "next"
        assert log.of("saw") == ["next"]


def test_an_ask_that_a_thread_sends_after_its_deadline_ends_at_once() -> None:
    log = Log()
    with System.in_thread() as system:
        ref = system.spawn(Worker, log)
        ask = ref.ask("late", timeout=-1)
        with pytest.raises(AskTimeout):
            ask.get(timeout=WAIT)
        assert ref.ask("next").get(timeout=WAIT) == "next"
        assert log.of("saw") == ["next"]


class Nested(Actor):
    """Keeps the loop past the deadline in force, and then sends to the one below."""

    def __init__(self, below: ActorRef[Any], log: Log) -> None:
        super().__init__()
        self.below = below
        self.log = log

    async def on_receive(self, message: str) -> Any:
        work(2)
        match message:
            case "ask":
                ask: Any = self.below.ask("nested")
                self.log("done", ask.done())
            case "ask with a timeout":
                ask = self.below.ask("nested", timeout=1000)
                self.log("done", ask.done())
            case "stream":
                ask = first(self.below.stream("nested"))
                self.log("done", True)
            case _:
                self.below.tell("nested")
                return "told"
        self.log("end", type(await ended(ask)).__name__)
        return message


@pytest.mark.parametrize("how", ["ask", "ask with a timeout", "stream"])
@on_a_clock
async def test_a_nested_ask_sent_after_the_inherited_deadline_ends_at_once(how: str) -> None:
    log, below = Log(), Log()
    async with System() as system:
        worker = system.spawn(Worker, below)
        await ended(system.spawn(Nested, worker, log).ask(how, timeout=1))
        assert log.lines == [("done", True), ("end", "AskTimeout")]
        assert await worker.ask("next") == "next"
        assert below.of("saw") == ["next"]


@on_a_clock
async def test_a_nested_tell_is_processed_even_when_the_inherited_deadline_has_passed() -> None:
    log, below = Log(), Log()
    async with System() as system:
        worker = system.spawn(Worker, below)
        await ended(system.spawn(Nested, worker, log).ask("tell", timeout=1))
        assert await worker.ask("next") == "next"
        assert below.of("saw") == ["nested", "next"]
        assert system.dead_letters.count == 0


@on_a_clock
async def test_a_tell_taken_up_after_the_deadline_it_carries_is_processed_and_its_asks_end_at_once() -> None:
    log, below = Log(), Log()

    class Told(Actor):
        async def on_receive(self, message: Any) -> Any:
            ask = worker.ask("nested")
            log("done", ask.done())
            log("end", type(await ended(ask)).__name__)

    async with System() as system:
        busy, worker, told = system.spawn(Worker, Log()), system.spawn(Worker, below), system.spawn(Told)
        busy.tell(Works())
        with send_context(timeout=1):
            told.tell("tell")
        await told.stop()
        assert log.lines == [("done", True), ("end", "AskTimeout")]
        assert await worker.ask("next") == "next"
        assert below.of("saw") == ["next"]


@virtual_time
async def test_what_a_handler_tells_in_its_finally_after_its_deadline_is_processed() -> None:
    seen = Log()

    class Cleans(Actor):
        async def on_receive(self, message: Any) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                worker.tell("cleaned up")

    async with System() as system:
        worker = system.spawn(Worker, seen)
        ref = system.spawn(Cleans)
        assert isinstance(await ended(ref.ask("work", timeout=1)), AskTimeout)
        await ref.stop()
        assert await worker.ask("next") == "next"
        assert seen.of("saw") == ["cleaned up", "next"]
        assert system.dead_letters.count == 0


# -- for any durations and timeouts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A message: how it is sent, how long its handler takes, and how long its sender waits."""

    how: str
    duration: int
    timeout: float | None

    @property
    def expires(self) -> bool:
        return self.how != "tell" and self.timeout is not None


PLANS = st.lists(
    st.builds(
        Plan,
        st.sampled_from(["tell", "ask", "stream"]),
        st.integers(0, 3),
        st.one_of(st.none(), st.integers(0, 12).map(lambda seconds: seconds + 0.5)),
    ),
    max_size=25,
)


class Takes(Actor):
    """Takes as long as the message says: ``def`` or ``async def``."""

    def __init__(self, kind: str, log: Log) -> None:
        super().__init__()
        self.kind = kind
        self.log = log

    def on_receive(self, message: tuple[int, Plan]) -> Any:
        number, plan = message
        self.log("saw", number, round(asyncio.get_running_loop().time(), 6))
        if self.kind == "async" and plan.how != "stream":
            return self.sleep(number, plan)
        work(plan.duration)
        return self.items(number) if plan.how == "stream" else number

    async def sleep(self, number: int, plan: Plan) -> int:
        await asyncio.sleep(plan.duration)
        return number

    async def items(self, number: int) -> AsyncIterator[int]:
        self.log("streamed", number)
        yield number


def processed(kind: str, plans: list[Plan]) -> list[tuple[int, float]]:
    """Which messages are taken up, and when, if all are sent at 0."""
    now, taken = 0.0, []
    for number, plan in enumerate(plans):
        deadline = plan.timeout if plan.expires and plan.timeout is not None else float("inf")
        if now > deadline:
            continue
        taken.append((number, round(now, 6)))
        now += plan.duration
        if kind == "async" and plan.how == "ask":
            now = min(now, deadline)  # the handler is cancelled
    return taken


@pytest.mark.parametrize("kind", ["sync", "async"])
@drawn
@given(plans=PLANS)
def test_a_message_is_processed_exactly_if_it_is_taken_up_before_its_deadline(kind: str, plans: list[Plan]) -> None:
    # Each deadline differs a little from the others, so that none falls on the end of a handler.
    plans = [
        Plan(plan.how, plan.duration, None if plan.timeout is None else plan.timeout + number / 1000)
        for number, plan in enumerate(plans)
    ]

    async def main() -> None:
        log, ends = Log(), Log()
        async with System() as system:
            dead = letters(system)
            ref = system.spawn(Takes, kind, log)

            def note_end(number: int, ask: Any) -> None:
                ends("end", number)

            waits: list[Any] = []
            for number, plan in enumerate(plans):
                if plan.how == "tell":
                    with send_context(timeout=plan.timeout):
                        ref.tell((number, plan))
                elif plan.how == "ask":
                    ask = ref.ask((number, plan), timeout=plan.timeout)
                    ask.add_done_callback(functools.partial(note_end, number))
                    waits.append((number, plan, ask))
                else:
                    waits.append((number, plan, first(ref.stream((number, plan), timeout=plan.timeout))))
            results = await asyncio.gather(*[ended(wait) for _, _, wait in waits])
            await ref.stop()

            expected = processed(kind, plans)
            taken = [number for number, _ in expected]
            assert log.of("saw") == expected
            assert set(log.of("streamed")) <= set(taken)
            for (number, plan, _), result in zip(waits, results, strict=True):
                if number not in taken:
                    assert isinstance(result, AskTimeout), (number, plan, result)
                elif not plan.expires:
                    assert result == number
                else:  # it may have ended after its deadline
                    assert result == number or isinstance(result, AskTimeout)
            assert sorted(ends.of("end")) == [number for number, plan in enumerate(plans) if plan.how == "ask"]
            assert sorted(letter.message[0] for letter in dead) == [n for n in range(len(plans)) if n not in taken]
            assert all(PASSED in letter.reason for letter in dead), dead

    clocked(main())


class Level(Actor):
    """Works for a while, asks the level below, works for a while."""

    def __init__(self, number: int, before: int, after: int, below: ActorRef[Any] | None, log: Log) -> None:
        super().__init__()
        self.number = number
        self.before, self.after = before, after
        self.below = below
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        self.log("saw", self.number)
        work(self.before)
        result = None if self.below is None else await ended(self.below.ask(message))
        work(self.after)
        return result


@drawn
@given(
    times=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    timeout=st.integers(0, 12).map(lambda seconds: seconds + 0.5),
)
def test_a_chain_of_asks_goes_as_deep_as_the_first_deadline_allows(times: list[Any], timeout: float) -> None:
    async def main() -> None:
        log = Log()
        async with System() as system:
            ref: ActorRef[Any] | None = None
            for number, (before, after) in reversed(list(enumerate(times))):
                ref = system.spawn(Level, number, before, after, ref, log)
            assert ref is not None
            await ended(ref.ask("go", timeout=timeout))
            starts = [sum(before for before, _ in times[:number]) for number in range(len(times))]
            assert log.of("saw") == [number for number, start in enumerate(starts) if start < timeout]

    clocked(main())


class Sleeps(Actor):
    async def on_receive(self, message: tuple[int, float]) -> int:
        number, duration = message
        await asyncio.sleep(duration)
        return number


@drawn
@given(
    plan=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 3.0]), st.one_of(st.none(), st.sampled_from([0.5, 2.5, 4.5]))), max_size=6
    ),
    faults=fault_plans(["sleeps"], kinds=(Slow, Crash)),
)
def test_no_ask_is_taken_up_after_its_deadline_under_any_schedule(
    plan: list[tuple[float, float | None]], faults: tuple[Fault, ...]
) -> None:
    deadlines: dict[int, float] = {}

    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        ref = sim.system.supervise(ChildSpec(Sleeps, name="sleeps"))

        async def asker(number: int, duration: float, timeout: float | None) -> None:
            deadlines[number] = sim.now + (float("inf") if timeout is None else timeout)
            end = await ended(ref.ask((number, duration), timeout=timeout))
            assert end == number or isinstance(end, Exception)
            assert sim.now <= deadlines[number] + 1e-6, "an ask ended after its deadline"

        async with asyncio.TaskGroup() as group:
            for number, (duration, timeout) in enumerate(plan):
                group.create_task(asker(number, duration, timeout), name=f"asker{number}")

    def in_time(trace: Any) -> None:
        for fact in trace.of("recv"):
            number = fact.message[0]
            assert fact.time <= deadlines[number] + 1e-6, f"message {number} was taken up after its deadline"

    simulate(scenario, seeds=8, faults=faults, invariants=[in_time])
