"""On small random actor programs `explore` finds each outcome that trying every choice finds.

``CALLBOARD_PROGRAMS=1000`` compares a thousand of them (some minutes); the suite compares a few.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, Mailbox, Outcome, Overflow
from callboard.actors.testing import Exploration, Simulation, SimulationFailed, explore, simulate
from callboard.actors.testing.schedules import sampling

PROGRAMS = int(os.environ.get("CALLBOARD_PROGRAMS", "8"))
CHOICES = 60
"""How many schedules of a program are tried choice by choice, and how many by chance."""
MOST = 1_500 if "CALLBOARD_PROGRAMS" in os.environ else 400
"""After how many schedules a program is left."""
TOP = 4
KINDS = ("tell", "tell", "ask", "ask", "later", "beside", "reply", "sleep", "stop")
DENSE = ("urge", "urge", "urge", "put", "ask", "sleep", "open", "note", "note")
"""What the actors of a dense program do, which have small mailboxes, and a shelf in common."""
ASKED = ("tell", "tell", "ask", "ask", "sleep", "all", "first")
OVERFLOWS: tuple[Overflow, ...] = ("refuse", "drop_oldest", "drop_newest")

Action = tuple[Any, ...]
Table = dict[tuple[int, int], list[Action]]
Program = tuple[int, Table, list[list[Action]], list[Mailbox | None]]


class World:
    """What a run of a program is made of; known by a global, so that nothing is shared that `explore` would see."""

    refs: dict[int, ActorRef[Any]]
    seen: dict[int, list[Any]]
    answers: list[list[Any]]


class Node(Actor):
    """Does for each message what the program's table says, and keeps what it saw."""

    def __init__(self, number: int, table: Table, shelf: dict[int, list[Any]]) -> None:
        super().__init__()
        self.number = number
        self.table = table
        self.shelf = shelf
        self.seen: list[Any] = []
        World.seen[number] = self.seen

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Outcome):
            self.seen.append(("outcome", message.value if message.error is None else type(message.error).__name__))
            return None
        self.seen.append(message)
        for kind, *rest in self.table.get((self.number, message), ()):
            match kind:
                case "tell":
                    World.refs[rest[0]].tell(rest[1])
                case "ask":
                    self.seen.append(await asked(rest[0], rest[1], 1.0))
                case "later":
                    self.schedule(rest[1] % 3 / 2, rest[1])
                case "beside":
                    self.pipe(self.beside(rest[0], rest[1]))
                case "reply":
                    return self.reply_with(self.beside(rest[0], rest[1]))
                case "sleep":
                    await asyncio.sleep(rest[1] % 3 / 2)
                case "stop":
                    World.refs[rest[0]].stop(block=False)
                case _:
                    await self.dense(kind, *rest)
        return len(self.seen)

    async def dense(self, kind: str, number: int, message: int) -> None:
        match kind:
            case "open":
                self.shelf[number] = []
            case "note":
                self.shelf.setdefault(number, []).append((self.number, message))
            case _:
                await sent(kind, number, message, self.seen)

    async def beside(self, number: int, message: int) -> Any:
        answer = await asked(number, message, None)
        self.seen.append(("beside", answer))
        return answer


async def asked(number: int, message: int, timeout: float | None) -> Any:
    try:
        return await World.refs[number].ask(message, timeout=timeout)
    except Exception as error:
        return type(error).__name__


async def sent(kind: str, number: int, message: int, log: list[Any]) -> None:
    try:
        if kind == "put":
            await World.refs[number].put(message)
        else:
            World.refs[number].tell(message, priority=message % 5 - 2)
    except Exception as error:
        log.append(type(error).__name__)


async def client(actions: Sequence[Action], answers: list[Any]) -> None:
    for kind, *rest in actions:
        try:
            match kind:
                case "tell":
                    World.refs[rest[0]].tell(rest[1])
                case "ask":
                    answers.append(await asked(rest[0], rest[1], None))
                case "sleep":
                    await asyncio.sleep(rest[0])
                case "urge" | "put":
                    await sent(kind, rest[0], rest[1], answers)
                case "all":
                    answers.append(await asyncio.gather(*(World.refs[to].ask(it) for to, it in rest)))
                case "first":
                    asks: list[Any] = [World.refs[to].ask(it) for to, it in rest]
                    done, _ = await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
                    answers.append([ask in done for ask in asks])
        except Exception as error:
            answers.append(type(error).__name__)


