"""autogen-core: agents of a SingleThreadedAgentRuntime. A tell is a publication with one subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from autogen_core import AgentId, BaseAgent, MessageContext, SingleThreadedAgentRuntime, TopicId, TypeSubscription

from .loop import scenarios

SCALE = 0.01


@dataclass
class Number:
    """The runtime takes dataclasses only."""

    value: int


NUMBER = Number(1)


class Echo(BaseAgent):
    def __init__(self) -> None:
        super().__init__("echo")

    async def on_message_impl(self, message: Any, ctx: MessageContext) -> Any:
        return message


class Sink(BaseAgent):
    def __init__(self, target: int, reached: asyncio.Event) -> None:
        super().__init__("sink")
        self.target, self.reached, self.count = target, reached, 0

    async def on_message_impl(self, message: Any, ctx: MessageContext) -> Any:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Runtime:
    spawns_are_awaited = tells_are_awaited = asks_need_tasks = True

    def __init__(self, handlers_are_async: bool) -> None:
        self.runtime = SingleThreadedAgentRuntime()
        self.keys = count()

    async def open(self) -> None:
        self.runtime.start()

    async def close(self) -> None:
        await self.runtime.stop()

    def echoes(self) -> Callable[[], Any]:
        return lambda: self.runtime.register_agent_instance(Echo(), AgentId("echo", str(next(self.keys))))

    async def sink(self, target: int, reached: asyncio.Event) -> Any:
        await self.runtime.add_subscription(TypeSubscription("sink", "sink"))
        return await self.runtime.register_agent_instance(Sink(target, reached), AgentId("sink", "one"))

    def teller(self, ref: Any) -> Callable[[Any], Any]:
        topic = TopicId(ref.type, ref.key)
        return lambda _number: self.runtime.publish_message(NUMBER, topic)

    def asker(self, ref: Any) -> Callable[[Any], Any]:
        return lambda _number: self.runtime.send_message(NUMBER, ref)


SCENARIOS = scenarios(Runtime, leave_out=["ring", "tree", "crash", "ask_thread"], asynchronous=False)
