"""Bugs behind many rare steps, each beside its fix: chance alone does not find them in ten thousand schedules.

What they have in common is that each step can be seen: in an actor's attributes, or in the order of its messages. A
search that goes back to the rarest of what it has seen needs the sum of the steps' chances, not their product.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from callboard.actors import Actor, ActorRef
from callboard.actors.testing import Simulation

from .gallery import Scenario, together


@dataclass(frozen=True, slots=True)
class Deep:
    """One entry: how to build its scenario, from the number of steps and whether it is fixed."""

    name: str
    build: Callable[[int, bool], Scenario]
    steps: int
    few: int
    """Steps for a quick search."""


async def _telling(ref: ActorRef[Any], message: Any, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
        ref.tell(message)


# -- 1. one pause too many of a flow that has to stop and go on -------------------------------------------------------


class Flow(Actor):
    """Keeps a queue between two marks: above the high one the producer pauses, below the low one it goes on."""

    HIGH, LOW = 6, 1

    def __init__(self, most: int, fixed: bool) -> None:
        super().__init__()
        self.most = most
        self.fixed = fixed
        self.level = 0
        self.paused = False
        self.pauses = 0
        self.lost = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case "lost?":
                return self.lost
            case "put":
                self.level += 1
                if self.level >= self.HIGH and not self.paused:
                    self.paused = True
                    self.pauses += 1
                    if self.pauses == self.most and not self.fixed:
                        self.lost += 1  # the list of pauses is full
            case "take" if self.level:
                self.level -= 1
                if self.level <= self.LOW:
                    self.paused = False
        return None


def last_pause(steps: int, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        flow = sim.system.spawn(Flow, steps, fixed, name="flow")
        await together({"producer": _telling(flow, "put", 50), "consumer": _telling(flow, "take", 50)})
        assert await flow.ask("lost?") == 0, "a pause is lost"

    return scenario


# -- 2. a session that is brought back by an old ticket ---------------------------------------------------------------


class Session(Actor):
    """A handshake of parties that speak in turn; who speaks out of turn has it begin anew."""

    TURNS = (
        "ticket",
        "key",
        "cookie",
        "hello",
        "ticket",
        "cookie",
        "key",
        "ticket",
        "hello",
        "key",
        "cookie",
        "ticket",
    )

    def __init__(self, turns: int, fixed: bool) -> None:
        super().__init__()
        self.turns = turns
        self.fixed = fixed
        self.turn = 0
        self.resumed = False

    def on_receive(self, message: Any) -> Any:
        if message == "resumed?":
            return self.resumed
        if message == self.TURNS[self.turn]:
            self.turn += 1
        else:
            self.turn = int(message == self.TURNS[0])
        if self.turn == self.turns:
            self.turn = 0
            self.resumed = not self.fixed
        return None


def old_ticket(steps: int, fixed: bool) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        session = sim.system.spawn(Session, steps, fixed, name="session")
        await together({word: _telling(session, word, 9) for word in ("hello", "cookie", "key", "ticket")})
        assert not await session.ask("resumed?"), "a session was resumed with an old ticket"

    return scenario


# -- 3. a rebase that stacks up ---------------------------------------------------------------------------------------


class Document(Actor):
    """Takes an edit if nobody else has edited since; else says how many did."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case ("edit", version):
                if version == self.version:
                    self.version += 1
                    return 0
                return self.version - version
        return self.version


class Editor(Actor):
    """Edits; where it is late by two edits it rebases, which stacks up; where by another number, it reads anew."""

    def __init__(self, document: ActorRef[Document], depth: int, fixed: bool) -> None:
        super().__init__()
        self.depth = depth
        self.document = document
        self.fixed = fixed
        self.stacked = 0
        self.given_up = False

    async def on_receive(self, message: Any) -> Any:
        if message == "given up?":
            return self.given_up
        version = await self.document.ask("version")
        late = await self.document.ask(("edit", version))
        self.stacked = self.stacked + 1 if late == 2 else 0
        if self.stacked == self.depth and not self.fixed:
            self.given_up = True  # the edit is forgotten
        elif late:
            self.ref.tell("again")
        return None


def rebase(steps: int, fixed: bool) -> Scenario:
    async def edit(document: ActorRef[Document], times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)
            while await document.ask(("edit", await document.ask("version"))):
                pass

    async def scenario(sim: Simulation) -> None:
        document = sim.system.spawn(Document, name="document")
        editor = sim.system.spawn(Editor, document, steps, fixed, name="editor")
        editor.tell("edit")
        await together({"another": edit(document, 20)})
        await sim.idle()
        assert not await editor.ask("given up?"), "an edit is forgotten"

    return scenario


DEEP = (
    Deep("one pause too many", last_pause, 7, 2),
    Deep("an old ticket", old_ticket, 12, 4),
    Deep("a rebase that stacks up", rebase, 6, 2),
)
