"""A server for A2A's Technology Compatibility Kit: an agent that does what the id of a message asks for.

The kit says by the beginning of a message's id what is to become of the task. An agent's instructions are made for
each run, and tell the model that id.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn

from callboard import Agency, Agent, Caller, MemoryJournal, RequestContext, Webhooks, serve, tool
from callboard.actors import ChildSpec
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall

from .model import Model

SECONDS: Final = 4.0
"""For which a task is at work that is subscribed to: twice the kit's patience with a stream."""

SAYS: Final = {
    "tck-complete-task": ("Hello from TCK",),
    "tck-artifact-text": ("Generated text content",),
    "tck-artifact-data": ('{"key": "value", "count": 42}',),
    "tck-message-response": ("Direct message response",),
    "tck-stream-001": ("Stream hello from TCK",),
    "tck-stream-003": ("Stream task lifecycle",),
    "tck-stream-ordering-001": ("Ordered output",),
    "tck-stream-artifact-text": ("Streamed text content",),
    "tck-stream-artifact-chunked": ("chunk-1 ", "chunk-2"),
}
"""What is answered, in pieces, by the beginning of the message's id."""


@tool(risk="risky")
def ask_first() -> str:
    """Do something that a person has to allow."""
    return "It was allowed."


def message_id(context: RequestContext) -> str:
    """The instructions: the id of the message that the run was begun by."""
    return str(context.metadata.get("a2a.message", ""))


class Kit(Model):
    """What the agent says. A task that waits goes on once it is told something that does not ask it to wait again."""

    async def pieces(self, request: Request) -> AsyncIterator[Delta]:
        """Do what the id of the message asks for."""
        asked = request.messages[0].text
        if asked.startswith("tck-input-required") and "history message" in _told(request):
            asked = "tck-input-required"
        elif asked.startswith("tck-input-required") and request.messages[-1].role == "tool":
            asked = "tck-complete-task"
        if asked.startswith("tck-input-required"):
            call = ToolCall(f"c{len(request.messages)}", ask_first.name, "{}")
            yield Delta(completion=Completion(Message("assistant", "", (call,)), "tool_calls"))
            return
        if asked.startswith("test-resubscribe-message-id"):
            await asyncio.sleep(SECONDS)
        if asked.startswith("tck-reject-task"):
            yield Delta(completion=Completion(Message("assistant", ""), "content_filter"))
            return
        pieces = next((said for begin, said in SAYS.items() if asked.startswith(begin)), ("Done.",))
        for piece in pieces:
            yield Delta(piece)
        yield Delta(completion=Completion(Message("assistant", "".join(pieces)), "stop"))


def _told(request: Request) -> str:
    last = request.messages[-1]
    return last.text if last.role == "tool" else ""


def _here(host: Any, *rest: Any, find: Any = socket.getaddrinfo, **options: Any) -> Any:
    """Finds nobody but on this machine: the kit names a webhook at example.com."""
    if host not in (None, "localhost", "127.0.0.1"):
        raise socket.gaierror(f"{host} is not looked for")
    return find(host, *rest, **options)


def main(port: int, *, known: bool) -> None:
    """Serve until told to stop.

    Args:
        port: where.
        known: whether it is known who asks, and webhooks are told; otherwise neither.
    """
    socket.getaddrinfo = _here
    logging.getLogger("a2a").setLevel(logging.CRITICAL)
    about = "Does what the kit asks for."
    agent = Agent("Kit", message_id, description=about, tools=[ask_first], autonomy="supervised")
    agency = Agency(agent, model=ChildSpec(Kit), journal=MemoryJournal())
    # The kit's own receiver is at any port.
    hosts = ["example.com", *(f"localhost:{each}" for each in range(1024, 65536))]
    app = serve(
        agency,
        authenticate=(lambda connection: Caller("kit")) if known else None,
        webhooks=Webhooks(hosts, "a secret that nobody guesses", private=True) if known else None,
    )
    uvicorn.run(app, port=port, log_level="critical")


if __name__ == "__main__":
    main(int(sys.argv[1]), known="known" in sys.argv)
