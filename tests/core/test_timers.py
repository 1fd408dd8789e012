"""Repeated timers: a tick that still waits is not joined by the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, Backoff, ChildSpec, System
from callboard.actors.testing import Simulation, run_virtual, simulate, virtual_time

from .support import Log


class Ticks(Actor):
    """Has timers, and works some seconds on each tick."""

    mailbox_capacity = 10

    def __init__(self, intervals: list[float], work: float, log: Log) -> None:
        super().__init__()
        self.intervals = intervals
        self.work = work
        self.log = log

    def on_start(self) -> None:
        for number, interval in enumerate(self.intervals):
            self.schedule_every(interval, number)

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, int):
            self.log(message, asyncio.get_running_loop().time())
            if self.work:
                await asyncio.sleep(self.work)
            return None
        if isinstance(message, float):
            await asyncio.sleep(message)
        return message


def waiting(system: System) -> int:
    return sum(node.waiting for node in system.tree())


@virtual_time
async def test_ticks_that_nobody_takes_up_do_not_pile_up_in_the_mailbox() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Ticks, [1.0], 0.0, log)
        ref.tell(100.5)
        await asyncio.sleep(100.25)
        assert waiting(system) == 1
        await asyncio.sleep(3)
        assert log.lines == [(0, 100.5), (0, 101.0), (0, 102.0), (0, 103.0)]
        assert await ref.ask("room for others") == "room for others"


@virtual_time
async def test_a_tick_at_work_does_not_keep_the_next_one_from_waiting() -> None:
    log = Log()
    async with System() as system:
        system.spawn(Ticks, [1.0], 1.5, log)
        await asyncio.sleep(8)
        assert log.lines == [(0, 1.0), (0, 2.5), (0, 4.0), (0, 5.5), (0, 7.0)]


@virtual_time
async def test_a_tick_that_waits_keeps_no_tick_of_another_timer_out() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Ticks, [1.0, 1.0, 2.0], 0.0, log)
        ref.tell(50.5)
        await asyncio.sleep(50.25)
        assert waiting(system) == 3
        await asyncio.sleep(0.5)
        assert sorted(log.lines) == [(0, 50.5), (1, 50.5), (2, 50.5)]


@pytest.mark.parametrize("when", ["waits", "was skipped"])
@virtual_time
async def test_a_timer_that_is_cancelled_sends_nothing_more(when: str) -> None:
    log = Log()
    timers: list[Any] = []

    class One(Ticks):
        def on_start(self) -> None:
            timers.append(self.schedule_every(1.0, 0))

    async with System() as system:
        ref = system.spawn(One, [], 0.0, log)
        ref.tell(5.5)
        await asyncio.sleep(1.5 if when == "waits" else 4.5)
        timers[0].cancel()
        await asyncio.sleep(20)
        assert len(log.lines) <= 1, "at most the tick that was in the mailbox already"


@virtual_time
async def test_a_restarted_actor_has_only_its_own_ticks() -> None:
    log = Log()
    async with System() as system:
        spec = ChildSpec(Ticks, ([1.0], 0.0, log), name="ticks", backoff=Backoff(initial=10.0))
        ref = system.supervise(spec)
        await asyncio.sleep(1.5)
        ref.kill()
        await asyncio.sleep(13.25)
        assert log.lines == [(0, 1.0), (0, 12.5), (0, 13.5), (0, 14.5)]


# 0.3125 and the others are sums of powers of two: no rounding.
INTERVALS = st.lists(st.sampled_from([0.3125, 0.5, 1.0, 1.75]), min_size=1, max_size=3)


@settings(deadline=None, database=None, max_examples=80)
@given(intervals=INTERVALS, work=st.sampled_from([0.0, 0.1875, 0.40625, 2.03125, 7.0625]), idle=st.floats(0, 12))
def test_of_each_timer_at_most_one_tick_waits_and_ticks_come_at_multiples_of_its_interval(
    intervals: list[float], work: float, idle: float
) -> None:
    log = Log()

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Ticks, intervals, work, log)
            ref.tell(float(idle))
            for _ in range(200):
                await asyncio.sleep(0.15625)
                assert waiting(system) <= len(intervals)

    run_virtual(main())
    for number, interval in enumerate(intervals):
        times = [time for tick, time in log.lines if tick == number]
        # No two ticks for one firing: as many as there were firings until then, at most.
        assert all(count <= time / interval for count, time in enumerate(times, start=1))
        assert times == sorted(times)
        if not work:  # an actor that is idle takes each tick up as it fires
            on_time = [time for time in times if time > idle + interval]
            assert all(time % interval == 0 for time in on_time)
            assert len(on_time) >= (31 - idle) / interval - 2


@settings(deadline=None, database=None, max_examples=20)
@given(intervals=INTERVALS, work=st.sampled_from([0.0, 0.40625, 2.03125]))
def test_of_each_timer_at_most_one_tick_waits_under_any_schedule(intervals: list[float], work: float) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        sim.expect_dead_letters()
        sim.system.spawn(Ticks, intervals, work, log, name="ticks")
        for _ in range(20):
            await asyncio.sleep(0.5)
            assert waiting(sim.system) <= len(intervals)
        assert log.lines

    simulate(scenario, seeds=5)
