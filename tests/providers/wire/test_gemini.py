"""Gemini's own protocol: what goes there and back is the same, above all what must come back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.errors import AuthenticationFailed, MalformedResponse, RateLimited, StreamCut
from callboard.providers.messages import (
    Completion,
    File,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)
from callboard.providers.wire import gemini
from tests.providers.wire.histories import completions, requests

SIGNATURE = "ab+/cd+/=="  # the alphabet of plain base64, which a detour over bytes might change


def over_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value))


def history(request: Request) -> list[Any]:
    """What a model is told; results belong to calls by their place, because calls need no identifier here."""
    told: list[Any] = []
    for message in request.messages:
        calls = [(call.name, call.parsed()) for call in message.tool_calls]
        parts = (Text(message.content),) if isinstance(message.content, str) else message.content
        said = [replace(part, name="") if isinstance(part, File) else part for part in parts if part != Text("")]
        told.append((message.role, said, calls, message.name if message.role == "tool" else None, message.is_error))
    return told


def joined_turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Neighbours of one role become one turn there, so only the last of them can be told apart."""
    return tuple(
        message
        for message, following in zip(messages, [*messages[1:], None], strict=True)
        if following is None or (message.role, following.role) not in (("user", "user"), ("assistant", "assistant"))
    )


@given(requests(openai=False))
def test_a_request_survives_the_wire(request: Request) -> None:
    request = replace(request, messages=joined_turns(request.messages), parallel_tool_calls=True, user=None)
    request = replace(request, tools=tuple(replace(tool, strict=False) for tool in request.tools))
    if request.reasoning_effort or request.thinking_tokens:
        request = replace(request, max_tokens=None)  # thinking is kept below it
    payload = over_the_wire(gemini.to_payload(request, model=request.model))
    back = gemini.from_payload({**payload, "model": request.model})
    assert history(back) == history(request)
    assert replace(back, messages=()) == replace(request, messages=())


@given(completions())
def test_an_answer_survives_the_wire_whole_and_streamed(completion: Completion) -> None:
    spent = replace(completion.usage, cache_write_tokens=0)  # there is no such count there
    completion = replace(completion, usage=spent)
    whole = gemini.from_response(over_the_wire(gemini.to_response(completion, id="id-1")), provider="p")
    same(whole, completion)
    assembler = gemini.Assembler(provider="p")
    deltas = [
        delta
        for event in over_the_wire(list(gemini.to_events(completion, id="id-1", size=7)))
        for delta in assembler.feed(event)
    ]
    streamed = assembler.completion()
    assert streamed == whole
    assert "".join(delta.text for delta in deltas) == completion.message.text
    calls = [ToolCall(d.tool_id, d.tool_name, d.tool_arguments) for d in deltas if d.tool_index is not None]
    assert tuple(calls) == streamed.message.tool_calls


def same(found: Completion, wanted: Completion) -> None:
    assert found.message.text == wanted.message.text
    assert [(c.id, c.name, c.parsed()) for c in found.message.tool_calls] == [
        (c.id, c.name, c.parsed()) for c in wanted.message.tool_calls
    ]
    assert (found.finish_reason, found.usage) == (wanted.finish_reason, wanted.usage)
    assert (found.model, found.provider, found.request_id) == (wanted.model, wanted.provider, wanted.request_id)


values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)
signatures = st.none() | st.text("ABCab+/-_=", min_size=4, max_size=12)


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    part: dict[str, Any] = draw(
        st.one_of(
            st.text(min_size=1, max_size=20).map(lambda text: {"text": text}),
            st.text(min_size=1, max_size=20).map(lambda text: {"text": text, "thought": True}),
            st.fixed_dictionaries(
                {
                    "functionCall": st.fixed_dictionaries(
                        {"name": st.just("f"), "args": st.dictionaries(st.text(), values)}
                    )
                }
            ),
            st.sampled_from(["image/png", "audio/wav", "application/pdf"]).map(
                lambda kind: {"inlineData": {"mimeType": kind, "data": "AAAA"}}
            ),
            st.just({"inlineData": {"mimeType": "image/png", "data": "BBBB", "displayName": "draft"}, "thought": True}),
            st.just({"functionCall": {"id": "fc", "name": "f", "willContinue": True}}),
            st.just({"executableCode": {"language": "PYTHON", "code": "print(1)"}}),
            st.just({"somethingNew": {"deep": [1, None]}}),
        )
    )
    signature = draw(signatures)
    return part if signature is None else {**part, "thoughtSignature": signature}


