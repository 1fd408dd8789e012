"""Agencies that find each other's agents in a registry, and hand off to them."""

import asyncio
import contextlib
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn

from callboard import (
    A2AAgent,
    Agency,
    Agent,
    ChildSpec,
    Completion,
    Message,
    Registry,
    Request,
    ToolCall,
    handoff,
    serve,
)
from callboard.testing import FunctionModel


def forecast(request: Request) -> str:
    """What stands for the model of whoever knows the weather."""
    return f"Sunny. You asked: {request.messages[-1].text}"


def concierge(request: Request) -> Completion:
    """What stands for the model of whoever asks."""
    if request.messages[-1].role == "tool":
        return Completion(Message("assistant", request.messages[-1].text), "stop")
    call = ToolCall("1", request.tools[0].name, json.dumps({"message": "Rome, tomorrow"}))
    return Completion(Message("assistant", "", (call,)), "tool_calls")


@contextlib.asynccontextmanager
async def weather_service(store: Path) -> AsyncIterator[None]:
    """In life a process of its own: `callboard serve team.yaml --registry service:registry`."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    registry = Registry(store, url=url, intents={"Weather": ["say whether it will rain"]})
    agency = Agency(Agent("Weather", description="Knows the sky."), model=ChildSpec(FunctionModel, (forecast,)))
    server = uvicorn.Server(uvicorn.Config(serve(agency, registry=registry), log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await task
    listening.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "agents.db")
        async with weather_service(Path(folder) / "agents.db"):
            (found,) = await registry.search("will it rain")
            print(found.name, "|", found.description, "|", *found.intents)

            far = A2AAgent(found.name, found.a2a, description=found.description)
            here = Agent("Concierge", handoffs=[handoff(far)])
            async with Agency(here, model=ChildSpec(FunctionModel, (concierge,))) as agency:
                print((await agency.run("Do I need an umbrella in Rome?")).text)
        print(await registry.search("will it rain"))
        registry.close()


asyncio.run(main())
