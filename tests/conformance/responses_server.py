"""A server for Open Responses' compliance cases: an agent that calls the client's tools, and otherwise answers."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Final

import uvicorn

from callboard import Agency, Agent, MemoryJournal, serve
from callboard.actors import ChildSpec
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall

from .model import Model

AGENT: Final = "Agent"
SAYS: Final = ("One, ", "two, ", "three, ", "four, ", "five.")


class Answering(Model):
    """What the agent says."""

    async def pieces(self, request: Request) -> AsyncIterator[Delta]:
        """Answer a request."""
        if request.tools and request.messages[-1].role == "user":
            call = ToolCall("c1", request.tools[0].name, json.dumps({"location": "San Francisco, CA"}))
            yield Delta(completion=Completion(Message("assistant", "", (call,)), "tool_calls"))
            return
        for word in SAYS:
            yield Delta(word)
        yield Delta(completion=Completion(Message("assistant", "".join(SAYS)), "stop"))


def main(port: int) -> None:
    """Serve until told to stop.

    Args:
        port: where.
    """
    app = serve(Agency(Agent(AGENT), model=ChildSpec(Answering), journal=MemoryJournal()))
    uvicorn.run(app, port=port, log_level="critical")


if __name__ == "__main__":
    main(int(sys.argv[1]))
