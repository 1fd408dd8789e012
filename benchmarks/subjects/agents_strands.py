"""Strands Agents, and its ``Swarm`` for handoffs, with a model of our own.

An agent of Strands keeps its conversation itself, so that is cleared before each run that is to begin anew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from strands import Agent, tool
from strands.models import Model
from strands.multiagent import Swarm

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
_ids = itertools.count()
USAGE = {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 0}}


class Scripted(Model):
    """Calls the tool in rounds, or hands off if it is told whom to, then is done."""

    def __init__(self, rounds: int = 0, at_once: int = 0, latency: float = 0.0, hop: str = "") -> None:
        self.wanted, self.at_once, self.latency, self.hop = rounds * at_once, at_once, latency, hop

    def update_config(self, **config: Any) -> None:
        raise NotImplementedError

    def get_config(self) -> Any:
        return {"context_window_limit": 100_000}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if self.latency:
            await asyncio.sleep(self.latency)
        done = sum("toolResult" in block for message in messages for block in message["content"])
        name, arguments, at_once = "add", ARGUMENTS, self.at_once if done < self.wanted else 0
        if self.hop and not done:
            name, arguments, at_once = "handoff_to_agent", json.dumps({"agent_name": self.hop, "message": "go"}), 1
        yield {"messageStart": {"role": "assistant"}}
        for _ in range(at_once):
            yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": f"c{next(_ids)}"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": arguments}}}}
            yield {"contentBlockStop": {}}
        if not at_once:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": "done"}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if at_once else "end_turn"}}
        yield {"metadata": USAGE}


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD: Any = tool(add)


def agent_of(model: Scripted, *tools: Any, name: str = "A") -> Any:
    return Agent(model, tools=list(tools), system_prompt="You are helpful.", name=name, callback_handler=None)


def asking(agent: Any) -> Callable[[], Any]:
    async def once() -> Any:
        agent.messages.clear()
        return await agent.invoke_async("go")

    return once


def repeat(model: Scripted, unit: str, *tools: Any) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        return asyncio.run(repeated(asking(agent_of(model, *tools)), n, unit))

    return run


def passing() -> Callable[[], Any]:
    """A task handed on from the first agent of a swarm to its last one."""
    agents = [agent_of(Scripted(hop=f"A{number + 1}"), name=f"A{number}") for number in range(HOPS)]
    swarm = Swarm([*agents, agent_of(Scripted(), name=f"A{HOPS}")])
    return lambda: swarm.invoke_async("go")


def handoffs(n: int) -> list[Sample]:
    return asyncio.run(repeated(passing(), n, "run"))


def conversations(n: int) -> list[Sample]:
    model = Scripted(latency=LATENCY)

    async def converse(number: int, note: Callable[[float], None]) -> None:
        agent = agent_of(model)
        for _ in range(TURNS):
            started = time.perf_counter()
            await agent.invoke_async("go")
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from strands import Agent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(Scripted(), "turn"),
    "tools_3": repeat(Scripted(3, 1), "run", ADD),
    "tools_parallel_10": repeat(Scripted(1, 10), "run", ADD),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
