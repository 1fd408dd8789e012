"""A cluster behind HTTP: a request is answered at any node, wherever its conversation lives."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cli.command import ROOT
from tests.cli.test_serve import serving
from tests.postgres import Server

from .raying import ray_address

__all__ = ["ray_address"]

ADA = {"authorization": "ada"}


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The address of one."""
    name = f"cluster_{uuid4().hex[:12]}"
    postgres.execute(f"CREATE DATABASE {name}")
    yield postgres.url.replace("/postgres?", f"/{name}?")
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def two(database: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of two nodes, both of which know each other."""
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(ExitStack())
        doors = stack.enter_context(tempfile.TemporaryDirectory(prefix="doors-"))
        served = []
        for name in ("one", "two"):
            variables = {"NODE": name, "DOORS": doors, "JOURNAL": database}
            command = ("tests.cluster.service:agency", "--authenticate", "tests.cluster.service:who")
            served.append(processes.enter_context(serving(ROOT, *command, **variables)))
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=one.url, headers=ADA, timeout=60))
            for one in served
        ]
        for client in clients:
            await knows(client, 2)
        yield clients
        assert [one.end() for one in served] == [0, 0]


async def knows(client: httpx.AsyncClient, nodes: int) -> None:
    """Wait until a node knows so many."""
    found = 0
    while found < nodes:
        found = (await client.get("/agency/health")).json()["scaling"]["nodes"]


async def begin(client: httpx.AsyncClient, conversation: str, text: str) -> str:
    """Begin a run; return its id."""
    begun = await client.post("/agency/runs", json={"input": text, "conversation": conversation})
    assert begun.status_code == 202, begun.text
    return str(begun.json()["id"])


async def ended(client: httpx.AsyncClient, run: str) -> dict[str, Any]:
    """A run once it has ended."""
    async with client.stream("GET", f"/agency/runs/{run}/events") as events:
        async for _ in events.aiter_lines():
            pass
    found: dict[str, Any] = (await client.get(f"/agency/runs/{run}")).json()
    return found


async def living_on(client: httpx.AsyncClient, node: str) -> str:
    """A conversation that lives on a node."""
    for number in range(100):
        run = await ended(client, await begin(client, f"c{number}", "where"))
        if run["answer"]["text"] == f"answered on {node}":
            return f"c{number}"
    raise AssertionError(f"none lives on {node}")


async def test_requests_at_any_node_are_answered_where_the_conversation_lives(database: str) -> None:
    async with two(database) as (one, other):
        for client, asked in ((one, other), (other, one)):
            for node in ("one", "two"):
                conversation = await living_on(client, node)
                said = {"conversation": conversation}
                body = {"model": "Clerk", "messages": [{"role": "user", "content": "where"}], "callboard": said}
                whole = (await asked.post("/v1/chat/completions", json=body)).json()
                assert whole["choices"][0]["message"]["content"] == f"answered on {node}"
                streamed = await asked.post("/v1/chat/completions", json={**body, "stream": True})
                lines = [line.removeprefix("data: ") for line in streamed.text.splitlines() if "data: {" in line]
                pieces = [json.loads(line)["choices"] for line in lines]
                text = "".join(piece[0]["delta"].get("content") or "" for piece in pieces if piece)
                assert text == f"answered on {node}"
                background = {"model": "Clerk", "input": "where", "background": True}
                begun = (await asked.post("/v1/responses", json=background)).json()
                while begun["status"] in ("queued", "in_progress"):
                    begun = (await client.get(f"/v1/responses/{begun['id']}")).json()
                assert begun["status"] == "completed"
                assert begun["output"][-1]["content"][0]["text"].startswith("answered on ")


async def test_a_run_is_cancelled_and_a_call_approved_at_a_node_that_does_not_make_it(database: str) -> None:
    async with two(database) as (one, other):
        for node in ("one", "two"):
            conversation = await living_on(one, node)
            run = await begin(one, conversation, "hold")
            status = ""
            while status != "running":
                status = (await other.get(f"/agency/runs/{run}")).json()["status"]
            assert (await other.post(f"/agency/runs/{run}/cancel", json={})).status_code == 200
            assert (await ended(one, run))["error"]["code"] == "run_cancelled"
            run = await begin(one, conversation, "pay")
            waits: list[dict[str, Any]] = []
            while not waits:
                waits = (await other.get("/agency/approvals")).json()["approvals"]
            decided = await other.post(f"/agency/approvals/{waits[0]['id']}/approve", json={})
            assert decided.status_code == 200, decided.text
            assert (await ended(one, run))["answer"]["text"] == f"paid 5 on {node}"


async def test_a_team_file_is_served_by_workers_that_are_nodes_over_ray(
    database: str, ray_address: str, tmp_path: Path
) -> None:
    (tmp_path / "team.yaml").write_text("agents:\n  Helper:\n    instructions: Be brief.\n", encoding="utf-8")
    command = ("team.yaml", "--cluster", ray_address, "--journal", database, "--workers", "2")
    with serving(tmp_path, *command) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=120) as client:
            await knows(client, 2)
            runs = [await begin(client, f"c{number}", "hello") for number in range(10)]
            assert {(await ended(client, run))["status"] for run in runs} == {"ended"}
        assert served.end() == 0
