"""Synchronous programs that end with more to do than there is time for, or with systems that still tell each other.

``python ending_programs.py NAME`` runs one; `test_program_time` runs each in a process of its own. What an actor does
is written to the standard output at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import Any

from callboard.actors import Actor, ActorRef, Outcome, System

MORE_THAN_FITS = {"more_than_fits": 60, "more_than_fits_blocking": 15_000, "more_than_fits_beside": 60}
"""Messages that take twice or three times the ten seconds that a program's end has."""
HOPS = 300
MANY = 8
"""Systems that never end: ten seconds for each of them would be more than the test waits."""


def say(*words: Any) -> None:
    """Write a line in one piece."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def told_of_dead_letters(name: str) -> System:
    """A system on a thread of its own that says what becomes a dead letter."""
    system = System.in_thread(name)
    system.dead_letters.subscribe(lambda letter: say("dead", letter.message))
    return system


class Says(Actor):
    """Says that it has stopped, after what its subclasses say."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.prefix = f"{name} " if name else ""

    def on_stop(self) -> None:
        say(f"{self.prefix}stopped")


# -- more than fits ----------------------------------------------------------------------------------------------------


class Sleeps(Says):
    async def on_receive(self, message: Any) -> None:
        await asyncio.sleep(0.5)
        say("done", message)


class Blocks(Says):
    """Never awaits: the loop goes on only between some hundreds of its messages."""

    def on_receive(self, message: Any) -> None:
        time.sleep(0.001)
        say("done", message)


def _more_than_fits(kind: type[Says], name: str) -> None:
    ref = told_of_dead_letters("full").spawn(kind)
    for number in range(MORE_THAN_FITS[name]):
        ref.tell(number)


def more_than_fits() -> None:
    _more_than_fits(Sleeps, "more_than_fits")


def more_than_fits_blocking() -> None:
    _more_than_fits(Blocks, "more_than_fits_blocking")


def more_than_fits_beside() -> None:
    """Another system has little to do; it does it, however full the first one is."""
    _more_than_fits(Sleeps, "more_than_fits_beside")
    other = told_of_dead_letters("other").spawn(Other, "other")
    for number in range(20):
        other.tell(number)


class Other(Says):
    async def on_receive(self, message: Any) -> None:
        await asyncio.sleep(0.001)
        say("other", message)


# -- systems that never end --------------------------------------------------------------------------------------------


class Hangs(Says):
    def on_receive(self, message: Any) -> None:
        if message == "hang":
            say("hangs")
            threading.Event().wait()


def many_hang() -> None:
    """Each lets its loop never go; a last one has little to do."""
    for number in range(MANY):
        System.in_thread(f"hangs{number}").spawn(Hangs).tell("hang")
    other = System.in_thread("other").spawn(Other, "other")
    for number in range(20):
        other.tell(number)


class Endless(Says):
    async def on_receive(self, message: Any) -> None:
        say("begun")
        await asyncio.Event().wait()


def many_are_endless() -> None:
    """Each has a handler that never ends, but lets the loop go on."""
    for number in range(MANY):
        System.in_thread(f"endless{number}").spawn(Endless, f"endless{number}").tell("go")


# -- what is under way -------------------------------------------------------------------------------------------------


class Replies(Says):
    def on_receive(self, message: Any) -> Any:
        return self.reply_with(self.reply(message))

    async def reply(self, message: Any) -> Any:
        await asyncio.sleep(0.2)
        say("replied", message)
        return message


def answers_under_way() -> None:
    ref = Replies.start()
    for number in range(3):
        ref.ask(number)
    ref.tell(3)


class Works(Says):
    async def on_receive(self, message: Any) -> None:
        say("begun", message)
        begun.set()
        await asyncio.sleep(0.2)
        say("done", message)


begun = threading.Event()


def handler_at_work() -> None:
    """Nothing waits any more when the program ends, but a handler is at work."""
    Works.start().tell("work")
    begun.wait(10)


class Pipes(Says):
    """Has work beside its mailbox that never ends, and never says so."""

    def on_receive(self, message: Any) -> None:
        if not isinstance(message, Outcome):
            self.pipe(self.forever())

    async def forever(self) -> None:
        say("piping")
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            say("cancelled")


def pipes() -> None:
    Pipes.start().tell("go")
    begun.wait(10)


# -- systems that tell each other --------------------------------------------------------------------------------------


class Hops(Says):
    """Sends on to the other what it gets, less one; at once, or after a moment."""

    other: ActorRef[Any]

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, ActorRef):
            self.other = message
            return None
        return self.hop(message) if message % 3 else self.send_on(message)

    async def hop(self, number: int) -> None:
        await asyncio.sleep(0.001)
        self.send_on(number)

    def send_on(self, number: int) -> None:
        say("hop", number)
        if number:
            self.other.tell(number - 1)


def _ring(systems: list[System]) -> None:
    refs = [system.spawn(Hops, system.name) for system in systems]
    for index, ref in enumerate(refs):
        ref.tell(refs[(index + 1) % len(refs)])
    refs[0].tell(HOPS)


def two_tell_each_other() -> None:
    _ring([told_of_dead_letters("one"), told_of_dead_letters("two")])


def three_tell_each_other() -> None:
    _ring([told_of_dead_letters(name) for name in ("one", "two", "three")])


class Asks(Says):
    """Asks the other, which asks back, and says what came of it."""

    other: ActorRef[Any]

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, ActorRef):
            self.other = message
            return None
        return self.reply_with(self.ask(message))

    async def ask(self, number: int) -> int:
        answer = number if number == 0 else await self.other.ask(number - 1) + 1
        say("answer", answer)
        return answer


def two_ask_each_other() -> None:
    one, two = told_of_dead_letters("one"), told_of_dead_letters("two")
    refs = one.spawn(Asks, "one"), two.spawn(Asks, "two")
    refs[0].tell(refs[1])
    refs[1].tell(refs[0])
    refs[0].ask(20)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
