"""A week of messages leaks nothing: counts stay flat, however many messages, spawns and restarts there were."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec, Supervisor, System
from tests.core_leaks.counting import census

# Caches that fill once (interned attributes, free lists, the loop's own deques) are allowed; growth that would show
# the number of messages is not: each of the tests below would exceed this with one object lost in a hundred.
SLACK = 90


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


class AsyncEcho(Actor):
    async def on_receive(self, message: Any) -> Any:
        if message == "suspend":
            await asyncio.sleep(0)
        return message


@pytest.fixture
async def system() -> AsyncIterator[System]:
    async with System("leaks") as running:
        yield running


async def assert_flat(work: Callable[[int], Awaitable[None]], times: int, slack: int = SLACK) -> None:
    """``work(n)`` does something n times; what is alive afterwards must not depend on n."""
    await work(max(200, times // 20))  # fills what is filled once
    await settled()
    before = census()
    await work(times)
    await settled()
    after = census()
    assert after.objects - before.objects < slack, f"objects left behind by {times} rounds"
    assert after.blocks - before.blocks < slack * 10, f"memory blocks left behind by {times} rounds"


async def settled() -> None:
    """Let the callbacks run that the last awaited future has scheduled."""
    for _ in range(10):
        await asyncio.sleep(0)


async def told(ref: ActorRef[Any], n: int) -> None:
    for start in range(0, n, 1_000):
        for number in range(start, start + 1_000):
            ref.tell(number)
        await ref.ask("done")


async def test_a_million_told_messages_leave_nothing_behind(system: System) -> None:
    ref = system.spawn(Echo)
    await assert_flat(lambda n: told(ref, n), 1_000_000)


@pytest.mark.parametrize(("kind", "message"), [(Echo, 1), (AsyncEcho, 1), (AsyncEcho, "suspend")])
async def test_asks_leave_nothing_behind(system: System, kind: type[Actor], message: Any) -> None:
    ref = system.spawn(kind)

    async def ask(n: int) -> None:
        for _ in range(n):
            await ref.ask(message)

    await assert_flat(ask, 50_000)


async def test_asks_that_time_out_leave_nothing_behind(system: System) -> None:
    class Silent(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.reply_with(asyncio.sleep(3600))

    ref = system.spawn(Silent)

    async def ask(n: int) -> None:
        for _ in range(n // 100):
            asks = [ref.ask("never", timeout=0.0) for _ in range(100)]
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
            assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)

    await assert_flat(ask, 10_000)


async def test_cancelled_asks_leave_nothing_behind(system: System) -> None:
    ref = system.spawn(AsyncEcho)

    async def ask(n: int) -> None:
        for _ in range(n):
            ref.ask("suspend").cancel()
        await ref.ask("done")

    await assert_flat(ask, 10_000)


async def test_asks_to_the_dead_leave_nothing_behind(system: System) -> None:
    ref = system.spawn(Echo)
    await ref.stop()

    async def ask(n: int) -> None:
        await asyncio.gather(*(ref.ask("anybody?") for _ in range(n)), return_exceptions=True)

    await assert_flat(ask, 10_000)


async def test_a_hundred_thousand_spawns_and_stops_leave_nothing_behind(system: System) -> None:
    async def spawn_and_stop(n: int) -> None:
        for _ in range(0, n, 100):
            refs = [system.spawn(Echo) for _ in range(100)]
            for ref in refs:
                await ref.stop()

    await assert_flat(spawn_and_stop, 100_000)


async def test_stopped_children_leave_nothing_behind(system: System) -> None:
    class Parent(Actor):
        async def on_receive(self, message: int) -> None:
            for _ in range(message):
                await self.spawn(Echo).stop()

    ref = system.spawn(Parent)
    await assert_flat(lambda n: ref.ask(n), 10_000)


async def test_ten_thousand_restarts_leave_nothing_behind(system: System) -> None:
    # A kept log record would keep the traceback, and with it the failed incarnation.
    logging.getLogger("callboard").setLevel(logging.CRITICAL)
    try:
        # The restarts of a period are remembered; so short a period remembers the last only.
        spec = Supervisor.spec([ChildSpec(Echo, name="echo")], intensity=10**9, period=1e-9, name="top")
        system.supervise(spec)
        top = system.find("top")
        assert top is not None
        await top.started()
        ref = system.find("top/echo")
        assert ref is not None

        async def crash(n: int) -> None:
            for number in range(n):
                ref.tell("boom")
                assert await ref.ask(number) == number

        await assert_flat(crash, 10_000)
    finally:
        logging.getLogger("callboard").setLevel(logging.NOTSET)


async def test_watches_leave_nothing_behind(system: System) -> None:
    class Watcher(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "look":
                target = self.system.spawn(Echo)
                self.watch(target)
                target.tell("work")
                target.stop()
            return message

    ref = system.spawn(Watcher)

    async def watch(n: int) -> None:
        for _ in range(n):
            await ref.ask("look")

    await assert_flat(watch, 10_000)


async def test_timers_leave_nothing_behind(system: System) -> None:
    class Planner(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "plan":
                self.schedule(3600, "later").cancel()
                self.schedule(0, "now")

    ref = system.spawn(Planner)

    async def plan(n: int) -> None:
        for _ in range(n):
            await ref.ask("plan")

    # asyncio keeps up to a hundred cancelled timers, and then as many as there are live ones.
    await assert_flat(plan, 10_000, slack=1_000)


async def test_piped_work_and_streams_leave_nothing_behind(system: System) -> None:
    class Streamer(Actor):
        async def work(self) -> int:
            await asyncio.sleep(0)
            return 1

        def on_receive(self, message: Any) -> Any:
            if message == "pipe":
                self.pipe(self.work(), lambda outcome: ("done", outcome.value))
            elif message == "stream":
                return self.numbers()
            return None

        async def numbers(self) -> AsyncIterator[int]:
            for number in range(5):
                yield number

    ref = system.spawn(Streamer)

    async def use(n: int) -> None:
        for index in range(n):
            await ref.ask("pipe")
            seen = [item async for item in ref.stream("stream")]
            assert seen == [0, 1, 2, 3, 4]
            if index % 2:
                async for _item in ref.stream("stream"):
                    break

    await assert_flat(use, 2_000)


async def test_whole_systems_leave_nothing_behind() -> None:
    async def start_and_stop(n: int) -> None:
        for _ in range(n):
            async with System("short") as short:
                await short.spawn(Echo).ask(1)

    await assert_flat(start_and_stop, 500)
