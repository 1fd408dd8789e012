"""Threads, other loops, other systems, and pykka's own actors."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pykka
import pytest

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    AskTimeout,
    BlockingCall,
    Future,
    ReplyAlreadySet,
    System,
    SystemClosed,
    Terminated,
    ask,
    send_context,
    wait,
)

from .support import Echo, Gate, on_each_loop, run

WAIT = 20.0


def in_threads(count: int, work: Any) -> list[Any]:
    """Run ``work(index)`` in so many threads; return what each came to."""
    results: list[Any] = [None] * count

    def one(index: int) -> None:
        try:
            results[index] = work(index)
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive(), "a thread hangs"
    return results


class Doubles(Actor):
    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def double(self, number: int) -> int:
        return self.factor * number

    async def slowly(self, number: int) -> int:
        await asyncio.sleep(0)
        return self.factor * number

    def on_receive(self, message: Any) -> Any:
        return message


@pytest.mark.parametrize("round_", range(5))
def test_whatever_threads_send_while_the_system_stops_ends(round_: int) -> None:
    system = System.in_thread()
    refs = [system.spawn(Doubles) for _ in range(4)]
    go = threading.Barrier(9)

    def sender(index: int) -> list[Any]:
        ends: list[Any] = []
        go.wait(WAIT)
        for number in range(60):
            ref = refs[(index + number) % 4]
            try:
                match (index + number) % 5:
                    case 0:
                        ref.tell(number)
                    case 1:
                        ends.append((number, ref.ask(number)))
                    case 2:
                        assert ref.proxy().double(number).get(timeout=WAIT) == 2 * number
                    case 3:
                        assert ref.proxy().slowly(number).get(timeout=WAIT) == 2 * number
                    case 4 if number > 40:
                        ref.stop(timeout=WAIT)
            except pykka.ActorDeadError:  # the proxy of a dead actor raises pykka's own
                continue
        for number, future in ends:
            try:
                assert future.get(timeout=WAIT) == number
            except ActorDead:
                continue
        return ends

    def closer(index: int) -> list[Any]:
        go.wait(WAIT)
        for _ in range(round_ * 200):
            pass
        system.close()
        return []

    results = in_threads(9, lambda index: sender(index) if index else closer(index))
    assert all(isinstance(result, list) for result in results), results


def test_what_is_sent_to_a_system_whose_loop_is_gone_is_refused_at_once() -> None:
    with System.in_thread() as system:
        ref = system.spawn(Echo)
        assert ref.ask(1).get(timeout=WAIT) == 1
    with pytest.raises(ActorDead):
        ref.ask(2).get(timeout=WAIT)
    with pytest.raises(ActorDead):
        ref.tell(2)
    assert ref.stop() is False
    assert ref.actor_stopped.wait(WAIT)
    with pytest.raises(SystemClosed):
        system.spawn(Echo)
    with pytest.raises(SystemClosed):
        system.run(asyncio.sleep(0))
    system.close()
    with pytest.raises(SystemClosed):
        System().run(asyncio.sleep(0))


def test_a_system_on_a_thread_runs_coroutines_and_refuses_to_wait_for_itself() -> None:
    with System.in_thread("mine") as system:

        async def inside() -> str:
            with pytest.raises(BlockingCall):
                system.run(asyncio.sleep(0))
            with pytest.raises(BlockingCall):
                system.close()
            return threading.current_thread().name

        assert "mine" in system.run(inside())


def test_names_are_given_once_however_many_threads_want_them() -> None:
    with System.in_thread() as system:
        spawned = in_threads(8, lambda index: system.spawn(Echo, name="one"))
        assert len([ref for ref in spawned if isinstance(ref, ActorRef)]) == 1


def test_cancelling_from_another_thread_reaches_the_handler() -> None:
    cancelled = threading.Event()

    class Waits(Actor):
        async def on_receive(self, message: Any) -> Any:
            message.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    with System.in_thread() as system:
        begun = threading.Event()
        future = system.spawn(Waits).ask(begun)
        assert begun.wait(WAIT)
        assert future.cancel()
        assert cancelled.wait(WAIT)
        with pytest.raises(asyncio.CancelledError):
            future.get(timeout=WAIT)


def test_a_future_set_by_many_threads_takes_one_value_and_tells_the_others() -> None:
    for _ in range(50):
        future: Future[int] = Future()
        go = threading.Barrier(4)

        def setter(index: int, future: Future[int] = future, go: threading.Barrier = go) -> None:
            go.wait(WAIT)
            future.set(index)

        results = in_threads(4, setter)
        assert len([result for result in results if isinstance(result, ReplyAlreadySet)]) == 3
        assert results[future.get(timeout=WAIT)] is None


def test_a_get_that_times_out_leaves_nothing_behind_on_the_future() -> None:
    future: Future[int] = Future()
    for _ in range(3):
        with pytest.raises(AskTimeout):
            future.get(timeout=0)
    called: list[Any] = []
    future.when_done(called.append)
    future.set(1)
    assert called == [future]
    assert future.get() == 1


# -- two loops, two systems --------------------------------------------------------------------------------------------


@on_each_loop
async def test_an_actor_asks_one_of_another_system_on_another_loop() -> None:
    with System.in_thread("other") as other:
        there = other.spawn(Doubles)

        class Here(Actor):
            async def on_receive(self, message: int) -> Any:
                assert await there.proxy().slowly(message) == 2 * message
                return await there.ask(message)

        async with System() as system:
            asks = [system.spawn(Here).ask(number) for number in range(20)]
            assert [await each for each in asks] == list(range(20))


@on_each_loop
async def test_cancelling_an_ask_across_loops_reaches_the_handler_there() -> None:
    begun, cancelled = threading.Event(), threading.Event()

    class Waits(Actor):
        async def on_receive(self, message: Any) -> Any:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    with System.in_thread() as other:
        future = other.spawn(Waits).ask(1)
        waiting = asyncio.create_task(wait(future))
        await asyncio.to_thread(begun.wait, WAIT)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await asyncio.to_thread(cancelled.wait, WAIT)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_the_end_of_an_actor_of_another_system_is_told_once(late: bool, gone: bool) -> None:
    async def main() -> None:
        told: list[Terminated] = []
        done = asyncio.Event()

        class Watcher(Actor):
            def on_receive(self, message: Any) -> Any:
                if isinstance(message, Terminated):
                    told.append(message)
                    done.set()
                elif message is not None:
                    self.watch(message)
                    self.watch(message)
                return None

        other = System.in_thread()
        there = other.spawn(Echo)
        if late:
            await asyncio.to_thread(there.stop)
            if gone:
                await asyncio.to_thread(other.close)
        async with System() as system:
            watcher = system.spawn(Watcher)
            await watcher.ask(there)
            if not late:
                await asyncio.to_thread(other.close if gone else there.stop)
            await done.wait()
            await asyncio.to_thread(other.close)
            await watcher.ask(None)
            assert [each.ref for each in told] == [there]

    run(main())


@on_each_loop
async def test_two_systems_in_one_loop_share_nothing() -> None:
    async with System("one") as one, System("two") as two:
        first, second = one.spawn(Echo, name="same"), two.spawn(Echo, name="same")
        assert one.find("same") is first
        assert two.find("same") is second
        await one.stop()
        assert await second.ask(2) == 2
        assert two.dead_letters.count == 0


# -- futures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["awaited", "got"])
def test_combined_answers_can_be_awaited_and_got(where: str) -> None:
    def make(ref: ActorRef[Any]) -> list[tuple[pykka.Future[Any], Any]]:
        return [
            (ref.ask(2).map(lambda value: value + 1), 3),
            (ref.ask([1, 2, 3]).filter(lambda value: value > 1), [2, 3]),
            (ref.ask(1).join(ref.ask(2), ref.ask(3)), [1, 2, 3]),
            (ref.ask([1, 2, 3]).reduce(lambda a, b: a + b, 10), 16),
            (ref.ask([1, 2]).map(len).map(str), "2"),
        ]

    async def main() -> None:
        async with System() as system:
            for future, expected in make(system.spawn(Echo)):
                assert await future == expected
                assert await future == expected

    if where == "awaited":
        run(main())
        return
    with System.in_thread() as system:
        futures = make(system.spawn(Echo))
        assert pykka.get_all([future for future, _ in futures], timeout=WAIT) == [value for _, value in futures]


@on_each_loop
async def test_a_hook_makes_the_value_when_it_is_awaited_and_once() -> None:
    calls: list[Any] = []
    future: Future[int] = Future()
    future.set_get_hook(lambda timeout: calls.append(timeout) or 7)  # type: ignore[func-returns-value]
    assert calls == []
    assert await future == 7
    assert await wait(future) == 7
    assert len(calls) == 1


@on_each_loop
async def test_an_error_passes_through_what_is_combined() -> None:
    async with System() as system:
        ref = system.spawn(Gate)
        with pytest.raises(ValueError, match="bad"):
            await ref.ask(ValueError("bad")).map(str)
        with pytest.raises(ValueError, match="bad"):
            await ref.ask(1).join(ref.ask(ValueError("bad")))


@on_each_loop
async def test_asyncios_own_tools_take_an_answer_for_a_future() -> None:
    async with System() as system:
        ref = system.spawn(Echo)
        assert await asyncio.gather(*[ref.ask(number) for number in range(5)]) == list(range(5))
        assert await asyncio.wait_for(ref.ask(1), 1000) == 1
        assert await asyncio.shield(ref.ask(2)) == 2
        _, pending = await asyncio.wait([asyncio.ensure_future(ref.ask(3))])
        assert not pending


# -- pykka's threading actors ------------------------------------------------------------------------------------------


class Threaded(pykka.ThreadingActor):
    """Blocks its own thread; asks one of ours where it is told to."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, threading.Event):
            return message.wait(WAIT)
        if isinstance(message, tuple):
            return message[0].ask(message[1]).get(timeout=WAIT)
        if message == "bad":
            raise ValueError("bad")
        return message


