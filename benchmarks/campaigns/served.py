"""The agency that `serve_kills` has served: its model speaks in pieces, always the same for the same question."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator
from typing import Any

from callboard import (
    Agency,
    Agent,
    ChildSpec,
    Completion,
    Delta,
    Message,
    Request,
    ToolCall,
    Usage,
    Webhooks,
    serve,
    tool,
)
from callboard.actors import Actor

from .history import Log

JOURNAL = "CALLBOARD_CAMPAIGN_JOURNAL"
LOG = "CALLBOARD_CAMPAIGN_LOG"
"""The variables that say where what happens is kept."""

PIECE = "CALLBOARD_CAMPAIGN_PIECE"
"""The variable with the seconds that the model takes for a piece, on average."""

WEBHOOK = "CALLBOARD_CAMPAIGN_WEBHOOK"
"""The variable with the host and port that are told of the ends of runs."""

SECRET = "of the campaign"

AGENT = "Counter"


def answer_to(question: str) -> str:
    """What the agent answers."""
    return "".join(pieces_of(question))


def pieces_of(question: str) -> list[str]:
    number = 3 + hashlib.sha256(question.encode()).digest()[0] % 10
    return [f"{question}.{index} " for index in range(number)]


def works(question: str) -> bool:
    """Whether the answer takes a call of a tool."""
    return hashlib.sha256(question.encode()).digest()[1] % 3 == 0


class Speaker(Actor):
    """Says its pieces, each after a while.

    Args:
        piece: seconds that one takes on average.
    """

    def __init__(self, piece: float) -> None:
        super().__init__()
        self._piece = piece

    def on_receive(self, message: Request) -> Any:
        return self._speak(message) if self.expects == "stream" else self.reply_with(self._complete(message))

    async def _complete(self, request: Request) -> Completion:
        completion: Completion | None = None
        async for delta in self._speak(request):
            completion = delta.completion
        assert completion is not None
        return completion

    async def _speak(self, request: Request) -> AsyncIterator[Delta]:
        question = next(message.text for message in reversed(request.messages) if message.role == "user")
        last = request.messages[-1]
        if works(question) and last.role != "tool":
            await asyncio.sleep(random.uniform(0.3, 1.7) * self._piece)
            call = ToolCall("call", "note", f'{{"key": "{question}"}}')
            yield Delta(completion=Completion(Message("assistant", "", (call,)), "tool_calls", Usage(5, 1)))
            return
        for piece in pieces_of(question):
            await asyncio.sleep(random.uniform(0.3, 1.7) * self._piece)
            yield Delta(piece)
        yield Delta(completion=Completion(Message("assistant", answer_to(question)), "stop", Usage(5, 5)))


def make() -> Agency:
    """The agency, as each worker makes it."""
    log = Log(os.environ[LOG])

    @tool(risk="safe")
    async def note(key: str) -> str:
        """Write something down."""
        log.write("begin", "note", key)
        return "written"

    return Agency(
        Agent(AGENT, tools=[note]),
        model=ChildSpec(Speaker, (float(os.environ.get(PIECE, "0.02")),), name="model"),
        journal=os.environ[JOURNAL],
    )


app = None
if JOURNAL in os.environ:
    app = serve(make(), webhooks=Webhooks([os.environ[WEBHOOK]], SECRET, private=True, wait=0.5))
