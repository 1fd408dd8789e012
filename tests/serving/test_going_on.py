"""Whatever a run says: its stream goes on behind any of its events, and every protocol tells the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, serve, tool
from callboard.providers.messages import Delta, ToolCall

from .support import speaker
from .test_ag_ui import asked, shown
from .test_response_events import check_order

Sent = list[tuple[str, Any]]


@tool(risk="safe")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TEXT = st.text(st.sampled_from("ab \n日😀"), min_size=1, max_size=12)
SAYS = st.lists(st.one_of(TEXT, TEXT.map(lambda text: Delta(reasoning=text))), max_size=4)
STORIES = st.tuples(st.lists(SAYS, max_size=2), SAYS, TEXT, st.booleans())
"""What is said beside calls of this side's tools, then the answer, which ends with a text, and whether it calls the
client's tool."""


def script_of(story: Any) -> list[list[Any]]:
    first, answer, end, picks = story
    calls = [[*one, ToolCall(f"c{at}", "add", '{"a": 1, "b": 2}')] for at, one in enumerate(first)]
    return [*calls, [*answer, end, *([ToolCall("p", "pick", '{"n": 1}')] if picks else [])]]


def texts(script: list[list[Any]]) -> list[str]:
    return ["".join(piece for piece in one if isinstance(piece, str)) for one in script]


def thoughts(script: list[list[Any]]) -> list[str]:
    return ["".join(piece.reasoning for piece in one if isinstance(piece, Delta)) for one in script]


async def read(client: httpx.AsyncClient, method: str, path: str, last: str = "", **options: Any) -> Sent:
    """The events of a stream, each with its id."""
    headers = {"accept": "text/event-stream", **({"last-event-id": last} if last else {})}
    answer = await client.request(method, path, headers=headers, **options)
    assert answer.status_code == 200, answer.text
    found: Sent = []
    id = ""
    for line in answer.text.splitlines():
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "data":
            found.append((id, value if value == "[DONE]" else json.loads(value)))
            id = ""
    return found


def chat_told(sent: Sent) -> Any:
    """What a client of chat completions knows at the end."""
    content = thought = ""
    calls: list[Any] = []
    ends: list[str] = []
    usage: list[Any] = []
    for _, chunk in sent:
        if chunk == "[DONE]":
            ends.append(chunk)
            continue
        usage += [chunk["usage"]] if "usage" in chunk else []
        for choice in chunk["choices"]:
            content += choice["delta"].get("content") or ""
            thought += choice["delta"].get("reasoning_content") or ""
            calls += choice["delta"].get("tool_calls") or []
            ends += [choice["finish_reason"]] if choice["finish_reason"] else []
    return content, thought, calls, ends, usage


def ag_ui_told(sent: Sent) -> Any:
    thought = "".join(one["delta"] for _, one in sent if one["type"] == "REASONING_MESSAGE_CONTENT")
    return shown(sent), thought, [one["outcome"] for _, one in sent if one["type"] == "RUN_FINISHED"]


def responses_told(sent: Sent) -> Any:
    check_order([event for _, event in sent])
    return [event["item"] for _, event in sent if event["type"] == "response.output_item.done"], sent[-1][1]


CHAT: Any = {
    "model": "A",
    "messages": [{"role": "user", "content": "count"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "pick", "parameters": {"type": "object"}}}],
}
RESPONSE: Any = {
    "model": "A",
    "input": "count",
    "stream": True,
    "tools": [{"type": "function", "name": "pick", "parameters": {"type": "object"}}],
}
AG_UI: Any = {**asked(), "tools": [{"name": "pick", "description": "Pick one."}]}


def check_chat(script: list[list[Any]], told: Any) -> None:
    content, thought, calls, ends, usage = told
    assert content == "\n\n".join(text for text in texts(script) if text)
    assert thought == "".join(thoughts(script))
    picks = isinstance(script[-1][-1], ToolCall)
    assert ends == ["tool_calls" if picks else "stop", "[DONE]"]
    assert [call["function"] for call in calls] == [{"name": "pick", "arguments": '{"n": 1}'}] * picks
    assert [one["total_tokens"] for one in usage] == [12 * len(script)]


def check_ag_ui(script: list[list[Any]], told: Any) -> None:
    messages, thought, (outcome,) = told
    assert [one.get("content", "") for one in messages if one["role"] == "assistant"] == texts(script)
    assert thought == "".join(thoughts(script))
    assert outcome.get("pendingToolCallIds", []) == ["p"] * isinstance(script[-1][-1], ToolCall)
    assert [one["content"] for one in messages if one["role"] == "tool"] == ["3"] * (len(script) - 1)


def check_responses(script: list[list[Any]], told: Any) -> None:
    items, last = told
    assert last["response"]["output"] == items
    assert [one["content"][0]["text"] for one in items if one["type"] == "message"] == list(filter(None, texts(script)))
    thought = [one["summary"][0]["text"] for one in items if one["type"] == "reasoning"]
    assert thought == list(filter(None, thoughts(script)))
    assert [one["name"] for one in items if one["type"] == "function_call"] == ["pick"] * isinstance(
        script[-1][-1], ToolCall
    )


PROTOCOLS: Any = {
    "chat": (
        ("/v1/chat/completions", CHAT),
        lambda event: f"/v1/chat/completions/{event['id']}",
        chat_told,
        check_chat,
    ),
    "responses": (
        ("/v1/responses", RESPONSE),
        lambda event: f"/v1/responses/{event['response']['id']}?stream=true",
        responses_told,
        check_responses,
    ),
    "ag-ui": (("/ag-ui/A", AG_UI), None, ag_ui_told, check_ag_ui),
}


async def _goes_on(script: list[list[Any]], protocol: str) -> None:
    (path, body), again, told, check = PROTOCOLS[protocol]
    app = serve(Agency(Agent("A", tools=[add]), model=speaker(script)))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://a") as client,
    ):
        live = await read(client, "POST", path, json=body)
        known = told(live)
        check(script, known)

        async def behind(last: str) -> Sent:
            if again is None:
                return await read(client, "POST", path, last, json=body)
            return await read(client, "GET", again(live[0][1]), last)

        kept = await behind("")
        assert told(kept) == known
        for at, (id, event) in enumerate(kept[:-1]):
            assert event == "[DONE]" or id
            if id:
                assert await behind(id) == kept[at + 1 :]
        for at, (id, _) in enumerate(live):
            if id:
                assert told([*live[: at + 1], *await behind(id)]) == known


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(story=STORIES)
@settings(max_examples=15)
def test_a_stream_goes_on_behind_any_of_its_events_whatever_is_said(protocol: str, story: Any) -> None:
    asyncio.run(_goes_on(script_of(story), protocol))