def test_threading_actors_and_ours_ask_each_other_without_blocking_the_loop() -> None:
    async def main() -> None:
        async with System() as system:
            threaded, echo = Threaded.start(), system.spawn(Echo)

            class Asks(Actor):
                async def on_receive(self, message: Any) -> Any:
                    return await ask(threaded, message)

            asks = system.spawn(Asks)
            try:
                release = threading.Event()
                slow = asyncio.ensure_future(asks.ask(release))
                assert await echo.ask("the loop is free") == "the loop is free"
                release.set()
                assert await slow is True
                assert await asks.ask((echo, "there and back")) == "there and back"
                assert await wait(threaded.ask(4, block=False)) == 4
                with pytest.raises(ValueError, match="bad"):
                    await ask(threaded, "bad")
                assert await echo.ask(1).join(threaded.ask(2, block=False)) == [1, 2]
            finally:
                await asyncio.to_thread(threaded.stop)
            with pytest.raises(pykka.ActorDeadError):
                await ask(threaded, 1)

    run(main())


@pytest.mark.parametrize("how", ["timeout", "send_context", "cancel ask", "cancel wait"])
def test_a_threading_actor_does_not_notice_that_nobody_waits_any_more(how: str) -> None:
    async def main() -> None:
        threaded, release = Threaded.start(), threading.Event()
        try:
            if how == "timeout":
                with pytest.raises(AskTimeout):
                    await ask(threaded, release, timeout=0)
            elif how == "send_context":
                with send_context(timeout=0), pytest.raises(AskTimeout):
                    await ask(threaded, release)
            else:
                future = ask(threaded, release) if how == "cancel ask" else threaded.ask(release, block=False)
                waiting = asyncio.create_task(wait(future))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
                assert waiting.cancelled()
            release.set()
            assert await ask(threaded, 5) == 5
        finally:
            release.set()
            await asyncio.to_thread(threaded.stop)

    run(main())


