"""Microsoft's Agent Framework, and its ``HandoffBuilder``, with a chat client of our own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    Content,
    FunctionInvocationLayer,
    Message,
)
from agent_framework.observability import ChatTelemetryLayer
from agent_framework.orchestrations import HandoffBuilder

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
_ids = itertools.count()


# The layers, and their order, are those of the framework's own clients.
class Scripted(FunctionInvocationLayer, ChatMiddlewareLayer, ChatTelemetryLayer, BaseChatClient):
    """Calls the tool in rounds, or hands off if it is told whom to, then is done."""

    def __init__(self, rounds: int = 0, at_once: int = 0, latency: float = 0.0, hop: str = "") -> None:
        super().__init__()
        self.wanted, self.at_once, self.latency, self.hop = rounds * at_once, at_once, latency, hop

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **kwargs: Any) -> Any:
        return self.answer(messages)

    async def answer(self, messages: Any) -> Any:
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.hop:
            return self.call(self.hop, "{}", 1)
        done = sum(content.type == "function_result" for message in messages for content in message.contents)
        if done < self.wanted:
            return self.call("add", ARGUMENTS, self.at_once)
        return self.say(["done"])

    def call(self, name: str, arguments: str, at_once: int) -> Any:
        calls = [Content.from_function_call(f"c{next(_ids)}", name, arguments=arguments) for _ in range(at_once)]
        return self.say(calls)

    def say(self, contents: Any) -> Any:
        # The identifier matters: a session drops an exchange that looks like the last one it has stored.
        return ChatResponse(messages=Message("assistant", contents, message_id=f"m{next(_ids)}"))


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def agent_of(model: Scripted, **options: Any) -> Any:
    return Agent(model, "You are helpful.", **options)


def repeat(model: Scripted, unit: str, *tools: Callable[..., Any]) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        agent = agent_of(model, tools=list(tools))
        return asyncio.run(repeated(lambda: agent.run("go"), n, unit))

    return run


def chain() -> Any:
    """A workflow that hands its task on from the first agent to the last one."""
    agents = [
        agent_of(
            Scripted(hop=f"handoff_to_A{number + 1}" if number < HOPS else ""),
            name=f"A{number}",
            require_per_service_call_history_persistence=True,
        )
        for number in range(HOPS + 1)
    ]
    builder = HandoffBuilder(participants=agents, termination_condition=lambda messages: messages[-1].text == "done")
    builder.with_start_agent(agents[0])
    for agent, following in itertools.pairwise(agents):
        builder.add_handoff(agent, [following])
    return builder.build()


def handoffs(n: int) -> list[Sample]:
    # A workflow keeps its conversation and cannot be reset: one is made beforehand for each run, the warm-up included.
    chains = iter([chain() for _ in range(n + min(20, n))])
    return asyncio.run(repeated(lambda: next(chains).run("go"), n, "run"))


def conversations(n: int) -> list[Sample]:
    agent = agent_of(Scripted(latency=LATENCY))

    async def converse(number: int, note: Callable[[float], None]) -> None:
        session = agent.create_session()
        for _ in range(TURNS):
            started = time.perf_counter()
            await agent.run("go", session=session)
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from agent_framework import Agent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(Scripted(), "turn"),
    "tools_3": repeat(Scripted(3, 1), "run", add),
    "tools_parallel_10": repeat(Scripted(1, 10), "run", add),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
