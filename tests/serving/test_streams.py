"""Streams as they are sent, whichever protocol's: signs of life, clients that leave or take nothing, and their ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from callboard import Agency, Agent, RunStarted, serve
from callboard.actors.agents.errors import RunCancelled
from callboard.actors.serving import sse
from callboard.actors.serving.sse import Event

from .support import served, speaker

ASKED: Any = {"model": "A", "messages": [{"role": "user", "content": "count"}]}
STREAM: Any = {**ASKED, "stream": True}
CANCEL: Any = {"callboard-on-disconnect": "cancel"}


def first_run(agency: Agency) -> asyncio.Future[str]:
    """The id of the run that begins next."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def seen(event: Any) -> None:
        if isinstance(event, RunStarted) and not found.done():
            found.set_result(event.run)

    agency.subscribe(seen)
    return found


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (Event("[DONE]"), "data: [DONE]\n\n"),
        (Event({"a": [1, 2]}, "r:1", "said", 0), 'id: r:1\nevent: said\nretry: 0\ndata: {"a":[1,2]}\n\n'),
        (Event("one\ntwo\r\nthree\rfour"), "data: one\ndata: two\ndata: three\ndata: four\n\n"),
        (Event("a\rb"), "data: a\ndata: b\n\n"),
        (Event("\n"), "data: \n\n"),
        (Event({"text": "a\nb\ud800"}), 'data: {"text":"a\\nb\\ud800"}\n\n'),
        (Event("half \ud800"), "data: half ?\n\n"),
    ],
)
def test_an_event_is_sent_as_lines_that_none_of_its_text_can_break(event: Event, sent: str) -> None:
    assert event.encoded() == sent.encode()


async def test_where_there_is_silence_a_stream_says_that_it_lives() -> None:
    gates = {(0, 1): asyncio.Event(), (0, 2): asyncio.Event()}
    async with (
        served(Agency(Agent("A"), model=speaker(gates=gates)), ping=0.01) as it,
        it.client() as client,
        client.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = answer.aiter_lines()
        pings = 0
        async for line in lines:
            assert line.startswith((": ping", "id: ", "data: ")) or not line
            pings += line == ": ping"
            if pings == 3:
                gates[(0, 1)].set()
            if pings == 5:
                gates[(0, 2)].set()
        assert pings >= 5
        assert line == ""


async def _by_hand(app: Any, body: Any, send: Callable[[Any], Any], headers: dict[str, str]) -> None:
    """Ask without a server between, so that a test says when the client takes what is sent."""
    asked: list[Any] = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Any:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("a", 80),
        "client": ("b", 1),
    }
    await app(scope, receive, send)


async def test_who_takes_nothing_for_too_long_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SEND_TIMEOUT", 0.0)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    agency = Agency(Agent("A"), model=speaker(gates={(0, 1): asyncio.Event()}))
    app = serve(agency, ping=0.01)
    async with app.router.lifespan_context(app):
        run = first_run(agency)
        await _by_hand(app, STREAM, send, CANCEL)
        assert [one["type"] for one in sent] == ["http.response.start", "http.response.body"]
        with pytest.raises(RunCancelled, match="its client has gone"):
            await (await agency.handle(await run)).answer()
        assert not app.state.server.streams


async def test_who_is_slow_is_waited_for_and_not_sent_signs_of_life_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    slow = asyncio.Event()
    look = sse.EventStream.look

    def counted(self: sse.EventStream, now: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            slow.set()
        look(self, now)

    monkeypatch.setattr(sse.EventStream, "look", counted)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 2:
            await slow.wait()

    app = serve(Agency(Agent("A"), model=speaker()), ping=0.01)
    async with app.router.lifespan_context(app):
        await _by_hand(app, STREAM, send, CANCEL)
    bodies = [one["body"] for one in sent[1:]]
    assert not any(body.startswith(b":") for body in bodies)
    assert bodies[-2:] == [b"data: [DONE]\n\n", b""]
    assert not sent[-1]["more_body"]


@pytest.mark.parametrize("wish", ["cancel", "continue", None])
async def test_who_waits_for_a_whole_answer_and_leaves_has_it_cancelled_where_that_is_asked_for(
    wish: str | None,
) -> None:
    gates = {(0, 0): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it, it.client() as client:
        run = first_run(agency)
        headers = {"callboard-on-disconnect": wish} if wish else {}
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=ASKED, headers=headers))
        handle = await agency.handle(await run)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if wish == "cancel":
            with pytest.raises(RunCancelled, match="its client has gone"):
                await handle.answer()
        else:
            gates[(0, 0)].set()
            assert (await handle.answer()).text == "one two three"


async def test_who_waits_until_the_end_is_answered_whatever_was_to_become_of_the_run_otherwise() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client(headers=CANCEL) as client:
        answer = await client.post("/v1/chat/completions", json=ASKED)
        assert answer.json()["choices"][0]["message"]["content"] == "one two three"
        async with client.stream("POST", "/v1/chat/completions", json=STREAM) as streamed:
            await streamed.aread()
        handle = await it.app.state.server.agency.handle(streamed.headers["callboard-run"])
        assert await handle.status() == "ended"


async def test_a_header_that_says_something_else_than_what_becomes_of_the_run_is_refused() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.post("/v1/chat/completions", json=ASKED, headers={"callboard-on-disconnect": "explode"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (
            400,
            "invalid_header",
            "callboard-on-disconnect",
        )
        assert "continue or cancel, not explode" in error["message"]


async def _ids(client: httpx.AsyncClient, headers: dict[str, str]) -> list[str]:
    async with client.stream("POST", "/v1/chat/completions", json=STREAM, headers=headers) as answer:
        return [line.removeprefix("id: ") async for line in answer.aiter_lines() if line.startswith("id: ")]


@pytest.mark.parametrize(
    "wrong",
    ["{}+", "{}+1x", "{}+t", "{}+-1", "{}+1234567", "{}+²", "{}-", "{}-1.00000000-1", "x{}"],
)
async def test_an_id_that_no_event_has_is_refused(wrong: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        run, _, place = (await _ids(client, {}))[0].rpartition(":")
        last = f"{run}:{wrong.format(place)}".encode()
        answer = await client.post("/v1/chat/completions", json=STREAM, headers={b"last-event-id": last})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_event_id", "last-event-id")
        assert "give it as it came" in error["message"]
