"""An agency behind HTTP, asked by OpenAI's own client, which takes it for the real thing."""

import asyncio
import socket

import uvicorn
from openai import AsyncOpenAI

from callboard import Agency, Agent, ChildSpec, Request, serve
from callboard.testing import FunctionModel


def answer(request: Request) -> str:
    """What the model says: no vendor is asked."""
    return "Until six." if "open" in request.messages[-1].text else "Good day."


clerk = Agent("Clerk", "You are brief.", description="Knows when the shop is open.")
agency = Agency(clerk, model=ChildSpec(FunctionModel, (answer,), name="model"))


async def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))  # a service of yours: uvicorn service:app
    server = uvicorn.Server(uvicorn.Config(serve(agency), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}/v1", api_key="none") as client:
        print([model.id async for model in client.models.list()])
        whole = await client.chat.completions.create(
            model="Clerk", messages=[{"role": "user", "content": "Are you open?"}]
        )
        print(whole.choices[0].message.content)
        stream = await client.chat.completions.create(
            model="Clerk", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        print("".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]))
    server.should_exit = True
    await serving


asyncio.run(main())
