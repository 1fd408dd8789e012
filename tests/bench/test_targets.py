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
from callboard.actors import Actor, ChildSpec
from callboard.actors.bench.targets import NotMeasured, agency_target, server_target
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Delta
from callboard.providers.simulated import SimulatedProvider
from tests.agents.support import add, function, results


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


async def test_a_run_that_reaches_a_limit_tells_what_it_had_used() -> None:
    def looking(request: Request) -> Any:
        return Completion(
            Message("assistant", "", (call("add", "c1", a=1, b=2),)), "tool_calls", Usage(10, 5), cost=0.5
        )

    agent = Agent("A", "a", tools=[add], limits=Limits(steps=1))
    async with Agency(agent, model=function(looking)) as agency:
        outcome = await agency_target(agency)("go")
    assert (outcome.error, outcome.first) == ("StepLimit", None)
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cost) == (10, 5, 0.5)


async def test_what_agents_within_say_is_a_part_of_the_answer_of_whom_was_asked() -> None:
    def answers(request: Request) -> Any:
        if "helps" in request.messages[0].text:
            return Completion(Message("assistant", "helped"), "stop", Usage(100, 50), cost=2.0)
        if results(request):
            return Completion(Message("assistant", "done"), "stop", Usage(10, 5), cost=0.25)
        asks = call("SendMessage", "c1", target_agent="Helper", message="help")
        return Completion(Message("assistant", "", (asks,)), "tool_calls", Usage(10, 5), cost=0.25)

    first, helper = Agent("A", "a", handoffs=["Helper"]), Agent("Helper", "helps")
    async with Agency(first, helper, model=function(answers)) as agency:
        answer = await agency.run("go")
        outcome = await agency_target(agency)("go")
    assert outcome.error == ""
    usage = answer.usage
    assert (outcome.input_tokens, outcome.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert outcome.cost == answer.cost


class Slow(Actor):
    """Says a word a second after two seconds of thought."""

    def on_receive(self, message: Any) -> AsyncIterator[Delta]:
        return self.said()

    async def said(self) -> AsyncIterator[Delta]:
        await asyncio.sleep(2)
        yield Delta(reasoning="hm")
        for word in ("one", " two"):
            await asyncio.sleep(1)
            yield Delta(text=word)
        yield Delta(completion=Completion(Message("assistant", "one two"), "stop", Usage(1, 1)))


@virtual_time
async def test_the_first_piece_of_an_agencys_text_is_timed() -> None:
    async with Agency(Agent("A", "a"), model=ChildSpec(Slow, name="model")) as agency:
        outcome = await agency_target(agency)("go")
    assert [outcome.first, outcome.seconds] == pytest.approx([3, 4])


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
    for path in ("/Clerk/chat/completions", "/chat/completions"):
        app.router.add_post(path, handler)
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
    "an error in words": (200, b'data: {"error": "down"}\n\ndata: [DONE]\n\n', "error"),
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
    assert 0 < outcome.seconds < 60
    assert (outcome.first is None) == (b'delta": {"content' not in body)
    ((body_sent, authorization),) = asked
    assert authorization is None
    assert (body_sent["model"], body_sent["stream"]) == ("Clerk", True)
    assert body_sent["messages"] == [{"role": "user", "content": "go"}]


COUNTS: dict[str, tuple[Any, tuple[int | None, int | None]]] = {
    "counts": ({"prompt_tokens": 12, "completion_tokens": 0}, (12, 0)),
    "one of them": ({"completion_tokens": 7}, (None, 7)),
    "what is none": ({"prompt_tokens": True, "completion_tokens": -1}, (None, None)),
    "what nobody believes": ({"prompt_tokens": "12", "completion_tokens": 2**53}, (None, None)),
}


@pytest.mark.parametrize("name", COUNTS)
async def test_tokens_are_those_that_a_server_tells_of(name: str) -> None:
    usage, counts = COUNTS[name]
    body = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=chunk("hi") + body + b"data: [DONE]\n\n")

    async with answering(handler) as url, server_target(url, key="") as ask:
        outcome = await ask("go")
    assert (outcome.error, outcome.input_tokens, outcome.output_tokens) == ("", *counts)


async def test_a_server_is_asked_for_a_model_with_a_key_and_for_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((await request.json(), request.headers.get("Authorization")))
        return web.Response(body=b"data: [DONE]\n\n")

    monkeypatch.setenv("OPENAI_API_KEY", "of the environment")
    async with answering(handler) as url:
        for model, key in (("small", "k"), ("", None)):
            async with server_target(url, model, key=key) as ask:
                assert (await ask("go")).first is None
        async with server_target(url.removesuffix("/Clerk"), key="") as ask:
            assert (await ask("go")).error == ""
    assert [(body["model"], key) for body, key in asked] == [
        ("small", "Bearer k"),
        ("Clerk", "Bearer of the environment"),
        ("default", None),
    ]
    assert all(body["stream_options"] == {"include_usage": True} for body, _ in asked)


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


@pytest.mark.parametrize(("less", "error"), [(0, ""), (1, "TooLong")])
async def test_an_answer_may_be_just_so_long(less: int, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = chunk("hi") + b"data: [DONE]\n\n"
    monkeypatch.setattr("callboard.actors.bench.targets._MOST", len(body) - less)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with answering(handler) as url, server_target(url, key="") as ask:
        assert (await ask("go")).error == error


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
