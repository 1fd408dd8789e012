"""AutoGen's ``AssistantAgent``, and its ``Swarm`` for handoffs, with a model client of our own.

An agent of AutoGen keeps its conversation itself, so it is reset before each run that is to begin anew.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMessageTermination
from autogen_agentchat.teams import Swarm
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
)

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
ROUNDS = 5  # more than any scenario takes; the default of one would end a run after the first tool call
_ids = itertools.count()
INFO = ModelInfo(
    vision=False, function_calling=True, json_output=False, family=ModelFamily.UNKNOWN, structured_output=False
)


class Scripted(ChatCompletionClient):
    """Calls the tool in rounds, or hands off if it is told whom to, then is done."""

    component_type = "model"

    def __init__(self, rounds: int = 0, at_once: int = 0, latency: float = 0.0, hop: str = "") -> None:
        self.wanted, self.at_once, self.latency, self.hop = rounds * at_once, at_once, latency, hop

    async def create(self, messages: Any, *, tools: Any = (), **kwargs: Any) -> Any:
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.hop:
            return self.call(self.hop, "{}", 1)
        done = sum(len(message.content) for message in messages if isinstance(message, FunctionExecutionResultMessage))
        if done < self.wanted:
            return self.call("add", ARGUMENTS, self.at_once)
        return CreateResult(finish_reason="stop", content="done", usage=RequestUsage(10, 5), cached=False)

    def call(self, name: str, arguments: str, at_once: int) -> Any:
        calls = [FunctionCall(id=f"c{next(_ids)}", name=name, arguments=arguments) for _ in range(at_once)]
        return CreateResult(finish_reason="function_calls", content=calls, usage=RequestUsage(10, 5), cached=False)

    def create_stream(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    def actual_usage(self) -> Any:
        return RequestUsage(0, 0)

    def total_usage(self) -> Any:
        return RequestUsage(0, 0)

    def count_tokens(self, messages: Any, *, tools: Any = ()) -> int:
        return 0

    def remaining_tokens(self, messages: Any, *, tools: Any = ()) -> int:
        return 100_000

    @property
    def capabilities(self) -> Any:
        return INFO

    @property
    def model_info(self) -> Any:
        return INFO


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def agent_of(model: Scripted, name: str = "A", **options: Any) -> Any:
    return AssistantAgent(name, model, system_message="You are helpful.", max_tool_iterations=ROUNDS, **options)


def asking(agent: Any) -> Callable[[], Any]:
    async def once() -> Any:
        await agent.on_reset(CancellationToken())
        return await agent.run(task="go")

    return once


def repeat(model: Scripted, unit: str, *tools: Callable[..., Any]) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        return asyncio.run(repeated(asking(agent_of(model, tools=list(tools))), n, unit))

    return run


def passing() -> Callable[[], Any]:
    """A task handed on from the first agent of a swarm to its last one."""
    agents = [
        agent_of(Scripted(hop=f"transfer_to_a{number + 1}"), f"A{number}", handoffs=[f"A{number + 1}"])
        for number in range(HOPS)
    ]
    last = agent_of(Scripted(), f"A{HOPS}")
    swarm = Swarm([*agents, last], termination_condition=TextMessageTermination(last.name))

    async def once() -> Any:
        result = await swarm.run(task="go")
        await swarm.reset()
        return result

    return once


def handoffs(n: int) -> list[Sample]:
    async def measured() -> list[Sample]:
        return await repeated(passing(), n, "run")

    return asyncio.run(measured())


def conversations(n: int) -> list[Sample]:
    model = Scripted(latency=LATENCY)

    async def converse(number: int, note: Callable[[float], None]) -> None:
        agent = agent_of(model)
        for _ in range(TURNS):
            started = time.perf_counter()
            await agent.run(task="go")
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from autogen_agentchat.agents import AssistantAgent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(Scripted(), "turn"),
    "tools_3": repeat(Scripted(3, 1), "run", add),
    "tools_parallel_10": repeat(Scripted(1, 10), "run", add),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
