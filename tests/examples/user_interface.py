"""A user interface talks to an agent by AG-UI, and its user is asked before the agent pays."""

import asyncio
import json
import socket
from typing import Any

import httpx
import uvicorn
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, ChildSpec, Request, ToolCall, ToolContext, serve, tool
from callboard.testing import FunctionModel

BANK: dict[str, int] = {}  # stands for a bank, which pays once for a key, however often it is asked


@tool(approval="always", idempotent=True)
def pay(context: ToolContext, amount: int) -> str:
    """Pay a bill."""
    BANK.setdefault(context.idempotency_key, amount)
    return f"paid {amount}"


def answer(request: Request) -> Any:
    """What the model says: no vendor is asked."""
    return "Done." if request.messages[-1].role == "tool" else ToolCall("p1", "pay", '{"amount": 5}')


def who(connection: HTTPConnection) -> Caller:
    """Who asks: only those who are somebody may decide anything."""
    return Caller("ada")


async def run(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Show what happens in a run; its last event."""
    event: dict[str, Any] = {}
    async with client.stream("POST", "/ag-ui/Clerk", json=body) as answered:
        async for line in answered.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                print(" ".join([event["type"], event.get("delta") or event.get("content") or ""]).strip())
    return event


async def main() -> None:
    agency = Agency(Agent("Clerk", tools=[pay]), model=ChildSpec(FunctionModel, (answer,), name="model"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve(agency, authenticate=who), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        messages = [{"id": "m1", "role": "user", "content": "Pay the bill."}]
        last = await run(client, {"threadId": "t1", "runId": "r1", "messages": messages})
        (asked,) = last["outcome"]["interrupts"]
        print(asked["message"])
        answers = [{"interruptId": asked["id"], "status": "resolved", "payload": {"approved": True}}]
        await run(client, {"threadId": "t1", "runId": "r2", "messages": messages, "resume": answers})
    server.should_exit = True
    await serving


asyncio.run(main())
