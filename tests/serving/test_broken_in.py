"""What breaks a served agency from within and from without: it says so, and goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, Skill, http, serve
from callboard.actors.agents.errors import AgencyClosed
from callboard.actors.serving.requests import MOST_PARTS, as_object

from .support import served, speaker

ASKED: Any = {"model": "A", "messages": [{"role": "user", "content": "count"}]}


@pytest.mark.parametrize("piece", ["[]", "{}", '"x"', '{"role":"user","content":"x"}', "1"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/agency/runs", "/A/echo", "/a2a/A"])
async def test_a_body_of_more_parts_than_others_can_wait_for_is_refused(path: str, piece: str) -> None:
    body = '{"model":"A","messages":[' + ",".join([piece] * (MOST_PARTS + 1)) + "]}"
    async with served(_echoing()) as at, at.client() as client:
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "too_large" in answer.text.lower()
        assert "200,000" in answer.text


def test_a_long_text_has_no_parts_whatever_is_written_in_it() -> None:
    said = 'a, [b], {c}, "d", \\" ' * 100_000
    assert as_object(json.dumps({"said": said})) == {"said": said}
    assert as_object(json.dumps({"said": said}).encode()) == {"said": said}


@pytest.mark.parametrize(
    "text", [r"\"" * 2_000_000, '"' * 2_000_000, '"' + "\\" * 2_000_001, '{"a":"' + r"\"" * 999_999]
)
def test_what_is_no_json_is_looked_at_once(text: str) -> None:
    """Days pass, if a text that does not end is begun at each of its quotes."""
    with pytest.raises(Exception, match=r"no JSON|more than"):
        as_object(text)


async def _cancelled() -> str:
    raise asyncio.CancelledError


async def _exits() -> str:
    raise BaseExceptionGroup("two", [SystemExit(1), KeyError()])


def _echoing() -> Agency:
    async def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    routes = [http("/echo", "POST")(echo), http("/cancelled")(_cancelled), http("/exits")(_exits)]
    return Agency(Agent("A", skills=[Skill("s", routes=routes)]), model=speaker())


@pytest.mark.parametrize("path", ["/A/cancelled", "/A/exits"])
async def test_a_function_that_is_cancelled_or_exits_is_a_failure_like_any_other(path: str) -> None:
    async with served(_echoing()) as at, at.client() as client:
        answer = await client.get(path)
        assert answer.status_code == 500
        assert answer.json()["code"] == "internal_error"
        assert (await client.get("/A")).status_code == 200


async def test_who_says_who_asks_and_is_cancelled_lets_nobody_in() -> None:
    async def authenticate(_: HTTPConnection) -> Caller:
        raise asyncio.CancelledError

    async with served(_echoing(), authenticate=authenticate) as at, at.client() as client:
        answer = await client.post("/v1/chat/completions", json=ASKED)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")


async def test_a_request_that_is_ended_as_the_server_stops_is_told_so() -> None:
    begun = asyncio.Event()

    async def hang() -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    agency = Agency(Agent("A", skills=[Skill("s", routes=[http("/hang")(hang)])]), model=speaker())
    async with served(agency) as at, at.client() as client:
        asked = asyncio.create_task(client.get("/A/hang"))
        await begun.wait()
        at.app.state.server.draining = True
        at.server.should_exit = True
        answer = await asked
        assert (answer.status_code, answer.json()["code"]) == (503, "stopping")


async def test_an_agency_is_not_asked_from_another_event_loop() -> None:
    app = serve(_echoing())

    async def elsewhere() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.post("/v1/chat/completions", json=ASKED)

    async with app.router.lifespan_context(app):
        answer = await asyncio.to_thread(asyncio.run, elsewhere())
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "other_event_loop")
        assert (await elsewhere()).status_code == 200


async def test_an_agency_that_has_stopped_is_not_served_again() -> None:
    app = serve(_echoing())
    async with app.router.lifespan_context(app):
        pass
    with pytest.raises(AgencyClosed, match="has stopped"):
        async with app.router.lifespan_context(app):
            pass


@pytest.mark.parametrize("place", ["-1", "1e3", "9" * 30, "x", "1-2"])
async def test_a_place_that_is_in_no_stream_is_refused_before_one_begins(place: str) -> None:
    async with served(_echoing()) as at, at.client() as client:
        run = (await client.post("/v1/chat/completions", json=ASKED)).headers["callboard-run"]
        resumed = {"last-event-id": f"{run}:{place}"}
        answer = await client.post("/v1/chat/completions", json={**ASKED, "stream": True}, headers=resumed)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_event_id")


async def test_an_id_is_no_longer_than_can_be_kept_and_shown() -> None:
    async with served(_echoing()) as at, at.client() as client:
        for path, body in (
            ("/v1/chat/completions", {**ASKED, "callboard": {"conversation": "c" * 501}}),
            ("/agency/runs", {"agent": "A", "input": "count", "conversation": "c" * 501}),
        ):
            answer = await client.post(path, json=body)
            assert answer.status_code == 400
            assert "500 characters" in answer.text
            assert len(answer.text) < 1_000
        assert (await client.post(path, json={**body, "conversation": "c" * 500})).status_code == 202
