"""Load: so many questions at once, or so many a second. Times are the event loop's.

Sources: closed and open systems: Schroeder, Wierman and Harchol-Balter, "Open Versus Closed: A Cautionary Tale" (2006).
In an open one latency counts from when a question was due, not from when it was sent, so that a slow server does not
hide what it makes others wait ("coordinated omission", Tene 2013).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

MOST_AT_ONCE: Final = 20_000
"""Questions of an open load that may be under way; those that were due beyond it are not asked, and count as errors."""

TOO_MANY: Final = "TooManyAtOnce"
TIMEOUT: Final = "Timeout"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question.

    Args:
        seconds: from when it was asked, or was due, to its end.
        first: seconds to the first piece of text; None where none came, or nothing is known of it.
        input_tokens, output_tokens: of the answer; None where nothing is told of them.
        cost: US dollars, or None where nothing is known of it.
        error: the name of what it ended in; empty where it was answered.
    """

    seconds: float
    first: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    error: str = ""


Ask: TypeAlias = Callable[[str], Awaitable[Outcome]]
"""Asks one question. Whatever goes wrong is in the outcome, but a cancellation."""


@dataclass(frozen=True, slots=True)
class Closed:
    """So many clients, each of which asks once, and again once it is answered.

    Args:
        clients: how many, 1 or more.
    """

    clients: int

    def __str__(self) -> str:
        return f"{self.clients} at once"


@dataclass(frozen=True, slots=True)
class Open:
    """So many questions a second, at times that chance chooses, whatever becomes of them.

    The times are those of a Poisson process in which just so many come: spread evenly by chance over the whole of it,
    so that no round gets more to do than another one.

    Args:
        rate: questions a second, above 0.
        seed: of the times.
    """

    rate: float
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.rate:g} a second"

    def questions(self, seconds: float) -> int:
        """How many are asked in so many seconds."""
        return round(self.rate * seconds)


Load: TypeAlias = Closed | Open


async def drive(
    ask: Ask, load: Load, questions: Sequence[str], *, seconds: float, timeout: float
) -> tuple[list[Outcome], float]:
    """Put load on something. Nothing new is asked once the time is up; what is under way is waited for.

    Args:
        ask: asks one question.
        load: how many.
        questions: what is asked, one after the other, and again from the first.
        seconds: for how long questions are asked.
        timeout: seconds after which one counts as failed.

    Returns:
        what came of them, in the order in which they ended, and the seconds from the first to the last.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    outcomes: list[Outcome] = []
    next_question = itertools.cycle(questions)

    async def one(due: float) -> None:
        try:
            async with asyncio.timeout_at(max(due, clock()) + timeout):
                outcome = await ask(next(next_question))
        except TimeoutError:
            outcome = Outcome(0.0, error=TIMEOUT)
        waited = clock() - due
        first = None if outcome.first is None else outcome.first + waited - outcome.seconds
        outcomes.append(replace(outcome, seconds=waited, first=None if first is None else max(0.0, first)))

    if isinstance(load, Closed):
        await _closed(one, load.clients, began + seconds, clock)
    else:
        await _open(one, load, seconds, clock, outcomes)
    return outcomes, clock() - began


async def _closed(
    one: Callable[[float], Awaitable[None]], clients: int, until: float, clock: Callable[[], float]
) -> None:
    async def client() -> None:
        while True:
            await one(clock())
            if clock() >= until:
                return
            await asyncio.sleep(0)  # so that what is answered at once does not keep the others waiting

    await _all([client() for _ in range(clients)])


async def _open(
    one: Callable[[float], Awaitable[None]],
    load: Open,
    seconds: float,
    clock: Callable[[], float],
    outcomes: list[Outcome],
) -> None:
    chance = random.Random(load.seed)
    under_way: set[asyncio.Task[None]] = set()
    due = clock()
    until = due + seconds
    try:
        for left in range(load.questions(seconds), 0, -1):
            due += (until - due) * (1 - chance.random() ** (1 / left))  # the first of so many that are left
            await asyncio.sleep(due - clock())  # where it is past, what was asked before has its turn
            if len(under_way) >= MOST_AT_ONCE:
                outcomes.append(Outcome(0.0, error=TOO_MANY))
                continue
            task = asyncio.create_task(_run(one, due), name="bench")
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    except BaseException:
        for task in under_way:
            task.cancel()
        raise
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)


async def _run(one: Callable[[float], Awaitable[None]], due: float) -> None:
    await one(due)


async def _all(work: Sequence[Awaitable[None]]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
