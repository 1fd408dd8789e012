"""Exceptions that take no notes, log handlers that raise, subscribers that raise or drop: they harm nobody."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from callboard.actors import Actor, ActorDead, ActorRef, ChildSpec, DeadLetter, Event, Mailbox, System

from .support import Echo, Events, Gate, Hold, on_each_loop


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """Nothing can be set on it, not even ``__notes__``."""

    code: int


class NotesAreText(Exception):
    __notes__ = "no list"  # type: ignore[assignment]


class RefusesNotes(Exception):
    def add_note(self, note: str, /) -> None:
        raise ValueError("no notes here")


class HasNoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


ERRORS: dict[str, Callable[[], Exception]] = {
    "frozen": lambda: Frozen(1),
    "notes are text": NotesAreText,
    "refuses notes": RefusesNotes,
    "has no text": HasNoText,
}
each_error = pytest.mark.parametrize("which", sorted(ERRORS))
HOWS = ["def", "async def", "waits", "reply_with", "proxy"]


class Raises(Actor):
    """Raises the exception it is sent, in the way it was told; answers with anything else."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, BaseException):
            return message
        match self.how:
            case "async def":
                return self.at_once(message)
            case "waits":
                return self.later(message)
            case "reply_with":
                return self.reply_with(self.later(message))
            case "stream":
                return self.items(message)
        raise message

    async def at_once(self, error: BaseException) -> None:
        raise error

    async def later(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def items(self, error: BaseException) -> AsyncIterator[int]:
        yield 1
        raise error

    def method(self, error: BaseException) -> None:
        raise error


def asked(ref: ActorRef[Any], how: str, error: BaseException) -> Any:
    return ref.proxy().method(error) if how == "proxy" else ref.ask(error)


@each_error
@pytest.mark.parametrize("how", HOWS)
@on_each_loop
async def test_an_exception_that_takes_no_note_reaches_its_asker_and_harms_nobody_else(how: str, which: str) -> None:
    error = ERRORS[which]()
    async with System() as system:
        ref, other = system.spawn(Raises, how), system.spawn(Echo)
        failing, beside = asked(ref, how, error), other.ask("beside")
        with pytest.raises(type(error)) as raised:
            await failing
        assert raised.value is error
        assert await beside == "beside"
        assert await ref.ask("next") == "next", "its actor lives on"
        assert await other.ask("later") == "later"
        assert await ref.stop() is True


@each_error
@pytest.mark.parametrize("how", [*HOWS[:-1], "on_start"])
@on_each_loop
async def test_a_crash_with_an_exception_that_takes_no_note_goes_its_way(how: str, which: str) -> None:
    error = ERRORS[which]()

    class Fragile(Raises):
        def on_start(self) -> None:
            if how == "on_start" and not failed:
                failed.append(True)
                raise error

    failed: list[bool] = []
    async with System() as system:
        events, other = Events(system), system.spawn(Echo)
        watched = system.spawn(Raises, how)
        ref = system.supervise(ChildSpec(Fragile, (how,), name="fragile"))
        if how != "on_start":
            ref.tell(error)
            watched.tell(error)
            await watched.terminated()
        beside = other.ask("beside")
        await events.until("crashed", "fragile")
        await events.until("restarted", "fragile")
        assert await ref.ask("alive") == "alive"
        assert await beside == "beside"
        assert events.count("crashed", "fragile") == 1
        assert await ref.stop() is True
        assert not ref.is_alive()


@each_error
@on_each_loop
async def test_a_stream_ends_in_an_exception_that_takes_no_note(which: str) -> None:
    error = ERRORS[which]()
    async with System() as system:
        ref, other = system.spawn(Raises, "stream"), system.spawn(Echo)
        stream = ref.stream(error)
        assert await anext(stream) == 1
        with pytest.raises(type(error)) as raised:
            await anext(stream)
        assert raised.value is error
        assert await other.ask("beside") == "beside"
        assert await ref.ask("next") == "next"


def test_an_exception_that_takes_no_note_reaches_a_thread_and_leaves_the_system_on_its_own_one_alive() -> None:
    error = Frozen(1)
    with System.in_thread() as system:
        ref, other = system.spawn(Raises, "def"), system.spawn(Echo)
        with pytest.raises(Frozen) as raised:
            ref.ask(error).get(timeout=5)
        assert raised.value is error
        assert other.ask("beside").get(timeout=5) == "beside"
        ref.tell(Frozen(2))
        with pytest.raises(ActorDead):
            ref.ask("behind the crash").get(timeout=5)
        assert system.spawn(Echo).ask("new").get(timeout=5) == "new"


# -- log handlers ------------------------------------------------------------------------------------------------------


class Strict(logging.Handler):
    """Takes each record for a failure, as some test suites do."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())
        raise AssertionError(f"logged: {record.getMessage()}")


@pytest.fixture
def strict(caplog: pytest.LogCaptureFixture) -> Iterator[Strict]:
    caplog.set_level(logging.INFO, "callboard")
    handler = Strict()
    logger = logging.getLogger("callboard")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def may_complain() -> None:
    """Let the loop be told of what the log handler raised."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)


@on_each_loop
async def test_with_a_log_handler_that_raises_a_crash_goes_its_way(strict: Strict) -> None:
    may_complain()
    async with System() as system:
        events, other = Events(system), system.spawn(Echo)
        ref = system.supervise(ChildSpec(Raises, ("def",), name="fragile"))
        dies = system.spawn(Raises, "waits")
        ref.tell(LookupError("crash"))
        dies.tell(LookupError("crash"))
        beside = other.ask("beside")
        await events.until("restarted", "fragile")
        assert await ref.ask("alive") == "alive"
        await dies.terminated()
        assert await beside == "beside"
    assert any("Unhandled exception" in record for record in strict.records)


@on_each_loop
async def test_with_a_log_handler_that_raises_dead_letters_are_told_and_nobody_is_harmed(strict: Strict) -> None:
    may_complain()
    async with System() as system:
        letters: list[Any] = []
        system.dead_letters.subscribe(lambda letter: letters.append(letter.message))
        ref, other, hold = system.spawn(Gate), system.spawn(Echo), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        asks = [ref.ask(number) for number in range(3)]
        for number in range(3):
            ref.tell(number)
        ref.kill()
        await ref.terminated()
        assert sorted(letters) == [0, 0, 1, 1, 2, 2]
        for ask in asks:
            with pytest.raises(ActorDead):
                await ask
        assert await other.ask("beside") == "beside"
    assert any("dead letter" in record for record in strict.records)


@on_each_loop
async def test_with_a_log_handler_that_raises_an_error_in_on_stop_does_not_hang_the_stop(strict: Strict) -> None:
    may_complain()

    class Ends(Echo):
        def on_stop(self) -> None:
            raise LookupError("on_stop")

        def on_failure(self, *_: Any) -> None:
            raise LookupError("on_failure")

    async with System() as system:
        ref, other = system.spawn(Ends), system.spawn(Echo)
        await ref.stop()
        killed = system.spawn(Ends)
        killed.kill()
        await killed.terminated()
        assert not ref.is_alive()
        assert await other.ask("beside") == "beside"
    assert strict.records


# -- subscribers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SystemExit, LookupError, GeneratorExit])
@on_each_loop
async def test_a_subscriber_of_events_that_raises_harms_nobody(kind: type[BaseException]) -> None:
    told: list[str] = []

    def subscriber(event: Event) -> None:
        told.append(event.kind)
        raise kind(event.kind)

    async with System() as system:
        system.subscribe(subscriber)
        events, other = Events(system), system.spawn(Echo)
        ref = system.supervise(ChildSpec(Raises, ("def",), name="fragile"))
        dies = system.spawn(Raises, "waits", name="dies")
        ref.tell(LookupError("crash"))
        dies.tell(LookupError("crash"))
        beside = other.ask("beside")
        await events.until("restarted", "fragile")
        await dies.terminated()
        assert await ref.ask("alive") == "alive"
        assert await beside == "beside"
        assert await ref.stop() is True
    assert {"started", "crashed", "restarted", "stopped"} <= set(told)
    assert told == [event.kind for event in events.all], "the one after it is told of all of them too"


@pytest.mark.parametrize("kind", [SystemExit, LookupError, GeneratorExit])
@on_each_loop
async def test_a_subscriber_of_dead_letters_that_raises_harms_nobody(kind: type[BaseException]) -> None:
    told: list[Any] = []
    after: list[Any] = []

    def subscriber(letter: DeadLetter) -> None:
        told.append(letter.message)
        raise kind(letter.message)

    async with System() as system:
        system.dead_letters.subscribe(subscriber)
        system.dead_letters.subscribe(lambda letter: after.append(letter.message))
        ref, other, hold = system.spawn(Gate), system.spawn(Echo), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        for number in range(3):
            ref.tell(number)
        beside, queued = other.ask("beside"), ref.ask("queued")
        ref.kill()
        await ref.terminated()
        with pytest.raises(ActorDead):
            await queued
        assert await beside == "beside"
        given_up = other.ask("given up")
        given_up.cancel()
        assert await other.ask("later") == "later"
    assert told == after
    assert [message for message in told if message in range(3)] == [0, 1, 2]


# -- subscribers that drop ---------------------------------------------------------------------------------------------

each_overflow = pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])


