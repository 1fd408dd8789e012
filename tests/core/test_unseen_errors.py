"""Failures nobody looks at are logged, those somebody looks at say where they come from, and so does a handler that
hangs."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from callboard.actors import Actor, ActorCrashed, ActorRef, AskTimeout, ChildSpec, Future, System, wait
from callboard.actors.testing import virtual_time

from .support import GUARD, Events, Hold, on_each_loop


class Order:
    """A message with a type of its own."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Broken(Actor):
    """Fails as the message says, in each of the ways a handler can."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple):
            how, order = message
            return self.reply_with(self.later(order)) if how == "beside" else self.later(order)
        if isinstance(message, Order) and message.error is not None:
            raise message.error
        return message

    async def later(self, order: Order) -> Any:
        await asyncio.sleep(0)
        assert order.error is not None
        raise order.error


class Logged(NamedTuple):
    """An error in the log: its message, and its whole text with the traceback."""

    logger: str
    level: int
    said: str
    text: str


@pytest.fixture
def errors() -> Iterator[list[Logged]]:
    """What the library has logged as errors so far."""
    found: list[Logged] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(Logged(record.name, record.levelno, record.getMessage(), self.format(record)))
            # pytest keeps the record, which would keep the error, and with it the failed handler's frames and the ask.
            record.msg, record.args, record.exc_info = record.getMessage(), (), None

    handler, logger = Keeps(logging.ERROR), logging.getLogger("callboard")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def never_retrieved(errors: list[Logged]) -> list[str]:
    gc.collect()
    return [each.text for each in errors if "never retrieved" in each.text]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# -- asks nobody looks at ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["def", "async def", "beside"])
@on_each_loop
async def test_an_ask_that_failed_and_that_nobody_looked_at_is_logged_with_the_actor_and_the_error(
    how: str, errors: list[Logged]
) -> None:
    async with System() as system:
        ref = system.spawn(Broken, name="broken")
        order = Order(ValueError("out of stock"))
        ask = ref.ask(order if how == "def" else (how, order))
        await ref.ask("sync")
        await settled()
        assert never_retrieved(errors) == []
        order.error = None
        del ask, order
        (text,) = never_retrieved(errors)
        assert "broken" in text
        assert "ValueError" in text
        assert "out of stock" in text
        (logged,) = [each for each in errors if "never retrieved" in each.text]
        assert (logged.logger, logged.level) == ("callboard", logging.ERROR)
        assert never_retrieved(errors) == [text], "once"


@on_each_loop
async def test_the_error_of_an_ask_that_was_sent_and_forgotten_is_logged(errors: list[Logged]) -> None:
    class Parent(Actor):
        def on_start(self) -> None:
            self.spawn(Broken, name="child")

        def on_receive(self, message: Any) -> None:
            child = self.find_child("child")
            assert child is not None
            child.ask(Order(ValueError("forgotten")))

    async with System() as system:
        ref = system.spawn(Parent, name="parent")
        ref.tell("go")
        await ref.ask("go")
        child = system.find("parent/child")
        assert child is not None
        await child.ask("sync")
        await settled()
        texts = never_retrieved(errors)
        assert len(texts) == 2
        assert all("parent/child" in text and "forgotten" in text for text in texts)


@on_each_loop
async def test_an_ask_of_an_actor_that_crashed_is_not_forgotten_in_silence(errors: list[Logged]) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Broken, name="broken"))
        ref.ask(Order(SystemExit("crash")))
        await events.until("started", "broken", 2)
        await settled()
        (text,) = never_retrieved(errors)
        assert "broken" in text


async def by_await(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await ask


async def by_wait(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await wait(ask)


async def by_gather(ask: Future[Any]) -> None:
    await asyncio.gather(ask, return_exceptions=True)


async def by_wait_for(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await asyncio.wait_for(ask, 1000)


async def by_shield(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await asyncio.shield(ask)


async def by_exception(ask: Future[Any]) -> None:
    await asyncio.wait([asyncio.ensure_future(ask)])
    assert isinstance(ask.exception(), ValueError)


async def by_get(ask: Future[Any]) -> None:
    def get() -> None:
        with pytest.raises(ValueError, match="seen"):
            ask.get(timeout=GUARD)

    await asyncio.to_thread(get)


async def by_map(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await ask.map(str)


async def by_join(ask: Future[Any]) -> None:
    with pytest.raises(ValueError, match="seen"):
        await ask.join(ask)


LOOKS = [by_await, by_wait, by_gather, by_wait_for, by_shield, by_exception, by_get, by_map, by_join]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
@pytest.mark.parametrize("late", [True, False])
@on_each_loop
async def test_an_error_that_somebody_looked_at_is_not_logged_as_never_retrieved(
    look: Any, late: bool, errors: list[Logged]
) -> None:
    async with System() as system:
        ref, hold = system.spawn(Broken), Hold()
        ask = ref.ask(("handler", Order(ValueError("seen"))))
        if late:
            await ref.ask("sync")
            await settled()
        await look(ask)
        del ask, hold
        await settled()
        assert never_retrieved(errors) == []


@on_each_loop
async def test_answers_cancelled_asks_and_tells_are_not_logged_as_never_retrieved(
    errors: list[Logged],
) -> None:
    async with System() as system:
        ref = system.spawn(Broken)
        ref.ask("an answer")
        ref.ask(("handler", Order(ValueError("given up")))).cancel()
        system.spawn(Broken).tell(Order(ValueError("told")))
        await ref.ask("sync")
        await settled()
    assert never_retrieved(errors) == []


@on_each_loop
async def test_an_error_that_was_looked_at_once_of_a_shared_ask_is_seen(errors: list[Logged]) -> None:
    async with System() as system:
        ask = system.spawn(Broken).ask(Order(ValueError("seen")))
        waiting = [asyncio.create_task(by_await(ask)) for _ in range(2)]
        for each in waiting:
            await each
        del ask, waiting
        await settled()
        assert never_retrieved(errors) == []


@on_each_loop
async def test_an_error_that_only_went_into_a_combination_nobody_looked_at_is_logged(
    errors: list[Logged],
) -> None:
    async with System() as system:
        ref = system.spawn(Broken, name="broken")
        ref.ask(Order(ValueError("unseen"))).map(str)
        await ref.ask("sync")
        await settled()
        texts = never_retrieved(errors)
        assert texts
        assert all("unseen" in text for text in texts)


@virtual_time
async def test_an_ask_that_timed_out_unseen_is_logged(errors: list[Logged]) -> None:
    class Slow(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.sleep(100)

    async with System() as system:
        ref = system.spawn(Slow, name="slow")
        ref.ask("quick", timeout=1)
        await asyncio.sleep(2)
        (text,) = never_retrieved(errors)
        assert "slow" in text
        assert AskTimeout.__name__ in text


# -- what a crash says -------------------------------------------------------------------------------------------------

CRASHES = ["def", "async def", "beside", "proxy", "kill"]


async def crash(ref: ActorRef[Any], how: str, error: BaseException) -> None:
    match how:
        case "def":
            ref.tell(Order(error))
        case "async def":
            ref.tell(("handler", Order(error)))
        case "beside":
            ref.tell(("beside", Order(error)))
        case "proxy":
            ref.proxy().later.defer(Order(error))


@pytest.mark.parametrize(
    ("how", "kind"), [("def", "Order"), ("async def", "tuple"), ("proxy", "ProxyCall"), ("beside", None)]
)
@on_each_loop
async def test_the_log_of_a_crash_names_the_actors_path_its_class_and_the_type_of_the_message(
    how: str, kind: str | None, errors: list[Logged]
) -> None:
    class Parent(Actor):
        def on_start(self) -> None:
            self.spawn(ChildSpec(Broken, name="child"))

    async with System() as system:
        events = Events(system)
        await system.spawn(Parent, name="parent").started()
        ref = system.find("parent/child")
        assert ref is not None
        await crash(ref, how, ValueError("out of stock"))
        await events.until("restarted", "parent/child")
        (logged,) = [each for each in errors if "out of stock" in each.text]
        assert (logged.logger, logged.level) == ("callboard", logging.ERROR)
        assert "parent/child" in logged.said
        assert "Broken" in logged.said
        assert kind is None or kind in logged.text
        assert "ValueError: out of stock" in logged.text
        assert "test_unseen_errors.py" in logged.text, "the traceback leads to the handler"


@pytest.mark.parametrize("how", ["def", "async def", "beside", "proxy"])
@on_each_loop
async def test_an_error_that_goes_to_the_asker_carries_a_note_of_the_actor_and_the_message(how: str) -> None:
    async with System() as system:
        ref, order = system.spawn(Broken, name="broken"), Order(ValueError("out of stock"))
        ask = ref.proxy().later(order) if how == "proxy" else ref.ask(order if how == "def" else (how, order))
        with pytest.raises(ValueError, match="out of stock") as caught:
            await ask
        notes = "\n".join(getattr(caught.value, "__notes__", []))
        assert "broken" in notes
        assert {"def": "Order", "proxy": "ProxyCall"}.get(how, "tuple") in notes
        assert str(caught.value) == "out of stock"
        assert ref.is_alive()


@on_each_loop
async def test_an_error_that_goes_through_two_actors_has_a_note_of_each_in_the_order_it_went() -> None:
    class Asks(Actor):
        async def on_receive(self, message: Order) -> Any:
            return await inner.ask(message)

    async with System() as system:
        inner, outer = system.spawn(Broken, name="inner"), system.spawn(Asks, name="outer")
        with pytest.raises(ValueError, match="deep") as caught:
            await outer.ask(Order(ValueError("deep")))
        notes = list(getattr(caught.value, "__notes__", []))
        assert ["inner" in note for note in notes] == [True, False]
        assert ["outer" in note for note in notes] == [False, True]


@on_each_loop
async def test_one_exception_object_raised_a_thousand_times_does_not_gather_a_thousand_notes() -> None:
    always = ValueError("always the same")
    async with System() as system:
        ref = system.spawn(Broken)
        for _ in range(1000):
            with pytest.raises(ValueError, match="same"):
                await ref.ask(Order(always))
        assert 1 <= len(getattr(always, "__notes__", [])) < 10


@pytest.mark.parametrize("how", ["def", "async def", "beside", "killed"])
@on_each_loop
async def test_the_text_of_a_crash_names_the_actor_and_the_type_of_the_message(how: str) -> None:
    class Held(Broken):
        async def held(self, hold: Hold) -> None:
            hold.begun.set()
            await hold.go.wait()

        def on_receive(self, message: Any) -> Any:
            return self.held(message) if isinstance(message, Hold) else super().on_receive(message)

    async with System() as system:
        ref, hold, order = system.spawn(Held, name="broken"), Hold(), Order(SystemExit("broken off"))
        ask = ref.ask({"def": order, "killed": hold}.get(how, (how, order)))
        if how == "killed":
            await hold.begun.wait()
            ref.kill()
        with pytest.raises(ActorCrashed) as caught:
            await ask
        assert "broken" in str(caught.value)
        assert {"def": "Order", "killed": "Hold"}.get(how, "tuple") in str(caught.value)
        if how in ("def", "async def"):
            assert isinstance(caught.value.__cause__, SystemExit)


@on_each_loop
async def test_a_message_with_a_huge_text_does_not_make_a_huge_error(errors: list[Logged]) -> None:
    class Huge(str):
        __slots__ = ()

        def __repr__(self) -> str:
            return "x" * 1_000_000

    class Fails(Actor):
        def on_receive(self, message: Any) -> None:
            raise SystemExit

    async with System() as system:
        ref = system.spawn(Fails, name="fails")
        with pytest.raises(ActorCrashed) as caught:
            await ref.ask(Huge())
        assert "Huge" in str(caught.value)
        assert len(str(caught.value)) < 2000
        await ref.terminated()
        assert errors
        assert all(len(each.said) < 2000 for each in errors)


# -- the task of a handler ---------------------------------------------------------------------------------------------


class Hangs(Actor):
    """Hangs some calls below its handler, and keeps its task."""

    shutdown_timeout = 0.0

    def __init__(self, tasks: list[asyncio.Task[Any]]) -> None:
        super().__init__()
        self.tasks = tasks

    async def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Hold):
            return message
        if message.name == "later":
            await asyncio.sleep(0)
        await self.deep(message)
        return None

    async def deep(self, hold: Hold) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        hold.begun.set()
        await hold.go.wait()

    def beside(self, hold: Hold) -> Any:
        return self.reply_with(self.deep(hold))


@pytest.mark.parametrize("way", ["at once", "later", "second message", "beside", "proxy"])
@on_each_loop
async def test_the_task_of_a_handler_that_hangs_shows_where_it_hangs(way: str) -> None:
    tasks: list[asyncio.Task[Any]] = []
    async with System() as system:
        ref, hold = system.spawn(Hangs, tasks, name="hangs"), Hold(way)
        if way == "second message":
            await ref.ask("first")
            await ref.ask("second")
        if way in ("beside", "proxy"):
            proxy = ref.proxy()
            ask = proxy.beside(hold) if way == "beside" else proxy.deep(hold)
        else:
            ask = ref.ask(hold)
        await hold.begun.wait()
        (task,) = tasks
        assert task in asyncio.all_tasks()
        handler = Hangs.deep if way in ("beside", "proxy") else Hangs.on_receive
        assert handler.__code__ in [frame.f_code for frame in task.get_stack()]
        text = io.StringIO()
        task.print_stack(file=text)
        assert "test_unseen_errors.py" in text.getvalue()
        assert handler.__name__ in text.getvalue()
        below, waits_for = [], getattr(task.get_coro(), "cr_await", None)
        while waits_for is not None:
            below.append(getattr(waits_for, "cr_code", None))
            waits_for = getattr(waits_for, "cr_await", None)
        assert asyncio.Event.wait.__code__ in below
        hold.go.set()
        await ask