def program(seed: int, dense: bool) -> Program:
    """Draw a program: two or three actors, one or two clients, and messages that lead to ones of higher numbers.

    Args:
        dense: whether with priorities, full mailboxes and objects that are made on the way.
    """
    rng = random.Random(seed)
    kinds, asked = (DENSE, ("urge", "urge", "urge", "put", "ask", "sleep")) if dense else (KINDS, ASKED)
    actors = rng.choice([2, 3])

    def message() -> tuple[int, int]:
        return rng.randrange(actors), rng.randrange(TOP)

    table: Table = {}
    for number, taken in itertools.product(range(actors), range(TOP)):
        if rng.random() < (0.8 if dense else 0.5):
            table[number, taken] = [
                (rng.choice(kinds), rng.randrange(actors), rng.randrange(taken + 1, TOP + 2))
                for _ in range(rng.choice([1, 2]) if dense else 1)
            ]
    clients: list[list[Action]] = []
    for _ in range(2 if dense else rng.choice([1, 2, 2])):
        actions: list[Action] = []
        for _ in range(rng.choice([1, 2, 3] if dense else [1, 1, 2])):
            kind = rng.choice(asked)
            more = (message(), message()) if kind in ("all", "first") else message()
            actions.append((kind, *((rng.randrange(2),) if kind == "sleep" else more)))
        clients.append(actions)
    mailboxes = [
        Mailbox(rng.choice([1, 2]), rng.choice(OVERFLOWS)) if dense and rng.random() < 0.5 else None
        for _ in range(actors)
    ]
    return actors, table, clients, mailboxes


def run(drawn: Program, outcomes: set[str]) -> Any:
    """Return a scenario that runs a program and adds what came of it."""
    actors, table, clients, mailboxes = drawn

    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        World.refs, World.seen, World.answers = {}, {}, []
        shelf: dict[int, list[Any]] = {}
        for number in range(actors):
            World.refs[number] = sim.system.spawn(
                Node, number, table, shelf, name=f"node{number}", mailbox=mailboxes[number]
            )
        async with asyncio.TaskGroup() as group:
            for number, actions in enumerate(clients):
                World.answers.append([])
                group.create_task(client(actions, World.answers[-1]), name=f"client{number}")
        await asyncio.sleep(20)
        outcomes.add(repr((World.seen, World.answers, shelf)))

    return scenario


class Choices:
    """Takes given choices, then the oldest, and notes how many there were."""

    def __init__(self, picks: Sequence[int]) -> None:
        self.picks = picks
        self.among: list[int] = []

    def pick(self, order: list[int], lanes: dict[int, Any]) -> int:
        index = len(self.among)
        self.among.append(len(order))
        return self.picks[index] if index < len(self.picks) else 0


def all_choices(scenario: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a scenario with every sequence of choices, the last ones varied first, as far as the number goes."""
    picks: list[int] = []
    for _ in range(CHOICES):
        schedule = Choices(picks)
        monkeypatch.setattr(sampling, "schedule", lambda strategy, seed, schedule=schedule: schedule)
        simulate(scenario, seeds=[0])
        picks = [*picks, *[0] * len(schedule.among)][: len(schedule.among)]
        while picks and picks[-1] + 1 >= schedule.among[len(picks) - 1]:
            picks.pop()
        if not picks:
            return True
        picks[-1] += 1
    return False


@pytest.mark.parametrize("dense", [False, True], ids=["", "dense"])
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_no_outcome_of_a_random_program_is_missed(seed: int, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = program(seed, dense)
    explored: set[str] = set()
    tried: set[str] = set()
    try:
        found: Exploration = explore(run(drawn, explored), max_schedules=MOST)
    except SimulationFailed:  # two actors that wait for each other
        return
    simulate(run(drawn, tried), seeds=CHOICES)
    whole = all_choices(run(drawn, tried), monkeypatch)
    if found.complete:
        assert tried <= explored, f"missed: {tried - explored}"
    if whole:
        assert explored <= tried
