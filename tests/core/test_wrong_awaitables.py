"""Work beside the mailbox: what cannot be awaited is refused in the handler, whatever can be is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from callboard.actors import Actor, ActorCrashed, ActorDead, AskTimeout, ChildSpec, Outcome, System, send_context

from .support import Echo, Events, Gate, Hold, Log, on_each_loop


def forgot_async() -> int:
    """What a method returns that was meant to be ``async def``."""
    return 3


NO_AWAITABLES: list[Any] = [None, "text", [], forgot_async, forgot_async()]


class Works(Actor):
    """Starts work beside its mailbox: what the message brings, in the way the message says."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Log()

    def on_receive(self, message: Any) -> Any:
        match message:
            case ("pipe", work):
                self.pipe(work)
                return "piped"
            case ("reply_with", work):
                return self.reply_with(work)
            case ("caught", way, work):
                try:
                    getattr(self, way)(work)
                except TypeError as error:
                    return str(error)
            case ("ask", way, ref, what):
                return self.on_receive((way, ref.ask(what)))
            case Outcome():
                self.log(message)
                return None
        return message


class Custom:
    """An awaitable of the user's own."""

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "custom"


each_way = pytest.mark.parametrize("way", ["pipe", "reply_with"])


@pytest.mark.parametrize("work", NO_AWAITABLES)
@each_way
@on_each_loop
async def test_work_that_cannot_be_awaited_is_a_type_error_at_once_in_the_handler(way: str, work: Any) -> None:
    async with System() as system:
        ref = system.spawn(Works)
        text = await ref.ask(("caught", way, work), timeout=5)
        assert way in text
        assert "async def" in text, "it says what may have been forgotten"
        assert await ref.ask("next") == "next"
        with pytest.raises(TypeError, match=way):
            await ref.ask((way, work), timeout=5)
        assert await ref.ask("alive") == "alive"
        assert await ref.stop() is True


@each_way
@on_each_loop
async def test_work_that_cannot_be_awaited_crashes_an_actor_that_was_told(way: str) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Works, name="works"))
        ref.tell((way, None))
        await events.until("restarted", "works")
        assert await ref.ask("alive") == "alive"


@on_each_loop
async def test_an_ask_is_passed_on_as_the_answer_like_a_coroutine() -> None:
    async with System() as system:
        ref, other = system.spawn(Works), system.spawn(Echo)
        assert await ref.ask(("ask", "reply_with", other, "answer"), timeout=5) == "answer"
        assert await ref.ask(("reply_with", other.ask("made outside")), timeout=5) == "made outside"


@on_each_loop
async def test_an_ask_that_fails_fails_the_ask_it_answers() -> None:
    async with System() as system:
        ref, other = system.spawn(Works), system.spawn(Gate)
        with pytest.raises(LookupError, match="of the other"):
            await ref.ask(("ask", "reply_with", other, LookupError("of the other")), timeout=5)
        await other.stop()
        with pytest.raises(ActorDead):
            await ref.ask(("ask", "reply_with", other, "late"), timeout=5)
        assert await ref.ask("alive") == "alive"


@on_each_loop
async def test_an_ask_is_piped_back_like_a_coroutine() -> None:
    log = Log()
    async with System() as system:
        ref, other = system.spawn(Works, log), system.spawn(Gate)
        assert await ref.ask(("ask", "pipe", other, "answer")) == "piped"
        assert await ref.ask(("ask", "pipe", other, LookupError("failed"))) == "piped"
        for _ in range(20):
            await asyncio.sleep(0)
        await ref.ask("all that came before")
        first, second = log.lines
        assert first.unwrap() == "answer"
        assert isinstance(second.error, LookupError)


@on_each_loop
async def test_futures_tasks_and_awaitables_of_the_users_own_are_awaited_too() -> None:
    async with System() as system:
        ref, loop = system.spawn(Works), asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_soon(future.set_result, "future")
        assert await ref.ask(("reply_with", future), timeout=5) == "future"
        task = asyncio.create_task(asyncio.sleep(0, "task"))
        assert await ref.ask(("reply_with", task), timeout=5) == "task"
        assert await ref.ask(("reply_with", Custom()), timeout=5) == "custom"
        assert await ref.ask(("reply_with", asyncio.gather(asyncio.sleep(0, 1), Custom())), timeout=5) == [1, "custom"]
        assert await ref.ask("alive") == "alive"


@on_each_loop
async def test_giving_up_an_ask_that_is_answered_by_another_ask_gives_up_that_one_too() -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        ref, gate = system.spawn(Works), system.spawn(Gate, log)
        ask = ref.ask(("ask", "reply_with", gate, hold))
        await hold.begun.wait()
        ask.cancel()
        await hold.cancelled.wait()
        assert log.lines == [("begin", "hold"), ("cancelled", "hold")]
        assert await ref.ask("alive") == "alive"
        assert await gate.ask("alive") == "alive"


@on_each_loop
async def test_a_deadline_passes_to_an_ask_that_answers() -> None:
    hold = Hold()
    async with System() as system:
        ref, gate = system.spawn(Works), system.spawn(Gate)
        with send_context(timeout=0.01), pytest.raises(AskTimeout):
            await ref.ask(("ask", "reply_with", gate, hold))
        await hold.cancelled.wait()
        assert await gate.ask("alive") == "alive"


@each_way
@on_each_loop
async def test_an_actor_stops_in_the_middle_of_an_ask_beside_its_mailbox(way: str) -> None:
    hold = Hold()
    async with System() as system:
        ref, gate = system.spawn(Works), system.spawn(Gate)
        ask = ref.ask(("ask", way, gate, hold))
        await hold.begun.wait()
        ref.kill()
        await ref.terminated()
        if way == "reply_with":
            with pytest.raises(ActorCrashed):
                await ask
        else:
            assert await ask == "piped"
        await hold.cancelled.wait()
        assert await gate.ask("alive") == "alive"
