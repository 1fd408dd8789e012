"""``python -m benchmarks.campaigns.worker``: the process that `kills` kills. It does its share of the turns."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from callboard import Agency, Answer, CallboardError, ChildSpec, Completion, Request
from callboard.testing import FunctionModel

from .history import Log, read
from .plans import Plan, complete, draw
from .team import Person, team

AT_ONCE = 100
LIMIT = 60.0
"""Seconds that a run may take, kills included."""


class Effects:
    """Tools leave a line as they begin and end."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def began(self, tool: str, key: str) -> None:
        self._log.write("begin", tool, key)

    def ended(self, tool: str, key: str) -> None:
        self._log.write("end", tool, key)


class Worker:
    """One incarnation of a worker's process.

    Args:
        agency: running.
        log: what happens is written there.
        seed: of plans and cancellations.
        done: keys whose outcome an earlier incarnation has taken.
    """

    def __init__(self, agency: Agency, log: Log, seed: int, done: set[str]) -> None:
        self._agency = agency
        self._log = log
        self._seed = seed
        self._done = done

    # -- asking by key ---------------------------------------------------------------------------------------------

    def ask(self, plan: Plan, conversation: str) -> Awaitable[Answer]:
        """Ask under the plan's key: asking again is safe."""
        return self._agency.run(plan.text, conversation=conversation, run_id=plan.key)

    def _tell(self, key: str, outcome: str, answer: Answer | None) -> None:
        self._done.add(key)
        if outcome == "answered" and (answer is None or answer.text != f"done {key}"):
            outcome = "wrong"
        self._log.write("done", key, outcome)

    # -- turns -----------------------------------------------------------------------------------------------------

    async def turn(self, conversation: str, number: int, before: asyncio.Task[None] | None) -> None:
        """One turn, after the one before; perhaps cancelled at a random moment."""
        if before is not None:
            await asyncio.wait({before})
        key = f"{conversation}t{number}"
        rng = random.Random(f"{self._seed} {key}")
        plan = draw(key, rng)
        cancel_after = rng.random() * 0.15 if rng.random() < 0.08 else None
        self._log.write("ask", key)
        asked = asyncio.ensure_future(self.ask(plan, conversation))
        if cancel_after is not None:
            await asyncio.wait({asked}, timeout=cancel_after)
            asked.cancel()
        try:
            answer = await asked
        except asyncio.CancelledError:
            self._log.write("cancelled", key)
        except CallboardError as error:
            self._tell(key, type(error).__name__, getattr(error, "partial", None))
        else:
            self._tell(key, "answered", answer)

    async def all_turns(self, conversations: list[str], turns: int, pace: float) -> None:
        """All that are not done yet, begun at a pace (a second); those of a conversation one after the other."""
        room = asyncio.Semaphore(AT_ONCE)
        last: dict[str, asyncio.Task[None]] = {}
        for number in range(turns):
            for conversation in conversations:
                if f"{conversation}t{number}" in self._done:
                    continue
                await room.acquire()
                task = asyncio.create_task(self.turn(conversation, number, last.get(conversation)))
                task.add_done_callback(lambda _: room.release())
                last[conversation] = task
                await asyncio.sleep(1 / pace)
        await asyncio.gather(*last.values())

    def event(self, event: Any) -> None:
        """Note each run that tells its end."""
        if type(event).__name__ == "RunFinished" and event.run == event.root:
            self._log.write("over", event.run, "answered" if event.error is None else type(event.error).__name__)


async def work(given: argparse.Namespace) -> int:
    """One incarnation's life."""
    log = Log(given.log)
    rng = random.Random()  # when what happens is no part of the plan: kills come at random moments anyhow

    async def model(request: Request) -> Completion:
        await asyncio.sleep(rng.uniform(0.005, 0.03))
        step, completion = complete(request, "scripted")
        if step is not None:
            log.write("buy", step.name)
        return completion

    history = read(Path(given.log))
    done = {line.rest[0] for line in history if line.word in ("done", "cancelled")}
    agency = Agency(
        *team(Effects(log), rng, seconds=LIMIT),
        model=ChildSpec(FunctionModel, (model,), name="model"),
        journal=given.journal,
    )
    worker = Worker(agency, log, given.seed, done)
    agency.subscribe(worker.event)
    async with agency:
        person = asyncio.create_task(Person(agency, rng).run())
        log.write("up")
        mine = [f"c{n}" for n in range(given.conversations) if n % given.workers == given.index]
        await worker.all_turns(mine, given.turns, given.pace)
        person.cancel()
    log.write("complete", given.index)
    log.close()
    return 0


def arguments() -> argparse.ArgumentParser:
    """Of the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns.worker")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--conversations", type=int, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--pace", type=float, required=True)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    return parser


if __name__ == "__main__":
    logging.getLogger("callboard").setLevel(logging.CRITICAL)
    sys.exit(asyncio.run(work(arguments().parse_args())))
