"""LangGraph's ready-made agent (``create_react_agent``) with a chat model of our own."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import warnings
from collections.abc import Callable
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import InjectedToolCallId, StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, create_react_agent
from langgraph.types import Command

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, importing, repeated, side_by_side

SCALE = 0.1
_ids = itertools.count()
# create_react_agent has moved to the package langchain, under another name; it still works here.
warnings.filterwarnings("ignore", message="create_react_agent")


def call(name: str, arguments: dict[str, Any], at_once: int) -> Any:
    calls = [{"name": name, "args": arguments, "id": f"c{next(_ids)}"} for _ in range(at_once)]
    return AIMessage("", tool_calls=calls)


class Scripted(BaseChatModel):
    """Calls the tool in rounds, or hands off if it is told to, then is done."""

    wanted: int = 0
    at_once: int = 0
    latency: float = 0.0
    hands_off: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.hands_off:
            answer = call("hop", {}, 1)
        elif self.wanted and sum(isinstance(message, ToolMessage) for message in messages) < self.wanted:
            answer = call("add", json.loads(ARGUMENTS), self.at_once)
        else:
            answer = AIMessage("done")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def calling(rounds: int, at_once: int) -> Scripted:
    return Scripted(wanted=rounds * at_once, at_once=at_once)


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def agent_of(model: Scripted, *tools: Any, name: str = "A") -> Any:
    return create_react_agent(model, list(tools), prompt="You are helpful.", name=name)


def asking(agent: Any) -> Callable[[], Any]:
    return lambda: agent.ainvoke({"messages": [{"role": "user", "content": "go"}]})


def repeat(model: Scripted, unit: str, *functions: Callable[..., Any]) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        tools = [StructuredTool.from_function(coroutine=function) for function in functions]
        return asyncio.run(repeated(asking(agent_of(model, *tools)), n, unit))

    return run


def handing_to(name: str) -> Any:
    async def hop(state: Annotated[Any, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Hand the task on."""
        messages = [*state["messages"], ToolMessage("handed on", tool_call_id=tool_call_id)]
        return Command(goto=name, graph=Command.PARENT, update={"messages": messages})

    return StructuredTool.from_function(coroutine=hop)


def chain() -> Any:
    graph = StateGraph(MessagesState)
    for number in range(HOPS):
        agent = agent_of(Scripted(hands_off=True), handing_to(f"A{number + 1}"), name=f"A{number}")
        graph.add_node(f"A{number}", agent, destinations=(f"A{number + 1}",))
    graph.add_node(f"A{HOPS}", agent_of(Scripted(), name=f"A{HOPS}"))
    graph.add_edge(START, "A0")
    return graph.compile()


def handoffs(n: int) -> list[Sample]:
    return asyncio.run(repeated(asking(chain()), n, "run"))


def conversations(n: int) -> list[Sample]:
    agent = agent_of(Scripted(latency=LATENCY))

    async def converse(number: int, note: Callable[[float], None]) -> None:
        history: list[Any] = []
        for _ in range(TURNS):
            started = time.perf_counter()
            question = {"role": "user", "content": "go"}
            history = (await agent.ainvoke({"messages": [*history, question]}))["messages"]
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


def importing_it(n: int) -> list[Sample]:
    return importing("from langgraph.prebuilt import create_react_agent")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(calling(0, 0), "turn"),
    "tools_3": repeat(calling(3, 1), "run", add),
    "tools_parallel_10": repeat(calling(1, 10), "run", add),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "import": importing_it,
}
