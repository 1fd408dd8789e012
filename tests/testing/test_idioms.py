"""Idioms of asyncio's documentation: none raises an alarm in any schedule of the default order.

Each is a scenario whose assertions hold on a stock loop because the documentation says so, or because everybody relies
on it. ``CALLBOARD_SCHEDULES=1000`` runs each under that many schedules.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callboard.testing import simulate

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "40"))
Idiom = Callable[[], Coroutine[Any, Any, None]]
IDIOMS: list[Idiom] = []


def idiom(function: Idiom) -> Idiom:
    IDIOMS.append(function)
    return function


# -- tasks -------------------------------------------------------------------------------------------------------------


@idiom
async def a_reference_to_a_background_task_is_dropped_as_it_ends() -> None:
    background = set()
    for number in range(3):
        task = asyncio.create_task(asyncio.sleep(number))
        background.add(task)
        task.add_done_callback(background.discard)
        await task
        assert not background


@idiom
async def background_tasks_that_were_gathered_have_dropped_their_references() -> None:
    background = set()
    for _ in range(5):
        task = asyncio.create_task(asyncio.sleep(0))
        background.add(task)
        task.add_done_callback(background.discard)
    await asyncio.gather(*background)
    assert not background


@idiom
async def background_tasks_of_a_group_have_dropped_their_references() -> None:
    background = set()
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            task = group.create_task(asyncio.sleep(1))
            background.add(task)
            task.add_done_callback(background.discard)
    assert not background


@idiom
async def done_callbacks_that_were_added_after_a_gather_have_run_as_it_ends() -> None:
    ended: list[object] = []
    task = asyncio.create_task(asyncio.sleep(1))
    gathered = asyncio.gather(task)
    task.add_done_callback(ended.append)
    await gathered
    assert ended == [task]


@idiom
async def done_callbacks_that_were_added_after_a_waiter_have_run_as_its_task_ends() -> None:
    ended: list[object] = []
    task = asyncio.create_task(asyncio.sleep(1))

    async def by_itself() -> None:
        await task

    async def among_others() -> None:
        await asyncio.wait([task])
        assert ended == [task]

    waiters = [asyncio.create_task(among_others()), asyncio.create_task(by_itself())]
    await asyncio.sleep(0)
    task.add_done_callback(ended.append)
    await waiters[1]
    assert ended == [task]
    await waiters[0]


@idiom
async def sleep_zero_lets_a_new_task_start() -> None:
    started = []

    async def worker() -> None:
        started.append(True)

    task = asyncio.create_task(worker())
    await asyncio.sleep(0)
    assert started
    await task


@idiom
async def sleep_zero_lets_all_new_tasks_start_in_order() -> None:
    started: list[int] = []

    async def worker(number: int) -> None:
        started.append(number)

    tasks = [asyncio.create_task(worker(number)) for number in range(10)]
    await asyncio.sleep(0)
    assert started == list(range(10))
    await asyncio.gather(*tasks)


@idiom
async def a_new_task_starts_before_its_maker_goes_on_whatever_it_waits_for() -> None:
    started = []

    async def worker() -> None:
        started.append(True)
        await asyncio.sleep(1)

    release = asyncio.Event()
    asyncio.get_running_loop().call_soon(release.set)
    task = asyncio.create_task(worker())
    await release.wait()
    assert started
    await task


@idiom
async def a_task_that_was_started_can_be_cancelled_inside_its_try() -> None:
    tidied = []

    async def worker() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            tidied.append(True)

    task = asyncio.create_task(worker())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert tidied
    else:
        raise AssertionError("not cancelled")


@idiom
async def a_task_that_never_started_runs_nothing_when_it_is_cancelled() -> None:
    ran = []

    async def worker() -> None:
        ran.append(True)

    task = asyncio.create_task(worker())
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not ran


@idiom
async def a_cancelled_task_goes_on_where_it_suppresses_the_cancellation() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            return "done all the same"
        return "slept"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    assert task.cancel()
    assert await task == "done all the same"


@idiom
async def done_callbacks_run_in_the_order_in_which_they_were_added() -> None:
    seen: list[int] = []
    task = asyncio.create_task(asyncio.sleep(0))
    for number in range(5):
        task.add_done_callback(lambda _, number=number: seen.append(number))  # type: ignore[misc]
    await task
    assert seen == [0, 1, 2, 3, 4]


@idiom
async def a_done_callback_added_late_is_called_soon() -> None:
    seen: list[object] = []
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    task.add_done_callback(seen.append)
    assert not seen
    await asyncio.sleep(0)
    assert seen == [task]


@idiom
async def the_name_of_a_task_and_the_current_task() -> None:
    async def who() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    task = asyncio.create_task(who(), name="it")
    assert task in asyncio.all_tasks()
    assert await task == "it"
    assert task not in asyncio.all_tasks()


@idiom
async def a_task_has_a_copy_of_its_makers_context() -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def change() -> int:
        before = variable.get()
        variable.set(before + 1)
        return before

    variable.set(10)
    task = asyncio.create_task(change())
    variable.set(20)
    assert await task == 10
    assert variable.get() == 20


@idiom
async def an_exception_comes_out_where_the_task_is_awaited() -> None:
    async def fails() -> None:
        raise LookupError("no")

    task = asyncio.create_task(fails())
    await asyncio.sleep(1)
    with pytest.raises(LookupError):
        await task


# -- several at once ---------------------------------------------------------------------------------------------------


@idiom
async def gather_gives_results_in_the_order_of_its_arguments() -> None:
    async def late(number: int) -> int:
        await asyncio.sleep(10 - number)
        return number

    assert await asyncio.gather(*map(late, range(10))) == list(range(10))


@idiom
async def gather_returns_exceptions_beside_results() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        if number == 1:
            raise LookupError
        return number

    first, second, third = await asyncio.gather(*map(work, range(3)), return_exceptions=True)
    assert (first, third) == (0, 2)
    assert isinstance(second, LookupError)


@idiom
async def gather_goes_on_with_the_others_when_one_fails() -> None:
    ended = []

    async def fails() -> None:
        await asyncio.sleep(1)
        raise LookupError

    async def works() -> None:
        await asyncio.sleep(2)
        ended.append(True)

    with pytest.raises(LookupError):
        await asyncio.gather(fails(), works())
    assert not ended
    await asyncio.sleep(2)
    assert ended


@idiom
async def a_task_group_waits_for_all_its_tasks() -> None:
    async def square(number: int) -> int:
        await asyncio.sleep(number % 3)
        return number * number

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(square(number)) for number in range(5)]
    assert [task.result() for task in tasks] == [0, 1, 4, 9, 16]


@idiom
async def a_task_group_cancels_the_others_when_one_fails() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise LookupError

    async def waits() -> None:
        await asyncio.sleep(3600)

    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(waits())
            group.create_task(fails())
    except* LookupError:
        pass
    assert waiting.cancelled()
    assert asyncio.get_running_loop().time() - began < 2


@idiom
async def a_task_group_is_ended_by_an_exception_of_its_own() -> None:
    """From the documentation's "terminating a task group"."""

    class Terminate(Exception):
        pass

    async def terminate() -> None:
        raise Terminate

    async def job(number: int, seconds: float) -> None:
        await asyncio.sleep(seconds)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(job(1, 0.5))
            group.create_task(job(2, 1.5))
            await asyncio.sleep(1)
            group.create_task(terminate())
    except* Terminate:
        pass


