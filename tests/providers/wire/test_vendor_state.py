"""What a vendor said goes back to it as it was, and to nobody else. Exchanges are those of the vendors' documents."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.errors import ProviderError, ProviderOverloaded
from callboard.providers.messages import (
    Audio,
    Completion,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)
from callboard.providers.wire import anthropic, openai_chat, openai_responses
from callboard.providers.wire.openai_chat import Dialect
from callboard.providers.wire.origin import origin_at
from tests.providers.wire.histories import arguments, json_values, names, spoken

Json = dict[str, Any]
TOOL = ToolSpec("look", "", {"type": "object"})

# -- what each protocol's answers can hold -----------------------------------------------------------------------------

said = spoken.map(lambda text: {"type": "text", "text": text})
cited = st.builds(
    lambda text, title: {
        "type": "text",
        "text": text,
        "citations": [{"type": "web_search_result_location", "url": "https://x.org", "title": title}],
    },
    spoken,
    spoken,
)
thinking = st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, spoken, spoken)
redacted = spoken.map(lambda data: {"type": "redacted_thinking", "data": data})
searched = st.builds(
    lambda n, query: {
        "type": "server_tool_use",
        "id": f"srvtoolu_{n}",
        "name": "web_search",
        "input": {"query": query},
    },
    st.integers(0, 99),
    spoken,
)
found = st.builds(
    lambda n, value: {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{n}", "content": [{"x": value}]},
    st.integers(0, 99),
    json_values,
)
compacted = spoken.map(lambda text: {"type": "compaction", "content": text})
used = st.builds(
    lambda n, name, given, more: {
        "type": "tool_use",
        "id": f"toolu_{n}",
        "name": name,
        "input": json.loads(given),
        **more,
    },
    st.integers(0, 10**6),
    names,
    arguments,
    st.sampled_from([{}, {"caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}}]),
)
anthropic_answers = st.lists(
    said | cited | thinking | redacted | searched | found | compacted | used,
    max_size=6,
    unique_by=lambda block: str(block.get("id") or id(block)),
)

details = st.lists(
    st.builds(
        lambda n, t: {"type": "reasoning.text", "text": t, "signature": "s", "index": n}, st.integers(0, 9), spoken
    )
    | st.builds(lambda n, t: {"type": "reasoning.encrypted", "data": t, "index": n}, st.integers(0, 9), spoken),
    min_size=1,
    max_size=3,
    unique_by=lambda detail: detail["index"],
)
chat_calls = st.lists(
    st.builds(
        lambda n, name, given, more: {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": name, "arguments": given},
            **more,
        },
        st.integers(0, 10**6),
        names,
        arguments,
        st.sampled_from([{}, {"extra_content": {"google": {"thought_signature": "sig"}}}]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda call: call["id"],
)
mistral_parts = st.lists(
    said
    | st.lists(said, min_size=1, max_size=1).map(lambda inner: {"type": "thinking", "thinking": inner})
    | st.just({"type": "reference", "reference_ids": [1, 2]}),
    min_size=1,
    max_size=4,
).filter(lambda parts: all(one["type"] != other["type"] for one, other in itertools.pairwise(parts)))
chat_answers = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": spoken},
    optional={
        "tool_calls": chat_calls,
        "reasoning_details": details,
        "annotations": st.just([{"type": "url_citation", "url_citation": {"url": "https://x.org"}}]),
        "extra_content": st.just({"google": {"thought_signature": "sig"}}),
        "executed_tools": st.just([{"type": "search", "output": "x"}]),
        "images": st.just([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]),
        "refusal": spoken,
    },
) | st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | spoken | mistral_parts, "tool_calls": chat_calls},
    optional={"reasoning_content": spoken},
)

reasoned = st.builds(
    lambda n, summaries, texts, encrypted: {
        "type": "reasoning",
        "id": f"rs_{n}",
        "summary": [{"type": "summary_text", "text": text} for text in summaries],
        **({"content": [{"type": "reasoning_text", "text": text} for text in texts]} if texts else {}),
        "encrypted_content": encrypted,
    },
    st.integers(0, 99),
    st.lists(spoken, max_size=2),
    st.lists(spoken, max_size=2),
    spoken,
)
spoken_item = st.builds(
    lambda n, texts, more: {
        "type": "message",
        "id": f"msg_{n}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": more, "logprobs": []} for text in texts],
        **({"phase": "commentary"} if n % 2 else {}),
    },
    st.integers(0, 99),
    st.lists(spoken, min_size=1, max_size=2),
    st.sampled_from([[], [{"type": "url_citation", "url": "https://x.org", "title": "X"}]]),
)
called_item = st.builds(
    lambda n, name, given: {
        "type": "function_call",
        "id": f"fc_{n}",
        "call_id": f"call_{n}",
        "name": name,
        "arguments": given,
        "status": "completed",
    },
    st.integers(0, 10**6),
    names,
    arguments,
)
others: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": "c"},
        {"type": "mcp_call", "id": "mcp_1", "name": "x", "arguments": "{}", "output": "y", "server_label": "z"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "opaque"},
        {
            "type": "image_generation_call",
            "id": "ig_1",
            "status": "completed",
            "result": "aGk=",
            "output_format": "png",
        },
    ]
)
responses_answers: st.SearchStrategy[list[Json]] = st.lists(
    reasoned | spoken_item | called_item | others, min_size=1, max_size=6, unique_by=lambda item: str(item.get("id"))
)


def without_blanks(value: Any) -> Any:
    """JSON without what says nothing, and without what only the place says."""
    if isinstance(value, dict):
        kept = {key: without_blanks(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    if isinstance(value, list):
        kept_items = [without_blanks(item) for item in value]
        if len(kept_items) == 1 and isinstance(kept_items[0], dict) and kept_items[0].keys() == {"type", "text"}:
            return kept_items[0]["text"]  # one part that is a text says no more than a text
        return kept_items
    return value


def history(answer: Message) -> Request:
    """The request that comes after an answer."""
    results = [Message("tool", "r", tool_call_id=call.id) for call in answer.tool_calls]
    return Request((Message("user", "x"), answer, *results, Message("user", "and?")), tools=(TOOL,))


def anthropic_back(answer: Message, origin: str = anthropic.ORIGIN) -> list[Json]:
    payload = anthropic.to_payload(history(answer), model="m", origin=origin)
    turn: Json = payload["messages"][1] if len(payload["messages"]) > 1 else {"role": ""}
    return list(turn["content"]) if turn["role"] == "assistant" else []


def chat_back(answer: Message, origin: str = openai_chat.ORIGIN) -> Json:
    payload = openai_chat.to_payload(history(answer), model="m", origin=origin)
    return next((message for message in payload["messages"] if message["role"] == "assistant"), {})


def responses_back(answer: Message, origin: str = openai_responses.ORIGIN) -> list[Json]:
    payload = openai_responses.to_payload(history(answer), model="m", origin=origin)
    given = [item for item in payload["input"] if item.get("type") != "function_call_output"]
    return [item for item in given if item.get("role") != "user"]


@given(anthropic_answers)
def test_what_anthropic_said_goes_back_to_it_as_it_was(content: list[Json]) -> None:
    answer = anthropic.from_response({"content": content, "stop_reason": "end_turn"}).message
    assert anthropic_back(answer) == content


@given(chat_answers)
def test_what_a_vendor_of_chat_completions_said_goes_back_to_it_as_it_was(message: Json) -> None:
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    answer = openai_chat.from_response(body, origin="openai.chat:x").message
    assert without_blanks(chat_back(answer, "openai.chat:x")) == without_blanks(message)


@given(responses_answers)
def test_what_the_responses_api_said_goes_back_to_it_as_it_was(output: list[Json]) -> None:
    answer = openai_responses.from_response({"output": output, "status": "completed"}).message
    if answer.state is None:  # then ids alone are left out: nothing is stored under them
        output = [{key: value for key, value in item.items() if key not in ("id", "status")} for item in output]
    back = [{"type": "message", **item} for item in responses_back(answer)]
    assert without_blanks(back) == without_blanks(output)


OPAQUE = ("signature", "encrypted", "srvtoolu", "web_search", "citations", "rs_", "opaque", "executed_tools", "phase")


@given(anthropic_answers | chat_answers | responses_answers)
def test_no_other_vendor_ever_sees_it(made: Any) -> None:
    if isinstance(made, dict):
        body = {"choices": [{"message": made, "finish_reason": "stop"}]}
        answer = openai_chat.from_response(body, origin="openai.chat:google").message
    elif any(block["type"] in ("reasoning", "message", "function_call") or "_call" in block["type"] for block in made):
        answer = openai_responses.from_response({"output": made, "status": "completed"}).message
    else:
        answer = anthropic.from_response({"content": made, "stop_reason": "end_turn"}).message
    plain = replace(answer, state=None)
    if answer.state is None:
        return
    origin = answer.state.origin
    if origin != anthropic.ORIGIN:
        assert anthropic_back(answer) == anthropic_back(plain)
    if origin != openai_responses.ORIGIN:
        assert [item for item in responses_back(answer) if item.get("content") != ""] == [
            item for item in responses_back(plain) if item.get("content") != ""
        ]
    assert chat_back(answer, "openai.chat:x") == chat_back(plain, "openai.chat:x")


def assembled(module: Any, completion: Completion, size: int) -> Completion:
    """A completion as a server streams it, and a client puts it together."""
    assembler = module.Assembler(provider="p")
    for event in json.loads(json.dumps(list(module.to_events(completion, id="id-1", size=size)))):
        assembler.feed(event)
    whole: Completion = assembler.completion()
    return whole


@given(anthropic_answers.filter(bool), st.integers(1, 9))
def test_a_stream_of_anthropic_makes_the_whole_answer_with_all_in_it(content: list[Json], size: int) -> None:
    body = {"content": content, "stop_reason": "end_turn", "id": "id-1", "model": "m"}
    whole = anthropic.from_response(body, provider="p")
    assert assembled(anthropic, whole, size).message == whole.message


@given(chat_answers, st.integers(1, 9))
def test_a_stream_of_chat_completions_makes_the_whole_answer_with_all_in_it(message: Json, size: int) -> None:
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "id": "id-1", "model": "m"}
    whole = openai_chat.from_response(body, provider="p")
    assert comparable(assembled(openai_chat, whole, size).message) == comparable(whole.message)


@given(responses_answers, st.integers(1, 9))
def test_a_stream_of_the_responses_api_makes_the_whole_answer_with_all_in_it(output: list[Json], size: int) -> None:
    body = {"output": output, "status": "completed", "id": "id-1", "model": "m"}
    whole = openai_responses.from_response(body, provider="p")
    assert assembled(openai_responses, whole, size).message == whole.message


def comparable(message: Message) -> Any:
    """A message with its state as JSON, whose fields have no order."""
    state = json.loads(message.state.content) if message.state is not None else None
    return replace(message, state=None), state


# -- what was changed since --------------------------------------------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s1"}
USE = {"type": "tool_use", "id": "c", "name": "look", "input": {"a": 1}}
CITED = {"type": "text", "text": "It is so.", "citations": [{"type": "char_location", "cited_text": "so"}]}


def answered(*content: Json) -> Message:
    return anthropic.from_response({"content": list(content), "stop_reason": "end_turn"}).message


def test_what_anthropic_leaves_open_at_the_end_of_a_stream_is_what_it_said_at_the_beginning() -> None:
    begun = {"input_tokens": 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 1}
    ended = {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 20}
    assembler = anthropic.Assembler()
    for event in (
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": begun}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "fine"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ended},
        {"type": "message_stop"},
    ):
        assembler.feed(event)
    assert assembler.completion().usage == Usage(15, 20, 5, 3)


def test_a_text_that_was_changed_goes_without_its_citations_and_the_reasoning_stays() -> None:
    edited = replace(answered(THOUGHT, CITED, USE), content="[redacted]")
    assert anthropic_back(edited) == [THOUGHT, {"type": "text", "text": "[redacted]"}, USE]


def test_reasoning_that_was_changed_goes_without_its_signature() -> None:
    edited = replace(answered(THOUGHT, CITED), reasoning="ha")
    assert anthropic_back(edited) == [CITED]


def test_calls_that_were_changed_go_as_they_are_now() -> None:
    other = ToolCall("c", "look", '{"a": 2}')
    edited = replace(answered(THOUGHT, {**USE, "caller": {"type": "x"}}), tool_calls=(other,))
    assert anthropic_back(edited) == [THOUGHT, {**USE, "input": {"a": 2}}]
    assert anthropic_back(replace(edited, tool_calls=())) == [THOUGHT]


def test_a_call_that_got_another_id_keeps_its_signature() -> None:
    call = {"id": "", "function": {"name": "look", "arguments": "{}"}, "extra_content": {"google": {"s": "1"}}}
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]}
    answer = openai_chat.from_response(body, origin="openai.chat:g").message
    renamed = replace(answer, tool_calls=(replace(answer.tool_calls[0], id="call_7_0"),))
    assert chat_back(renamed, "openai.chat:g")["tool_calls"][0] == {
        **call,
        "id": "call_7_0",
        "type": "function",
    }


def test_items_of_which_one_no_longer_fits_are_all_left_out_of_the_responses_api() -> None:
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "look", "arguments": "{}"},
    ]
    answer = openai_responses.from_response({"output": output, "status": "completed"}).message
    said = {"role": "assistant", "content": "so"}
    called = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    assert responses_back(replace(answer, content="thus")) == [{**said, "content": "thus"}, called]
    other = replace(answer.tool_calls[0], arguments='{"a": 1}')
    assert responses_back(replace(answer, tool_calls=(other,))) == [said, {**called, "arguments": '{"a": 1}'}]
    assert responses_back(replace(answer, reasoning="hm")) == [said, called]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"blocks": 1}', '{"items": [["call", 9, {}]]}', '{"calls": [1, 2]}']
)
def test_a_state_that_nobody_can_read_is_left_out(content: str) -> None:
    message = Message("assistant", "so", (ToolCall("c", "look", "{}"),))
    for back, origin in BACK:
        assert back(replace(message, state=VendorState(origin, content))) == back(message)


BACK: list[tuple[Callable[[Message], Any], str]] = [
    (anthropic_back, anthropic.ORIGIN),
    (chat_back, openai_chat.ORIGIN),
    (responses_back, openai_responses.ORIGIN),
]


@pytest.mark.parametrize(
    "answer",
    [
        anthropic.from_response(
            {
                "content": [{"type": "text", "text": "so"}, {**USE, "caller": {"type": "direct"}}],
                "stop_reason": "end_turn",
            }
        ),
        openai_chat.from_response(
            {
                "choices": [
                    {
                        "message": {"content": "so", "annotations": [], "audio": None, "function_call": {"name": ""}},
                        "finish_reason": "stop",
                    }
                ]
            }
        ),
        openai_responses.from_response(
            {
                "output": [
                    {
                        "type": "message",
                        "id": "msg_1",
                        "status": "completed",
                        "content": [{"type": "output_text", "text": "so", "annotations": [], "logprobs": []}],
                    },
                    {"type": "function_call", "id": "fc", "call_id": "c", "name": "look", "arguments": "{}"},
                ],
                "status": "completed",
            }
        ),
    ],
)
def test_an_answer_that_the_neutral_fields_can_say_has_no_state(answer: Completion) -> None:
    assert answer.message.state is None


def test_texts_and_calls_are_not_doubled_in_the_state() -> None:
    long = "word " * 1000
    answer = answered(THOUGHT, {**CITED, "text": long}, {**USE, "input": {"a": long}})
    assert answer.state is not None
    assert len(answer.state.content) < 400


# -- shapes that were lost ---------------------------------------------------------------------------------------------


def test_a_signature_of_google_comes_with_the_call_and_goes_back_on_it() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures
    call = {
        "id": "function-call-1",
        "type": "function",
        "function": {"name": "look", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "sig"}},
    }
    origin = origin_at(openai_chat.ORIGIN, "https://generativelanguage.googleapis.com/v1beta/openai")
    assembler = openai_chat.Assembler(origin=origin)
    assembler.feed({"choices": [{"delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}]})
    assembler.feed({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    answer = assembler.completion().message
    assert chat_back(answer, origin)["tool_calls"] == [call]
    assert "extra_content" not in chat_back(answer)["tool_calls"][0]
    demanding = Dialect(unsigned="skip")
    payload = openai_chat.to_payload(history(answer), model="gemini-3", dialect=demanding, origin=origin)
    assert payload["messages"][1]["tool_calls"] == [call], "its own signature stays"


def test_calls_of_another_vendor_get_the_signature_that_google_has_for_them() -> None:
    message = Message("assistant", "", (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")))
    payload = openai_chat.to_payload(history(message), model="gemini-3", dialect=Dialect(unsigned="skip"))
    signed = [call.get("extra_content") for call in payload["messages"][1]["tool_calls"]]
    assert signed == [{"google": {"thought_signature": "skip"}}, None]


def test_the_reasoning_that_deepseek_wants_back_goes_back_to_deepseek_alone() -> None:
    # https://api-docs.deepseek.com/guides/thinking_mode
    message = {"content": "", "reasoning_content": "hm", "tool_calls": [{"id": "c", "function": {"name": "look"}}]}
    origin = origin_at(openai_chat.ORIGIN, "https://api.deepseek.com")
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    answer = openai_chat.from_response(body, origin=origin).message
    assert answer.reasoning == "hm"
    assert chat_back(answer, origin)["reasoning_content"] == "hm"
    assert "reasoning_content" not in chat_back(answer)
    assert "hm" not in json.dumps(anthropic_back(answer))


def test_raw_reasoning_of_the_responses_api_is_in_the_stream_and_in_the_completion() -> None:
    item = {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    assembler = openai_responses.Assembler()
    deltas = assembler.feed({"type": "response.reasoning_text.delta", "delta": "hm", "output_index": 0})
    assembler.feed({"type": "response.output_item.done", "output_index": 0, "item": item})
    assembler.feed({"type": "response.completed", "response": {"status": "completed", "output": []}})
    assert [delta.reasoning for delta in deltas] == ["hm"]
    assert assembler.completion().message.reasoning == "hm"
    assert responses_back(assembler.completion().message) == [item]


def test_what_mistral_thinks_is_reasoning_and_goes_back_in_its_place() -> None:
    # https://docs.mistral.ai/capabilities/reasoning
    chunks: list[Any] = [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]},
        {"content": "so"},
    ]
    assembler = openai_chat.Assembler()
    deltas = [d for chunk in chunks for d in assembler.feed({"choices": [{"delta": chunk, "finish_reason": None}]})]
    assembler.feed({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    answer = assembler.completion().message
    assert ([d.reasoning + d.text for d in deltas], answer.reasoning, answer.text) == (["h", "m", "so"], "hm", "so")
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert chat_back(answer)["content"] == [thought, {"type": "text", "text": "so"}]


def test_the_usage_that_groq_tells_in_a_place_of_its_own_is_read() -> None:
    told = {"id": "req_1", "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}
    assembler = openai_chat.Assembler()
    for chunk in (
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "fine"}}], "x_groq": {"id": "req_1"}},
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": told},
    ):
        assembler.feed(chunk)
    assert assembler.completion().usage == Usage(11, 3)


def test_a_vendor_that_only_says_done_at_the_end_of_its_stream_has_answered() -> None:
    # Snowflake sends no finish reason in a stream, and an empty one in a whole answer.
    assembler = openai_chat.Assembler()
    assembler.feed({"choices": [{"delta": {"content": "4", "refusal": ""}}]})
    assembler.end()
    assert assembler.completion().finish_reason == "stop"
    body: Json = {"choices": [{"message": {"content": "4", "audio": {"id": "", "expires_at": 0}}, "finish_reason": ""}]}
    whole = openai_chat.from_response(body)
    assert (whole.finish_reason, whole.message) == ("stop", Message("assistant", "4"))


@pytest.mark.parametrize(
    "reason",
    [
        *("error", "abort", "insufficient_system_resource", "network_error"),
        "function_call_filter: MALFORMED_FUNCTION_CALL",  # Google
    ],
)
def test_an_answer_that_ended_in_the_vendors_trouble_is_none(reason: str) -> None:
    body = {"choices": [{"message": {"content": "half an"}, "finish_reason": reason}]}
    with pytest.raises(ProviderOverloaded, match=reason.lower()):
        openai_chat.from_response(body)


def test_an_error_within_a_choice_is_the_vendors() -> None:
    body = {"choices": [{"error": {"code": 502, "message": "upstream"}, "finish_reason": "error"}]}
    with pytest.raises(ProviderError, match="upstream"):
        openai_chat.from_response(body)


def test_a_turn_that_anthropic_paused_is_sent_back_with_nothing_behind_it() -> None:
    # https://docs.claude.com/en/docs/build-with-claude/handling-stop-reasons#pause-turn
    content = [{"type": "text", "text": "I look."}]
    body = {"content": content, "stop_reason": "pause_turn", "container": {"id": "container_1", "expires_at": "x"}}
    paused = anthropic.from_response(body)
    assert paused.finish_reason == "pause"
    payload = anthropic.to_payload(Request((Message("user", "x"), paused.message)), model="claude-opus-4-8")
    assert payload["messages"][-1] == {"role": "assistant", "content": content}
    assert payload["container"] == "container_1"
    later = Request((Message("user", "x"), paused.message, Message("user", "something else")))
    assert "container" not in anthropic.to_payload(later, model="claude-opus-4-8"), "it is of that turn alone"
    assert paused.extra["container"]["expires_at"] == "x"


def test_pictures_that_a_model_made_are_parts_of_its_answer() -> None:
    drawn = {"type": "image_generation_call", "id": "ig_1", "result": "aGk=", "output_format": "webp"}
    answer = openai_responses.from_response({"output": [drawn], "status": "completed"}).message
    assert answer.content == (Image("data:image/webp;base64,aGk="),)
    assert responses_back(answer) == [drawn]
    notes: list[str] = []
    openai_chat.to_payload(history(answer), model="m", notes=notes)
    assert notes == ["an assistant's turn cannot take a picture: left out"]


def test_what_a_model_spoke_is_sound_and_goes_back_by_its_id() -> None:
    spoke = {"id": "audio_1", "data": "UklGRg==", "transcript": "hello", "expires_at": 1}
    body = {"choices": [{"message": {"content": None, "audio": spoke}, "finish_reason": "stop"}]}
    answer = openai_chat.from_response(body).message
    assert answer.content == (Audio("data:audio/wav;base64,UklGRg==", "hello"),)
    assert chat_back(answer)["audio"] == {"id": "audio_1"}
    assert anthropic_back(answer) == [{"type": "text", "text": "hello"}]


def test_what_a_vendor_says_beside_the_message_is_in_extra() -> None:
    logprobs = {"content": [{"token": "so", "logprob": -0.1}]}
    body = {
        "choices": [{"message": {"content": "so"}, "finish_reason": "stop", "logprobs": logprobs}],
        "service_tier": "default",
        "citations": ["https://x.org"],
    }
    whole = openai_chat.from_response(body)
    assert whole.extra == {"service_tier": "default", "citations": ["https://x.org"], "logprobs": logprobs}
    assembler = openai_chat.Assembler()
    assembler.feed({"choices": [{"delta": {"content": "so"}, "logprobs": logprobs}], "service_tier": "default"})
    assembler.feed({"choices": [{"delta": {}, "finish_reason": "stop", "logprobs": None}]})
    assert assembler.completion().extra == {"service_tier": "default", "logprobs": logprobs}


def test_a_refusal_goes_back_as_one() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    whole = openai_chat.from_response({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert (whole.message.text, whole.finish_reason) == ("I can't.", "content_filter")
    assert chat_back(whole.message) == message
    assert anthropic_back(whole.message) == [{"type": "text", "text": "I can't."}]


def test_parts_of_a_user_that_only_one_vendor_knows_come_through_its_gateway() -> None:
    uploaded = {"type": "container_upload", "file_id": "file_1"}
    kept = {"type": "document", "source": {"type": "file", "file_id": "file_2"}}
    ours = {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}, "citations": {"enabled": True}}
    content = [{"type": "text", "text": "see"}, uploaded, kept, ours]
    request = anthropic.from_payload({"messages": [{"role": "user", "content": content}]})
    assert anthropic.to_payload(request, model="m")["messages"] == [{"role": "user", "content": content}]
    assert "file_1" not in json.dumps(openai_chat.to_payload(request, model="m"))
    assert isinstance(request.messages[0].content, tuple)
    assert Text("see") in request.messages[0].content


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("", "anthropic"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://api.deepseek.com/anthropic", "anthropic:api.deepseek.com"),
        ("https://user:word@Gateway.example:8443/v1", "anthropic:gateway.example:8443"),
    ],
)
def test_an_origin_is_the_protocol_and_the_host_where_another_speaks_it(url: str, origin: str) -> None:
    assert origin_at(anthropic.ORIGIN, url) == origin


def test_blank_texts_which_anthropic_refuses_in_a_history_are_not_sent_back() -> None:
    answer = answered(CITED, {"type": "text", "text": " "}, {"type": "text", "text": "And so on."})
    assert answer.text == "It is so. And so on."
    assert anthropic_back(answer) == [CITED, {"type": "text", "text": "And so on."}]
