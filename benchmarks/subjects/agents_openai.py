"""openai-agents with a model of our own, tracing off."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
_ids = itertools.count()
set_tracing_disabled(True)


def say(text: str) -> ModelResponse:
    part = ResponseOutputText(text=text, type="output_text", annotations=[], logprobs=[])
    message = ResponseOutputMessage(id="m", content=[part], role="assistant", status="completed", type="message")
    return ModelResponse(output=[message], usage=Usage(), response_id=None)


def call(name: str, arguments: str, at_once: int) -> ModelResponse:
    calls: list[Any] = [
        ResponseFunctionToolCall(call_id=f"c{next(_ids)}", name=name, arguments=arguments, type="function_call")
        for _ in range(at_once)
    ]
    return ModelResponse(output=calls, usage=Usage(), response_id=None)


class Scripted(Model):
    """Calls the tool in rounds, or hands off if it can, then is done."""

    def __init__(self, rounds: int = 0, at_once: int = 0, latency: float = 0.0) -> None:
        self.wanted, self.at_once, self.latency = rounds * at_once, at_once, latency

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        handoffs = kwargs.get("handoffs") or (args[3] if len(args) > 3 else [])
        if handoffs:
            return call(handoffs[0].tool_name, "{}", 1)
        items = input if isinstance(input, list) else []
        done = sum(isinstance(item, dict) and item.get("type") == "function_call_output" for item in items)
        return call("add", ARGUMENTS, self.at_once) if done < self.wanted else say("done")

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD: Any = function_tool(add)


def repeat(model: Scripted, unit: str, *tools: Any) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        agent = Agent("A", instructions="You are helpful.", model=model, tools=list(tools))
        return asyncio.run(repeated(lambda: Runner.run(agent, "go"), n, unit))

    return run


def handoffs(n: int) -> list[Sample]:
    agents: list[Any] = [Agent(f"A{HOPS}", instructions="You are helpful.", model=Scripted())]
    for number in reversed(range(HOPS)):
        agents.insert(0, Agent(f"A{number}", instructions="You are helpful.", model=Scripted(), handoffs=[agents[0]]))
    return asyncio.run(repeated(lambda: Runner.run(agents[0], "go", max_turns=HOPS + 2), n, "run"))


def conversations(n: int) -> list[Sample]:
    agent = Agent("A", instructions="You are helpful.", model=Scripted(latency=LATENCY))

    async def converse(number: int, note: Callable[[float], None]) -> None:
        history: list[Any] = []
        for _ in range(TURNS):
            started = time.perf_counter()
            history = (await Runner.run(agent, [*history, {"role": "user", "content": "go"}])).to_input_list()
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from agents import Agent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(Scripted(), "turn"),
    "tools_3": repeat(Scripted(3, 1), "run", ADD),
    "tools_parallel_10": repeat(Scripted(1, 10), "run", ADD),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