@idiom
async def wait_returns_when_the_first_is_done() -> None:
    slow = asyncio.create_task(asyncio.sleep(10, "slow"))
    quick = asyncio.create_task(asyncio.sleep(1, "quick"))
    done, pending = await asyncio.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    slow.cancel()
    await asyncio.wait([slow])


@idiom
async def wait_with_a_timeout_cancels_nothing() -> None:
    task = asyncio.create_task(asyncio.sleep(2, "there"))
    done, pending = await asyncio.wait([task], timeout=1)
    assert (done, pending) == (set(), {task})
    assert await task == "there"


@idiom
async def as_completed_gives_what_is_there_first() -> None:
    sleeps = [asyncio.sleep(seconds, seconds) for seconds in (3, 1, 2)]
    assert [await earliest for earliest in asyncio.as_completed(sleeps)] == [1, 2, 3]


# -- time --------------------------------------------------------------------------------------------------------------


@idiom
async def a_timeout_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.sleep(2)


@idiom
async def a_timeout_is_put_off() -> None:
    async with asyncio.timeout(None) as limit:
        limit.reschedule(asyncio.get_running_loop().time() + 10)
        await asyncio.sleep(5)
    assert not limit.expired()


@idiom
async def an_inner_timeout_ends_before_an_outer_one() -> None:
    async with asyncio.timeout(3) as outer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        await asyncio.sleep(1)
    assert not outer.expired()


