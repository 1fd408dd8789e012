"""Whatever stands in whichever field: a request is served, or refused by name. It is never the server that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent
from callboard.actors import ChildSpec
from callboard.actors.serving import serve
from callboard.actors.testing.doubles.models import FunctionModel
from callboard.providers.messages import Request

WORDS = st.sampled_from(
    [
        *("", "A", "text", "message", "function_call", "function_call_output", "input_text", "input_image", "user"),
        *("assistant", "system", "auto", "none", "required", "json_schema", "json_object", "desc", "true", "tool"),
        *("developer", "refusal", "input_file", "data:x", "reasoning", "call_1", "resp_nope", "x" * 700, "/", "\n"),
        *("\ud800", "😀"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1.5, 10**30, -(10**400)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            WORDS | st.sampled_from(["type", "role", "content", "text", "id", "name", "schema", "format", "$ref"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)

TOOL: Any = {"type": "function", "name": "look", "description": "x", "parameters": {"type": "object"}, "strict": False}
RESPONSE: Any = {
    "model": "A",
    "instructions": "x",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,aaaa", "detail": "low"}],
        },
        {"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,aaaa"}]},
    ],
    "tools": [TOOL],
    "tool_choice": "auto",
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}},
    "metadata": {"a": "b"},
    "temperature": 1,
    "max_output_tokens": 5,
    "reasoning": {"effort": "low"},
    "store": True,
    "background": False,
    "stream": False,
    "include": ["x"],
    "previous_response_id": None,
    "conversation": None,
    "callboard": None,
    "parallel_tool_calls": True,
    "truncation": "auto",
    "top_logprobs": 2,
    "user": "x",
}
CHAT: Any = {
    "model": "A",
    "messages": [
        {"role": "developer", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {key: TOOL[key] for key in ("name", "description", "parameters")}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "stream": False,
    "stream_options": {"include_usage": True},
    "temperature": 1,
    "n": 1,
    "stop": ["x"],
    "logprobs": True,
    "callboard": {"conversation": "c"},
    "metadata": {"a": "b"},
    "user": "x",
}
CONVERSATION: Any = {"items": RESPONSE["input"], "metadata": {"a": "b"}}


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (key,)
            yield from ((key, *rest) for rest in places(inner))


def changed(data: st.DataObject, body: Any) -> Any:
    """A body in which something stands elsewhere."""
    body = deepcopy(body)
    for _ in range(data.draw(st.integers(1, 2))):
        all_places = list(places(body))
        if not all_places:
            break
        *path, last = data.draw(st.sampled_from(all_places))
        holder = body
        for key in path:
            holder = holder[key]
        if isinstance(holder, dict) and data.draw(st.booleans()) and data.draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = data.draw(VALUES)
    return body


def answer(request: Request) -> str:
    return "{}" if request.response_schema is not None else request.messages[-1].text or "x"


async def asked(*requests: tuple[str, str, Any]) -> list[httpx.Response]:
    agency = Agency(Agent("A"), model=ChildSpec(FunctionModel, (answer,), name="model"))
    async with agency:
        transport = httpx.ASGITransport(serve(agency))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
            found = []
            for method, path, body in requests:
                content = None if body is None else json.dumps(body).encode()
                headers = {"content-type": "application/json"}
                found.append(await client.request(method, path, content=content, headers=headers))
            return found


def check(answers: list[httpx.Response]) -> None:
    for found in answers:
        assert found.status_code < 500, found.text
        if found.status_code >= 400:
            error = found.json()["error"]
            assert error["message"]
            assert error["code"] != "internal_error"
            assert len(found.text) < 3000


@given(st.data())
@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
def test_a_response_is_made_or_refused(data: st.DataObject) -> None:
    check(asyncio.run(asked(("POST", "/v1/responses", changed(data, RESPONSE)))))


@given(st.data())
@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
def test_a_chat_completion_is_made_or_refused(data: st.DataObject) -> None:
    check(asyncio.run(asked(("POST", "/v1/chat/completions", changed(data, CHAT)))))


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_conversation_is_begun_or_refused(data: st.DataObject) -> None:
    async def both() -> list[httpx.Response]:
        body = changed(data, CONVERSATION)
        return await asked(("POST", "/v1/conversations", body))

    check(asyncio.run(both()))


@given(
    st.sampled_from(
        [
            *("/v1/responses/{}", "/v1/responses/{}/input_items", "/v1/conversations/{}", "/v1/conversations/{}/items"),
            *("/v1/conversations/{}/items/x", "/v1/models/{}"),
        ]
    ),
    st.text(max_size=20) | WORDS,
    st.dictionaries(
        st.sampled_from(["stream", "starting_after", "limit", "order", "after", "include"]),
        st.sampled_from(["", "true", "false", "-1", "0", "5", "9" * 30, "x", "asc", "²", "1_0"]),
        max_size=3,
    ),
    st.sampled_from(["GET", "DELETE", "POST"]),
)
@settings(deadline=None, max_examples=150)
def test_what_is_not_there_is_not_found(path: str, name: str, query: dict[str, str], method: str) -> None:
    from urllib.parse import quote, urlencode

    whole = path.format(quote(name.encode("utf-8", "replace"), safe="")) + "?" + urlencode(query)

    async def ask() -> None:
        for found in await asked((method, whole, {} if method == "POST" else None)):
            assert found.status_code < 500, found.text

    asyncio.run(ask())


HALF = "\ud83d"


def test_half_of_a_character_is_taken_and_sent_back() -> None:
    async def ask() -> None:
        response = {"model": "A", "input": HALF, "instructions": HALF, "metadata": {HALF: HALF}, "user": HALF}
        chat = {"model": "A", "messages": [{"role": "user", "content": HALF}], "callboard": {"conversation": "c"}}
        said = {"items": [{"role": "user", "content": HALF}], "metadata": {HALF: HALF}}
        paths: dict[str, Any] = {"/v1/responses": response, "/v1/chat/completions": chat, "/v1/conversations": said}
        for found in await asked(*(("POST", path, body) for path, body in paths.items())):
            assert found.status_code == 200, found.text
        for stream in await asked(*(("POST", path, {**paths[path], "stream": True}) for path in list(paths)[:2])):
            assert "internal" not in stream.text

    asyncio.run(ask())


def test_lists_and_streams_of_what_is_there_take_what_they_can() -> None:
    async def ask() -> None:
        agency = Agency(Agent("A"), model=ChildSpec(FunctionModel, (answer,), name="model"))
        async with agency:
            transport = httpx.ASGITransport(serve(agency))
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
                made = (await client.post("/v1/responses", json={"model": "A", "input": "x"})).json()
                base = f"/v1/responses/{made['id']}"
                for query in ("limit=0", "limit=x", "limit=²", "order=x", "after=x", "limit=999999999999"):
                    found = await client.get(f"{base}/input_items?{query}")
                    assert (found.status_code, found.json()["error"]["param"]) == (400, query.partition("=")[0])
                for query in ("starting_after=-1", "starting_after=x", "starting_after=²"):
                    found = await client.get(f"{base}?stream=true&{query}")
                    assert (found.status_code, found.json()["error"]["param"]) == (400, "starting_after")
                assert (await client.get(f"{base}?stream=maybe")).status_code == 400
                for number in (0, 3, 99, 2**40, 10**16):
                    found = await client.get(f"{base}?stream=true&starting_after={number}")
                    assert found.text.rstrip().rpartition("\n\n")[2].count("response.completed"), number
                for wrong in ("x", "x:1", "x:1-m", f"{made['id']}:1-0", "a:1-mzzzzzzzz"):
                    headers = {"last-event-id": wrong}
                    found = await client.get(f"{base}?stream=true", headers=headers)
                    assert found.status_code == 400, wrong
                    found = await client.post(
                        "/v1/responses", json={"model": "A", "input": "x", "stream": True}, headers=headers
                    )
                    assert found.status_code in (400, 404), wrong

    asyncio.run(ask())
