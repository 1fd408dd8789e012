"""What the agents' tests share: small tools, and agencies around scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from callboard import Agency, Agent, RunEvent
from callboard.actors import ChildSpec
from callboard.actors.testing.doubles.models import FunctionModel, Script, ScriptedModel
from callboard.providers.messages import Request
from callboard.tools import tool


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
