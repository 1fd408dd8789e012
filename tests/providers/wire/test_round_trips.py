"""What goes out in a protocol comes back as it was, in both directions, whole and streamed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.providers.errors import MalformedResponse, StreamCut
from callboard.providers.messages import Completion, Delta, FinishReason, Message, Request, ToolCall, ToolSpec
from callboard.providers.wire import anthropic, openai_chat, openai_responses, sse
from tests.providers.wire.histories import completions, requests, texts


def over_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(requests(openai=True))
def test_an_openai_request_comes_back_as_it_was(request: Request) -> None:
    payload = over_the_wire(openai_chat.to_payload(request, model=request.model, stream=True))
    assert openai_chat.from_payload(payload) == request


@given(requests(openai=False))
def test_an_anthropic_request_comes_back_as_it_was(request: Request) -> None:
    payload = over_the_wire(anthropic.to_payload(request, model=request.model, stream=True))
    assert anthropic.from_payload(payload) == request


@given(requests(openai=True))
def test_a_responses_request_comes_back_as_it_was(request: Request) -> None:
    request = replace(request, seed=None, stop=(), frequency_penalty=None, presence_penalty=None)
    payload = over_the_wire(openai_responses.to_payload(request, model=request.model, stream=True))
    assert openai_responses.from_payload(payload) == request


def sayable(completion: Completion) -> Completion:
    """As the responses API can say it: there the finish follows from what is in the answer."""
    if completion.finish_reason in ("stop", "tool_calls"):
        return replace(completion, finish_reason="tool_calls" if completion.message.tool_calls else "stop")
    return completion


@given(completions())
def test_an_answer_comes_back_as_it_was(completion: Completion) -> None:
    body = over_the_wire(openai_chat.to_response(completion, id="id-1"))
    assert openai_chat.from_response(body, provider="p") == completion
    body = over_the_wire(anthropic.to_response(completion, id="id-1"))
    assert anthropic.from_response(body, provider="p") == completion
    body = over_the_wire(openai_responses.to_response(completion, id="id-1"))
    assert openai_responses.from_response(body, provider="p") == sayable(completion)


def replayed(assembler: Any, events: Any) -> tuple[list[Delta], Completion]:
    deltas = [delta for event in over_the_wire(list(events)) for delta in assembler.feed(event)]
    return deltas, assembler.completion()


@given(completions(), st.integers(1, 20))
def test_a_streamed_answer_assembles_to_the_whole_one_and_its_deltas_say_the_same(
    completion: Completion, size: int
) -> None:
    for assembler, events in (
        (openai_chat.Assembler(provider="p"), openai_chat.to_events(completion, id="id-1", size=size)),
        (anthropic.Assembler(provider="p"), anthropic.to_events(completion, id="id-1", size=size)),
        (openai_responses.Assembler(provider="p"), openai_responses.to_events(completion, id="id-1", size=size)),
    ):
        deltas, whole = replayed(assembler, events)
        assert whole == (sayable(completion) if isinstance(assembler, openai_responses.Assembler) else completion)
        assert "".join(delta.text for delta in deltas) == completion.message.text
        calls: dict[int, list[str]] = {}
        for delta in deltas:
            if delta.tool_index is not None:
                call = calls.setdefault(delta.tool_index, ["", "", ""])
                call[0] += delta.tool_id
                call[1] += delta.tool_name
                call[2] += delta.tool_arguments
        assert tuple(ToolCall(*calls[index]) for index in sorted(calls)) == completion.message.tool_calls


@given(completions(), st.data())
def test_a_stream_cut_before_its_finish_reason_is_never_an_answer(completion: Completion, data: st.DataObject) -> None:
    chunks = list(openai_chat.to_events(completion, id="x"))
    with pytest.raises(StreamCut):
        replayed(openai_chat.Assembler(), chunks[: data.draw(st.integers(0, len(chunks) - 2))])
    events = list(anthropic.to_events(completion, id="x"))
    with pytest.raises(StreamCut):
        replayed(anthropic.Assembler(), events[: data.draw(st.integers(0, len(events) - 3))])
    parts = list(openai_responses.to_events(completion, id="x"))
    with pytest.raises(StreamCut):
        replayed(openai_responses.Assembler(), parts[: data.draw(st.integers(0, len(parts) - 1))])


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("something new", "stop"),
    ],
)
def test_every_openai_finish_reason_has_a_neutral_one(reason: str, finish: FinishReason) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": reason}]}
    assert openai_chat.from_response(body).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "pause"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_every_anthropic_stop_reason_has_a_neutral_one(reason: str, finish: FinishReason) -> None:
    body = {"content": [{"type": "text", "text": "x"}], "stop_reason": reason}
    assert anthropic.from_response(body).finish_reason == finish


messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user"]), texts),
    st.builds(
        Message,
        st.just("assistant"),
        texts,
        tool_calls=st.lists(st.just(ToolCall("c", "t", "{}")), max_size=2).map(tuple),
    ),
    st.builds(Message, st.just("tool"), texts, tool_call_id=st.just("c")),
)


@pytest.mark.parametrize("model", ["m", "claude-opus-4-6", "claude-opus-4-8"])
@given(st.lists(messages, max_size=8))
def test_any_history_becomes_turns_that_anthropic_accepts(model: str, history: list[Message]) -> None:
    payload = anthropic.to_payload(Request(tuple(history)), model=model)
    turns = payload["messages"]
    assert all(one["role"] != other["role"] for one, other in itertools.pairwise(turns))
    for before, turn in itertools.pairwise([None, *turns]):
        assert turn is not None
        assert turn["content"], "an empty turn is refused"
        kinds = [block["type"] for block in turn["content"]]
        if turn["role"] == "user":
            assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result"), "results stand first"
        if turn["role"] == "system":
            assert model == "claude-opus-4-8", "the others refuse it"
            assert before is not None
            assert before["role"] == "user"
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")
    if turns and model != "m":
        assert turns[-1]["role"] != "assistant", "refused since 4.6"
    said = "".join(block["text"] for turn in turns for block in turn["content"] if block["type"] == "text")
    for message in history:
        if message.role in ("user", "assistant"):
            assert message.text.strip() in said, "no word is lost"
    uses = [block["id"] for turn in turns for block in turn["content"] if block["type"] == "tool_use"]
    assert len(set(uses)) == len(uses), "an id is used once"
    if uses:
        assert payload["tools"], "blocks of tools want tools"


def test_signed_reasoning_goes_back_to_anthropic_unchanged() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "tool_use", "id": "c", "name": "t", "input": {"a": 1}},
    ]
    answer = anthropic.from_response({"content": blocks, "stop_reason": "tool_use"})
    assert answer.message.reasoning == "hm"
    payload = anthropic.to_payload(Request((Message("user", "x"), answer.message)), model="m")
    assert payload["messages"][1]["content"] == blocks
    streamed = replayed(anthropic.Assembler(), anthropic.to_events(answer, id="x", size=1))[1]
    assert streamed.message == answer.message


def test_cache_marks_reach_anthropic_on_the_last_block_of_the_marked_message() -> None:
    request = Request((Message("system", "rules", cache=True), Message("user", "a", cache=True), Message("user", "b")))
    payload = anthropic.to_payload(request, model="m")
    assert "cache_control" in payload["system"][0]
    assert ["cache_control" in block for block in payload["messages"][0]["content"]] == [True, False]


def test_arguments_that_are_no_json_still_reach_anthropic_as_an_object() -> None:
    message = Message("assistant", tool_calls=(ToolCall("c", "t", '{"a": '),))
    payload = anthropic.to_payload(Request((Message("user", "x"), message)), model="m")
    assert payload["messages"][1]["content"][0]["input"] == {"invalid_json": '{"a": '}


def test_a_vendor_that_leaves_out_the_index_of_tool_calls_is_understood() -> None:
    def chunk(**call: Any) -> dict[str, Any]:
        return {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": None}]}

    events = [
        chunk(id="a", function={"name": "f", "arguments": '{"x":'}),
        chunk(function={"arguments": "1}"}),
        chunk(id="b", function={"name": "g", "arguments": "{}"}),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    ]
    whole = replayed(openai_chat.Assembler(), events)[1]
    assert whole.message.tool_calls == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))
    assert whole.finish_reason == "tool_calls"


def test_a_refusal_is_text_that_was_filtered() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    whole = openai_chat.from_response({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert (whole.message.text, whole.finish_reason) == ("I can't.", "content_filter")


@pytest.mark.parametrize("body", [[], "x", None, {}, {"choices": []}, {"choices": [{"message": {"content": "x"}}]}])
def test_what_is_not_the_protocol_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedResponse):
        openai_chat.from_response(body)
    with pytest.raises(MalformedResponse):
        anthropic.from_response(body)


def test_a_dialect_leaves_out_what_the_vendor_refuses() -> None:
    request = Request((Message("user", "x"),), max_tokens=5, seed=1, top_k=3)
    dialect = openai_chat.Dialect(max_tokens="max_tokens", drops=frozenset({"seed"}), stream_usage=False)
    payload = openai_chat.to_payload(request, model="m", stream=True, dialect=dialect)
    assert payload["max_tokens"] == 5
    assert payload["top_k"] == 3
    assert "seed" not in payload
    assert "stream_options" not in payload


def test_strict_mode_is_asked_for_only_where_the_schema_allows_it() -> None:
    open_schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed = {**open_schema, "required": ["a"], "additionalProperties": False}
    for schema, strict in ((open_schema, False), (closed, True), ({"type": "array", "items": open_schema}, False)):
        payload = openai_chat.to_payload(Request((Message("user", "x"),), response_schema=schema), model="m")
        assert payload["response_format"]["json_schema"]["strict"] is strict


@settings(max_examples=50)
@given(completions(), st.data())
def test_event_streams_parse_however_they_are_cut(completion: Completion, data: st.DataObject) -> None:
    chunks = over_the_wire(list(openai_chat.to_events(completion, id="x")))
    stream = b": comment\n\n" + b"".join(sse.event(chunk, "e") for chunk in chunks) + sse.event("[DONE]")
    ending = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    stream = stream.replace(b"\n", ending)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser, seen = sse.Parser(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += list(parser.feed(stream[start:end]))
    assert [json.loads(event.data) for event in seen[:-1]] == chunks
    assert [event.name for event in seen[:-1]] == ["e"] * len(chunks)
    assert seen[-1].data == "[DONE]"
    assert not parser.pending


def test_an_event_without_its_blank_line_is_pending_not_an_event() -> None:
    parser = sse.Parser()
    assert list(parser.feed(b'data: {"a": 1}\n')) == []
    assert parser.pending


def test_wrong_requests_are_refused_with_what_was_expected() -> None:
    for read in (openai_chat.from_payload, anthropic.from_payload):
        wrong: list[dict[str, Any]] = [
            {},
            {"messages": []},
            {"messages": [{"role": "wizard", "content": "x"}]},
            {"messages": "x"},
        ]
        for payload in wrong:
            with pytest.raises(ValueError, match="expected"):
                read(payload)
    tool = ToolSpec("t", "", {})
    assert anthropic.to_payload(Request((), tools=(tool,)), model="m")["tools"][0]["input_schema"] == {"type": "object"}
