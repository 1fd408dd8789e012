"""Functions for executors interleave with the loop and with each other; what they lock never blocks a run for good."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import queue
import re
import sys
import threading
import time
from _thread import allocate_lock
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from threading import Lock as OlderLock
from time import sleep as older_sleep
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import (
    Deadlock,
    EscapedSimulation,
    Simulation,
    SimulationFailed,
    StepBudgetSpent,
    run_virtual,
    simulate,
    switch,
)

CLEAN = int(os.environ.get("CALLBOARD_SCHEDULES", "60"))
"""Schedules under which a fixed twin must not alarm; `make schedules` tries more."""
Scenario = Callable[[Simulation], Any]


# -- data races, and their fixed twins -----------------------------------------------------------------------------


class Counter:
    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()

    def in_two_lines(self) -> None:
        n = self.n
        self.n = n + 1

    def in_one_line(self) -> None:
        self.n += 1

    def fixed(self) -> None:
        with self.lock:
            self.n += 1


def counted(method: str) -> Scenario:
    async def scenario(_: Simulation) -> None:
        counter = Counter()
        await asyncio.gather(*(asyncio.to_thread(getattr(counter, method)) for _ in range(3)))
        assert counter.n == 3, "an update was lost"

    return scenario


class Seats:
    """One seat, booked by a thread and by the loop."""

    def __init__(self) -> None:
        self.free = {"1A": True}
        self.booked: list[str] = []
        self.lock = threading.Lock()

    def book(self, who: str) -> None:
        if self.free["1A"]:
            self.free["1A"] = False
            self.booked.append(who)

    def book_late(self, who: str) -> None:
        if self.free["1A"]:
            price = len(who)
            assert price
            self.free["1A"] = False
            self.booked.append(who)

    def fixed(self, who: str) -> None:
        with self.lock:
            self.book_late(who)


def booked(by_thread: str, by_loop: str) -> Scenario:
    async def scenario(_: Simulation) -> None:
        seats = Seats()
        thread = asyncio.create_task(asyncio.to_thread(getattr(seats, by_thread), "thread"))
        await asyncio.sleep(0)
        getattr(seats, by_loop)("loop")
        await thread
        assert len(seats.booked) == 1, "booked twice"

    return scenario


RACES = {
    "two lines": counted("in_two_lines"),
    "one line": counted("in_one_line"),
    "check then act": booked("book_late", "book"),
}
TWINS = {"counter": counted("fixed"), "seats": booked("fixed", "fixed")}


@pytest.mark.parametrize("race", RACES)
def test_a_data_race_is_found_in_five_of_five_searches(race: str) -> None:
    for search in range(5):
        with pytest.raises(SimulationFailed, match=r"an update was lost|booked twice") as failed:
            simulate(RACES[race], seeds=range(500 * search, 500 * (search + 1)))
        assert 0 < failed.value.run.deviations <= 3


@pytest.mark.parametrize("race", RACES)
def test_the_token_of_a_data_race_replays_it(race: str) -> None:
    with pytest.raises(SimulationFailed) as found:
        simulate(RACES[race], seeds=500)
    with pytest.raises(SimulationFailed) as again:
        simulate(RACES[race], replay=found.value.token)
    assert again.value.run.holds == found.value.run.holds
    assert again.value.run.failure == found.value.run.failure


def maximum(seen: list[int]) -> None:
    m = max(seen, default=0); seen.append(m + 1)  # fmt: skip  # noqa: E702


def unless(seen: list[int]) -> None:
    if not seen: seen.extend((1, 2))  # fmt: skip  # noqa: E701


def unpacked(seen: list[int]) -> None:
    if not seen: seen.extend(*[(1, 2)])  # fmt: skip  # noqa: E701


def until(seen: list[int]) -> None:
    while len(seen) < 2: seen.extend((1, 2))  # fmt: skip  # noqa: E701


def keyword(seen: list[int]) -> None:
    vars(STATE).update(n=vars(STATE)["n"] + 1)


def attribute(seen: list[int]) -> None:
    setattr(STATE, "n", getattr(STATE, "n") + 1)  # noqa: B009, B010


class State:
    n = 0


STATE = State()


def within_a_line(function: Callable[[list[int]], object], locked: bool = False) -> Scenario:
    async def scenario(_: Simulation) -> None:
        seen: list[int] = []
        STATE.n = 0
        lock = threading.Lock()

        def call() -> None:
            if not locked:
                function(seen)
                return
            with lock:
                function(seen)

        await asyncio.gather(asyncio.to_thread(call), asyncio.to_thread(call))
        assert STATE.n == 2 or sorted(seen) == [1, 2], "within a line"

    return scenario


WITHIN_A_LINE: dict[str, Callable[[list[int]], object]] = {
    "two statements": maximum,
    "if": unless,
    "unpacked arguments": unpacked,
    "while": until,
    "an argument by keyword": keyword,
    "setattr": attribute,
    "lambda": lambda _: STATE.__setattr__("n", STATE.n + 1),
}


@pytest.mark.parametrize("race", WITHIN_A_LINE)
def test_a_race_within_one_line_is_found(race: str) -> None:
    with pytest.raises(SimulationFailed, match="within a line"):
        simulate(within_a_line(WITHIN_A_LINE[race]), seeds=500)


@pytest.mark.parametrize("race", WITHIN_A_LINE)
def test_what_one_line_does_under_a_lock_never_alarms(race: str) -> None:
    simulate(within_a_line(WITHIN_A_LINE[race], locked=True), seeds=CLEAN)


@pytest.mark.parametrize("twin", TWINS)
def test_what_is_done_under_a_lock_never_alarms(twin: str) -> None:
    simulate(TWINS[twin], seeds=CLEAN)


def test_the_ordinary_schedule_interrupts_nobody() -> None:
    for race in RACES.values():
        simulate(race, strategy="fifo", seeds=2)


def test_a_thread_is_interrupted_once_before_each_line_each_call_within_it_and_each_store() -> None:
    async def scenario(_: Simulation) -> None:
        counts = {"n": 0}

        def work() -> None:
            jobs: list[int] = []
            if not jobs: jobs.append(len(counts))  # fmt: skip  # noqa: E701
            counts["n"] += len(jobs)
            counts.update(n=1)

        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    first = test_a_thread_is_interrupted_once_before_each_line_each_call_within_it_and_each_store
    line = first.__code__.co_firstlineno + 5
    runs = [simulate(scenario, seeds=[seed]) for seed in range(100)]
    assert {(it.nth, it.place) for run in runs for it in run.interrupts} == {
        (nth, f"test_threads.py:{line + below}")
        for nth, below in enumerate([0, 1, 1, 1, 2, 2, 2, 3], start=1)  # the last call is the first of its line
    }


def test_the_report_says_where_a_thread_was_interrupted() -> None:
    with pytest.raises(
        SimulationFailed, match=r"interrupt thread in_one_line.* before point \d \(test_threads.py:\d+\)"
    ):
        simulate(RACES["one line"], seeds=500)


# -- what blocks ---------------------------------------------------------------------------------------------------


def test_two_threads_that_wait_for_each_others_lock_are_a_deadlock_that_names_both() -> None:
    async def scenario(_: Simulation) -> None:
        first, second = threading.Lock(), threading.RLock()

        def one() -> None:
            with first, second:
                pass

        def two() -> None:
            with second, first:
                pass

        await asyncio.gather(asyncio.to_thread(one), asyncio.to_thread(two))

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, seeds=100)
    assert isinstance(failed.value.run.error, Deadlock)
    text = str(failed.value.run.error)
    assert re.search(r"thread one waits for the RLock second held by thread two", text)
    assert re.search(r"thread two waits for the Lock first held by thread one", text)


OLDER = threading.Lock()


class Till:
    def __init__(self) -> None:
        self.lock, self.locks, self.ready = threading.Lock(), {"ada": threading.Lock()}, threading.Event()

    def one(self) -> None:
        with self.lock, self.locks["ada"], OLDER:
            self.ready.wait()

    def two(self) -> None:
        with self.locks["ada"], self.lock:
            pass


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        (("one", "two"), r"one waits for the Lock Till.locks\['ada'\] .*two waits for the Lock Till.lock held by"),
        (("one",), "thread one waits for the Event Till.ready that nobody releases"),
        (("one", "older"), r"thread older waits for the Lock OLDER held by thread one"),
    ],
)
def test_a_lock_of_threads_goes_by_the_name_that_the_code_has_for_it(calls: Any, says: str) -> None:
    def older() -> None:
        with OLDER:
            pass

    async def scenario(_: Simulation) -> None:
        till = Till()
        await asyncio.gather(*(asyncio.to_thread(getattr(till, call, older)) for call in calls))

    with pytest.raises(SimulationFailed, match=says):
        simulate(scenario, seeds=50)


def test_a_lock_that_the_loop_takes_while_a_thread_has_it_is_waited_for() -> None:
    async def scenario(sim: Simulation) -> None:
        lock = threading.Lock()
        log: list[str] = []

        def work() -> None:
            with lock:
                log.append("thread")
                time.sleep(5)
                log.append("thread")

        thread = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(1)
        with lock:
            log.append("loop")
        assert log == ["thread", "thread", "loop"]
        assert sim.now >= 5
        await thread

    simulate(scenario, seeds=30)


def test_a_lock_that_the_loop_keeps_while_it_waits_for_the_thread_is_a_deadlock() -> None:
    async def scenario(_: Simulation) -> None:
        lock = threading.Lock()

        def work() -> None:
            with lock:
                pass

        with lock:
            await asyncio.to_thread(work)

    with pytest.raises(SimulationFailed, match=r"thread work waits for the Lock lock held by the loop"):
        simulate(scenario, seeds=1)


def test_a_lock_that_the_loop_takes_twice_is_a_deadlock() -> None:
    async def scenario(_: Simulation) -> None:
        lock = threading.Lock()

        def work() -> None:
            with lock:
                other.acquire()

        other = threading.Lock()
        other.acquire()
        thread = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(1)
        lock.acquire()
        await thread

    with pytest.raises(
        SimulationFailed, match=r"the loop waits for the Lock .* held by thread work; thread work waits"
    ):
        simulate(scenario, seeds=1)


def test_sleeping_in_a_thread_takes_virtual_time_only() -> None:
    async def scenario(sim: Simulation) -> None:
        def work(seconds: float) -> float:
            begun = time.monotonic()
            time.sleep(seconds)
            return time.monotonic() - begun

        slept = await asyncio.gather(asyncio.to_thread(work, 3600), asyncio.to_thread(work, 7200))
        assert list(slept) == [3600, 7200]
        assert sim.now == 7200
        with pytest.raises(ValueError, match="non-negative"):
            await asyncio.to_thread(time.sleep, -1)

    simulate(scenario, seeds=3)


def test_queues_events_conditions_semaphores_and_barriers_block_only_the_thread() -> None:
    async def scenario(_: Simulation) -> None:
        work: queue.Queue[int] = queue.Queue(maxsize=1)
        simple: queue.SimpleQueue[int] = queue.SimpleQueue()
        event, condition = threading.Event(), threading.Condition()
        room, barrier = threading.Semaphore(1), threading.Barrier(2)
        ready: list[int] = []

        def producer() -> None:
            for number in range(4):
                work.put(number)
            event.set()
            with condition:
                ready.append(1)
                condition.notify_all()
            barrier.wait()
            with room:
                simple.put(7)

        def consumer() -> list[int]:
            got = [work.get() for _ in range(4)]
            assert event.wait()
            with condition:
                condition.wait_for(lambda: ready)
            barrier.wait()
            with room:
                pass
            return [*got, simple.get()]

        got = (await asyncio.gather(asyncio.to_thread(producer), asyncio.to_thread(consumer)))[1]
        assert got == [0, 1, 2, 3, 7]

    simulate(scenario, seeds=50)


def test_a_timeout_of_a_blocking_call_is_in_virtual_seconds() -> None:
    async def scenario(sim: Simulation) -> None:
        nothing: queue.Queue[int] = queue.Queue()
        never, lock = threading.Event(), threading.Lock()
        lock.acquire()

        def work() -> None:
            with pytest.raises(queue.Empty):
                nothing.get(timeout=100)
            assert not never.wait(100)
            assert not lock.acquire(timeout=99.5)
            assert not lock.acquire(timeout=0.5)
            assert not lock.acquire(blocking=False)
            with pytest.raises(ValueError, match="timeout"):
                lock.acquire(False, 1)
            with pytest.raises(RuntimeError):
                threading.RLock().release()

        await asyncio.to_thread(work)
        assert sim.now == pytest.approx(300)
        assert not lock.acquire(timeout=100)
        assert not never.wait(100)
        assert sim.now == pytest.approx(500)

    simulate(scenario, seeds=3)


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_a_lock_refuses_the_same_timeouts_as_outside_of_a_run(kind: Callable[[], Any]) -> None:
    def refused() -> list[str]:
        said = []
        for blocking, timeout in ((True, -5.0), (False, -5.0), (False, 1.0)):
            with pytest.raises(ValueError) as raised:  # noqa: PT011
                kind().acquire(blocking, timeout)
            said.append(str(raised.value))
        return said

    outside = refused()

    async def scenario(_: Simulation) -> None:
        assert await asyncio.to_thread(refused) == outside

    simulate(scenario, seeds=1)


# -- threads, the loop and actors ----------------------------------------------------------------------------------


class Adder(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    async def on_receive(self, number: int) -> int:
        await asyncio.sleep(1)
        self.total += number
        return self.total


def test_a_thread_may_ask_actors_and_run_coroutines_on_the_loop() -> None:
    async def scenario(sim: Simulation) -> None:
        adder = sim.system.spawn(Adder, name="adder")
        loop = asyncio.get_running_loop()

        async def double(number: int) -> int:
            await asyncio.sleep(1)
            return 2 * number

        def work() -> int:
            asked = adder.ask(1).get()
            doubled = asyncio.run_coroutine_threadsafe(double(asked), loop).result()
            adder.tell(doubled)
            return adder.ask(0).get(timeout=60) or 0

        assert await asyncio.to_thread(work) == 3

    simulate(scenario, seeds=30)


def test_an_executor_runs_no_more_calls_than_it_has_workers_and_begins_them_in_order() -> None:
    async def scenario(_: Simulation) -> None:
        running, most, begun = 0, 0, list[int]()
        lock = threading.Lock()

        def work(number: int) -> None:
            nonlocal running, most
            with lock:
                running += 1
                begun.append(number)
                most = max(most, running)
            time.sleep(1)
            with lock:
                running -= 1

        loop = asyncio.get_running_loop()
        for workers, asked in ((1, 1), (3, 3), (5, None)):
            most = 0
            begun.clear()
            with ThreadPoolExecutor(workers) as pool:
                executor = pool if asked else None
                await asyncio.gather(*(loop.run_in_executor(executor, work, number) for number in range(8)))
            assert most == workers
            assert sorted(begun) == list(range(8))
            if workers == 1:
                assert begun == list(range(8))

    simulate(scenario, seeds=20)


def test_an_executor_with_one_worker_keeps_what_is_local_to_its_thread() -> None:
    kept = threading.local()

    async def scenario(_: Simulation) -> None:
        def count() -> int:
            kept.calls = getattr(kept, "calls", 0) + 1
            return int(kept.calls)

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            assert [await loop.run_in_executor(pool, count) for _ in range(3)] == [1, 2, 3]
        assert not hasattr(kept, "calls")

    simulate(scenario, seeds=3)


def test_context_variables_go_along_and_come_not_back() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def scenario(_: Simulation) -> None:
        def work() -> str:
            before = variable.get()
            variable.set("thread's")
            return before

        variable.set("mine")
        assert await asyncio.to_thread(work) == "mine"
        assert variable.get() == "mine"
        assert await asyncio.get_running_loop().run_in_executor(None, work) == "unset"

    simulate(scenario, seeds=3)


def test_what_a_function_raises_reaches_who_awaits_it() -> None:
    async def scenario(_: Simulation) -> None:
        def fail(error: BaseException) -> None:
            raise error

        def deep(n: int) -> int:
            return 1 + deep(n - 1) if n else 0

        with pytest.raises(KeyError):
            await asyncio.to_thread(fail, KeyError("missing"))
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.to_thread(fail, StopIteration(1))
        with pytest.raises(RecursionError):
            await asyncio.to_thread(deep, 100_000)
        assert await asyncio.to_thread(deep, 500) == 500

    simulate(scenario, seeds=3)


def test_a_keyboard_interrupt_in_a_thread_ends_the_search() -> None:
    async def scenario(_: Simulation) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        await asyncio.gather(asyncio.to_thread(time.sleep, 1), asyncio.to_thread(stop))

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        simulate(scenario, seeds=3)
    assert threading.active_count() == before


def test_a_call_that_was_cancelled_before_it_began_never_begins() -> None:
    async def scenario(_: Simulation) -> None:
        begun: list[int] = []
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            first = loop.run_in_executor(pool, time.sleep, 10)
            second = loop.run_in_executor(pool, begun.append, 2)
            await asyncio.sleep(1)
            second.cancel()
            await first
            await loop.run_in_executor(pool, begun.append, 3)
        assert begun == [3]

    simulate(scenario, seeds=20)


def test_threads_end_with_their_run_however_it_ends() -> None:
    log: list[str] = []

    async def scenario(_: Simulation) -> None:
        def work() -> None:
            try:
                while True:
                    time.sleep(1)
            finally:
                log.append("ended")

        def stubborn() -> None:
            for _ in range(20):
                try:
                    threading.Event().wait()
                except BaseException:
                    log.append("again")

        calls = [asyncio.create_task(asyncio.to_thread(work)), asyncio.create_task(asyncio.to_thread(stubborn))]
        await asyncio.sleep(3)
        for call in calls:
            call.cancel()
        raise LookupError("enough")

    before = threading.active_count()
    with pytest.raises(SimulationFailed, match="enough"):
        simulate(scenario, seeds=3)
    assert threading.active_count() == before
    assert log.count("again") == 20 * log.count("ended") > 0


def test_threads_end_where_the_loops_own_is_interrupted_after_each_lock_that_it_frees() -> None:
    held = allocate_lock()
    held.acquire()

    def yields(_: object, event: str, called: Any) -> None:
        if event == "c_return" and called.__name__ == "release":
            held.acquire(timeout=0.01)  # the processor is another's, as on a machine with much else to do

    async def scenario(_: Simulation) -> None:
        call = asyncio.create_task(asyncio.to_thread(time.sleep, 5))
        await asyncio.sleep(1)
        call.cancel()

    def search() -> None:
        sys.setprofile(yields)
        simulate(scenario, seeds=0)

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the loop waits for a thread that it has not told of the run's end"


def test_a_thread_that_goes_round_until_the_loop_does_something_lets_it() -> None:
    async def scenario(_: Simulation) -> None:
        done = False

        def work() -> None:
            while not done:
                continue

        thread = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = True
        await thread

    simulate(scenario, seeds=5)


def test_a_thread_that_goes_round_for_ever_spends_the_step_budget() -> None:
    async def scenario(_: Simulation) -> None:
        def work() -> None:
            while True:
                time.sleep(0)

        await asyncio.to_thread(work)

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, seeds=1, max_steps=500)
    assert isinstance(failed.value.run.error, StepBudgetSpent)


def test_what_is_real_is_refused_in_a_thread_too() -> None:
    async def scenario(_: Simulation) -> None:
        def work() -> None:
            threading.Thread(target=int).start()

        await asyncio.to_thread(work)

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, seeds=1)
    assert isinstance(failed.value.run.error, EscapedSimulation)


# -- what cannot interleave ----------------------------------------------------------------------------------------


def test_what_ran_as_one_step_is_named() -> None:
    async def scenario(_: Simulation) -> None:
        await asyncio.to_thread(json.dumps, {})
        await asyncio.to_thread(Counter().in_two_lines)
        await asyncio.to_thread(Counter().fixed)
        await asyncio.get_running_loop().run_in_executor(ProcessPoolExecutor(1), abs, -1)

    run = simulate(scenario, seeds=1)
    assert run.atomic == ("thread dumps", "process abs")

    async def failing(sim: Simulation) -> None:
        await scenario(sim)
        raise LookupError("and then")

    with pytest.raises(SimulationFailed, match=r"ran as one step, .*: thread dumps, process abs"):
        simulate(failing, seeds=1)


def test_what_is_one_statement_ran_as_one_step_in_every_schedule() -> None:
    async def scenario(_: Simulation) -> None:
        jobs: list[int] = []

        def work() -> None:
            jobs.append(1)

        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    for seed in range(20):
        assert sorted(simulate(scenario, seeds=[seed]).atomic) == ["thread work", "thread work~2"]


def test_in_the_order_of_a_stock_loop_a_call_is_one_step() -> None:
    async def scenario(_: Simulation) -> None:
        assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()

    assert simulate(scenario, seeds=3, order="asyncio").atomic == ("thread get_ident",)
    simulate(counted("in_two_lines"), seeds=3, order="asyncio")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(asyncio.CancelledError(), asyncio.CancelledError), (StopIteration(1), RuntimeError)],
    ids=["a cancellation", "a StopIteration"],
)
def test_what_a_call_of_one_step_raises_reaches_who_awaits_it(
    raised: BaseException, expected: type[BaseException]
) -> None:
    async def scenario(_: object = None) -> None:
        def fail() -> None:
            raise raised

        with pytest.raises(expected):
            await asyncio.to_thread(fail)

    simulate(scenario, seeds=1, order="asyncio")
    run_virtual(scenario())


def test_a_declared_point_does_nothing_outside_and_lets_others_go_first_inside() -> None:
    switch()

    async def scenario(_: Simulation) -> None:
        seats = Seats()

        def book() -> None:
            json.loads("1", object_hook=None, parse_int=lambda _: declared())

        def declared() -> None:
            switch()

        def late() -> None:
            free = seats.free["1A"]
            book()
            if free:
                seats.booked.append("thread")

        thread = asyncio.create_task(asyncio.to_thread(late))
        await asyncio.sleep(0)
        seats.book("loop")
        await thread
        assert len(seats.booked) == 1, "booked twice"

    with pytest.raises(SimulationFailed, match="booked twice"):
        simulate(scenario, seeds=100)


def test_a_declared_point_on_the_loop_lets_a_thread_go_first() -> None:
    async def scenario(_: Simulation) -> None:
        seats = Seats()
        thread = asyncio.create_task(asyncio.to_thread(seats.book, "thread"))
        await asyncio.sleep(0)
        if seats.free["1A"]:
            switch()
            seats.booked.append("loop")
            seats.free["1A"] = False
        await thread
        assert len(seats.booked) == 1, "booked twice"

    with pytest.raises(SimulationFailed, match=r"interrupt the loop before point 1") as failed:
        simulate(scenario, seeds=500)
    with pytest.raises(SimulationFailed, match="booked twice"):
        simulate(scenario, replay=failed.value.token)


# -- locks older than a run, and afterwards ------------------------------------------------------------------------


older_lock = OlderLock()


class Shelf:
    """Has a lock of each kind that is older than any run."""

    of_the_class = threading.RLock()

    def __init__(self) -> None:
        self.own = threading.Lock()
        self.condition = threading.Condition()
        self.queue: queue.Queue[int] = queue.Queue(1)
        self.each: defaultdict[str, Any] = defaultdict(OlderLock)
        self.each["a"] = OlderLock()
        self.row = [OlderLock()]
        self.n = 0


shelf = Shelf()
LOCKS: dict[str, Callable[[], Any]] = {
    "of a module": lambda: older_lock,
    "of a class": lambda: Shelf.of_the_class,
    "of an object": lambda: shelf.own,
    "of a condition": lambda: shelf.condition,
    "in a dict": lambda: shelf.each["a"],
    "in a list": lambda: shelf.row[0],
    "made by a function whose name was bound before": lambda: shelf.each["b"],
}


@pytest.mark.parametrize("lock", [*LOCKS, "closed over"])
def test_a_lock_that_is_older_than_the_run_blocks_only_the_thread(lock: str) -> None:
    closed_over = threading.Lock()
    get = LOCKS.get(lock, lambda: closed_over)
    before = get()

    def work() -> None:
        with get():
            n = shelf.n
            older_sleep(1)
            shelf.n = n + 1

    async def scenario(sim: Simulation) -> None:
        shelf.n = 0
        calls = [asyncio.create_task(asyncio.to_thread(work)) for _ in range(2)]
        await asyncio.sleep(0)
        with get():
            shelf.n += 1
        await asyncio.gather(*calls)
        assert shelf.n == 3
        assert sim.now == 2
        if lock == "of a module":
            raise LookupError("to see that it can be replayed")

    if lock == "of a module":
        with pytest.raises(SimulationFailed, match="to see") as found:
            simulate(scenario, seeds=1)
        with pytest.raises(SimulationFailed, match="to see"):
            simulate(scenario, replay=found.value.token)
    else:
        simulate(scenario, seeds=20)
    assert get() is before
    assert older_sleep is time.sleep


def test_a_queue_that_is_older_than_the_run_blocks_only_the_thread() -> None:
    async def scenario(_: Simulation) -> None:
        def put() -> None:
            for number in range(3):
                shelf.queue.put(number)

        take = asyncio.to_thread(lambda: [shelf.queue.get() for _ in range(3)])
        assert (await asyncio.gather(take, asyncio.to_thread(put)))[0] == [0, 1, 2]

    simulate(scenario, seeds=20)


def test_a_thread_that_waits_for_what_the_simulation_cannot_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.testing.loop.threads.workers.PATIENCE", 0.02)
    (foreign,) = locks = frozenset({threading.Lock()})
    foreign.acquire()
    del foreign  # a set is where no lock is looked for

    async def scenario(_: Simulation) -> None:
        def work() -> None:
            with next(iter(locks)):
                pass

        await asyncio.to_thread(work)

    with pytest.raises(
        SimulationFailed, match=r"thread work did not come back: it waits at .*test_threads.py:\d+"
    ) as failed:
        simulate(scenario, seeds=1)
    assert isinstance(failed.value.run.error, EscapedSimulation)
    next(iter(locks)).release()


@cache
def cached_lock() -> Any:
    """Give a lock that is kept where nobody can put another in its place."""
    return threading.Lock()


def test_a_thread_that_takes_a_lock_that_cannot_be_replaced_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.testing.loop.threads.workers.PATIENCE", 10_000)
    monkeypatch.setattr("callboard.actors.testing.loop.threads.workers.LOCK_PATIENCE", 0.02)
    cached_lock()

    def work() -> None:
        with cached_lock():
            time.sleep(1)

    async def scenario(_: Simulation) -> None:
        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    with pytest.raises(SimulationFailed, match=r"did not come back: it waits at .*test_threads.py:\d+"):
        simulate(scenario, seeds=1)


@pytest.mark.parametrize("clock", [True, False], ids=["by its CPU seconds", "where those cannot be told"])
def test_a_thread_that_computes_for_long_is_waited_for(monkeypatch: pytest.MonkeyPatch, clock: bool) -> None:
    monkeypatch.setattr("callboard.actors.testing.loop.threads.workers.PATIENCE", 0.2)
    if not clock:
        monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    # Nobody's code, so that there is no switch point in it; long, so that it is hardly ever seen twice at one place.
    computing = compile("for _ in range(10):\n" + " abs(1)\n" * 20_000, "<computing>", "exec")

    async def scenario(_: Simulation) -> None:
        def work() -> None:
            begun = time.process_time()
            while time.process_time() < begun + 0.5:
                exec(computing)

        await asyncio.to_thread(work)

    simulate(scenario, seeds=0)


# -- locks outside of a run ----------------------------------------------------------------------------------------


def test_a_lock_made_in_a_run_is_an_ordinary_one_afterwards() -> None:
    made: list[Any] = []

    async def scenario(_: Simulation) -> None:
        made[:] = [threading.Lock(), threading.RLock(), threading.Condition()]

    simulate(scenario, seeds=1)
    lock, again, condition = made
    log: list[str] = []

    def work() -> None:
        with lock:
            log.append("lock")
        with again, again:
            log.append("again")
        with condition:
            log.append("condition")
            condition.notify()

    with condition:
        with lock:
            thread = threading.Thread(target=work)
            thread.start()
            assert not log
        assert condition.wait_for(lambda: "condition" in log)
    thread.join()
    assert log == ["lock", "again", "condition"]
    assert type(threading.Lock()) is not type(lock)


def test_a_thread_that_nobody_waits_for_any_more_is_no_leak() -> None:
    async def scenario(_: Simulation) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.to_thread(time.sleep, 60)

    before = threading.active_count()
    simulate(scenario, seeds=5)
    assert threading.active_count() == before
