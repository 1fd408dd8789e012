"""What the compliance cases of Robutler's webagents demand, by cases of our own: chat completions, streams and tools of
the client. Asked by plain HTTP, as any client would.

Not met: what a model must call is the agent's own affair, as the answer's notes say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from callboard import Agency, Agent, MemoryJournal
from callboard.actors import ChildSpec
from callboard.providers.messages import Completion, Message, Request, ToolCall
from callboard.testing import FunctionModel

from .support import Served, served, speaker

# -- chat completions --------------------------------------------------------------------------------------------------


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def echo(request: Request) -> str:
    """Says what was said last; as a pirate where the instructions of the request want it; and the names it was told."""
    said = request.messages[-1].text
    pirate = any("pirate" in one.text for one in request.messages if one.role == "system")
    names = [one.text.removeprefix("My name is ") for one in request.messages if one.text.startswith("My name is ")]
    return f"{'Arr! ' if pirate else ''}Echo: {said}{f' ({names[-1]})' if names else ''}"


@asynccontextmanager
async def asked(reply: Any, *agents: Agent) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    agency = Agency(
        *(agents or [Agent("echo-agent")]),
        model=ChildSpec(FunctionModel, (reply,), name="model"),
        journal=MemoryJournal(),
    )
    async with served(agency) as it, it.client() as client:
        yield it, client


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([user("Hello")], "Echo: Hello"),
        ([{"role": "system", "content": "You are a pirate."}, user("Hello")], "Arr! Echo: Hello"),
        (
            [user("My name is Alice"), {"role": "assistant", "content": "Nice to meet you!"}, user("Who am I?")],
            "Echo: Who am I? (Alice)",
        ),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/echo-agent/chat/completions"])
async def test_a_message_is_answered_with_all_that_was_said_before(messages: Any, said: str, path: str) -> None:
    async with asked(echo) as (_, client):
        answer = await client.post(path, json={"model": "echo-agent", "messages": messages})
        (choice,) = answer.json()["choices"]
        assert (answer.status_code, answer.json()["object"]) == (200, "chat.completion")
        assert choice["message"]["role"] == "assistant"
        assert (choice["message"]["content"], choice["finish_reason"]) == (said, "stop")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model": "echo-agent", "messages": []}', "messages"),
        (b'{"messages": [{"role": "user", "content": "Hello"}]}', "model"),
        (b"{invalid json}", "JSON"),
    ],
)
async def test_what_is_missing_or_malformed_is_told(body: bytes, words: str) -> None:
    async with asked(echo) as (_, client):
        answer = await client.post(CHAT, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]


# -- streams -----------------------------------------------------------------------------------------------------------


async def streamed(client: httpx.AsyncClient, gates: Sequence[asyncio.Event] = (), **body: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, which ends as it should; with each that has text the next gate opens."""
    shut = list(gates)
    chunks: list[str] = []
    async with client.stream("POST", CHAT, json={"stream": True, **body}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                chunks.append(line.removeprefix("data: "))
                if shut and '"content":"' in line and '"content":""' not in line:
                    shut.pop(0).set()
    assert chunks.pop() == "[DONE]"
    read = [json.loads(chunk) for chunk in chunks]
    for chunk in read:
        assert isinstance(chunk["id"], str)
        assert chunk["object"] == "chat.completion.chunk"
        (choice,) = chunk["choices"]
        assert choice["index"] == 0
        assert isinstance(choice["delta"], dict)
    assert len({chunk["id"] for chunk in read}) == 1
    assert [bool(chunk["choices"][0]["finish_reason"]) for chunk in read] == [False] * (len(read) - 1) + [True]
    return read


def text(chunks: Sequence[dict[str, Any]]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


async def test_a_stream_has_all_of_the_text_in_chunks() -> None:
    gates = {(0, 1): asyncio.Event(), (0, 2): asyncio.Event()}
    async with served(Agency(Agent("verbose-agent"), model=speaker(gates=gates))) as it, it.client() as client:
        chunks = await streamed(client, list(gates.values()), model="verbose-agent", messages=[user("Count")])
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert text(chunks) == "one two three"
        assert sum(bool(text([chunk])) for chunk in chunks) == 3


async def test_a_stream_of_a_request_that_says_nothing_ends_too() -> None:
    async with served(Agency(Agent("minimal-agent"), model=speaker([["."]]))) as it, it.client() as client:
        chunks = await streamed(client, model="minimal-agent", messages=[user("")])
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_client_that_leaves_a_stream_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    gates = {(0, 2): asyncio.Event()}
    agency = Agency(Agent("verbose-agent"), model=speaker(gates=gates), journal=MemoryJournal())
    async with served(agency) as it, it.client() as client:
        body = {"model": "verbose-agent", "messages": [user("An essay")], "stream": True}
        async with client.stream("POST", CHAT, json=body, headers={"callboard-on-disconnect": "cancel"}) as answer:
            run = answer.headers["callboard-run"]
            async for line in answer.aiter_lines():
                if "two" in line:
                    break
        events = client.stream("GET", f"/agency/runs/{run}/events")
        async with events as following:
            told = [line async for line in following.aiter_lines() if line.startswith("data: ")]
        assert "RunCancelled" in json.loads(told[-1].removeprefix("data: "))["data"]["error"]
        assert not it.app.state.server.streams
        gates[(0, 2)].set()
        chunks = await streamed(client, model="verbose-agent", messages=[user("Count")])
        assert text(chunks) == "one two three"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# -- tools of the client -----------------------------------------------------------------------------------------------


def function(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": schema}}


WEATHER = function("get_weather", location={"type": "string"})
CALCULATE = function("calculate", expression={"type": "string"})


def uses_tools(request: Request) -> Completion | str:
    """Calls what it is offered, once for each place and sum in the question; and says what it was told."""
    *_, last = request.messages
    if last.role == "tool":
        return f"It was told: {last.text}"
    offered = {one.name for one in request.tools}
    calls = [
        ToolCall(f"call_{index}", name, json.dumps({key: word}))
        for index, (word, name, key) in enumerate(
            [
                *((place, "get_weather", "location") for place in ("NYC", "LA", "Tokyo") if place in last.text),
                *((total, "calculate", "expression") for total in ("2+2", "25 * 4") if total in last.text),
            ]
        )
        if name in offered
    ]
    if calls:
        return Completion(Message("assistant", "", tuple(calls)), "tool_calls")
    return "Only words."


@pytest.mark.parametrize(
    ("question", "tools", "expected"),
    [
        ("What's the weather in Tokyo?", [WEATHER], [("get_weather", {"location": "Tokyo"})]),
        (
            "Compare weather in NYC and LA",
            [WEATHER],
            [("get_weather", {"location": "NYC"}), ("get_weather", {"location": "LA"})],
        ),
        (
            "What's the weather in NYC and calculate 2+2",
            [WEATHER, CALCULATE],
            [("get_weather", {"location": "NYC"}), ("calculate", {"expression": "2+2"})],
        ),
        ("What's 25 * 4?", [CALCULATE], [("calculate", {"expression": "25 * 4"})]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_calls_of_the_clients_tools_are_its_own(question: str, tools: Any, expected: Any, stream: bool) -> None:
    async with asked(uses_tools, Agent("tool-agent")) as (_, client):
        body = {"model": "tool-agent", "messages": [user(question)], "tools": tools, "parallel_tool_calls": True}
        if stream:
            chunks = await streamed(client, **body)
            deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
            calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
            reason = chunks[-1]["choices"][0]["finish_reason"]
            assert [call["index"] for call in calls] == list(range(len(calls)))
        else:
            answer = await client.post(CHAT, json=body)
            (choice,) = answer.json()["choices"]
            calls, reason = choice["message"]["tool_calls"], choice["finish_reason"]
        assert reason == "tool_calls"
        assert {call["type"] for call in calls} == {"function"}
        assert len({call["id"] for call in calls}) == len(expected)
        assert [(one["function"]["name"], json.loads(one["function"]["arguments"])) for one in calls] == expected


def with_result(call: str) -> list[dict[str, Any]]:
    made = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location": "NYC"}'}}
    return [
        user("What's the weather in NYC?"),
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call, "content": '{"temperature": 72, "condition": "sunny"}'},
    ]


async def test_the_result_of_a_call_is_said_to_the_model() -> None:
    async with asked(uses_tools, Agent("tool-agent")) as (_, client):
        body = {"model": "tool-agent", "messages": with_result("call_1"), "tools": [WEATHER]}
        (choice,) = (await client.post(CHAT, json=body)).json()["choices"]
        assert choice["finish_reason"] == "stop"
        assert "72" in choice["message"]["content"]


async def test_the_result_of_a_call_that_nobody_made_is_refused_and_named() -> None:
    async with asked(uses_tools, Agent("tool-agent")) as (_, client):
        body = {"model": "tool-agent", "messages": with_result("wrong_id"), "tools": [WEATHER]}
        answer = await client.post(CHAT, json=body)
        assert answer.status_code == 400
        assert "wrong_id" in answer.json()["error"]["message"]


async def test_without_a_choice_of_tools_none_is_called() -> None:
    async with asked(uses_tools, Agent("tool-agent")) as (_, client):
        body = {"model": "tool-agent", "messages": [user("The weather in NYC?")], "tools": [WEATHER]}
        (choice,) = (await client.post(CHAT, json={**body, "tool_choice": "none"})).json()["choices"]
        assert choice["finish_reason"] == "stop"
        assert not choice["message"].get("tool_calls")


async def test_what_must_be_called_is_the_agents_affair_and_the_answer_says_so() -> None:
    async with asked(uses_tools, Agent("tool-agent")) as (_, client):
        forced = {"type": "function", "function": {"name": "get_weather"}}
        body = {"model": "tool-agent", "messages": [user("Hello")], "tools": [WEATHER], "tool_choice": forced}
        answer = (await client.post(CHAT, json=body)).json()
        assert any("tool_choice" in note for note in answer["callboard"]["notes"])