@idiom
async def wait_for_cancels_what_it_waited_for() -> None:
    cancelled = []

    async def eternity() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(eternity(), timeout=1)
    assert cancelled


@idiom
async def what_is_shielded_outlives_its_waiter() -> None:
    task = asyncio.create_task(asyncio.sleep(2, "there"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.shield(task)
    assert await task == "there"


@idiom
async def callbacks_are_called_at_their_time() -> None:
    """From the documentation's "display the current date with call_later()"."""
    loop = asyncio.get_running_loop()
    shown: list[float] = []
    stopped = loop.create_future()
    end = loop.time() + 5.0

    def display() -> None:
        shown.append(loop.time())
        if loop.time() + 1.0 < end:
            loop.call_later(1, display)
        else:
            stopped.set_result(None)

    loop.call_soon(display)
    await stopped
    assert len(shown) == 5


@idiom
async def callbacks_are_called_in_the_order_of_call_soon() -> None:
    loop = asyncio.get_running_loop()
    seen: list[int] = []
    for number in range(10):
        loop.call_soon(seen.append, number)
    await asyncio.sleep(0)
    assert seen == list(range(10))


@idiom
async def a_cancelled_handle_is_not_called() -> None:
    loop = asyncio.get_running_loop()
    called: list[str] = []
    soon, later = loop.call_soon(called.append, "soon"), loop.call_later(1, called.append, "later")
    soon.cancel()
    later.cancel()
    await asyncio.sleep(2)
    assert not called


# -- futures and primitives --------------------------------------------------------------------------------------------


@idiom
async def a_future_is_set_by_another_task() -> None:
    """From the documentation of `Future`."""
    future = asyncio.get_running_loop().create_future()

    async def set_after(seconds: float, value: str) -> None:
        await asyncio.sleep(seconds)
        future.set_result(value)

    task = asyncio.create_task(set_after(1, "... world"))
    assert await future == "... world"
    await task


@idiom
async def all_who_wait_for_an_event_go_on_in_their_order() -> None:
    event = asyncio.Event()
    seen: list[int] = []

    async def waiter(number: int) -> None:
        await event.wait()
        seen.append(number)

    tasks = [asyncio.create_task(waiter(number)) for number in range(5)]
    await asyncio.sleep(1)
    event.set()
    await asyncio.gather(*tasks)
    assert seen == [0, 1, 2, 3, 4]


@idiom
async def a_lock_is_fair() -> None:
    lock = asyncio.Lock()
    seen: list[int] = []

    async def worker(number: int) -> None:
        async with lock:
            seen.append(number)
            await asyncio.sleep(number % 2)

    async with lock:
        tasks = [asyncio.create_task(worker(number)) for number in range(6)]
        await asyncio.sleep(1)
    await asyncio.gather(*tasks)
    assert seen == [0, 1, 2, 3, 4, 5]


@idiom
async def a_semaphore_is_fair_and_bounds_how_many_are_inside() -> None:
    semaphore = asyncio.BoundedSemaphore(2)
    seen: list[int] = []
    inside = 0

    async def worker(number: int) -> None:
        nonlocal inside
        async with semaphore:
            seen.append(number)
            inside += 1
            assert inside <= 2
            await asyncio.sleep(1)
            inside -= 1

    await asyncio.gather(*map(worker, range(7)))
    assert seen == list(range(7))


@idiom
async def a_condition_is_waited_for_and_notified_in_order() -> None:
    condition = asyncio.Condition()
    ready, seen = 0, list[int]()

    async def consumer(number: int) -> None:
        async with condition:
            await condition.wait_for(lambda: ready > 0)
            seen.append(number)

    tasks = [asyncio.create_task(consumer(number)) for number in range(4)]
    await asyncio.sleep(1)
    async with condition:
        ready = 1
        condition.notify(2)
    await asyncio.sleep(1)
    assert seen == [0, 1]
    async with condition:
        condition.notify_all()
    await asyncio.gather(*tasks)
    assert seen == [0, 1, 2, 3]


@idiom
async def a_barrier_lets_all_through_together() -> None:
    barrier = asyncio.Barrier(3)
    passed: list[int] = []

    async def party() -> None:
        passed.append(await barrier.wait())

    await asyncio.gather(party(), party(), party())
    assert sorted(passed) == [0, 1, 2]


@idiom
async def workers_empty_a_queue() -> None:
    """From the documentation of `Queue`: join, then cancel the workers, then wait for them."""
    queue: asyncio.Queue[float] = asyncio.Queue()
    total = 0.0

    async def worker() -> None:
        nonlocal total
        while True:
            seconds = await queue.get()
            await asyncio.sleep(seconds)
            total += seconds
            queue.task_done()

    for number in range(20):
        queue.put_nowait(0.05 + number / 20)
    began = time.monotonic()
    tasks = [asyncio.create_task(worker()) for _ in range(3)]
    await queue.join()
    assert total == pytest.approx(10.5)
    assert time.monotonic() - began < 10.5
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(error, asyncio.CancelledError) for error in await asyncio.gather(*tasks, return_exceptions=True)
    )


@idiom
async def those_who_wait_at_a_queue_are_served_in_their_order() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    got: list[tuple[int, int]] = []

    async def getter(number: int) -> None:
        got.append((number, await queue.get()))

    async def putter(item: int) -> None:
        await queue.put(item)

    getters = [asyncio.create_task(getter(number)) for number in range(4)]
    await asyncio.sleep(1)
    await asyncio.gather(*map(putter, range(4)))
    await asyncio.gather(*getters)
    assert got == [(0, 0), (1, 1), (2, 2), (3, 3)]


@idiom
async def a_bounded_queue_holds_the_producer_back() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2)
    seen: list[int] = []

    async def produce() -> None:
        for number in range(10):
            await queue.put(number)
            assert queue.qsize() <= 2
        await queue.put(None)

    async def consume() -> None:
        while (item := await queue.get()) is not None:
            seen.append(item)

    await asyncio.gather(produce(), consume())
    assert seen == list(range(10))


