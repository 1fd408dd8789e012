"""Streams that the SDKs of protocols send, while the process that serves is told to end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from callboard import Agency, Agent, MemoryJournal, serve, tool
from callboard.actors.serving.operations.draining import drain
from callboard.actors.serving.operations.worker import UvicornWorker, config_of

from .support import listening_socket, speaker
from .test_a2a import SAYS

MCP = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


@asynccontextmanager
async def working(agency: Agency, **options: Any) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """A worker as ``callboard serve`` has it; its address, and the task that ends with it."""
    async with agency:
        app = serve(agency, **options)
        with listening_socket() as listening:
            worker = UvicornWorker(config_of(app, drain=options["drain"]), partial(drain, app.state.server))
            serving = asyncio.create_task(worker.serve(sockets=[listening]))
            while not worker.started:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            yield f"127.0.0.1:{listening.getsockname()[1]}", serving
            await serving


async def told_to_end(address: str) -> None:
    """The process is told to end, and has closed the connections on which nothing is asked."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    signal.raise_signal(signal.SIGTERM)
    assert await reader.read() == b""
    writer.close()


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


async def begun(agency: Agency, number: int) -> None:
    """Until that many runs are."""
    while len(await agency.conversations()) < number:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("ends", [True, False])
async def test_streams_go_on_until_their_runs_are_over_or_the_time_is(ends: bool) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=MemoryJournal())
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": SAYS}
    a2a = {"a2a-version": "1.0"}
    async with (
        working(agency, drain=60.0 if ends else 1.1) as (address, serving),
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        asked = [
            asyncio.create_task(client.post("/mcp", json=call("ask_A", {"message": "count"}), headers=MCP)),
            asyncio.create_task(client.post("/a2a/A", json=rpc, headers=a2a)),
            asyncio.create_task(client.post("/a2a/A/message:stream", json=SAYS, headers=a2a)),
            asyncio.create_task(client.post("/a2a/A/message:send", json=SAYS, headers=a2a)),
        ]
        await begun(agency, 4)
        runs = [one.id for one in await agency.conversations()]
        await told_to_end(address)
        if ends:
            gates[(0, 1)].set()
        answers = await asyncio.gather(*asked)
        await serving
    for answer in answers[:3]:
        assert answer.status_code == 200
        assert ("one two three" in answer.text or "three" in answer.text) is ends
        assert ("stopping" in answer.text) is not ends
    assert len(runs) == 4
    assert answers[3].status_code == (200 if ends else 503)
    if not ends:
        assert answers[3].headers["callboard-run"]
        assert json.loads(answers[0].text.partition("data: ")[2])["error"]["data"]["run"]


async def test_a_published_tool_is_waited_for() -> None:
    at_work, go_on = asyncio.Event(), asyncio.Event()

    @tool(risk="safe")
    async def wait() -> str:
        """Wait."""
        at_work.set()
        await go_on.wait()
        return "here I am"

    agency = Agency(Agent("A"), model=speaker())
    async with (
        working(agency, drain=60.0, mcp_tools=[wait]) as (address, serving),
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        asked = asyncio.create_task(client.post("/mcp", json=call("wait", {}), headers=MCP))
        await at_work.wait()
        await told_to_end(address)
        go_on.set()
        assert "here I am" in (await asked).text
        await serving
