"""Steps of a conversation of 2,000 messages, shown as a context strategy wants it, and what vendors bill for them.

``fold_…`` is the CPU that a strategy takes a step, by itself: taking in what is new, looking whether it is too much,
and now and then leaving something out; also the worst step. ``step_…`` is that of a whole step of an agent, with a
model and a tool that answer at once. ``paid_…`` is what a vendor bills for the input of a long run, where it reads from
its cache what a request and one before it begin with, for a tenth: shown whole, by a window that slides at each step,
and ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.model import Sample
from callboard import (
    Actor,
    Agency,
    Agent,
    ChildSpec,
    Completion,
    ContextStrategy,
    ContextView,
    DropToolOutput,
    KeepAll,
    KeepPriority,
    Limits,
    Message,
    Request,
    ToolCall,
    Window,
    tool,
)
from callboard.actors.agents.memory.context.size import ContextSize
from callboard.actors.agents.turns.history import History
from callboard.actors.agents.turns.shape import WHOLE
from callboard.providers.simulated.prompts import PromptCache, counted

SCALE = 1.0
MESSAGES = 2_000
EXCHANGE = 8
"""Messages of one run: a question, three calls with their results, an answer."""
CACHED = 0.1
"""What vendors ask for a token that they read from their cache, of one that they do not."""
UNLIMITED = Limits(steps=None, repeats=None)


def text(number: int, size: int) -> str:
    """About so many tokens, which differ from number to number."""
    return " ".join(f"word{(number * 31 + at * at) % 997}" for at in range(size // 2))


def messages(first: int, many: int) -> list[Message]:
    """So many messages of a conversation, from a number on that is one of a run's first message."""
    made: list[Message] = []
    for number in range(first, first + many):
        at = number % EXCHANGE
        if at == 0:
            made.append(Message("user", text(number, 60)))
        elif at == EXCHANGE - 1:
            made.append(Message("assistant", text(number, 120)))
        elif at % 2:
            made.append(Message("assistant", "", (ToolCall(f"c{number}", "look", '{"at": 1}'),)))
        else:
            made.append(Message("tool", text(number, 200), tool_call_id=f"c{number - 1}", name="look"))
    return made


LIMIT = round(1.1 * ContextView.of(messages(0, MESSAGES)).total)
"""Tokens: a conversation of 2,000 messages is shown whole, and one of 2,200 is not."""
STRATEGIES: dict[str, ContextStrategy] = {
    "window": Window(tokens=LIMIT),
    "drop": DropToolOutput(tokens=LIMIT) | Window(tokens=LIMIT),
    "priority": KeepPriority(tokens=LIMIT),
}


def folded(strategy: ContextStrategy) -> Callable[[int], list[Sample]]:
    """What measures so many steps, from 2,000 messages on, each with a call and its result more."""

    def measured(n: int) -> list[Sample]:
        known = messages(0, MESSAGES - 1)  # up to a result
        new = messages(MESSAGES, 2 * n + EXCHANGE)
        pairs = [one for one in new if one.role == "tool" or one.tool_calls]
        history, size, shape = History(known), ContextSize(), WHOLE
        request = Request(())
        size.follow(history, shape)
        total = worst = 0.0
        for step in range(n):
            history = history.plus(*pairs[2 * step : 2 * step + 2])
            began = time.thread_time()
            size.follow(history, shape)
            view = size.view(history, 0, request, (), forced=False)
            after = strategy.apply(view)
            if after.shape != shape:
                shape = after.shape
                size.follow(history, shape)
            took = time.thread_time() - began
            total += took
            worst = max(worst, took)
        return [Sample(total / n * 1e3, "ms"), Sample(worst * 1e3, "ms", "_worst")]

    return measured


class Calling(Actor):
    """Calls a tool in each step but the last of a run."""

    def on_receive(self, request: Request) -> Completion:
        after = next(at for at, one in enumerate(reversed(request.messages)) if one.role == "user")
        if after >= EXCHANGE - 2:
            return Completion(Message("assistant", "done"), "stop")
        return Completion(Message("assistant", "", (ToolCall(f"c{after}", "look", '{"at": 1}'),)), "tool_calls")


@tool(risk="safe")
async def look(at: int) -> str:
    """Look at something."""
    return LOOKED


LOOKED = text(1, 200)


def stepped(strategy: ContextStrategy | None) -> Callable[[int], list[Sample]]:
    """What measures so many steps of an agent whose conversation has 2,000 messages."""

    async def measured(n: int) -> list[Sample]:
        agent = Agent("A", tools=[look], limits=UNLIMITED, context=strategy)
        async with Agency(agent, model=ChildSpec(Calling, name="model")) as agency:
            said = [*messages(0, MESSAGES), Message("user", "go")]
            steps = len((await agency.run(said, conversation="c")).steps)
            runs = max(1, n // steps)
            before = time.process_time()
            for _ in range(runs):
                await agency.run("go", conversation="c")
            used = time.process_time() - before
        return [Sample(used / (runs * steps) * 1e6, "µs")]

    return lambda n: asyncio.run(measured(n))


@dataclass(frozen=True)
class Sliding(ContextStrategy):
    """The newest messages within a limit, which it fills in each step: what a window does that does not wait."""

    tokens: int

    def apply(self, view: ContextView) -> ContextView:
        excess, going = view.total - self.tokens, []
        for unit in view.units():
            if excess <= 0:
                break
            if not unit.pinned:
                going.append(unit)
                excess -= unit.tokens
        return view.without(going)


class Billing(Actor):
    """Calls a tool for so many steps, and counts what of each request a vendor would have read from its cache."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.asked, self.cache = steps, 0, PromptCache()

    def on_receive(self, request: Request) -> Completion:
        self.asked += 1
        calls: tuple[Any, ...] = ()
        if self.asked < self.steps:
            calls = (ToolCall(f"c{self.asked}", "read", f'{{"page": {self.asked}}}'),)
        message = Message("assistant", "" if calls else "read", calls)
        return counted(Completion(message, "tool_calls" if calls else "stop"), self.cache.usage(request))


@tool(risk="safe")
async def read(page: int) -> str:
    """Read a page."""
    return text(page, 300)


def paid(strategy: ContextStrategy) -> Callable[[int], list[Sample]]:
    """What measures the input tokens of a run of so many steps, one that was read from the cache as a tenth."""

    async def measured(n: int) -> list[Sample]:
        agent = Agent("A", "You read.", tools=[read], limits=UNLIMITED, context=strategy)
        async with Agency(agent, model=ChildSpec(Billing, (n,), name="model")) as agency:
            usage = (await agency.run("Read all of it.")).usage
        paid = usage.input_tokens - (1 - CACHED) * usage.cache_read_tokens
        return [Sample(paid / n, "tokens"), Sample(usage.cache_read_tokens / usage.input_tokens * 100, "%", "_cached")]

    return lambda n: asyncio.run(measured(n))


ROOM = 20_000
SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    **{f"fold_{name}": folded(strategy) for name, strategy in STRATEGIES.items()},
    "step_bare": stepped(None),
    **{f"step_{name}": stepped(strategy) for name, strategy in STRATEGIES.items()},
    "paid_bare": paid(Sliding(ROOM)),
    "paid_whole": paid(KeepAll()),
    "paid_window": paid(Window(tokens=ROOM)),
    "paid_drop": paid(DropToolOutput(tokens=ROOM) | Window(tokens=ROOM)),
}
