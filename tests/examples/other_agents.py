"""An agency that other agents and programs use: by MCP as tools, by Agent2Agent as the target of a handoff."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import mcp
import uvicorn

from callboard import A2AAgent, Agency, Agent, ChildSpec, Completion, Message, Request, ToolCall, handoff, serve, tool
from callboard.testing import FunctionModel


@tool(risk="safe")
def opening_hours(day: str) -> str:
    """When the shop is open.

    Args:
        day: of the week.
    """
    return "closed" if day == "Sunday" else "9 to 18"


def clerk(request: Request) -> str:
    """What stands for the shop's model."""
    return f"The shop says: {request.messages[-1].text}"


def concierge(request: Request) -> Completion:
    """What stands for the model of whoever asks the shop."""
    if request.messages[-1].role == "tool":
        return Completion(Message("assistant", f"I have asked. {request.messages[-1].text}"), "stop")
    call = ToolCall("1", "delegate_to_Shop", json.dumps({"message": "a table for two"}))
    return Completion(Message("assistant", "", (call,)), "tool_calls")


@contextlib.asynccontextmanager
async def served(agency: Agency) -> AsyncIterator[str]:
    """The agency at an address of this machine; elsewhere it is `uvicorn service:app`."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve(agency, mcp_tools=[opening_hours]), log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await task
    listening.close()


async def main() -> None:
    shop = Agency(Agent("Clerk", description="Sells tables."), model=ChildSpec(FunctionModel, (clerk,)))
    async with served(shop) as address:
        async with mcp.Client(f"{address}/mcp") as client:
            print([offered.name for offered in (await client.list_tools()).tools])
            hours = await client.call_tool("opening_hours", {"day": "Sunday"})
            answer = await client.call_tool("ask_Clerk", {"message": "a chair"})
            print(hours.content[0].text, "|", answer.content[0].text)  # type: ignore[union-attr]

        far = A2AAgent("Shop", address, description="Sells tables.")
        here = Agent("Concierge", handoffs=[handoff(far)])
        async with Agency(here, model=ChildSpec(FunctionModel, (concierge,))) as agency:
            print((await agency.run("A table for two, please.")).text)


asyncio.run(main())
