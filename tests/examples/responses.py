"""An agency behind OpenAI's Responses, asked by OpenAI's own client: branches, a schema, and a stream that goes on."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from openai import AsyncOpenAI
from pydantic import BaseModel

from callboard import Agency, Agent, ChildSpec, Request, serve
from callboard.testing import FunctionModel


def model(request: Request) -> str:
    """What stands for a model here."""
    if request.response_schema is not None:
        return '{"city": "Rome", "days": 3}'
    return " and ".join(message.text for message in request.messages if message.role == "user")


@contextlib.asynccontextmanager
async def served(agency: Agency) -> AsyncIterator[str]:
    """The agency at an address of this machine; elsewhere it is `uvicorn service:app`."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve(agency), log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    server.should_exit = True
    await task
    listening.close()


class Trip(BaseModel):
    city: str
    days: int


async def main() -> None:
    agency = Agency(Agent("Guide"), model=ChildSpec(FunctionModel, (model,)))
    async with served(agency) as address, AsyncOpenAI(base_url=address, api_key="none") as client:
        first = await client.responses.create(model="Guide", input="Rome")
        for wish in ("by train", "by bike"):  # two branches of one response
            branch = await client.responses.create(model="Guide", input=wish, previous_response_id=first.id)
            print(branch.output_text)

        trip = await client.responses.parse(model="Guide", input="A trip", text_format=Trip)
        print(trip.output_parsed)

        stream = await client.responses.create(model="Guide", input="one two three", stream=True)
        async for event in stream:  # and the connection is lost
            if event.type == "response.created":
                id = event.response.id
            elif event.type == "response.output_text.delta":
                print(event.delta)
                break
        await stream.close()
        rest = await client.responses.retrieve(id, stream=True, starting_after=event.sequence_number)
        print("".join([event.delta async for event in rest if event.type == "response.output_text.delta"]))


asyncio.run(main())
