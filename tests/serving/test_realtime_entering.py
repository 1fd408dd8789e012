"""Who may open a WebSocket, and what becomes of those who may not."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from callboard import Agency, Agent, ApiKeys, MemoryJournal, serve
from callboard.actors.serving.operations.worker import config_of
from callboard.actors.serving.realtime import session

from .support import served, speaker
from .test_realtime import ADA, ends, said, talking, who
from .test_who_asks import named


async def test_who_asks_is_said_by_header_subprotocol_or_first_message() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada", name="laptop")
    agency = Agency(Agent("A"), model=speaker())
    ours = Subprotocol("callboard.v1")
    async with served(agency, authenticate=[keys, named("bob")]) as it:
        by_header: Any = {"additional_headers": {"authorization": f"Bearer {key}"}}
        by_protocol: Any = {"subprotocols": [ours, Subprotocol(f"callboard.bearer.{key}")]}
        otherwise: Any = {"additional_headers": {"x-user": "bob"}}
        for options in (by_header, by_protocol, otherwise):
            async with talking(it.url, **options) as client:
                assert (await client.hear())["type"] == "ready"
                assert client.socket.subprotocol == (ours if options is by_protocol else None)
                await client.say("ask", input="count")
                assert said(await client.until(ends)) == "one two three"
        async with talking(it.url, subprotocols=[ours]) as client:
            await client.say("authenticate", token=key)
            assert await client.hear() == {"type": "done"}
            assert (await client.hear())["type"] == "ready"
        for first in ({"type": "ask", "input": "count"}, {"type": "authenticate", "token": "wrong"}):
            async with talking(it.url, subprotocols=[ours]) as client:
                await client.socket.send(json.dumps(first))
                assert (await client.hear())["code"] == "unauthorized"
                assert (await client.closed())[0] == 4401
        nobodies: list[Any] = [{}, {"additional_headers": {"authorization": "Bearer wrong"}}]
        for wrong in nobodies:
            with pytest.raises(InvalidStatus) as refused:
                async with talking(it.url, **wrong):
                    pass
            assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus):
            async with talking(it.url, subprotocols=[ours, Subprotocol("callboard.bearer.wrong")]):
                pass
        async with talking(it.url, **by_header) as client:  # what is revoked counts no more
            await client.hear()
            await keys.revoke("laptop")
            await client.say("ask", input="count")
            assert (await client.hear())["code"] == "unauthorized"
            assert (await client.closed())[0] == 4401


async def test_who_says_it_wrong_may_say_it_again_and_is_let_in_no_sooner() -> None:
    offers: Any = [Subprotocol("callboard.v1")]
    async with served(Agency(Agent("A"), model=speaker()), authenticate=who) as it:
        async with talking(it.url, subprotocols=offers) as client:
            for wrong in ("{", '{"type": "authenticate"}', '{"type": "authenticate", "token": 5}', '{"type": "x"}'):
                await client.socket.send(wrong)
                assert (await client.hear())["type"] == "problem"
            await client.say("authenticate", token="ada")
            assert [(await client.hear())["type"] for _ in range(2)] == ["done", "ready"]
        async with talking(it.url, subprotocols=offers) as client:
            await client.say("ping")
            assert (await client.hear())["code"] == "unauthorized"
            assert (await client.closed())[0] == 4401


async def test_what_a_client_breaks_before_it_is_told_anything_is_no_error_of_the_server() -> None:
    """uvicorn has closed the connection then, and refuses what is sent over it."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] != "websocket.accept":
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")

    app = serve(Agency(Agent("A"), model=speaker()))
    async with app.router.lifespan_context(app):
        scope = {"type": "websocket", "path": "/realtime/A", "headers": [], "query_string": b"", "subprotocols": []}
        await app({**scope, "scheme": "ws", "root_path": ""}, receive, send)
    assert sent == ["websocket.accept", "websocket.send"]


async def test_whoever_is_refused_leaves_no_error_in_the_log_of_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    app = serve(Agency(Agent("A"), model=speaker()), authenticate=who)
    config_of(app, drain=1.0)
    logger = logging.getLogger("uvicorn.error")
    async with served(app) as it:
        logger.addHandler(caplog.handler)
        try:
            with pytest.raises(InvalidStatus):
                async with talking(it.url):
                    raise AssertionError("it was let in")
            async with talking(it.url, **ADA) as client:
                await client.hear()
                await client.socket.send(b"\xff", text=True)
                assert (await client.closed())[0] == 1007
        finally:
            logger.removeHandler(caplog.handler)
    assert not caplog.records


async def test_an_agency_is_not_told_of_from_another_event_loop() -> None:
    async with Agency(Agent("A"), model=speaker()) as agency:
        status = await asyncio.to_thread(asyncio.run, _refused_status(agency))
    assert status == 500


async def _refused_status(agency: Agency) -> int:
    async with served(agency) as it:
        with pytest.raises(InvalidStatus) as refused:
            async with talking(it.url):
                raise AssertionError("it was let in")
    assert b"other_event_loop" in (refused.value.response.body or b"")
    return refused.value.response.status_code


async def test_whoever_does_not_say_who_they_are_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "INTRODUCTION", 0.0)
    async with (
        served(Agency(Agent("A"), model=speaker()), authenticate=who) as it,
        talking(it.url, subprotocols=[Subprotocol("callboard.v1")]) as client,
    ):
        code, reason = await client.closed()
        assert (code, "say who you are" in reason) == (4401, True)


async def test_pages_of_other_origins_are_refused() -> None:
    async with served(Agency(Agent("A"), model=speaker()), cors=["https://app.example"]) as it:
        for good in ("https://app.example", it.url, None):
            async with talking(it.url, origin=good and Origin(good)) as client:
                assert (await client.hear())["type"] == "ready"
        for bad in ("https://evil.example", "null", "https://app.example.evil.example", "http://127.0.0.1:1"):
            with pytest.raises(InvalidStatus) as refused:
                async with talking(it.url, origin=Origin(bad)):
                    pass
            assert refused.value.response.status_code == 403
