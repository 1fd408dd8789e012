"""A dashboard in an application of one's own: who has the scope `metrics` sees figures, who has `admin` acts."""

import asyncio
import json
import socket

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from callboard import Agency, Agent, Caller, dashboard


def who(request: HTTPConnection) -> Caller | None:
    """Says who asks; yours looks at a key or a token, see `ApiKeys` and `Jwt`."""
    known = request.headers.get("authorization") == "Bearer a-key"
    return Caller("ada", scopes=frozenset({"metrics"})) if known else None


async def main() -> None:
    async with Agency(Agent("Clerk"), model="offline") as agency:
        app = Starlette(routes=[Mount("/board", dashboard(agency, who))])
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/board/"  # open it in a browser
        async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer a-key"}, timeout=30) as client:
            print((await client.get("api/me")).json()["may"])
            async with client.stream("GET", "api/live?view=actors") as answer:
                lines = answer.aiter_lines()
                name, data = await anext(lines), await anext(lines)
            actors = json.loads(data.removeprefix("data: "))["view"]["actors"]
            print(name, [path for path, *_ in actors])
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main())
