"""A response whose stream was cut goes on: behind each event, by whichever way, and over the death of its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard import Agency, Agent, tool
from callboard.providers.messages import ToolCall

from .support import Served, served, speaker
from .test_response_events import check_order

BODY: Any = {"model": "A", "input": "count", "stream": True}


async def read(
    client: httpx.AsyncClient, method: str, path: str, most: int | None = None, **options: Any
) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream with their ids, at most so many: then the client leaves."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with client.stream(method, path, **options) as got:
        assert got.status_code == 200, await got.aread()
        id = ""
        async for line in got.aiter_lines():
            if line.startswith("id: "):
                id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append((id, json.loads(line.removeprefix("data: "))))
                if len(found) == most:
                    return found
    return found


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


async def test_a_stream_goes_on_behind_each_of_its_events() -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    script = (("Let ", "me see.", ToolCall("c", "add", '{"a": 1, "b": 2}')), ("It is", " three", " or so."))
    async with served(Agency(Agent("A", tools=[add]), model=speaker(script))) as it, it.client() as client:
        whole = await read(client, "POST", "/v1/responses", json=BODY)
        id = whole[0][1]["response"]["id"]
        check_order([event for _, event in whole])
        for at, (event_id, event) in enumerate(whole[:-1]):
            after = [one for _, one in whole[at + 1 :]]
            for ask in (
                read(client, "POST", "/v1/responses", json=BODY, headers={"last-event-id": event_id}),
                read(client, "GET", f"/v1/responses/{id}?stream=true", headers={"last-event-id": event_id}),
                read(
                    client,
                    "GET",
                    f"/v1/responses/{id}",
                    params={"stream": "true", "starting_after": event["sequence_number"]},
                ),
            ):
                assert [one for _, one in await ask] == after
        assert await read(client, "GET", f"/v1/responses/{id}?stream=true") == whole


async def test_whoever_leaves_at_an_event_and_comes_back_misses_nothing() -> None:
    gates = {(0, 1): asyncio.Event(), (0, 2): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it, it.client() as client:
        begun = await read(client, "POST", "/v1/responses", most=5, json=BODY)
        assert text_of([event for _, event in begun]) == "one "
        gates[(0, 1)].set()
        then = await read(client, "POST", "/v1/responses", most=1, json=BODY, headers={"last-event-id": begun[-1][0]})
        gates[(0, 2)].set()
        id = begun[0][1]["response"]["id"]
        rest = await read(client, "GET", f"/v1/responses/{id}?stream=true", headers={"last-event-id": then[-1][0]})
        events = [event for _, event in (*begun, *then, *rest)]
        assert text_of(events) == "one two three"
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        check_order(events)


async def test_a_response_whose_client_leaves_is_cancelled_where_that_is_asked_for() -> None:
    for most in (1, 2, 3, 5):
        gates = {(0, 1): asyncio.Event()}
        agency = Agency(Agent("A"), model=speaker(gates=gates))
        async with served(agency) as it, it.client() as client:
            headers = {"callboard-on-disconnect": "cancel"}
            begun = await read(client, "POST", "/v1/responses", most=most, json=BODY, headers=headers)
            id = begun[0][1]["response"]["id"]
            handle = await agency.handle(id.removeprefix("resp_"))
            with pytest.raises(Exception, match="its client has gone"):
                await handle.answer(30)
            assert (await client.get(f"/v1/responses/{id}")).json()["status"] == "cancelled"
            ended = await read(client, "GET", f"/v1/responses/{id}?stream=true")
            assert ended[-1][1]["type"] == "response.failed"


async def test_openais_client_goes_on_with_a_stream() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.openai() as client:
        first = await client.responses.create(model="A", input="count", stream=True)
        said, place = "", 0
        async for event in first:
            if event.type == "response.created":
                id = event.response.id
            if event.type == "response.output_text.delta":
                said, place = said + event.delta, event.sequence_number
                break
        await first.close()
        async for event in await client.responses.retrieve(id, stream=True, starting_after=place):
            if event.type == "response.output_text.delta":
                said += event.delta
        assert said == "one two three"
        later = ""
        async with client.responses.stream(response_id=id, starting_after=place) as stream:
            async for helped in stream:
                if helped.type == "response.output_text.delta":
                    later += helped.delta
                    assert helped.snapshot == "one " + later
        assert later == "two three"


@asynccontextmanager
async def process(journal: Path, said: str, most: int = 0) -> AsyncIterator[tuple[Any, Served]]:
    """A server in a process of its own; killed at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # handed on: a port of its own might be another's by then
        port, fd = listening.getsockname()[1], listening.fileno()
        arguments = [str(Path(__file__).with_name("server_to_kill.py")), str(journal), str(fd), said, str(most)]
        running = await asyncio.create_subprocess_exec(sys.executable, *arguments, pass_fds=[fd])
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client:
            while True:
                assert running.returncode is None, "the server did not start"
                try:
                    await client.get(f"{url}/healthz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield running, Served(url, None, None)  # type: ignore[arg-type]
    finally:
        if running.returncode is None:
            os.kill(running.pid, signal.SIGKILL)
        await running.wait()


async def test_a_killed_process_is_told_of_where_the_model_says_something_else(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    async with process(journal, "Once |upon |a time.", 2) as (_, it), it.client() as client:
        begun = await read(client, "POST", "/v1/responses", most=6, json=BODY)
        chat = {"model": "A", "messages": [{"role": "user", "content": "?"}], "stream": True}
        chunks = await read(client, "POST", "/v1/chat/completions", most=2, json=chat)
    assert text_of([event for _, event in begun]) == "Once upon "
    id = begun[0][1]["response"]["id"]
    async with process(journal, "Twice |in a |blue moon.") as (_, it), it.client() as client:
        for at in range(len(begun)):
            headers = {"last-event-id": begun[at][0]}
            events = [
                *(event for _, event in begun[: at + 1]),
                *(event for _, event in await read(client, "GET", f"/v1/responses/{id}?stream=true", headers=headers)),
            ]
            numbers = [event["sequence_number"] for event in events]
            assert numbers == sorted(set(numbers))
            done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
            assert [item["status"] for item in done] == (["incomplete"] if at >= 2 else []) + ["completed"]
            assert done[-1]["content"][0]["text"] == "Twice in a blue moon."
            of_last = [event for event in events if event.get("item_id") == done[-1]["id"]]
            assert text_of(of_last) == "Twice in a blue moon."
            number = begun[at][1]["sequence_number"]
            by_number = await read(client, "GET", f"/v1/responses/{id}?stream=true&starting_after={number}")
            assert text_of([event for _, event in by_number]) == "Twice in a blue moon."
        kept = (await client.get(f"/v1/responses/{id}")).json()
        assert [item["content"][0]["text"] for item in kept["output"]] == ["Twice in a blue moon."]
        said = await read(client, "POST", "/v1/chat/completions", json=chat, headers={"last-event-id": chunks[-1][0]})
        assert said[-1][1]["error"]["code"] == "answer_changed"


async def test_a_killed_process_is_gone_on_for_by_another_one(tmp_path: Path) -> None:
    journal, said = tmp_path / "j.db", "Once |upon |a time."
    async with process(journal, said, 2) as (_, it), it.client() as client:
        begun = await read(client, "POST", "/v1/responses", most=6, json={**BODY, "background": True})
    id = begun[0][1]["response"]["id"]
    async with process(journal, said) as (_, it), it.client() as client:
        headers = {"last-event-id": begun[-1][0]}
        rest = await read(client, "GET", f"/v1/responses/{id}?stream=true", headers=headers)
        assert rest[-1][1]["type"] == "response.completed"
        kept = (await client.get(f"/v1/responses/{id}")).json()
        assert (kept["status"], kept["output"][-1]["content"][0]["text"]) == ("completed", "Once upon a time.")
        branch = await client.post("/v1/responses", json={"model": "A", "input": "x", "previous_response_id": id})
        assert branch.json()["status"] == "completed"
