"""Streams that gateways and vendors write in their own way: what was said on the way is what the answer says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses, sse

Json = dict[str, Any]


def told(assembler: Any, events: list[Any]) -> tuple[list[Delta], Completion]:
    """What was said on the way, and the answer."""
    deltas = [delta for event in events for delta in assembler.feed(event)]
    assembler.end()
    return deltas, assembler.completion()


def calls_in(deltas: list[Delta]) -> tuple[ToolCall, ...]:
    """The calls as a reader puts them together."""
    read: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.tool_index is not None:
            call = read.setdefault(delta.tool_index, ["", "", ""])
            call[0] += delta.tool_id
            call[1] += delta.tool_name
            call[2] += delta.tool_arguments
    return tuple(ToolCall(*read[index]) for index in sorted(read))


# -- calls of chat completions -----------------------------------------------------------------------------------------


def piece(index: int | None, id: str | None, name: str | None, arguments: str | None, **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    given = {"index": index, "id": id, "function": {key: item for key, item in function.items() if item is not None}}
    return {key: item for key, item in given.items() if item is not None} | more


A, B, C = ToolCall("a", "read", '{"n":0}'), ToolCall("b", "write", '{"n":1}'), ToolCall("c", "drop", '{"n":2}')


def whole(index: int | None, call: ToolCall) -> Json:
    return piece(index, call.id, call.name, call.arguments)


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param([whole(1, B), whole(0, A)], (B, A), id="indices backwards"),
        pytest.param([whole(0, A), whole(2, C), whole(1, B)], (A, C, B), id="indices mixed"),
        pytest.param([whole(3, A), whole(7, B)], (A, B), id="gaps"),
        pytest.param([whole(0, A), whole(0, B)], (A, B), id="one index for all"),
        pytest.param([whole(5, A), whole(None, B)], (A, B), id="index left out later"),
        pytest.param([whole(None, A), whole(None, B)], (A, B), id="no index"),
        pytest.param(
            [
                *(piece(0, "a", "read", '{"n"'), piece(0, "b", "write", '{"n"')),
                *(piece(0, "a", None, ":0}"), piece(0, "b", None, ":1}")),
            ],
            (A, B),
            id="one index, told apart by ids",
        ),
        pytest.param(
            [piece(0, "a", "read", '{"n"'), piece(0, "x", None, ":0"), piece(0, "y", None, "}")],
            (A,),
            id="another id for each piece",
        ),
        pytest.param([piece(0, "a", None, ""), piece(0, None, "read", A.arguments)], (A,), id="name later"),
        pytest.param([{"index": 0, "id": "a", "type": "function"}, whole(0, A)], (A,), id="function later"),
        pytest.param([piece(0, None, "read", ""), piece(0, "a", None, A.arguments)], (A,), id="id later"),
        pytest.param([piece(0, "a", "re", ""), piece(0, None, "ad", A.arguments)], (A,), id="name in two"),
        pytest.param(
            [piece(0, "a", "read", '{"n"'), piece(0, "a", "read", ":0}"), whole(1, B)], (A, B), id="all in each piece"
        ),
        pytest.param([whole(0, A), whole(0, A), whole(1, B)], (A, B), id="said once more at the end"),
        pytest.param(
            [piece(0, "a", "read", '{"'), piece(0, "a", "read", '{"'), piece(0, "a", "read", ":0}")],
            (ToolCall("a", "read", '{"{":0}'),),
            id="two pieces that are alike",
        ),
        pytest.param(
            [piece(0, None, "read", '{"n":0}'), piece(0, None, "read", '{"n":3}')],
            (ToolCall("call_0", "read", '{"n":0}'), ToolCall("call_1", "read", '{"n":3}')),
            id="one index, no ids",
        ),
        pytest.param(
            [piece(None, None, "read", ""), piece(None, None, "write", "")],
            (ToolCall("call_0", "read", ""), ToolCall("call_1", "write", "")),
            id="neither index nor id",
        ),
    ],
)
def test_each_piece_of_a_call_goes_to_the_call_it_belongs_to(pieces: list[Json], calls: tuple[ToolCall, ...]) -> None:
    events = [{"choices": [{"delta": {"tool_calls": [one]}}]} for one in pieces]
    deltas, made = told(openai_chat.Assembler(), [*events, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}])
    assert made.message.tool_calls == calls
    assert calls_in(deltas) == calls


def test_a_call_without_a_function_takes_no_number_from_the_others_and_its_input_comes_in_pieces() -> None:
    custom = [{"index": 0, "id": "x", "type": "custom", "custom": {"name": "code", "input": text}} for text in "ab"]
    events = [{"choices": [{"delta": {"tool_calls": [one]}}]} for one in (*custom, whole(1, A))]
    deltas, made = told(openai_chat.Assembler(), [*events, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}])
    assert calls_in(deltas) == made.message.tool_calls == (A,)
    assert made.message.state is not None
    assert json.loads(made.message.state.content)["calls"][0] == [
        "raw",
        {"id": "x", "type": "custom", "custom": {"name": "code", "input": "ab"}},
    ]


# -- several answers at once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
def test_of_several_choices_one_is_read_and_the_usage_behind_the_last_is_waited_for(together: bool) -> None:
    def chunks(delta: list[Json], **more: Any) -> list[Json]:
        choices = [{"index": index, "delta": one, **more} for index, one in enumerate(delta)]
        return [{"choices": choices}] if together else [{"choices": [choice]} for choice in choices]

    assembler = openai_chat.Assembler()
    said = chunks([{"content": "Paris "}, {"content": "Rome "}]) + chunks([{"content": "is big."}, {"content": "old."}])
    for event in said:
        assembler.feed(event)
    for event in chunks([{}, {}], finish_reason="stop"):
        assert not assembler.finished
        assembler.feed(event)
    assert assembler.finished
    assembler.feed({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 6}})
    assert assembler.completion().message.text == "Paris is big."
    assert assembler.completion().usage.output_tokens == 6


def test_of_several_candidates_of_gemini_one_is_read() -> None:
    def chunk(index: int, text: str, **more: Any) -> Json:
        return {"candidates": [{"index": index, "content": {"parts": [{"text": text}]}, **more}]}

    events = [chunk(0, "Paris "), chunk(1, "Rome "), chunk(0, "is big.", finishReason="STOP"), chunk(1, "is old.")]
    deltas, made = told(gemini.Assembler(), events)
    assert made.message.text == "".join(delta.text for delta in deltas) == "Paris is big."


# -- usage -------------------------------------------------------------------------------------------------------------

NOTHING: list[Json] = [{}, {"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}]


@pytest.mark.parametrize("last", NOTHING)
def test_a_usage_of_nothing_at_the_end_takes_nothing_back(last: Json) -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    events = [
        {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}], "usage": counted},
        {"choices": [], "usage": last},
    ]
    usage = told(openai_chat.Assembler(), events)[1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (3, 2, 1)


def test_what_gemini_counted_before_is_not_lost_with_its_last_chunk() -> None:
    counted = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 4}
    parts = {"parts": [{"text": "x"}]}
    events = [
        {"candidates": [{"content": parts}], "usageMetadata": counted},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}},
    ]
    usage = told(gemini.Assembler(), events)[1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (3, 6, 4)


START: Json = {
    "type": "message_start",
    "message": {"id": "m", "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}},
}
STOP: Json = {"type": "message_stop"}


def ended(**usage: int) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


@pytest.mark.parametrize(
    ("ends", "counts"),
    [
        ([ended(output_tokens=7)], (15, 7)),
        ([ended(input_tokens=0, cache_read_input_tokens=0, output_tokens=7)], (15, 7)),
        ([ended(input_tokens=12, output_tokens=7)], (17, 7)),
        ([ended(output_tokens=7), ended(output_tokens=0)], (15, 7)),
        ([ended(output_tokens=0)], (15, 0)),  # at the beginning it is a guess
    ],
)
def test_zeros_of_a_gateway_at_the_end_take_no_count_of_anthropic_back(
    ends: list[Json], counts: tuple[int, int]
) -> None:
    usage = told(anthropic.Assembler(), [START, *ends, STOP])[1].usage
    assert (usage.input_tokens, usage.output_tokens) == counts


# -- blocks of anthropic -----------------------------------------------------------------------------------------------


def begun(index: int, block: Json) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def filled(index: int, **delta: str) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stopped(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def words(index: int, *texts: str) -> list[Json]:
    return [
        begun(index, {"type": "text", "text": ""}),
        *(filled(index, type="text_delta", text=text) for text in texts),
    ]


def used(call: ToolCall, **given: Any) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def called(index: int, call: ToolCall) -> list[Json]:
    return [begun(index, used(call)), filled(index, type="input_json_delta", partial_json=call.arguments)]


@pytest.mark.parametrize(
    ("events", "text", "calls"),
    [
        pytest.param([*words(0, "Hello "), *words(0, "world")], "Hello world", (), id="one index for all texts"),
        pytest.param([*called(0, A), *called(0, B)], "", (A, B), id="one index for all calls"),
        pytest.param([*called(3, B), *called(1, A)], "", (B, A), id="indices backwards"),
        pytest.param([begun(0, used(A)), *called(0, A)], "", (A,), id="a call begun twice"),
        pytest.param(
            [begun(0, used(A, n=0)), stopped(0), *called(1, B)],
            "",
            (ToolCall("a", "read", '{"n": 0}'), B),
            id="input whole",
        ),
        pytest.param(
            [begun(0, used(A, n=0))], "", (ToolCall("a", "read", '{"n": 0}'),), id="input whole, and never stopped"
        ),
    ],
)
def test_blocks_of_anthropic_are_those_that_a_reader_saw(
    events: list[Json], text: str, calls: tuple[ToolCall, ...]
) -> None:
    deltas, made = told(anthropic.Assembler(), [START, *events, ended(output_tokens=2), STOP])
    assert made.message.text == "".join(delta.text for delta in deltas) == text
    assert made.message.tool_calls == calls_in(deltas) == calls


@pytest.mark.parametrize("text", ['{"query": "a', "[" * 100_000], ids=["cut off", "nested without end"])
def test_input_of_the_vendors_own_tool_that_is_no_json_goes_back_as_it_came(text: str) -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search"}
    events = [begun(0, {**search, "input": {}}), filled(0, type="input_json_delta", partial_json=text)]
    _, made = told(anthropic.Assembler(), [START, *events, *words(1, "Found."), ended(output_tokens=2), STOP])
    payload = anthropic.to_payload(Request((Message("user", "Look."), made.message)), model="claude-sonnet-4-5")
    blocks = payload["messages"][1]["content"]
    assert blocks[0] == {**search, "input": {"invalid_json": text}}
    assert blocks[1]["text"] == made.message.text == "Found."


def test_arguments_of_a_call_that_never_began_are_given_to_no_other() -> None:
    item = {"type": "function_call", "call_id": "a", "name": "read", "arguments": ""}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": A.arguments},
        {"type": "response.function_call_arguments.delta", "output_index": 4, "delta": '{"x": 1}'},
        {
            "type": "response.completed",
            "response": {"status": "completed", "output": [{**item, "arguments": A.arguments}]},
        },
    ]
    deltas, made = told(openai_responses.Assembler(), events)
    assert calls_in(deltas) == made.message.tool_calls == (A,)


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_byte_order_mark_at_the_beginning_costs_no_event(size: int) -> None:
    body = b"\xef\xbb\xbf" + sse.event({"n": 1}) + sse.event({"n": 2}, "second")
    parser = sse.Parser()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    events = [event for piece in pieces for event in parser.feed(piece)]
    assert events == [sse.Event("", '{"n":1}'), sse.Event("second", '{"n":2}')]
