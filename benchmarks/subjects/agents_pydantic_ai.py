"""pydantic-ai with a function for a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
DONE = ModelResponse(parts=[TextPart("done")])


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def returned(messages: list[ModelMessage]) -> int:
    return sum(isinstance(part, ToolReturnPart) for message in messages for part in message.parts)


def calling(rounds: int, at_once: int) -> FunctionModel:
    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if returned(messages) < rounds * at_once:
            return ModelResponse(parts=[ToolCallPart("add", ARGUMENTS) for _ in range(at_once)])
        return DONE

    return FunctionModel(model)


def repeat(model: FunctionModel, unit: str, *tools: Callable[..., Any]) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        agent = Agent(model, system_prompt="You are helpful.", tools=list(tools))
        return asyncio.run(repeated(lambda: agent.run("go"), n, unit))

    return run


def asking(agent: Agent) -> Callable[[str], Any]:
    async def hop(message: str) -> str:
        """Hand the task on."""
        return str((await agent.run(message)).output)

    return hop


def handoffs(n: int) -> list[Sample]:
    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if returned(messages) or not info.function_tools:
            return DONE
        return ModelResponse(parts=[ToolCallPart("hop", {"message": "go"})])

    agents: list[Agent] = [Agent(FunctionModel(model), system_prompt="You are helpful.")]
    for _ in range(HOPS):
        agent: Agent = Agent(FunctionModel(model), system_prompt="You are helpful.")
        agent.tool_plain(name="hop")(asking(agents[0]))
        agents.insert(0, agent)
    return asyncio.run(repeated(lambda: agents[0].run("go"), n, "run"))


def conversations(n: int) -> list[Sample]:
    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(LATENCY)
        return DONE

    agent = Agent(FunctionModel(model), system_prompt="You are helpful.")

    async def converse(number: int, note: Callable[[float], None]) -> None:
        history: Any = None
        for _ in range(TURNS):
            started = time.perf_counter()
            history = (await agent.run("go", message_history=history)).all_messages()
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from pydantic_ai import Agent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(calling(0, 0), "turn"),
    "tools_3": repeat(calling(3, 1), "run", add),
    "tools_parallel_10": repeat(calling(1, 10), "run", add),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
