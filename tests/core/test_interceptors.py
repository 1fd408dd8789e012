"""Interceptors are told of each message, of every kind and however it is handled, and change nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from callboard.actors import (
    Actor,
    ActorDead,
    AskTimeout,
    ChildSpec,
    Delivery,
    Handled,
    Interceptor,
    SpecError,
    System,
    Terminated,
    send_context,
)
from callboard.actors.testing import simulate, virtual_time

from .support import Gate, Hold, Log, on_each_loop

trace: ContextVar[str] = ContextVar("trace", default="none")


class Worker(Actor):
    """Does what the message says."""

    name_of_it = "it"

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, float):
            return asyncio.sleep(message, message)  # a coroutine, which suspends
        if message == "at once":
            return self.at_once()
        if message == "stream":
            return self.items()
        if message == "later":
            return self.reply_with(asyncio.sleep(3, "later"))
        if message == "trace":
            return trace.get()
        return message

    async def at_once(self) -> str:
        return "at once"

    async def items(self) -> AsyncIterator[int]:
        for item in range(3):
            yield item

    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slow"


class Seen:
    """An interceptor that notes what it is told."""

    def __init__(self, log: Log | None = None, name: str = "") -> None:
        self.log = log or Log()
        self.name = name
        self.deliveries: list[Delivery] = []
        self.handled: list[Handled] = []

    def __call__(self, delivery: Delivery) -> Callable[[Handled], None]:
        self.deliveries.append(delivery)
        self.log("begin", self.name)
        return self.end

    def end(self, handled: Handled) -> None:
        self.handled.append(handled)
        self.log("end", self.name)

    @property
    def messages(self) -> list[Any]:
        return [delivery.message for delivery in self.deliveries]


@on_each_loop
async def test_an_interceptor_is_told_who_gets_what_and_whether_an_answer_is_wanted() -> None:
    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        worker = system.spawn(Worker, name="worker")
        worker.tell("told")
        assert await worker.ask("asked") == "asked"
    assert seen.deliveries == [
        Delivery("worker", Worker, "told", is_ask=False),
        Delivery("worker", Worker, "asked", is_ask=True),
    ]
    assert [handled.error for handled in seen.handled] == [None, None]


@virtual_time
async def test_an_interceptor_is_told_how_long_a_handler_took_with_all_it_waited_for() -> None:
    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        worker = system.spawn(Worker)
        assert await worker.ask(1.5) == 1.5
        assert await worker.ask("at once") == "at once"
        assert await worker.ask("at hand") == "at hand"
        assert await worker.ask("later") == "later"  # its handler has ended long before
    assert [handled.seconds for handled in seen.handled] == [1.5, 0.0, 0.0, 0.0]


@virtual_time
async def test_every_kind_of_sending_is_intercepted_once() -> None:
    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        worker = system.spawn(Worker)
        worker.tell("tell")
        await worker.put("put")
        worker.tell("first", priority=-1)
        await worker.ask("ask", timeout=1)
        with send_context(timeout=5, baggage={"trace": "x"}):
            worker.tell("scoped tell")
            await worker.ask("scoped ask")
        assert [item async for item in worker.stream("stream")] == [0, 1, 2]
        assert len(seen.handled) == 7
        assert sorted(seen.messages) == sorted(["tell", "put", "first", "ask", "scoped tell", "scoped ask", "stream"])
        seen.deliveries.clear()
        proxy = worker.proxy()
        assert await proxy.name_of_it == "it"
        assert await proxy.slow(2) == "slow"
        assert await worker.call(Worker.slow, 1) == "slow"
    assert [type(message).__name__ for message in seen.messages] == ["ProxyGetAttr", "ProxyCall", "ProxyCall"]
    assert seen.handled[-2].seconds == 2.0


@virtual_time
async def test_a_message_of_an_actor_to_itself_and_a_signal_are_intercepted_and_a_stop_is_not() -> None:
    class Alone(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "watch":
                self.watch(self.spawn(Worker, name="child"))
                self.schedule(1.0, "tick")
            elif message == "tick":
                self.stop()

    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        alone = system.spawn(Alone, name="alone")
        alone.tell("watch")
        await asyncio.sleep(0.5)
        child = system.find("alone/child")
        assert child is not None
        await child.stop()
        await alone.terminated()
    kinds = [message if isinstance(message, str) else type(message) for message in seen.messages]
    assert kinds == ["watch", Terminated, "tick"]


@pytest.mark.parametrize("message", [ValueError("no"), 0.5], ids=["at once", "after a wait"])
@virtual_time
async def test_what_a_handler_raises_is_told_and_goes_where_it_would(message: Any) -> None:
    class Fails(Actor):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, Exception):
                raise message
            return self.later()

        async def later(self) -> None:
            await asyncio.sleep(0.5)
            raise ValueError("no")

    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        fails = system.spawn(Fails)
        with pytest.raises(ValueError, match="no") as raised:
            await fails.ask(message)
        assert seen.handled[0].error is raised.value
        fails.tell(message)
        await fails.terminated()
    assert [type(handled.error) for handled in seen.handled] == [ValueError, ValueError]


@virtual_time
async def test_the_end_of_a_handler_that_is_cancelled_or_killed_is_told() -> None:
    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        worker = system.spawn(Worker)
        with pytest.raises(AskTimeout):
            await worker.ask(10.0, timeout=1)
        await asyncio.sleep(1)
        assert [type(handled.error) for handled in seen.handled] == [asyncio.CancelledError]
        worker.tell(10.0)
        await asyncio.sleep(1)
        worker.kill()
        await worker.terminated()
    assert len(seen.handled) == 2
    assert isinstance(seen.handled[1].error, (GeneratorExit, asyncio.CancelledError))
    assert seen.handled[1].seconds == 1.0


@on_each_loop
async def test_interceptors_are_called_in_their_order_and_told_the_end_in_reverse() -> None:
    log = Log()
    async with System() as system:
        system.intercept(Seen(log, "first"))
        system.intercept(lambda delivery: None)
        system.intercept(Seen(log, "second"))
        await system.spawn(Worker).ask("message")
    assert log.lines == [("begin", "first"), ("begin", "second"), ("end", "second"), ("end", "first")]


@on_each_loop
async def test_an_interceptor_that_is_ended_is_told_no_more_but_the_ends_of_what_it_has_seen_begin() -> None:
    seen, other = Seen(), Seen()
    async with System() as system:
        end = system.intercept(seen)
        system.intercept(seen)
        system.intercept(other)
        worker = system.spawn(Gate)
        hold = Hold()
        asked = worker.ask(hold)
        await hold.begun.wait()
        end()
        end()  # the second time does nothing: it was added twice
        hold.go.set()
        await asked
        assert (len(seen.deliveries), len(seen.handled)) == (2, 2)
        await worker.ask("more")
        assert len(seen.deliveries) == 3
    assert other.messages == [hold, "more"]


@on_each_loop
async def test_an_interceptor_sees_messages_from_the_turn_after_it_was_added() -> None:
    seen = Seen()

    class Adds(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "add":
                self.system.intercept(seen)
            return message

    system = System()
    early = Seen()
    system.intercept(early)  # before it runs
    async with system:
        adds = system.spawn(Adds)
        await adds.ask("add")
        await adds.ask("after")
    assert early.messages == ["add", "after"]
    assert seen.messages == ["after"]


def raise_at_once(delivery: Delivery) -> None:
    raise ValueError("a broken interceptor")


def raise_at_the_end(delivery: Delivery) -> Callable[[Handled], None]:
    def end(handled: Handled) -> None:
        raise SystemExit("a broken interceptor")

    return end


def return_no_function(delivery: Delivery) -> Any:
    return "no function"


@pytest.mark.parametrize("broken", [raise_at_once, raise_at_the_end, return_no_function])
@pytest.mark.parametrize("message", ["at hand", "at once", 0.001, "stream"])
@on_each_loop
async def test_an_interceptor_that_raises_harms_nobody_and_is_logged_once_and_called_no_more(
    broken: Interceptor, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen, calls = Seen(), []

    def counted(delivery: Delivery) -> Any:
        calls.append(delivery)
        return broken(delivery)

    with caplog.at_level(logging.ERROR, logger="callboard"):
        async with System() as system:
            system.intercept(counted)
            system.intercept(seen)
            worker = system.spawn(Worker)
            for _ in range(3):
                if message == "stream":
                    assert [item async for item in worker.stream(message)] == [0, 1, 2]
                else:
                    assert await worker.ask(message) == message
            assert worker.is_alive()
    assert len(calls) == 1
    assert len(seen.deliveries) == len(seen.handled) == 3
    assert len(caplog.records) == 1
    assert "intercepts no more" in caplog.records[0].message


@on_each_loop
async def test_what_is_no_plain_function_is_refused() -> None:
    async def asynchronous(delivery: Delivery) -> None: ...

    async with System() as system:
        for wrong in (None, "no function", asynchronous):
            with pytest.raises(SpecError, match="interceptor"):
                system.intercept(wrong)  # type: ignore[arg-type]
        assert await system.spawn(Worker).ask("message") == "message"


@pytest.mark.parametrize("message", ["trace", "reads"])
@on_each_loop
async def test_a_handler_sees_what_an_interceptor_has_set_and_no_other_handler_does(message: str) -> None:
    class Reads(Actor):
        async def on_receive(self, message: Any) -> Any:
            before = trace.get()
            await asyncio.sleep(0)
            return before if trace.get() == before else "lost"

    def set_trace(delivery: Delivery) -> Callable[[Handled], object] | None:
        if delivery.actor != "traced":
            return None
        token = trace.set(str(delivery.message))
        return lambda handled: trace.reset(token)

    async with System() as system:
        system.intercept(set_trace)
        kind: Any = Worker if message == "trace" else Reads
        traced, plain = system.spawn(kind, name="traced"), system.spawn(kind, name="plain")
        answers = [actor.ask(message) for actor in (traced, plain, traced, plain)]
        assert [await answer for answer in answers] == [message, "none", message, "none"]


@on_each_loop
async def test_an_actor_that_is_restarted_is_still_intercepted() -> None:
    seen = Seen()
    async with System() as system:
        system.intercept(seen)
        worker = system.supervise(ChildSpec(Worker, name="worker"))
        worker.tell(ValueError("crash"))
        assert await worker.ask("after") == "after"
        await worker.stop()
        with pytest.raises(ActorDead):
            await worker.ask("too late")
    assert [str(message) for message in seen.messages] == ["crash", "after"]


def test_a_simulated_run_is_the_same_with_an_interceptor_and_tells_it_all_messages() -> None:
    def run(intercepted: bool) -> tuple[list[list[Any]], list[list[Any]]]:
        orders: list[list[Any]] = []
        told: list[list[Any]] = []

        async def main() -> None:
            order: list[Any] = []
            orders.append(order)
            told.append([])

            class Notes(Actor):
                async def on_receive(self, message: Any) -> Any:
                    order.append(message)
                    await asyncio.sleep(message)

            async with System() as system:
                if intercepted:
                    system.intercept(lambda delivery: told[-1].append(delivery.message))
                actors = [system.spawn(Notes) for _ in range(3)]
                for number in range(9):
                    actors[number % 3].tell(number)
                await asyncio.gather(*(actor.stop() for actor in actors))

        simulate(main, seeds=5)
        return orders, told

    plain, _ = run(intercepted=False)
    orders, told = run(intercepted=True)
    assert orders == plain
    assert told == orders
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(9))}
