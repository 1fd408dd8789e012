"""The texts of dead letters: made for who reads them, and never of the whole of a large message."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from typing import Any

import pytest

from callboard.actors import ActorDead, ChildSpec, DeadLetter, Event, Mailbox, MailboxFull, System

from .support import Echo, Gate, Hold, on_each_loop

QUEUED = 40
HUGE = 2_000
A_HANDFUL = 20
"""Items of one message whose text may be made."""


class Counts:
    """Counts how often its text is made."""

    made = 0

    def __init__(self, text: str = "counts") -> None:
        self.text = text

    def __repr__(self) -> str:
        Counts.made += 1
        return self.text


class OwnList(list[Any]):
    """A list of the user's own class."""


class OwnDict(dict[Any, Any]):
    """A dictionary of the user's own class."""


ITEMS = [Counts() for _ in range(HUGE)]
MESSAGES: dict[str, Any] = {
    "one": Counts(),
    "list": ITEMS,
    "tuple": tuple(ITEMS),
    "dict": dict(enumerate(ITEMS)),
    "set": set(ITEMS),
    "frozenset": frozenset(ITEMS),
    "deque": deque(ITEMS),
    "nested lists": [[ITEMS, ITEMS], {"items": ITEMS}],
    "list of the user's own": OwnList(ITEMS),
    "dict of the user's own": OwnDict(enumerate(ITEMS)),
    "both in a tuple": (OwnList(ITEMS), OrderedDict(enumerate(ITEMS))),
}
each_message = pytest.mark.parametrize("which", MESSAGES)


@pytest.fixture(autouse=True)
def _nothing_is_counted_yet() -> None:
    Counts.made = 0


async def stop_with_queued(system: System, message: Any, how: str) -> None:
    """Make dead letters of a message, in one of the ways they come about."""
    hold = Hold()
    match how:
        case "drop_oldest" | "drop_newest":
            mailbox: Any = Mailbox(1, how)
            ref = system.spawn(Gate, mailbox=mailbox)
        case _:
            ref = system.spawn(Gate)
    ref.tell(hold)
    await hold.begun.wait()
    for _ in range(QUEUED):
        ref.tell(message)
    match how:
        case "given up":
            asks = [ref.ask(message) for _ in range(QUEUED)]
            for ask in asks:
                ask.cancel()
            hold.go.set()
            await ref.ask("sync")
        case "kill":
            ref.kill()
            await ref.terminated()
        case _:
            hold.go.set()
            await ref.stop()


HOWS = ["kill", "given up", "drop_oldest", "drop_newest"]


@pytest.mark.parametrize("how", HOWS)
@each_message
@on_each_loop
async def test_no_text_is_made_of_a_dead_letter_that_nobody_reads(
    which: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    async with System() as system:
        await stop_with_queued(system, MESSAGES[which], how)
        assert system.dead_letters.count >= QUEUED - 1
    assert Counts.made == 0


@each_message
@on_each_loop
async def test_no_text_is_made_of_what_is_queued_when_the_system_stops(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    told: list[DeadLetter] = []
    async with System() as system:
        system.dead_letters.subscribe(told.append)
        ref, hold = system.supervise(ChildSpec(Gate, shutdown=0.0)), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        for _ in range(QUEUED):
            ref.tell(MESSAGES[which])
    assert [letter.message is MESSAGES[which] for letter in told] == [True] * QUEUED
    assert Counts.made == 0, "a subscriber of dead letters gets the message itself"


@each_message
@on_each_loop
async def test_a_log_of_dead_letters_has_the_text_of_a_handful_of_items(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "callboard.deadletters")
    async with System() as system:
        await stop_with_queued(system, MESSAGES[which], "kill")
    texts = [record.getMessage() for record in caplog.records if record.name == "callboard.deadletters"]
    assert texts
    assert all(len(text) < 1000 for text in texts)
    assert Counts.made <= A_HANDFUL * QUEUED


@each_message
@on_each_loop
async def test_the_event_of_a_dead_letter_has_the_text_of_a_handful_of_items(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    told: list[Event] = []
    async with System() as system:
        system.subscribe(told.append)
        await stop_with_queued(system, MESSAGES[which], "kill")
    details = [event.detail for event in told if event.kind == "dead_letter"]
    assert len(details) == QUEUED
    assert all(len(detail) < 1000 for detail in details)
    assert Counts.made <= A_HANDFUL * QUEUED


@each_message
@on_each_loop
async def test_the_errors_of_refused_asks_have_the_text_of_a_handful_of_items(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    async with System() as system:
        ref = system.spawn(Echo)
        await ref.stop()
        late = ref.ask(MESSAGES[which])
        with pytest.raises(ActorDead) as dead:
            await late
        full, hold = system.spawn(Gate, mailbox=Mailbox(1)), Hold()
        full.tell(hold)
        await hold.begun.wait()
        full.tell("full")
        with pytest.raises(MailboxFull) as refused:
            await full.ask(MESSAGES[which])
        with pytest.raises(MailboxFull):
            full.tell(MESSAGES[which])
        hold.go.set()
    assert len(str(dead.value)) < 1000
    assert len(str(refused.value)) < 1000
    assert Counts.made <= A_HANDFUL * 3


@on_each_loop
async def test_the_text_of_a_message_with_a_text_of_its_own_is_what_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "callboard.deadletters")
    told: list[Event] = []
    async with System() as system:
        system.subscribe(told.append)
        await stop_with_queued(system, Counts("my own text"), "kill")
    assert all("my own text" in event.detail for event in told if event.kind == "dead_letter")
    assert "my own text" in caplog.text
