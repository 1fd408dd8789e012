"""The least an agent loop can be: a list of messages, a model, a dictionary of tools, plain asyncio."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.harness.model import Sample

from .agents_common import ARGUMENTS, HOPS, LATENCY, TURNS, growth, repeated, side_by_side

SCALE = 1.0
Message = dict[str, Any]
Model = Callable[[list[Message]], Awaitable[Message]]


async def add(a: int, b: int) -> int:
    return a + b


TOOLS: dict[str, Callable[..., Awaitable[Any]]] = {"add": add}


def call(number: int) -> dict[str, Any]:
    return {"id": f"c{number}", "name": "add", "arguments": ARGUMENTS}


async def loop(model: Model, messages: list[Message]) -> str:
    """Go on until the model calls no tool."""
    while True:
        reply = await model(messages)
        messages.append(reply)
        calls = reply.get("calls")
        if not calls:
            return str(reply["content"])
        results = await asyncio.gather(*(TOOLS[c["name"]](**json.loads(c["arguments"])) for c in calls))
        for made, result in zip(calls, results, strict=True):
            messages.append({"role": "tool", "id": made["id"], "content": str(result)})


def calling(rounds: int, at_once: int) -> Model:
    async def model(messages: list[Message]) -> Message:
        done = sum(message["role"] == "tool" for message in messages)
        if done < rounds * at_once:
            return {"role": "assistant", "content": "", "calls": [call(n) for n in range(at_once)]}
        return {"role": "assistant", "content": "done"}

    return model


def repeat(model: Model, unit: str) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        return asyncio.run(repeated(lambda: loop(model, [{"role": "user", "content": "go"}]), n, unit))

    return run


def handoffs(n: int) -> list[Sample]:
    async def hop(number: int) -> str:
        async def model(messages: list[Message]) -> Message:
            if number == HOPS or messages[-1]["role"] == "tool":
                return {"role": "assistant", "content": "done"}
            arguments = json.dumps({"number": number + 1})
            return {"role": "assistant", "content": "", "calls": [{"id": "h", "name": "hop", "arguments": arguments}]}

        return await loop(model, [{"role": "user", "content": "go"}])

    async def ask(number: int) -> str:
        return await hop(number)

    TOOLS["hop"] = ask
    return asyncio.run(repeated(lambda: hop(0), n, "run"))


def conversations(n: int) -> list[Sample]:
    async def model(messages: list[Message]) -> Message:
        await asyncio.sleep(LATENCY)
        return {"role": "assistant", "content": "done"}

    async def converse(number: int, note: Callable[[float], None]) -> None:
        messages: list[Message] = []
        for _ in range(TURNS):
            started = time.perf_counter()
            messages.append({"role": "user", "content": "go"})
            await loop(model, messages)
            note(time.perf_counter() - started)

    return asyncio.run(side_by_side(converse, n))


SCENARIOS = {
    "turn": repeat(calling(0, 0), "turn"),
    "tools_3": repeat(calling(3, 1), "run"),
    "tools_parallel_10": repeat(calling(1, 10), "run"),
    "handoffs_10": handoffs,
    "conversations": conversations,
    "growth": growth(conversations),
}
