"""A state that cannot be read is left out: no content of one, whatever it is, costs a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.messages import Image, Message, Request, Text, VendorState
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses
from tests.providers.wire.histories import json_values

Json = dict[str, Any]
LOOK: Json = {"name": "look", "arguments": "{}"}
SAID: Json = {"type": "output_text", "text": "so", "annotations": [{"type": "url_citation"}]}

CHAT = openai_chat.from_response(
    {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text"}],
                    "refusal": "no",
                    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}],
                    "images": [{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}, "index": 0}],
                    "audio": {"id": "a", "data": "UklG", "transcript": "t"},
                    "tool_calls": [{"id": "c", "type": "function", "function": LOOK, "extra_content": {"x": 1}}],
                    "annotations": [{"type": "url_citation"}],
                },
                "finish_reason": "tool_calls",
            }
        ]
    }
).message
CLAUDE = anthropic.from_response(
    {
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "so", "citations": [{"type": "char_location"}]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}, "caller": {"type": "direct"}},
        ],
        "stop_reason": "pause_turn",
        "container": {"id": "container_1"},
    }
).message
RESPONSE = openai_responses.from_response(
    {
        "status": "completed",
        "output": [
            {
                "type": "reasoning",
                "id": "r",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "e",
            },
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [SAID]},
            {"type": "function_call", "id": "f", "call_id": "c", "status": "completed", **LOOK},
            {"type": "image_generation_call", "id": "i", "result": "aGk=", "output_format": "png"},
        ],
    }
).message
GEMINI = gemini.from_response(
    {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "so", "thoughtSignature": "s"},
                        {"functionCall": {"name": "look", "args": {"a": 1}}, "thoughtSignature": "s"},
                        {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "s"},
                        {"executableCode": {"code": "1"}},
                    ],
                },
                "finishReason": "STOP",
            }
        ]
    }
).message
ASKED = Message("user", (Text("see"), Image("data:image/png;base64,aGk=")))
UPLOADED: Json = {"type": "container_upload", "file_id": "file_1"}


def _asked_of(read: Callable[[Json], Request], payload: Json) -> Message:
    return read(payload).messages[0]


PROTOCOLS: dict[str, tuple[Callable[..., Json], Message, Message]] = {
    "chat": (
        openai_chat.to_payload,
        CHAT,
        _asked_of(
            openai_chat.from_payload,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "other", "x": 1}]}]},
        ),
    ),
    "anthropic": (
        anthropic.to_payload,
        CLAUDE,
        _asked_of(
            anthropic.from_payload,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, UPLOADED]}]},
        ),
    ),
    "responses": (
        openai_responses.to_payload,
        RESPONSE,
        _asked_of(
            openai_responses.from_payload,
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}, {"type": "input_other"}]}]},
        ),
    ),
    "gemini": (gemini.to_payload, GEMINI, ASKED),
}


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value in which something, somewhere, is something else."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
        where = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        copy = value.copy()
        if draw(st.booleans()):
            copy[where] = draw(_changed(value[where]))
        else:
            del copy[where]
        return copy
    return draw(json_values | st.sampled_from([-1, 10**30, "\ud83d", [[]], {"type": "text"}, {"text": 5}]))


def _contents(message: Message) -> st.SearchStrategy[str]:
    whole = json.loads(message.state.content) if message.state is not None else {}
    damaged = _changed(whole).flatmap(_changed).map(json.dumps)
    return st.text(max_size=20) | st.sampled_from(["{{{", "[" * 5000, "[5]", "NaN"]) | damaged


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(data=st.data())
def test_no_state_costs_a_request(protocol: str, data: st.DataObject) -> None:
    to_payload, answer, asked = PROTOCOLS[protocol]
    assert answer.state is not None
    origin = answer.state.origin
    damaged = [replace(one, state=VendorState(origin, data.draw(_contents(one)))) for one in (asked, answer)]
    changed: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"content": "changed"}, {"tool_calls": ()}, {"reasoning": ""}])
    )
    damaged[1] = replace(damaged[1], **changed)
    results = [Message("tool", "r", tool_call_id=call.id) for call in damaged[1].tool_calls]
    behind = data.draw(st.sampled_from([(), (Message("user", "and?"),)]))
    payload = to_payload(Request((*damaged, *results, *behind)), model="m")
    json.dumps(payload, allow_nan=False)


@pytest.mark.parametrize(("depth", "sent"), [(50, True), (150, False)])
def test_a_state_that_is_deeper_than_any_vendors_is_left_out(depth: int, sent: bool) -> None:
    deep = json.loads('{"x":' * depth + "1" + "}" * depth)
    parts = [{"text": "so"}, {"executableCode": deep}]
    body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    answer = gemini.from_response(body).message
    payload = gemini.to_payload(Request((Message("user", "x"), answer)), model="m")
    assert payload["contents"][1]["parts"] == (parts if sent else parts[:1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{{{",
        "null",
        "[5]",
        '{"check":[1]}',
        '{"check":[{}]}',
        '{"check":5}',
        '{"blocks":5,"items":5,"parts":5,"calls":5}',
        '{"blocks":[["text",NaN,{}]],"parts":[["text",NaN,{}]],"items":[],"calls":[NaN]}',
        "[" * 100_000,
        '{"blocks":' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=lambda content: content[:20],
)
def test_a_state_that_cannot_be_read_is_left_out(protocol: str, content: str) -> None:
    to_payload, answer, _ = PROTOCOLS[protocol]
    assert answer.state is not None
    said = Message("assistant", "so", tool_calls=answer.tool_calls)
    unread = replace(said, state=VendorState(answer.state.origin, content))
    results = [Message("tool", "r", tool_call_id=call.id) for call in answer.tool_calls]
    without, sent = (to_payload(Request((ASKED, one, *results)), model="m") for one in (said, unread))
    assert sent == without


CLAUDE_TWICE = anthropic.from_response(
    {
        "content": [
            {"type": "text", "text": "First. "},
            {"type": "text", "text": "Second."},
            {"type": "tool_use", "id": "a", "name": "look", "input": {}},
            {"type": "tool_use", "id": "b", "name": "look", "input": {}},
        ],
        "stop_reason": "tool_use",
    }
).message
PARTS: list[Json] = [
    {"text": "hm", "thought": True, "thoughtSignature": "r"},
    {"text": "First. ", "thoughtSignature": "s"},
    {"text": "Second."},
    {"functionCall": {"id": "a", "name": "look", "args": {}}, "thoughtSignature": "t"},
    {"functionCall": {"id": "b", "name": "look", "args": {}}},
]
GEMINI_TWICE = gemini.from_response({"candidates": [{"content": {"parts": PARTS}, "finishReason": "STOP"}]}).message
CHAT_TWICE = openai_chat.from_response(
    {
        "choices": [
            {
                "message": {
                    "content": [{"type": "text", "text": "First. "}, {"type": "text", "text": "Second.", "x": 1}],
                    "tool_calls": [
                        {"id": "a", "type": "function", "function": LOOK, "extra_content": {"x": 1}},
                        {"id": "b", "type": "function", "function": LOOK},
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ]
    }
).message
RESPONSE_TWICE = openai_responses.from_response(
    {
        "status": "completed",
        "output": [
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": text} for text in ("First. ", "Second.")]},
            {"type": "function_call", "call_id": "a", **LOOK},
            {"type": "function_call", "call_id": "b", **LOOK},
        ],
    }
).message


def _spoken(payload: Json) -> tuple[str, list[str]]:
    """All that the assistant says in a payload, and the ids of its calls."""
    texts: list[str] = []
    calls: list[str] = []
    if "contents" in payload:
        for part in payload["contents"][1]["parts"]:
            texts += [part["text"]] if "text" in part and not part.get("thought") else []
            calls += [part["functionCall"]["id"]] if "functionCall" in part else []
    elif "input" in payload:
        for item in payload["input"][1:]:
            if item.get("role") == "assistant":
                said = item["content"]
                texts += [said] if isinstance(said, str) else [part["text"] for part in said]
            calls += [item["call_id"]] if item.get("type") == "function_call" else []
    else:
        turn = payload["messages"][1]
        said = turn["content"]
        texts += [said] if isinstance(said, str) else [part["text"] for part in said if part["type"] == "text"]
        calls += [part["id"] for part in said if isinstance(part, dict) and part["type"] == "tool_use"]
        calls += [call["id"] for call in turn.get("tool_calls", ())]
    return "".join(texts), calls


@st.composite
def _edited(draw: st.DrawFn, value: Any) -> Any:
    """A state in which one entry is missing, doubled, moved, of another length or of another kind."""
    copy = json.loads(json.dumps(value))
    lists = [copy]
    found = []
    while lists:
        one = lists.pop()
        inner = list(one.values()) if isinstance(one, dict) else one
        lists += [item for item in inner if isinstance(item, dict | list)]
        found += [one] if isinstance(one, list) and one else []
    entries = draw(st.sampled_from(found))
    place = draw(st.integers(0, len(entries) - 1))
    how = draw(st.sampled_from(["gone", "twice", "other", "moved"]))
    if how == "gone":
        del entries[place]
    elif how == "twice":
        entries.insert(draw(st.integers(0, len(entries))), entries[place])
    elif how == "moved":
        entries.append(entries.pop(place))
    else:
        other = st.sampled_from(
            [0, 1, 3, 10**9, -1, "x", "text", [], {}, ["call", 0, {}], ["text", 3, {}], {"text": "x"}]
        )
        entries[place] = draw(other)
    return copy


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("anthropic", CLAUDE_TWICE),
        ("gemini", GEMINI_TWICE),
        ("chat", CHAT_TWICE),
        ("responses", RESPONSE_TWICE),
    ],
)
@given(data=st.data())
def test_a_state_that_was_edited_sends_the_whole_answer_and_each_call_once(
    protocol: str, answer: Message, data: st.DataObject
) -> None:
    assert answer.state is not None
    content = json.dumps(data.draw(_edited(json.loads(answer.state.content))))
    edited = replace(answer, state=VendorState(answer.state.origin, content))
    results = [Message("tool", "r", tool_call_id=id) for id in ("a", "b")]
    payload = PROTOCOLS[protocol][0](Request((Message("user", "x"), edited, *results)), model="m")
    assert _spoken(payload) == ("First. Second.", ["a", "b"])
