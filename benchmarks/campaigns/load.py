"""The callers: clients in the loop and clients in threads. Each draws its runs from a random source of its own."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count

from callboard import Agency, Answer, CallboardError

from .governor import Governor
from .ledger import Ledger, Run
from .plans import Plan, draw

TURNS = 5
"""Turns of a conversation; then it is released."""
PATIENCE = 45.0
"""Seconds after which a run without an outcome is given up: thrice its own limit."""
UNANSWERED = 1.5
"""Seconds a caller waits for a run in which nobody answers a question for approval."""


@dataclass(slots=True)
class Shared:
    """What all clients have."""

    agency: Agency
    ledger: Ledger
    governor: Governor
    seed: int
    stop: threading.Event


class Conversations:
    """The conversation that a client is in: a new one every few turns."""

    def __init__(self, name: str, agency: Agency, ledger: Ledger) -> None:
        self._name = name
        self._agency = agency
        self._ledger = ledger
        self._turns = 0
        self._number = 0

    @property
    def now(self) -> str:
        return f"{self._name}-{self._number}"

    async def next(self) -> None:
        """One turn more has been taken."""
        self._turns += 1
        if self._turns < TURNS:
            return
        released, self._turns = self.now, 0
        self._number += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self._agency.release(released)
        except TimeoutError:
            self._ledger.totals.violated("a release ends", released)
        except CallboardError as error:
            self._ledger.totals.outcomes["release", type(error).__name__] += 1


async def until(run: Run, ledger: Ledger, asked: Awaitable[Answer]) -> None:
    """Wait for a run's outcome and enter it in the books."""
    try:
        answer = await asked
    except asyncio.CancelledError:
        ledger.close(run, "cancelled")
    except CallboardError as error:
        ledger.fail(run, error)
    except Exception as error:
        ledger.totals.violated("a run ends in an answer or a named error", f"{run.plan.text}: {error!r:.200}")
        ledger.fail(run, error)
    else:
        ledger.close(run, "answered", answer)


async def client(shared: Shared, name: str) -> None:
    """One caller in the loop; until it is told to stop."""
    rng = random.Random(f"{shared.seed} {name}")
    talk = Conversations(name, shared.agency, shared.ledger)
    kinds: dict[Callable[..., Awaitable[None]], int] = {
        _once: 30,
        _turn: 30,
        _stream: 20,
        _cancel: 15,
        _two: 5,
        _left: 1,
    }
    for number in count():
        await asyncio.sleep(shared.governor.draw(rng))
        if shared.stop.is_set():
            return
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        work = asyncio.ensure_future(kind(shared, f"{name}x{number}", rng, talk))
        await asyncio.wait({work}, timeout=PATIENCE)
        if not work.done():
            talk = Conversations(f"{name}x{number}", shared.agency, shared.ledger)  # that one hangs: leave it alone
        else:
            await work


async def _asked(shared: Shared, run: Run, conversation: str | None = None) -> None:
    await until(run, shared.ledger, shared.agency.run(run.plan.text, conversation=conversation))


async def _once(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    await _asked(shared, shared.ledger.open(draw(key, rng), "once"))


async def _turn(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    await _asked(shared, shared.ledger.open(draw(key, rng), "turn"), talk.now)
    await talk.next()


async def _two(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    """Two runs at once in one conversation, of which the second may be cancelled while it waits."""
    first = asyncio.ensure_future(_asked(shared, shared.ledger.open(draw(f"{key}a", rng), "two"), talk.now))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(_asked(shared, shared.ledger.open(draw(f"{key}b", rng), "two"), talk.now))
    if rng.random() < 0.5:
        await asyncio.sleep(rng.random() * 0.05)
        second.cancel()
    await asyncio.wait({first, second})
    await talk.next()


async def _cancel(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    """Cancelled at a random moment, often before it has begun."""
    conversation = talk.now if rng.random() < 0.5 else None
    asked = asyncio.ensure_future(_asked(shared, shared.ledger.open(draw(key, rng), "cancel"), conversation))
    await asyncio.sleep(rng.choice((0.0, 0.002, 0.3)) * rng.random())
    asked.cancel()
    await asyncio.wait({asked})
    if conversation is not None:
        await talk.next()


async def _left(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    """Nobody answers its question for approval: its caller goes in the end."""
    run = shared.ledger.open(Plan(key, ("work", "sign?")), "left")
    asked = asyncio.ensure_future(_asked(shared, run))
    await asyncio.wait({asked}, timeout=UNANSWERED)
    asked.cancel()
    await asyncio.wait({asked})


async def _stream(shared: Shared, key: str, rng: random.Random, talk: Conversations) -> None:
    """Read to its end, or left in the middle."""
    run = shared.ledger.open(draw(key, rng), "stream")
    leave_at = rng.randint(1, 12) if rng.random() < 0.25 else 0
    conversation = talk.now if rng.random() < 0.5 else None

    async def read() -> Answer:
        answer: Answer | None = None
        async with aclosing(shared.agency.run_streaming(run.plan.text, conversation=conversation)) as events:
            number = 0
            async for event in events:
                number += 1
                if number == leave_at:
                    raise asyncio.CancelledError
                answer = getattr(event, "answer", None) or answer
        if answer is None:
            raise AssertionError("a stream ended without its RunFinished")
        return answer

    await until(run, shared.ledger, read())
    if conversation is not None:
        await talk.next()


# -- threads -----------------------------------------------------------------------------------------------------------


def in_thread(shared: Shared, name: str) -> None:
    """One caller in a thread: `process_sync`, and coroutines run on the loop, some of which it cancels."""
    rng = random.Random(f"{shared.seed} {name}")
    assert shared.agency.system is not None
    loop = shared.agency.system.loop
    number = 0
    while not shared.stop.wait(shared.governor.draw(rng)):
        number += 1
        plan = draw(f"{name}x{number}", rng)
        if rng.random() < 0.5:
            _blocking(shared, plan)
            continue
        run = shared.ledger.open(plan, "threadsafe")
        future = asyncio.run_coroutine_threadsafe(shared.agency.run(plan.text), loop)
        if rng.random() < 0.2:
            time.sleep(rng.random() * 0.2)
            future.cancel()
        _threadsafe(shared, run, future)


def _blocking(shared: Shared, plan: Plan) -> None:
    run = shared.ledger.open(plan, "process_sync")
    try:
        text = shared.agency.process_sync(plan.text)
    except CallboardError as error:
        shared.ledger.fail(run, error)
    except Exception as error:
        shared.ledger.totals.violated("a run ends in an answer or a named error", f"{plan.text}: {error!r:.200}")
        shared.ledger.fail(run, error)
    else:
        shared.ledger.close(run, "answered", text=text)


def _threadsafe(shared: Shared, run: Run, future: Future[Answer]) -> None:
    try:
        answer = future.result(PATIENCE)
    except CancelledError:
        shared.ledger.close(run, "cancelled")
    except CallboardError as error:
        shared.ledger.fail(run, error)
    except TimeoutError:
        pass  # without an outcome: it stays open in the ledger
    else:
        shared.ledger.close(run, "answered", answer)