@given(st.lists(parts(), min_size=1, max_size=6))
def test_every_answer_goes_back_as_it_came_with_its_parts_in_order(came: list[dict[str, Any]]) -> None:
    body = {"candidates": [{"content": {"role": "model", "parts": came}, "finishReason": "STOP"}], "responseId": "r1"}
    answer = gemini.from_response(over_the_wire(body), provider="p")
    request = Request((Message("user", "hello"), answer.message))
    for model in ("gemini-2.5-flash", "gemini-3-pro"):
        turns = gemini.to_payload(request, model=model)["contents"]
        sent = over_the_wire(turns[1])
        if model == "gemini-3-pro" and not any("thoughtSignature" in part for part in came):
            for part in sent["parts"]:
                part.pop("thoughtSignature", None)  # what Google documents for calls that carry none
        assert sent == {"role": "model", "parts": came}


@given(st.lists(parts(), min_size=1, max_size=6))
def test_a_streamed_answer_goes_back_like_the_whole_one(came: list[dict[str, Any]]) -> None:
    assembler = gemini.Assembler(provider="p")
    for part in came:
        assembler.feed({"candidates": [{"content": {"parts": [part]}}], "responseId": "r1"})
    assembler.feed({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]})
    sent = gemini.to_payload(Request((assembler.completion().message,)), model="gemini-2.5-pro")["contents"][0]["parts"]
    said = [part["text"] for part in sent if set(part) == {"text"}]
    assert "".join(said) == "".join(part["text"] for part in came if set(part) == {"text"})
    carrying = [part for part in came if not set(part) <= {"text", "thought"}]
    assert [part for part in sent if not set(part) <= {"text", "thought"}] == carrying


def test_a_signature_after_the_last_text_of_a_stream_is_kept() -> None:
    assembler = gemini.Assembler()
    for chunk in (
        {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "lo"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": SIGNATURE}]}, "finishReason": "STOP"}]},
        {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}},
    ):
        assembler.feed(chunk)
    answer = assembler.completion()
    assert (answer.message.text, answer.usage) == ("Hello", Usage(3, 2))
    sent = gemini.to_payload(Request((answer.message,)), model="gemini-3-flash")["contents"][0]["parts"]
    assert sent == [{"text": "Hello"}, {"text": "", "thoughtSignature": SIGNATURE}]


def test_an_answer_that_the_neutral_fields_say_whole_carries_no_state() -> None:
    came = [{"text": "Looking."}, {"functionCall": {"name": "look", "args": {"who": "Ada"}}}]
    body = {"candidates": [{"content": {"parts": came}, "finishReason": "STOP"}], "responseId": "r1"}
    message = gemini.from_response(body).message
    assert not message.state
    assert message.tool_calls[0].id.startswith("gemini-r1-")
    assert gemini.to_payload(Request((message,)), model="gemini-2.5-pro")["contents"][0]["parts"] == came


def answered(*came: dict[str, Any]) -> Message:
    body = {"candidates": [{"content": {"parts": list(came)}, "finishReason": "STOP"}], "responseId": "r1"}
    return gemini.from_response(body).message


def drawn(data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}}


def test_a_picture_that_the_model_made_is_a_part_in_its_place() -> None:
    message = answered({"text": "Here:"}, drawn("AAAA"), {"text": "and"}, drawn("BBBB"))
    pictures = [Image(f"data:image/png;base64,{data}") for data in ("AAAA", "BBBB")]
    assert message.content == (Text("Here:"), pictures[0], Text("and"), pictures[1])
    assert message.state is None, "the parts say it all"


