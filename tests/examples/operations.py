"""Runs, approvals and events over HTTP: a run in the background waits for a person, who lets it go on."""

import asyncio
import socket

import httpx
import uvicorn

from callboard import Agency, Agent, Caller, ChildSpec, Completion, Message, Request, ToolCall, ToolContext, serve, tool
from callboard.testing import FunctionModel

BANK: dict[str, int] = {}  # stands for a bank, which pays once for a key, however often it is asked


@tool(idempotent=True)
def pay(context: ToolContext, amount: int) -> str:
    """Pay so many euros."""
    BANK.setdefault(context.idempotency_key, amount)
    return f"paid {amount}"


def model(request: Request) -> Completion:
    last = request.messages[-1]
    if last.role == "tool":
        return Completion(Message("assistant", f"Done: {last.text}."), "stop")
    return Completion(Message("assistant", "", (ToolCall("c1", "pay", '{"amount": 50}'),)), "tool_calls")


def who(request: object) -> Caller | None:
    """Says who asks; yours looks at a key or a token, see `ApiKeys` and `Jwt`."""
    return Caller("ada", "acme")


async def main() -> None:
    teller = Agent("Teller", tools=[pay], autonomy="supervised")
    app = serve(Agency(teller, model=ChildSpec(FunctionModel, (model,), name="model")), authenticate=who)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        run = (await client.post("/agency/runs", json={"input": "Pay the printer."})).json()["id"]
        events = asyncio.create_task(client.get(f"/agency/runs/{run}/events"))
        waiting: list[dict[str, object]] = []
        while not waiting:
            waiting = (await client.get("/agency/approvals")).json()["approvals"]
        print(waiting[0]["tool"], waiting[0]["arguments"])
        await client.post(f"/agency/approvals/{waiting[0]['id']}/approve", json={"arguments": {"amount": 40}})
        print([line.partition(": ")[2] for line in (await events).text.splitlines() if line.startswith("event: ")])
        print((await client.get(f"/agency/runs/{run}")).json()["answer"]["text"])
    server.should_exit = True
    await serving


asyncio.run(main())
