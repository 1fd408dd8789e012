"""A server of its own process, to be killed: its model says another thing in each life, and stops in its first one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, serve, tool
from callboard.actors import Actor, ChildSpec
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall, Usage

LIFE = os.environ.get("LIFE", "1")


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount} in life {LIFE}"


class Mortal(Actor):
    """Begins to answer; whoever asked it to wait waits until it is killed."""

    def on_receive(self, message: Request) -> Any:
        return self._pieces(message)

    async def _pieces(self, request: Request) -> AsyncIterator[Delta]:
        asked = next(message.text for message in reversed(request.messages) if message.role == "user")
        calls: tuple[ToolCall, ...] = ()
        said = ""
        if asked == "pay" and request.messages[-1].role == "user":
            calls = (ToolCall("p1", "pay", '{"amount": 5}'),)
        else:
            for piece in (f"life {LIFE} ", "says ", "it"):
                said += piece
                yield Delta(piece)
                if asked == "wait" and LIFE == "1":
                    await asyncio.Event().wait()
        reason: Any = "tool_calls" if calls else "stop"
        yield Delta(completion=Completion(Message("assistant", said, calls), reason, Usage(7, 5)))


def who(connection: HTTPConnection) -> Caller | None:
    """Knows everybody by the name that they give."""
    name = connection.headers.get("authorization", "").removeprefix("Bearer ")
    return Caller(name) if name else None


app = serve(
    Agency(Agent("A", tools=[pay]), model=ChildSpec(Mortal, (), name="model"), journal=os.environ["JOURNAL"]),
    authenticate=who,
    drain=0.1,
)