# -- proxies and the registry ------------------------------------------------------------------------------------------


class Tool:
    """A traversable attribute."""

    def __init__(self) -> None:
        self._pykka_traversable = True
        self.size = 3

    def use(self, by: int) -> int:
        return self.size * by


class Shop(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.tool = Tool()
        self.stock = 1
        self.maker = lambda number: number + 1
        self.seen: list[str] = []

    async def buy(self, number: int) -> int:
        await asyncio.sleep(0)
        self.stock += number
        return self.stock

    async def fail(self) -> None:
        raise KeyError("sold out")

    def note(self, word: str) -> None:
        self.seen.append(word)


@on_each_loop
async def test_a_proxy_reaches_attributes_methods_and_what_is_traversable() -> None:
    async with System() as system:
        ref = system.spawn(Shop)
        shop = ref.proxy()
        assert await shop.buy(4) == 5
        assert await shop.stock == 5
        shop.stock = 7
        assert await shop.buy(1) == 8
        assert await shop.maker(1) == 2
        assert await shop.tool.size == 3
        assert await shop.tool.use(2) == 6
        with pytest.raises(KeyError, match="sold out"):
            await shop.fail()
        assert ref.is_alive()
        shop.note.defer("deferred")
        assert await shop.seen == ["deferred"]


def test_a_deferred_call_that_fails_crashes_the_actor_as_a_tell_does() -> None:
    with System.in_thread() as system:
        ref = system.spawn(Shop)
        ref.proxy().fail.defer()
        assert ref.actor_stopped.wait(WAIT)


@on_each_loop
async def test_the_registry_knows_what_runs_and_reaches_all_of_a_class() -> None:
    async with System() as system:
        refs = [system.spawn(Shop) for _ in range(3)]
        registry: Any = pykka.ActorRegistry
        assert registry.get_by_class(Shop) == refs
        assert registry.get_by_class_name("Shop") == refs
        assert registry.get_by_urn(refs[0].actor_urn) is refs[0]
        refs[0].kill()
        assert registry.get_by_class(Shop) == refs[1:]
        registry.broadcast("hello", target_class=Shop)
    assert registry.get_by_class(Shop) == []


def test_stop_all_stops_ours_too() -> None:
    with System.in_thread() as system:
        refs = [system.spawn(Echo) for _ in range(3)]
        assert all(pykka.ActorRegistry.stop_all(timeout=WAIT))
        assert not any(ref.is_alive() for ref in refs)
