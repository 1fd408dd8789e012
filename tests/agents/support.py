"""What the agents' tests share: small tools, and agencies around scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from callboard import Agency, Agent, RunEvent
from callboard.actors import ChildSpec
from callboard.actors.agents.hooks import HOOK_EVENTS
from callboard.actors.testing import Simulation
from callboard.actors.testing.doubles.models import FunctionModel, Script, ScriptedModel
from callboard.providers.messages import Request
from callboard.tools import tool

RUN_EVENTS = [event for event in HOOK_EVENTS if event not in ("steering", "approval", "memory")]
"""The events that come in any run with tools, handoffs and a stream, and whose hooks may wait."""


def scripted(script: Script) -> ChildSpec:
    """A supervised model that follows a script; a restart goes on in the script."""
    return ChildSpec(ScriptedModel, (script,), name="model")


def function(model: Callable[[Request], Any]) -> ChildSpec:
    """A supervised model that is a function of the request."""
    return ChildSpec(FunctionModel, (model,), name="model")


def solo(script: Script | Callable[[Request], Any], **options: Any) -> Agency:
    """An agency of one agent."""
    model = scripted(script) if isinstance(script, Script) else function(script)
    return Agency(Agent("Solo", "You work alone.", **options), model=model)


@tool(risk="safe")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def results(request: Request) -> list[str]:
    """What tools and other agents answered since a user last said something."""
    asked = max((index for index, message in enumerate(request.messages) if message.role == "user"), default=0)
    return [message.text for message in request.messages[asked:] if message.role == "tool"]


def sqlite(sim: Simulation) -> Any:
    """A journal that outlives a simulated process: a file."""
    return sim.folder / "agency.db"


def postgres(sim: Simulation) -> Any:
    """A journal that outlives a simulated process: a database beside it."""
    return "postgresql://simulated/agency"


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds; for what tells nobody when it happens."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came about")


async def cancelled_at(at: int, agency: Agency, *, stream: bool) -> bool:
    """Ask "go" in the conversation "c", and cancel the run at its at-th event; whether that came before its end."""
    count = 0

    def look(_: RunEvent) -> None:
        nonlocal count
        count += 1
        if count == at:
            run.cancel()

    async def streamed() -> None:
        async for _ in agency.run_streaming("go", conversation="c"):
            pass

    agency.subscribe(look)
    run: asyncio.Future[Any] = asyncio.ensure_future(streamed() if stream else agency.run("go", conversation="c"))
    try:
        await run
    except asyncio.CancelledError:
        return True
    return False


def kill(agency: Agency, path: str) -> bool:
    """Kill the actor at a path; whether there was one."""
    ref = agency.system.find(path) if agency.system is not None else None
    if ref is None:
        return False
    ref.kill()
    return True


async def each_kill(
    make: Callable[[], Agency],
    whom: str,
    look: Callable[[Any, list[RunEvent]], None],
    *,
    every: int = 1,
    meanwhile: Callable[[Agency, RunEvent], None] = lambda agency, event: None,
    ends_in: type[Exception] | tuple[()] = (),
) -> None:
    """Ask "go" in the conversation "c" once for each event, with an actor killed at it, and look at what came of it.

    Args:
        make: makes the agency, anew each time.
        whom: the actor's path.
        look: is given the answer, or the error in its place, and the events.
        every: how many events further it is killed the next time.
        meanwhile: is told of each event, once who is to be killed at it was.
        ends_in: the error that each run ends in.
    """
    killed = False

    async def run(at: int) -> int:
        agency = make()
        seen: list[RunEvent] = []

        def note(event: RunEvent) -> None:
            nonlocal killed
            seen.append(event)
            if len(seen) == at and kill(agency, whom):
                killed = True
            meanwhile(agency, event)

        outcome: Any
        async with agency:
            agency.subscribe(note)
            async with asyncio.timeout(10):
                try:
                    outcome = await agency.run("go", conversation="c", run_id="r")
                except ends_in as error:
                    outcome = error
            report = await agency.replay("c")
            assert report.same, report.differences
        look(outcome, seen)
        return len(seen)

    for at in range(1, 1 + await run(0), every):
        await run(at)
    assert killed, f"{whom} was never killed"
