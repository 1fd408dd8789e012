"""A run over a WebSocket: cut off in the middle, and gone on with."""

import asyncio
import json
import socket

import uvicorn
from websockets.asyncio.client import connect

from callboard import Agency, Agent, ChildSpec, Request, serve
from callboard.testing import FunctionModel


def answer(request: Request) -> str:
    """What the model says: no vendor is asked."""
    return "Until six."


async def main() -> None:
    agency = Agency(Agent("Clerk"), model=ChildSpec(FunctionModel, (answer,), name="model"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve(agency), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"ws://127.0.0.1:{listening.getsockname()[1]}/realtime/Clerk"

    async with connect(url) as client:
        await client.send(json.dumps({"type": "ask", "input": "Are you open?"}))
        async for text in client:
            last = json.loads(text)
            if last.get("event") == "started":
                break  # the client is gone, the run goes on

    async with connect(url) as client:
        await client.send(json.dumps({"type": "resume", "run": last["run"], "cursor": last["cursor"]}))
        async for text in client:
            told = json.loads(text)
            if told["type"] == "text":
                print(told["text"])
            if told.get("event") == "ended":
                break

    server.should_exit = True
    await serving


asyncio.run(main())