def test_texts_pictures_and_calls_are_not_doubled_in_the_state() -> None:
    came: list[dict[str, Any]] = [
        {"text": "said " * 100, "thoughtSignature": "c2ln"},
        {"text": "thought " * 100, "thought": True},
        {**drawn("AAAA" * 1000), "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "look", "args": {"who": "Ada " * 100}}, "thoughtSignature": "c2ln"},
    ]
    message = answered(*came)
    assert message.state is not None
    assert len(message.state.content) < 300
    assert gemini.to_payload(Request((message,)), model="gemini-3-pro")["contents"][0]["parts"] == came


def test_a_picture_that_was_taken_out_does_not_come_back_from_the_state() -> None:
    message = answered({"text": "Here:", "thoughtSignature": "c2ln"}, {**drawn("AAAA"), "thoughtSignature": "c2ln"})
    sent = gemini.to_payload(Request((replace(message, content="Here:"),)), model="gemini-3-pro")
    assert sent["contents"][0]["parts"] == [{"text": "Here:"}]


def test_a_call_that_got_another_id_goes_with_it_and_keeps_its_signature() -> None:
    call = {"id": "same", "name": "look", "args": {}}
    message = answered({"functionCall": call, "thoughtSignature": "c2ln"})
    named = replace(message, tool_calls=(replace(message.tool_calls[0], id="call_1"),))
    sent = gemini.to_payload(Request((named,)), model="gemini-3-pro")["contents"][0]["parts"]
    assert sent == [{"functionCall": {**call, "id": "call_1"}, "thoughtSignature": "c2ln"}]


@pytest.mark.parametrize("fits", [True, False])
def test_a_state_that_is_the_list_of_parts_is_still_read(fits: bool) -> None:
    came = [
        {"text": "hm", "thought": True},
        {"text": "Looking."},
        drawn("AAAA"),
        {"functionCall": {"name": "look", "args": {"a": 1.0}}, "thoughtSignature": "c2ln"},
    ]
    state = VendorState("gemini", json.dumps(came))
    calls = (ToolCall("gemini-r1-0", "look", '{"a": 1.0}'),)
    message = Message("assistant", "Looking." if fits else "[name].", calls, reasoning="hm", state=state)
    sent = gemini.to_payload(Request((message,)), model="gemini-3-pro")["contents"][0]["parts"]
    assert sent == (came if fits else [{"text": "[name]."}, came[3]])


@pytest.mark.parametrize(
    "content", ["", "[", "[1]", '{"parts": 1}', '{"parts": [["text"]]}', '{"parts": [["call", 7, {}, {}]]}']
)
def test_a_state_that_cannot_be_read_is_left_out(content: str) -> None:
    message = Message("assistant", "hello", state=VendorState("gemini", content))
    sent = gemini.to_payload(Request((message,)), model="gemini-3-pro")["contents"][0]["parts"]
    assert sent == [{"text": "hello"}]


def signed_call() -> Message:
    came = [
        {"text": "Let me look for Ada.", "thoughtSignature": "t1"},
        {"functionCall": {"name": "look", "args": {"who": "Ada"}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"name": "look", "args": {"who": "Ada"}}},
    ]
    body = {"candidates": [{"content": {"parts": came}, "finishReason": "STOP"}], "responseId": "r1"}
    return gemini.from_response(body).message


def test_a_text_that_was_changed_goes_out_changed_and_its_calls_keep_their_signatures() -> None:
    changed = replace(signed_call(), content="Let me look for [name].")
    sent = gemini.to_payload(Request((changed,)), model="gemini-3-pro")["contents"][0]["parts"]
    assert sent == [
        {"text": "Let me look for [name]."},
        {"functionCall": {"name": "look", "args": {"who": "Ada"}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"name": "look", "args": {"who": "Ada"}}},
    ]


def test_a_call_of_another_model_is_marked_as_google_documents_it_where_signatures_are_demanded() -> None:
    foreign = Message("assistant", tool_calls=(ToolCall("call_1", "look", "{}"), ToolCall("call_2", "look", "{}")))
    request = Request((Message("user", "x"), foreign))
    strict = gemini.to_payload(request, model="gemini-3.1-pro")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in strict] == ["skip_thought_signature_validator", None]
    plain = gemini.to_payload(request, model="models/gemini-2.5-pro")["contents"][1]["parts"]
    assert not any("thoughtSignature" in part for part in plain)


def test_results_carry_the_name_and_only_the_vendors_identifier_of_their_call() -> None:
    message = signed_call()
    ids = [call.id for call in message.tool_calls]
    assert len(set(ids)) == 2, "calls without an identifier get one each"
    named = Message("assistant", tool_calls=(ToolCall("fc-7", "draw", "{}"),))
    turns = gemini.to_payload(
        Request(
            (
                Message("user", "x"),
                message,
                Message("tool", "found", tool_call_id=ids[0]),
                Message("tool", "no such person", tool_call_id=ids[1], is_error=True),
                named,
                Message("tool", (Text("done"), Image("data:image/png;base64,aGk=")), tool_call_id="fc-7"),
            )
        ),
        model="gemini-2.5-pro",
    )["contents"]
    assert [turn["role"] for turn in turns] == ["user", "model", "user", "model", "user"]
    assert turns[2]["parts"] == [
        {"functionResponse": {"name": "look", "response": {"output": "found"}}},
        {"functionResponse": {"name": "look", "response": {"error": "no such person"}}},
    ]
    assert turns[4]["parts"] == [
        {"functionResponse": {"id": "fc-7", "name": "draw", "response": {"output": "done"}}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
    ]


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-3-flash", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("models/gemini-4-pro", "high", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_an_effort_is_a_budget_or_a_level_by_the_models_generation(
    model: str, effort: str, thinking: dict[str, Any]
) -> None:
    payload = gemini.to_payload(Request((Message("user", "x"),), reasoning_effort=effort), model=model)
    assert payload["generationConfig"]["thinkingConfig"] == thinking


