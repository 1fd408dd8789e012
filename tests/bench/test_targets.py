"""What load is put on: agencies, and servers over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from callboard import Agency, Agent, Completion, Limits, Message, Request, UnknownAgent, Usage
from callboard.actors.bench.targets import NotMeasured, agency_target, server_target
from callboard.providers.simulated import SimulatedProvider
from tests.agents.support import function


def model(request: Request) -> Any:
    if request.messages[-1].text == "fail":
        raise RuntimeError("down")
    return Completion(Message("assistant", "hello"), "stop", Usage(10, 5), cost=0.25)


async def test_an_agency_is_asked_in_conversations_of_their_own() -> None:
    seen: list[int] = []

    def counting(request: Request) -> Any:
        seen.append(len(request.messages))
        return model(request)

    async with Agency(Agent("A", "a"), Agent("B", "b"), model=function(counting)) as agency:
        ask = agency_target(agency, "B")
        outcomes = [await ask("go") for _ in range(3)]
        assert await agency.conversations() == []
    assert seen == [2, 2, 2]
    for one in outcomes:
        assert (one.error, one.input_tokens, one.output_tokens, one.cost) == ("", 10, 5, 0.25)
        assert one.first is not None
        assert 0 <= one.first <= one.seconds


async def test_a_run_that_fails_is_an_error_by_its_name_with_what_it_used() -> None:
    async with Agency(Agent("A", "a", limits=Limits(cost=0.1)), model=function(model)) as agency:
        ask = agency_target(agency)
        assert (await ask("fail")).error == "RunFailed"
        with pytest.raises(UnknownAgent):
            agency_target(agency, "Nobody")


async def test_a_server_is_asked_by_streams_of_chat_completions() -> None:
    async with SimulatedProvider() as server, server_target(server.base_url, "small", key="k") as ask:
        outcome = await ask("Say hello")
    assert outcome.error == ""
    assert outcome.output_tokens
    assert outcome.cost is None
    assert outcome.first is not None
    assert 0 < outcome.first <= outcome.seconds


@asynccontextmanager
async def answering(handler: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/Clerk/chat/completions", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/Clerk"
    finally:
        await runner.cleanup()


def chunk(text: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode()


BODIES: dict[str, tuple[int, bytes, str]] = {
    "all of it": (200, chunk("hi") + b"data: [DONE]\n\n", ""),
    "cut": (200, chunk("hi"), "Cut"),
    "a page": (200, b"<html>hi</html>", "NoStream"),
    "no stream": (200, b'{"choices": [{"message": {"content": "hi"}}]}', "NoStream"),
    "a status": (429, b"{}", "HTTP429"),
    "elsewhere": (302, b"", "HTTP302"),
    "an error within": (200, b'data: {"error": {"code": "step_limit"}}\n\ndata: [DONE]\n\n', "step_limit"),
    "an error with a name that is none": (200, b'data: {"error": {"code": "\\u001b[31m"}}\n\n', "error"),
    "no json": (200, b"data: {\n\n", "NotUnderstood"),
    "no object": (200, b"data: 5\n\n", "NotUnderstood"),
    "choices that are none": (200, b'data: {"choices": [], "usage": 5}\n\ndata: [DONE]\n\n', ""),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_a_server_answers_is_an_outcome_whatever_it_is(name: str) -> None:
    status, body, error = BODIES[name]
    asked: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((await request.json(), request.headers.get("Authorization")))
        return web.Response(status=status, body=body, headers={"Location": "/Clerk"})

    async with answering(handler) as url, server_target(f"{url}/", key="") as ask:
        outcome = await ask("go")
    assert outcome.error == error
    ((body_sent, authorization),) = asked
    assert authorization is None
    assert (body_sent["model"], body_sent["stream"]) == ("Clerk", True)
    assert body_sent["messages"] == [{"role": "user", "content": "go"}]


async def test_an_answer_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.bench.targets._MOST", 10_000)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(chunk("x" * 1_000))

    async with answering(handler) as url, server_target(url, key="") as ask:
        async with asyncio.timeout(60):
            assert (await ask("go")).error == "TooLong"


async def test_a_server_that_is_not_there_is_an_outcome_and_an_address_that_is_none_is_refused() -> None:
    async with server_target("http://127.0.0.1:1/Clerk", key="") as ask:
        assert (await ask("go")).error == "ClientConnectorError"
    for url in ("127.0.0.1:8000", "ftp://there", "http://", "http://a:99999/x", "http://a:0/x"):
        with pytest.raises(NotMeasured, match="an address is expected"):
            async with server_target(url):
                pass
    for url in ("http://ada:geheim@there/x", "http://there/x?key=geheim", "http://there/x#geheim"):
        with pytest.raises(NotMeasured, match=r"(?s)^(?!.*geheim).*no user, password or query"):
            async with server_target(url):
                pass