# -- generators, threads, exceptions -----------------------------------------------------------------------------------


@idiom
async def an_asynchronous_generator_is_read_and_closed() -> None:
    closed = []

    async def ticker(count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                yield number
                await asyncio.sleep(1)
        finally:
            closed.append(True)

    assert [number async for number in ticker(3)] == [0, 1, 2]
    assert closed


@idiom
async def an_asynchronous_context_manager_is_left_when_its_task_is_cancelled() -> None:
    entered = []

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        entered.append(True)
        try:
            yield
        finally:
            await asyncio.sleep(1)
            entered.pop()

    async def user() -> None:
        async with resource():
            await asyncio.sleep(3600)

    task = asyncio.create_task(user())
    await asyncio.sleep(1)
    assert entered
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not entered


@idiom
async def blocking_code_runs_in_a_thread_beside_the_loop() -> None:
    def blocking(value: int) -> int:
        return value + 1

    results = await asyncio.gather(asyncio.to_thread(blocking, 1), asyncio.sleep(1, "slept"))
    assert [*results] == [2, "slept"]
    assert await asyncio.get_running_loop().run_in_executor(None, functools.partial(blocking, value=2)) == 3


@idiom
async def a_cancellation_is_counted_and_taken_back() -> None:
    async def patient() -> int:
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return task.uncancel()
        return -1

    task = asyncio.create_task(patient())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == 0


# -- all of them -------------------------------------------------------------------------------------------------------


def test_there_are_forty_idioms() -> None:
    assert len(IDIOMS) >= 40


@pytest.mark.parametrize("scenario", IDIOMS, ids=lambda scenario: scenario.__name__)
def test_an_idiom_of_the_documentation_raises_no_alarm(scenario: Idiom) -> None:
    simulate(scenario, seeds=SCHEDULES)


@pytest.mark.parametrize("scenario", IDIOMS, ids=lambda scenario: scenario.__name__)
def test_an_idiom_of_the_documentation_holds_on_a_stock_loop_s_order(scenario: Idiom) -> None:
    simulate(scenario, seeds=0, order="asyncio")