def test_tools_schema_and_choice_are_said_in_json_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    request = Request(
        (Message("system", "Be brief."), Message("user", "x")),
        tools=(ToolSpec("look", "Looks.", schema),),
        tool_choice="look",
        response_schema=schema,
        stop=("END",),
    )
    payload = gemini.to_payload(request, model="gemini-3-pro-preview")
    assert payload["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    declared = payload["tools"][0]["functionDeclarations"]
    assert declared == [{"name": "look", "description": "Looks.", "parametersJsonSchema": schema}]
    assert payload["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}}
    assert payload["generationConfig"]["responseJsonSchema"] == schema
    assert payload["generationConfig"]["stopSequences"] == ["END"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine-1", "/tunedModels/mine-1:generateContent"),
        ("odd name?x=1", "/models/odd%20name%3Fx%3D1:generateContent"),
    ],
)
def test_the_model_stands_in_the_path(model: str, path: str) -> None:
    assert gemini.path(model, "generateContent") == path


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_every_finish_reason_has_a_neutral_one(reason: str, finish: str) -> None:
    body = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason}]}
    assert gemini.from_response(body).finish_reason == finish


def test_a_call_the_model_garbled_is_no_answer() -> None:
    with pytest.raises(MalformedResponse, match="MALFORMED_FUNCTION_CALL"):
        gemini.from_response({"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]})


def test_a_blocked_prompt_is_an_answer_that_was_filtered_and_says_why() -> None:
    answer = gemini.from_response(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    )
    assert (answer.finish_reason, answer.message.text, answer.usage) == ("content_filter", "", Usage(4))
    assert answer.notes == ("the prompt was blocked: SAFETY",)


def test_thoughts_are_reasoning_and_their_tokens_are_output() -> None:
    body = {
        "candidates": [
            {"content": {"parts": [{"text": "hm", "thought": True}, {"text": "4"}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "toolUsePromptTokenCount": 5,
            "candidatesTokenCount": 1,
            "thoughtsTokenCount": 30,
            "cachedContentTokenCount": 8,
        },
    }
    answer = gemini.from_response(body)
    assert (answer.message.reasoning, answer.message.text) == ("hm", "4")
    assert answer.usage == Usage(15, 31, 8, 0, 30)


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {},
        {"candidates": []},
        {"candidates": [{"content": {"parts": [{"text": "x"}]}}]},
        {"candidates": "x"},
        {"candidates": ["x"]},
        {"candidates": [{"content": "x", "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": ["x"]}, "finishReason": "STOP"}]},
    ],
)
def test_what_is_not_the_protocol_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedResponse):
        gemini.from_response(body)


@given(completions(), st.data())
def test_a_stream_cut_before_its_finish_reason_is_never_an_answer(completion: Completion, data: st.DataObject) -> None:
    events = list(gemini.to_events(completion, id="x"))
    assembler = gemini.Assembler()
    for event in events[: data.draw(st.integers(0, len(events) - 1))]:
        assembler.feed(event)
    with pytest.raises(StreamCut):
        assembler.completion()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}, RateLimited),
        ({"code": 403, "message": "no", "status": "PERMISSION_DENIED"}, AuthenticationFailed),
    ],
)
def test_an_error_inside_a_stream_is_known_by_its_code(error: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        gemini.Assembler(provider="p").feed({"error": error})


@pytest.mark.parametrize(
    "payload",
    [{}, {"contents": []}, {"contents": "x"}, {"contents": [{"role": "wizard", "parts": []}]}, {"contents": [{}]}],
)
def test_wrong_requests_are_refused_with_what_was_expected(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        gemini.from_payload(payload)


@pytest.mark.parametrize("head", ["data:text/plain;charset=utf-8;base64,", "data:;base64,"])
def test_the_data_of_a_file_is_sent_as_data_also_where_its_type_has_parameters_or_none(head: str) -> None:
    request = Request((Message("user", (File(f"{head}SGVsbG8="),)),))
    sent = gemini.to_payload(request, model="gemini-3-pro")["contents"][0]["parts"]
    assert sent == [{"inlineData": {"mimeType": "text/plain", "data": "SGVsbG8="}}]
