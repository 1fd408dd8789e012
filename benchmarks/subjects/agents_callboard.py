"""Our own agents, as a user writes them, with a model actor that answers at once."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.harness.model import Sample
from callboard import (
    Actor,
    Agency,
    Agent,
    ChildSpec,
    Completion,
    Message,
    Request,
    ToolCall,
    Usage,
    tool,
    tool_from_schema,
)
from callboard.providers.tokens import estimate

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, growth, importing, repeated, side_by_side
from .clock import Cpu, fill_holes, resident

SCALE = 1.0
USAGE = Usage(10, 5)
DONE = Completion(Message("assistant", "done"), "stop", USAGE)


@tool(risk="safe")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def calls(*made: ToolCall) -> Completion:
    return Completion(Message("assistant", "", made), "tool_calls", USAGE)


class Calling(Actor):
    """Calls the tool in rounds, then is done."""

    def __init__(self, rounds: int, at_once: int) -> None:
        super().__init__()
        self.wanted, self.at_once = rounds * at_once, at_once

    def on_receive(self, request: Request) -> Completion:
        if sum(message.role == "tool" for message in request.messages) < self.wanted:
            return calls(*(ToolCall(f"c{n}", "add", ARGUMENTS) for n in range(self.at_once)))
        return DONE


class Passing(Actor):
    """Hands off to the next agent, then is done."""

    def on_receive(self, request: Request) -> Completion:
        last = request.messages[-1]
        number = int(last.text.split()[-1]) if last.role == "user" else HOPS
        if number == HOPS:
            return DONE
        to = f'{{"target_agent": "A{number + 1}", "message": "{number + 1}"}}'
        return calls(ToolCall("h", "SendMessage", to))


class Slow(Actor):
    def on_receive(self, request: Request) -> Any:
        return self.reply_with(self.answer())

    async def answer(self) -> Completion:
        await asyncio.sleep(LATENCY)
        return DONE


def solo(model: ChildSpec, **options: Any) -> Agency:
    return Agency(Agent("A0", "You are helpful.", **options), model=model)


def repeat(
    agency: Callable[[], Agency], unit: str, question: str = "go", handoffs: int = 0
) -> Callable[[int], list[Sample]]:
    """Runs one after another, once one has shown that it does what is measured."""

    def run(n: int) -> list[Sample]:
        async def measured() -> list[Sample]:
            async with agency() as running:
                answer = await running.run(question)
                if answer.text != DONE.message.text or len(answer.handoffs) != handoffs:
                    raise RuntimeError(f"a run of {unit}s ended in {answer.text!r} after {answer.handoffs}")
                return await repeated(lambda: running.run(question), n, unit)

        return asyncio.run(measured())

    return run


def chain() -> Agency:
    agents = [Agent(f"A{number}", "You are helpful.") for number in range(HOPS + 1)]
    flows = [(f"A{number}", f"A{number + 1}") for number in range(HOPS)]
    return Agency(*agents, flows=flows, model=ChildSpec(Passing))


def conversations(n: int) -> list[Sample]:
    async def measured() -> list[Sample]:
        async with solo(ChildSpec(Slow)) as agency:

            async def converse(number: int, note: Callable[[float], None]) -> None:
                for _ in range(TURNS):
                    started = time.perf_counter()
                    await agency.run("go", conversation=f"c{number}")
                    note(time.perf_counter() - started)

            samples = await side_by_side(converse, n)
            for number in range(n):
                await agency.release(f"c{number}")
            return samples

    return asyncio.run(measured())


def memory(n: int) -> list[Sample]:
    """``n`` agents, each of which has answered once and keeps its conversation."""

    async def measured() -> list[Sample]:
        async with solo(ChildSpec(Calling, (0, 0))) as agency:
            await agency.run("go", conversation="c")
            holes = fill_holes()
            before = resident()
            cpu = Cpu()
            for number in range(1, n + 1):
                await agency.add_agent(Agent(f"A{number}", "You are helpful."))
            created = cpu.per(n, "agent", "_create")
            for number in range(1, n + 1):
                await agency.run("go", agent=f"A{number}", conversation="c")
            gc.collect()
            grown = (resident() - before) / 2**20
            del holes
            return [Sample(grown, "MiB", "_rss"), created]

    return asyncio.run(measured())


def look_up(topic: str) -> str:
    """What is known of a topic."""
    return topic


def write(path: str, text: str, append: bool = False) -> str:
    """Write a file."""
    return path


def armed(number: int) -> Agent:
    """An agent with three tools of its own."""
    return Agent(f"A{number}", "You are helpful.", tools=[tool(look_up), tool(write), add])


def adding(n: int) -> list[Sample]:
    """How many times the CPU of adding one of the first agents that of adding one of the last of ``n`` takes."""
    few = 200

    async def measured() -> list[Sample]:
        ratios = []
        for _ in range(3):
            async with solo(ChildSpec(Calling, (0, 0)), tools=[add]) as agency:

                async def add_some(first: int, agency: Agency = agency) -> float:
                    agents = [armed(number) for number in range(first, first + few)]
                    gc.collect()
                    cpu = Cpu()
                    for agent in agents:
                        await agency.add_agent(agent, flows=[("A0", agent), (agent, "A0")])
                    return cpu.per(few, "agent").value

                await add_some(1)
                first = await add_some(1 + few)
                for number in range(1 + 2 * few, n - few):
                    await agency.add_agent(armed(number), flows=[("A0", f"A{number}"), (f"A{number}", "A0")])
                ratios.append(await add_some(n - few) / first)
        return [Sample(median(ratios), "times")]

    return asyncio.run(measured())


def having(n: int) -> list[Sample]:
    """``n`` agents with three tools each, as they are added, and once each has answered and keeps its conversation."""

    async def measured() -> list[Sample]:
        async with solo(ChildSpec(Calling, (0, 0)), tools=[tool(look_up), tool(write), add]) as agency:
            await agency.run("go", conversation="c")
            holes = fill_holes()
            before = resident()
            for number in range(1, n + 1):
                await agency.add_agent(armed(number))
            gc.collect()
            added = (resident() - before) / 2**20
            for number in range(1, n + 1):
                await agency.run("go", agent=f"A{number}", conversation="c")
            gc.collect()
            grown = (resident() - before) / 2**20
            del holes
            return [Sample(added, "MiB", ""), Sample(grown, "MiB", "_asked")]

    return asyncio.run(measured())


def served(number: int) -> Any:
    """A tool such as MCP servers have."""
    words = (
        "title in one line",
        "text as Markdown",
        "labels to put on it",
        "who is to look after it",
        "where it belongs",
    )
    properties = {word.split()[0]: {"type": "string", "description": f"The {word}."} for word in words}
    verb, thing = ("create", "list", "delete")[number % 3], f"thing_{number // 3}"
    return tool_from_schema(
        name=f"service_{verb}_{thing}",
        description=f"{verb.title()} a {thing} of the service, and return its id and its address.",
        schema={"type": "object", "properties": properties, "required": ["title"]},
        handler=lambda arguments: "done",
        risk="safe",
    )


class Using(Actor):
    """Calls one of many tools, which it looks for where it is not shown it; counts the tokens that it is sent."""

    sent = 0

    def on_receive(self, request: Request) -> Completion:
        Using.sent += estimate(request)
        results = [message for message in request.messages if message.role == "tool"]
        if any(spec.name == "service_list_thing_7" for spec in request.tools):
            done = results and results[-1].name == "service_list_thing_7"
            return DONE if done else calls(ToolCall("c", "service_list_thing_7", '{"title": "x"}'))
        return calls(ToolCall("s", "search_tools", '{"query": "list thing 7"}'))


def deferring(n: int) -> list[Sample]:
    """The tokens of a run that calls one of ``n`` tools, as they all are shown and as they are looked for."""

    async def measured(defer: bool) -> int:
        Using.sent = 0
        tools = [served(number) for number in range(n)]
        async with solo(ChildSpec(Using), tools=tools, defer_tools=defer) as agency:
            await agency.run("go")
        return Using.sent

    shown, deferred = asyncio.run(measured(False)), asyncio.run(measured(True))
    return [Sample(deferred, "tokens", ""), Sample(shown, "tokens", "_shown")]


def importing_it(n: int) -> list[Sample]:
    return importing("from callboard import Agency, Agent, tool")


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn": repeat(lambda: solo(ChildSpec(Calling, (0, 0))), "turn"),
    "tools_3": repeat(lambda: solo(ChildSpec(Calling, (3, 1)), tools=[add]), "run"),
    "tools_parallel_10": repeat(lambda: solo(ChildSpec(Calling, (1, 10)), tools=[add]), "run"),
    "handoffs_10": repeat(chain, "run", "0", HOPS),
    "conversations": conversations,
    "growth": growth(conversations),
    "memory": memory,
    "adding": adding,
    "having": having,
    "deferring": deferring,
    "import": importing_it,
}
