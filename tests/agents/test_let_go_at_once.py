"""What a run held is let go of when it ends: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any
from weakref import ref

import pytest

from callboard import Agency, Agent, HookContext, Prompt, ToolContext, hook
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import tool

from .support import add, function, until


class Witness:
    """Something that only the run holds."""


@tool(risk="safe")
async def look(context: ToolContext, a: int) -> int:
    """Look at the call."""
    context.progress("looked")
    return a


@tool(risk="safe", resumable=True)
async def through(context: ToolContext, a: int) -> str:
    """Call another tool."""
    return (await context.call(add, {"a": a, "b": 2})).text


@tool(risk="safe", defer=True)
async def rare(a: int) -> int:
    """Seldom needed."""
    return a


def helped(prompt: Prompt, given: Any) -> None:
    prompt.system("task", "Help.")


def with_tools(prompt: Prompt) -> None:
    prompt.system("task", "Work.")
    prompt.tool(add)


def with_agents(prompt: Prompt) -> None:
    prompt.system("task", "Ask.")
    prompt.agent("helper", "Helps.", {"a": int}, helped)


CASES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "an answer at once": ("", {}),
    "a tool": ("add", {"tools": [add]}),
    "a tool that looks at its call": ("look", {"tools": [look]}),
    "a tool that calls another": ("through", {"tools": [through]}),
    "tools that are deferred": ("add", {"tools": [add, rare]}),
    "a prompt function": ("add", {"prompt": with_tools}),
    "a sub-agent": ("helper", {"prompt": with_agents}),
}


@pytest.mark.parametrize(("name", "options"), CASES.values(), ids=CASES)
async def test_what_a_run_held_is_let_go_of_without_the_collector(name: str, options: Mapping[str, Any]) -> None:
    held: list[ref[Witness]] = []

    @hook("request")
    def leave(context: HookContext) -> None:
        if not context.state:
            context.state["witness"] = witness = Witness()
            held.append(ref(witness))

    def model(request: Request) -> Any:
        if name and request.messages[-1].role == "user" and request.tools:
            return call(name, a=1) if name != "add" else call(name, a=1, b=2)
        return "ok"

    agent = Agent("A", "Work.", hooks=[leave], **options)
    async with Agency(agent, model=function(model)) as agency:
        gc.disable()
        try:
            for _ in range(3):
                assert (await agency.run("go")).text == "ok"
            await until(lambda: not any(witness() for witness in held))
        finally:
            gc.enable()
    assert len(held) >= 3
