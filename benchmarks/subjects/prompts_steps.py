"""Steps of an agent whose prompt function makes 50 definitions, and of plain ones, with a model that answers at once.

``prompt`` defines ten states, ten instructions, fifteen texts (five of them data), ten tools and five effects in each
step. ``plain`` is told and offered the same, once and for all; ``bare`` has one tool and one instruction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness.model import Sample
from callboard import (
    Actor,
    Agency,
    Agent,
    ChildSpec,
    Completion,
    Limits,
    Message,
    Request,
    ToolCall,
    Usage,
    tool,
)

SCALE = 1.0
STEPS = 10
"""Of one run; the last one answers."""
TENS, FIVES = range(10), range(5)
TEXT = "Answer in whole sentences, and say where each of your statements can be looked up by whoever reads it."
DATA = {"name": "a shop", "open": True, "prices": [1, 2, 3]}
YAML = "name: a shop\nopen: true\nprices:\n- 1\n- 2\n- 3"
UNLIMITED = Limits(steps=None, repeats=None)
USAGE = Usage(10, 5)
DONE = Completion(Message("assistant", "done"), "stop", USAGE)
CALL = Completion(Message("assistant", "", (ToolCall("c", "tool_0", '{"text":"a","count":3}'),)), "tool_calls", USAGE)


class Calling(Actor):
    """Calls a tool in each step but the last."""

    def on_receive(self, request: Request) -> Completion:
        return CALL if sum(one.role == "tool" for one in request.messages) < STEPS - 1 else DONE


def tools() -> list[Any]:
    """Ten tools."""

    def made(number: int) -> Any:
        @tool(name=f"tool_{number}", risk="safe")
        async def act(text: str, count: int = 1) -> str:
            """Do something with a text.

            Args:
                text: what to do it with.
                count: how often.
            """
            return text

        return act

    return [made(number) for number in TENS]


def fifty(prompt: Any) -> None:
    """A prompt function that makes 50 definitions."""
    states = [prompt.state(f"state_{number}", number) for number in TENS]
    for number in TENS:
        prompt.system(f"system_{number}", TEXT)
        prompt.define(f"text_{number}", TEXT)
    for number in FIVES:
        prompt.define_data(f"data_{number}", DATA)
        prompt.effect(lambda: None, [states[number][0]])
    for number in TENS:

        async def act(text: str, count: int = 1) -> str:
            """Do something with a text.

            Args:
                text: what to do it with.
                count: how often.
            """
            return text

        prompt.tool(act, name=f"tool_{number}", risk="safe")


def _told() -> str:
    names = (*(f"system_{number}" for number in TENS), *(f"text_{number}" for number in TENS))
    texts = [f"<{name}>\n{TEXT}\n</{name}>" for name in names]
    return "\n\n".join((*texts, *(f"<data_{number}>\n{YAML}\n</data_{number}>" for number in FIVES)))


def agent(kind: str) -> Agent:
    """An agent of a kind."""
    if kind == "prompt":
        return Agent("A", prompt=fifty, limits=UNLIMITED)
    if kind == "plain":
        return Agent("A", _told(), tools=tools(), limits=UNLIMITED)
    return Agent("A", TEXT, tools=tools()[:1], limits=UNLIMITED)


def steps(kind: str) -> Callable[[int], list[Sample]]:
    """What measures so many steps: the CPU of one, with the model and the tool."""

    def measured(n: int) -> list[Sample]:
        return asyncio.run(_measured(kind, max(1, n // STEPS)))

    return measured


async def _measured(kind: str, runs: int) -> list[Sample]:
    async with Agency(agent(kind), model=ChildSpec(Calling, name="model")) as agency:
        await agency.run("go")
        before = time.process_time()
        for _ in range(runs):
            answer = await agency.run("go")
        used = time.process_time() - before
        assert len(answer.steps) == STEPS
    return [Sample(used / (runs * STEPS) * 1e6, "µs")]


SCENARIOS = {kind: steps(kind) for kind in ("prompt", "plain", "bare")}