class Keeps(Actor):
    """Keeps what it is told, in a mailbox that drops messages."""

    def __init__(self, kept: list[Any]) -> None:
        super().__init__()
        self.kept = kept

    def on_receive(self, message: Any) -> None:
        self.kept.append(message)


async def drop(system: System, count: int) -> None:
    """Make dead letters, all in one step of the loop."""
    full, hold = system.spawn(Gate, mailbox=Mailbox(1, "drop_newest"), name="full"), Hold()
    full.tell(hold)
    await hold.begun.wait()
    full.tell("waits")
    for number in range(count):
        full.tell(number)
    hold.go.set()
    await full.stop()


@each_overflow
@pytest.mark.parametrize("how", ["actor", "function"])
@on_each_loop
async def test_a_subscriber_of_dead_letters_whose_full_mailbox_drops_them_is_not_told_of_that(
    how: str, overflow: Any
) -> None:
    kept: list[Any] = []
    async with System() as system:
        keeps, other = system.spawn(Keeps, kept, mailbox=Mailbox(2, overflow)), system.spawn(Echo)
        system.dead_letters.subscribe(keeps if how == "actor" else lambda letter: keeps.tell(letter))
        await drop(system, 50)
        await keeps.stop()
        assert system.dead_letters.count == 50 + 48, "each message, and each word of one but for the two that had room"
        assert [letter.message for letter in kept] == ([0, 1] if overflow == "drop_newest" else [48, 49])
        assert await other.ask("beside") == "beside"


@each_overflow
@on_each_loop
async def test_two_subscribers_of_dead_letters_whose_full_mailboxes_drop_them_go_round_in_no_circle(
    overflow: Any,
) -> None:
    kept: list[Any] = []
    async with System() as system:
        for _ in range(2):
            system.dead_letters.subscribe(system.spawn(Keeps, kept, mailbox=Mailbox(2, overflow)))
        await drop(system, 50)
        assert await system.spawn(Echo).ask("beside") == "beside"
        assert 50 <= system.dead_letters.count <= 50 * 5
        assert len(kept) == 4


@each_overflow
@on_each_loop
async def test_a_subscriber_of_events_whose_full_mailbox_drops_them_goes_round_in_no_circle(
    overflow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[Any] = []
    async with System() as system:
        keeps = system.spawn(Keeps, kept, mailbox=Mailbox(2, overflow))
        end = system.subscribe(lambda event: keeps.tell(event) if event.kind == "dead_letter" else None)
        await drop(system, 3)
        end()
        assert await system.spawn(Echo).ask("beside") == "beside"
        await keeps.stop()
        assert kept, "it was told of some"
    assert "RecursionError" not in caplog.text
