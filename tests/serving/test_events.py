"""The journal as a store of events, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller
from callboard.actors.journal.store import at_hand
from callboard.actors.serving import serve
from tests.agents.support import function

from .support import served

ADMIN = {"x-scopes": "admin"}


def who(connection: HTTPConnection) -> Caller:
    scopes = frozenset(filter(None, connection.headers.get("x-scopes", "").split(",")))
    return Caller("ann", connection.headers.get("x-tenant", ""), scopes)


def agency(journal: Path | None = None) -> Agency:
    return Agency(Agent("A"), model=function(lambda request: "swordfish"), journal=journal)


def client(it: Agency, **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=serve(it, **options))
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=ADMIN)


async def test_events_are_appended_where_the_version_is_the_one_that_is_expected() -> None:
    async with agency() as it, client(it, authenticate=who) as http:
        first = await http.post("/agency/events/events/orders", json={"events": [{"id": 1}, {"id": 2}], "expected": 0})
        assert (first.status_code, first.json()) == (201, {"stream": "events/orders", "version": 2})
        late = await http.post("/agency/events/events/orders", json={"events": [{"id": 3}], "expected": 0})
        assert (late.status_code, late.json()["code"]) == (409, "version_conflict")
        assert "is at version 2, not 0" in late.text
        more = await http.post("/agency/events/events/orders", json={"events": [{"id": 3}], "expected": 2})
        assert more.json()["version"] == 3
        read = (await http.get("/agency/events/events/orders?after=1&limit=1")).json()
    assert [(one["version"], one["data"]) for one in read["events"]] == [(2, {"id": 2})]


async def test_what_others_append_is_no_conversation() -> None:
    async with agency() as it, client(it, authenticate=who) as http:
        await http.post("/agency/events/events/orders", json={"events": [{"id": 1}]})
        await it.run("hi", conversation="c")
        assert [one.name for one in await it.conversations()] == ["A/c"]
        assert [one.conversation for one in (await it.runs()).runs] == ["c"]


async def test_conversations_of_an_agent_that_is_called_events_are_some() -> None:
    async with Agency(Agent("events"), model=function(lambda request: "hi")) as it:
        await it.run("hi", conversation="c")
        assert [one.name for one in await it.conversations()] == ["events/c"]


async def test_a_conversations_events_are_read_and_have_one_writer(tmp_path: Path) -> None:
    async with agency(tmp_path / "runs.db") as it, client(it, authenticate=who) as http:
        await it.run("go", conversation="c")
        read = (await http.get("/agency/events/A/c")).json()["events"]
        refused = await http.post("/agency/events/A/c", json={"events": [{"id": 1}]})
    assert [one["type"] for one in read] == ["Accepted", "Begin", "Completed", "Ended"]
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"x-scopes": "metrics"}, "/agency/events"),
        ({"x-scopes": ""}, "/agency/events/A/c"),
        ({"x-scopes": "admin", "x-tenant": "acme"}, "/agency/events/A/c"),
    ],
)
async def test_events_are_for_who_administers_everything(headers: dict[str, str], path: str) -> None:
    async with agency() as it, client(it, authenticate=who) as http:
        assert (await http.get(path, headers=headers)).status_code == 403


async def test_where_nobody_is_asked_who_asks_nobody_sees_events() -> None:
    async with agency() as it, client(it) as http:
        assert (await http.get("/agency/events")).status_code == 403
        assert (await http.post("/agency/events/events/a", json={"events": [{}]})).status_code == 403


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "events is missing"),
        ({"events": []}, "at least one"),
        ({"events": [1]}, "a list of objects"),
        ({"events": [{}], "expected": -1}, "not below 0"),
        ({"events": [{}], "extra": 1}, "no field"),
    ],
)
async def test_what_cannot_be_appended_is_refused_by_name(body: dict[str, Any], says: str) -> None:
    async with agency() as it, client(it, authenticate=who) as http:
        answer = await http.post("/agency/events/events/a", json=body)
    assert answer.status_code == 400
    assert says in answer.text


@pytest.mark.parametrize("name", ["", "x" * 500])
async def test_a_stream_has_a_name(name: str) -> None:
    async with agency() as it, client(it, authenticate=who) as http:
        assert (await http.post(f"/agency/events/events/{name}", json={"events": [{}]})).status_code == 400


async def test_whoever_follows_gets_all_events_behind_a_position_and_those_to_come(tmp_path: Path) -> None:
    it = agency(tmp_path / "runs.db")
    async with served(it, authenticate=who) as there, there.client() as http:
        http.headers.update(ADMIN)
        for number in range(3):
            await http.post("/agency/events/events/a", json={"events": [{"n": number}]})
        got: list[tuple[str, Any]] = []
        headers = {"last-event-id": "1"}
        async with http.stream("GET", "/agency/events?prefix=events/", headers=headers) as answer:
            seen = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    seen = value
                elif name == "data":
                    got.append((seen, json.loads(value)["data"]))
                    if len(got) == 2:
                        await it.run("go")
                        await at_hand(it.journal.append("events/b", [{"n": 3}]))
                    elif len(got) == 3:
                        break
    assert [data for _, data in got] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert got[0][0] == "2"
